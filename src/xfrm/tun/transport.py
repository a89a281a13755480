"""Transport mode over a device that carries whole IP packets (RFC 4303, 3.1.1).

Outwards the IP header that the host made is replaced by the one that the sender makes, so IPv4
options do not arrive. Inwards a new one is made from the SA's two addresses. The host cuts large
datagrams before they reach the device, and ESP is for whole ones, so the pieces are joined here.
"""

from typing import Final

from xfrm.esp.packet import (
    FRAGMENT,
    TCP,
    UDP,
    checksum,
    fragment_key,
    ip_header,
)
from xfrm.esp.reasons import Reason, Refused
from xfrm.model import SecurityAssociation

_WAITING: Final = 64  # datagrams that may be incomplete at once; the oldest goes
_BEFORE_ESP: Final = frozenset({0, 43})  # hop-by-hop options and routing belong in front of ESP


class Joiner:
    """Puts the host's own fragments together again."""

    def __init__(self) -> None:
        self._parts: dict[bytes, dict[int, bytes]] = {}
        self._sizes: dict[bytes, int] = {}

    def add(self, name: bytes, offset: int, more: bool, part: bytes) -> bytes | None:
        """The whole datagram when `part` was the last one missing."""
        if name not in self._parts and len(self._parts) >= _WAITING:
            oldest = next(iter(self._parts))
            del self._parts[oldest]
            self._sizes.pop(oldest, None)
        parts = self._parts.setdefault(name, {})
        parts[offset] = part
        if not more:
            self._sizes[name] = offset + len(part)
        size = self._sizes.get(name)
        if size is None or sum(map(len, parts.values())) < size:
            return None
        del self._parts[name], self._sizes[name]
        whole = b"".join(parts[at] for at in sorted(parts))
        return whole if len(whole) == size else None


def upper_layer(packet: bytes, joiner: Joiner) -> tuple[int, bytes] | None:
    """Next header and payload of `packet`; None for a fragment that does not complete its datagram.

    Raises Refused (OUT_HEADER) for IPv6 options that routers must see.
    """
    if packet[0] >> 4 == 4:
        field = packet[6] << 8 | packet[7]
        offset, more = (field & 0x1FFF) * 8, bool(field & 0x2000)
        next_header, payload = packet[9], packet[(packet[0] & 15) * 4 :]
    elif packet[6] == FRAGMENT and len(packet) >= 48:
        field = packet[42] << 8 | packet[43]
        offset, more = field & ~7, bool(field & 1)
        next_header, payload = packet[40], packet[48:]
    elif packet[6] in _BEFORE_ESP:
        raise Refused(Reason.OUT_HEADER)
    else:
        return packet[6], packet[40:]
    if not offset and not more:
        return next_header, payload
    whole = joiner.add(fragment_key(packet) or b"", offset, more, payload)
    return None if whole is None else (next_header, whole)


def rebuilt(sa: SecurityAssociation, next_header: int, payload: bytes, tos: int) -> bytes:
    """The IP packet that the host gets for what came by `sa`.

    Behind a NAT the checksums of TCP and UDP are those of addresses that we never see: as the
    integrity check has passed, they are made right (RFC 3948, 3.1.2).
    """
    header = ip_header(sa.src, sa.dst, next_header, len(payload), tos=tos)
    if sa.encapsulation is None:
        return header + payload
    at = {TCP: 16, UDP: 6}.get(next_header)
    if at is None or len(payload) < at + 2:
        return header + payload
    blank = payload[:at] + b"\0\0" + payload[at + 2 :]
    pseudo = sa.src.packed + sa.dst.packed
    pseudo += len(payload).to_bytes(4, "big") + next_header.to_bytes(4, "big")
    value = checksum(pseudo + blank) or (0xFFFF if next_header == UDP else 0)
    return header + blank[:at] + value.to_bytes(2, "big") + blank[at + 2 :]

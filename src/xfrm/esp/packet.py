"""IP headers as octets: what a tunnel has to know of RFC 791, RFC 8200 and RFC 4301, 5.1.2."""

from collections.abc import Iterator
from ipaddress import IPv6Address
from struct import Struct
from typing import Final, NamedTuple

from xfrm.esp.reasons import Reason, Refused
from xfrm.model import Address

IPV4_HEADER: Final = Struct("!BBHHHBBH4s4s")
IPV6_HEADER: Final = Struct("!IHBB16s16s")
_PORTS: Final = Struct("!HH")

# Protocol numbers (IANA)
ICMP: Final = 1
IPIP: Final = 4  # next header of an IPv4 packet in a tunnel
TCP: Final = 6
UDP: Final = 17
IPV6: Final = 41
FRAGMENT: Final = 44
AH: Final = 51
ICMPV6: Final = 58
NO_NEXT_HEADER: Final = 59
_WITH_PORTS: Final = frozenset({TCP, UDP, 33, 132, 136})  # DCCP, SCTP, UDP-Lite
_EXTENSIONS: Final = frozenset({0, 43, 60})  # hop-by-hop, routing, destination options

_MORE_FRAGMENTS: Final = 0x2000
_OFFSET: Final = 0x1FFF
HOP_LIMIT: Final = 64
LARGEST: Final = 65535  # octets of an IPv4 packet

ECN: Final = 0x03
CE: Final = 0x03


class Flow(NamedTuple):
    """What selectors look at. Ports of None are unknown: a fragment that is not the first.

    For ICMP `src_port` is the type and `dst_port` the code; a protocol without ports has 0.
    """

    version: int
    src: int
    dst: int
    protocol: int
    src_port: int | None
    dst_port: int | None


def checksum(octets: bytes) -> int:
    """The Internet checksum (RFC 1071) of `octets`."""
    # Adding 16-bit words with end-around carry is arithmetic modulo 65535.
    value = int.from_bytes(octets + b"\0" if len(octets) & 1 else octets, "big")
    return 0xFFFF - (value % 0xFFFF or (0xFFFF if value else 0))


def total_length(packet: bytes) -> int:
    """Octets of the IP packet at the start of `packet`. Raises Refused (IN_HEADER).

    More may follow: Ethernet's or traffic flow confidentiality padding (RFC 4303, 2.7).
    """
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        size, header = packet[2] << 8 | packet[3], (packet[0] & 15) * 4
        if 20 <= header <= size <= len(packet):
            return size
    elif len(packet) >= 40 and packet[0] >> 4 == 6:
        size = 40 + (packet[4] << 8 | packet[5])
        if size <= len(packet):
            return size
    raise Refused(Reason.IN_HEADER)


def flow(packet: bytes) -> Flow:
    """The flow that `packet` is of. Raises Refused (IN_HEADER) if it is not a whole IP packet."""
    end = total_length(packet)
    if packet[0] >> 4 == 4:
        src, dst = packet[12:16], packet[16:20]
        fragment = (packet[6] << 8 | packet[7]) & (_OFFSET | _MORE_FRAGMENTS)
        protocol, at = packet[9], (packet[0] & 15) * 4
    else:
        src, dst = packet[8:24], packet[24:40]
        protocol, at, fragment = _upper_layer(packet, end)
    numbers = packet[0] >> 4, int.from_bytes(src, "big"), int.from_bytes(dst, "big"), protocol
    if fragment & _OFFSET:
        return Flow(*numbers, None, None)
    if protocol in _WITH_PORTS:
        if end < at + 4:
            raise Refused(Reason.IN_HEADER)
        return Flow(*numbers, *_PORTS.unpack_from(packet, at))
    if protocol in (ICMP, ICMPV6):
        if end < at + 2:
            raise Refused(Reason.IN_HEADER)
        return Flow(*numbers, packet[at], packet[at + 1])
    return Flow(*numbers, 0, 0)


def _upper_layer(packet: bytes, end: int) -> tuple[int, int, int]:
    """Protocol, where it begins, and fragment offset in eights of octets (RFC 8200, 4)."""
    protocol, at = packet[6], 40
    while protocol in _EXTENSIONS or protocol == FRAGMENT:
        if end < at + 8:
            raise Refused(Reason.IN_HEADER)
        if protocol == FRAGMENT:
            offset = (packet[at + 2] << 8 | packet[at + 3]) >> 3
            if offset:
                return packet[at], at + 8, offset
            protocol, at = packet[at], at + 8
        else:
            protocol, at = packet[at], at + 8 + packet[at + 1] * 8
    return protocol, at, 0


def fragment_key(packet: bytes) -> bytes | None:
    """What the fragments of one packet share, or None if `packet` is whole (RFC 791, 3.2)."""
    if packet[0] >> 4 == 4:
        if (packet[6] << 8 | packet[7]) & (_OFFSET | _MORE_FRAGMENTS):
            return packet[4:6] + packet[9:10] + packet[12:20]
        return None
    protocol, at = packet[6], 40
    while protocol in _EXTENSIONS and len(packet) >= at + 8:
        protocol, at = packet[at], at + 8 + packet[at + 1] * 8
    if protocol == FRAGMENT and len(packet) >= at + 8:
        return packet[at + 4 : at + 8] + packet[8:40]
    return None


def traffic_class(packet: bytes) -> int:
    """The TOS or traffic class octet: DSCP and ECN."""
    if packet[0] >> 4 == 4:
        return packet[1]
    return (packet[0] & 15) << 4 | packet[1] >> 4


def ip_header(
    src: Address,
    dst: Address,
    protocol: int,
    payload_size: int,
    *,
    tos: int = 0,
    ttl: int = HOP_LIMIT,
    identification: int = 0,
    flags: int = 0,
) -> bytes:
    """An IPv4 header with its checksum, or an IPv6 header."""
    if isinstance(src, IPv6Address):
        return IPV6_HEADER.pack(
            6 << 28 | tos << 20, payload_size, protocol, ttl, src.packed, dst.packed
        )
    front = 0x45, tos, 20 + payload_size, identification, flags, ttl, protocol
    bare = IPV4_HEADER.pack(*front, 0, src.packed, dst.packed)
    return IPV4_HEADER.pack(*front, checksum(bare), src.packed, dst.packed)


def congestion_marked(outer_tos: int, inner: bytes) -> bytes:
    """`inner` after the tunnel's end (RFC 6040, 4.2, which replaces RFC 4301, 5.1.2.1 for ECN).

    Raises Refused (IN_CONGESTION) for outer CE over an inner that does not know ECN.
    """
    if outer_tos & ECN != CE:
        return inner
    tos = traffic_class(inner)
    if not tos & ECN:
        raise Refused(Reason.IN_CONGESTION)
    if inner[0] >> 4 == 6:
        return inner[:1] + bytes((inner[1] | CE << 4,)) + inner[2:]
    size = (inner[0] & 15) * 4
    header = inner[:1] + bytes((tos | CE,)) + inner[2:10] + b"\0\0" + inner[12:size]
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + inner[size:]


def fragments(packet: bytes, mtu: int) -> Iterator[bytes]:
    """An IPv4 packet cut to `mtu` octets (RFC 791, 3.2). The checksums are left to the sender."""
    size = (packet[0] & 15) * 4
    header, payload = packet[:size], packet[size:]
    field = packet[6] << 8 | packet[7]
    step = (mtu - size) & ~7
    if step <= 0 or len(packet) > LARGEST:
        raise Refused(Reason.OUT_TOO_BIG)
    for at in range(0, max(len(payload), 1), step):
        part = payload[at : at + step]
        more = _MORE_FRAGMENTS if at + step < len(payload) else field & _MORE_FRAGMENTS
        offset = more | (field & _OFFSET) + at // 8
        length = (size + len(part)).to_bytes(2, "big")
        bare = header[:2] + length + header[4:6] + offset.to_bytes(2, "big") + header[8:10]
        bare += b"\0\0" + header[12:]
        yield bare[:10] + checksum(bare).to_bytes(2, "big") + bare[12:] + part

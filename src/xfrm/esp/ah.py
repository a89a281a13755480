"""AH (RFC 4302): the integrity check covers the IP header too, but for what routers may change.

A packet here is a whole IP packet. TOS, TTL and the fragment field are mutable, so the sender may
set them after the check value was made; the identification is not.
"""

from collections.abc import Callable
from hmac import compare_digest
from ipaddress import IPv6Address
from struct import Struct
from typing import Final

from xfrm.esp.packet import AH, LARGEST, ip_header
from xfrm.esp.reasons import Reason, Refused
from xfrm.esp.replay import Protect, Unprotect
from xfrm.esp.transform import BadAlgorithm, integrity
from xfrm.model import SecurityAssociation

_HEADER: Final = Struct("!BBHII")  # next header, length in words less 2, reserved, SPI, sequence
FIXED: Final = _HEADER.size
_LOW: Final = 0xFFFFFFFF

# IPv4 options that AH covers as they are (RFC 4302, Appendix A1); all others count as zeros.
_IMMUTABLE_OPTIONS: Final = frozenset({130, 133, 134, 148, 149})


def transforms(sa: SecurityAssociation) -> tuple[Protect, Unprotect]:
    """What makes and what checks IP packets with AH between the two ends of `sa`.

    Raises BadAlgorithm.
    """
    if sa.authentication is None or sa.encryption is not None or sa.aead is not None:
        raise BadAlgorithm("AH needs one authentication algorithm and no encryption")
    mac, icv = integrity(sa.authentication)
    if not icv:
        raise BadAlgorithm("AH needs an authentication algorithm")
    # RFC 4302, 2.6: AH fills words of 32 bits in IPv4 and of 64 bits in IPv6.
    align = 8 if isinstance(sa.src, IPv6Address) else 4
    size = -(-(FIXED + icv) // align) * align
    blank = bytes(size - FIXED)
    longest = LARGEST - 20 - size
    spi, src, dst, esn = sa.spi, sa.src, sa.dst, sa.esn

    def protect(sequence: int, payload: bytes, next_header: int) -> bytes:
        if len(payload) > longest:
            raise Refused(Reason.OUT_TOO_BIG)
        front = _HEADER.pack(next_header, size // 4 - 2, 0, spi, sequence & _LOW)
        # The identification repeats only after 65536 packets; AH forbids that it change later.
        outer = ip_header(
            src, dst, AH, size + len(payload), identification=(sequence & 0xFFFF) or 1
        )
        covered = immutable(outer) + front + blank + payload
        check = mac(covered + (sequence >> 32).to_bytes(4, "big") if esn else covered)
        return outer + front + check.ljust(size - FIXED, b"\0") + payload

    return protect, _checker(mac, icv, esn)


def _checker(mac: Callable[[bytes], bytes], icv: int, esn: bool) -> Unprotect:
    def unprotect(packet: bytes, high: int) -> tuple[int, bytes]:
        at = header_size(packet)
        size = (packet[at + 1] + 2) * 4
        # Some peers fill words of 64 bits in IPv4 too.
        if not FIXED + icv <= size < FIXED + icv + 8 or len(packet) < at + size:
            raise Refused(Reason.IN_PROTOCOL)
        start = at + FIXED
        padding = packet[start + icv : at + size]
        rest = packet[at + size :]
        covered = immutable(packet[:at]) + packet[at:start] + bytes(icv) + padding + rest
        check = mac(covered + high.to_bytes(4, "big") if esn else covered)
        if not compare_digest(check, packet[start : start + icv]):
            raise Refused(Reason.IN_PROTOCOL)
        return packet[at], rest

    return unprotect


def header_size(packet: bytes) -> int:
    """Octets of the IP header in front of AH. Raises Refused if AH does not follow whole."""
    size = (packet[0] & 15) * 4 if packet and packet[0] >> 4 == 4 else 40
    if len(packet) < size + FIXED or size < 20 or packet[9 if packet[0] >> 4 == 4 else 6] != AH:
        raise Refused(Reason.IN_PROTOCOL)
    return size


def immutable(header: bytes) -> bytes:
    """An IP header with what may change under way as zeros (RFC 4302, 3.3.3.1)."""
    if header[0] >> 4 == 6:
        return b"\x60\0\0\0" + header[4:7] + b"\0" + header[8:]
    return (
        header[:1]
        + b"\0"
        + header[2:6]
        + b"\0\0\0"
        + header[9:10]
        + b"\0\0"
        + header[12:20]
        + _immutable_options(header[20:])
    )


def _immutable_options(options: bytes) -> bytes:
    """IPv4 options, the mutable ones zeroed (RFC 4302, Appendix A1)."""
    covered = b""
    while options:
        kind = options[0]
        size = 1 if kind <= 1 else options[1] if len(options) > 1 else 0
        if not 0 < size <= len(options) or (kind > 1 and size < 2):
            raise Refused(Reason.IN_PROTOCOL)
        option, options = options[:size], options[size:]
        kept = kind <= 1 or kind in _IMMUTABLE_OPTIONS
        covered += option if kept else bytes(size)
        if not kind:  # end of options: the rest is padding
            return covered + options
    return covered

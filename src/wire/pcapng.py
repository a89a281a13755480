"""Capture files that Wireshark reads -- draft-ietf-opsawg-pcapng, 3 and 4. Only writing.

A file is the concatenation of blocks, in this order: one `section`, an `interface` for each link,
then packets, and secrets ahead of the packets that they decrypt. Time stamps are Unix nanoseconds.
"""

import struct
from enum import IntEnum
from typing import Final

_ETHERNET: Final = 1  # LINKTYPE_ETHERNET
_SECTION_HEADER: Final = 0x0A0D0D0A
_INTERFACE_DESCRIPTION: Final = 1
_ENHANCED_PACKET: Final = 6
_DECRYPTION_SECRETS: Final = 10
_BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D
_UNKNOWN_LENGTH: Final = 0xFFFF_FFFF_FFFF_FFFF

_OPT_COMMENT: Final = 1
_SHB_USERAPPL: Final = 4
_IF_NAME: Final = 2
_IF_DESCRIPTION: Final = 3
_IF_TSRESOL: Final = 9
_EPB_FLAGS: Final = 2
_NANOSECONDS: Final = b"\x09"  # 10**-9


class Direction(IntEnum):
    """Which way a packet went, seen from the interface (4.3.1, epb_flags)."""

    UNKNOWN = 0
    INBOUND = 1
    OUTBOUND = 2


class Secrets(IntEnum):
    """What a block of secrets holds (4.7)."""

    TLS_KEY_LOG = 0x544C_534B


def section(application: str) -> bytes:
    """The block that every file begins with; `application` is what wrote it."""
    body = struct.pack("<IHHQ", _BYTE_ORDER_MAGIC, 1, 0, _UNKNOWN_LENGTH)
    return _block(_SECTION_HEADER, body + _options((_SHB_USERAPPL, application.encode())))


def interface(name: str, *, description: str = "") -> bytes:
    """One Ethernet link; the first is number 0 for `packet`. Packets are never cut short."""
    options = _options(
        (_IF_NAME, name.encode()),
        (_IF_DESCRIPTION, description.encode()),
        (_IF_TSRESOL, _NANOSECONDS),
    )
    return _block(_INTERFACE_DESCRIPTION, struct.pack("<HHI", _ETHERNET, 0, 0) + options)


def packet(
    link: int,
    time: int,
    octets: bytes,
    *,
    direction: Direction = Direction.UNKNOWN,
    comment: str = "",
) -> bytes:
    """One packet of the interface number `link`, at `time` (Unix ns)."""
    flags = struct.pack("<I", direction) if direction else b""
    options = _options((_EPB_FLAGS, flags), (_OPT_COMMENT, comment.encode()))
    size = len(octets)
    head = struct.pack("<IIIII", link, time >> 32, time & 0xFFFF_FFFF, size, size)
    return _block(_ENHANCED_PACKET, head + _padded(octets) + options)


def secrets(kind: Secrets, octets: bytes) -> bytes:
    """Keys that decrypt packets further on in the file."""
    return _block(_DECRYPTION_SECRETS, struct.pack("<II", kind, len(octets)) + _padded(octets))


def _block(kind: int, body: bytes) -> bytes:
    """3.1: the length stands at both ends, so that a file can be read backwards."""
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _options(*options: tuple[int, bytes]) -> bytes:
    """3.5: those with a value, and the end of options if there are any."""
    given = [(code, value) for code, value in options if value]
    if not given:
        return b""
    fields = [struct.pack("<HH", code, len(value)) + _padded(value) for code, value in given]
    return b"".join(fields) + bytes(4)


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)

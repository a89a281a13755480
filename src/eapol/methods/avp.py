"""AVPs, as EAP-TTLS carries them (RFC 5281, 10.1; those of RADIUS, and of Microsoft: RFC 2548)."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from eapol.errors import MalformedFrame
from wire.cursor import Cursor, DecodeError

_HEADER: Final = struct.Struct("!II")  # code; flags (8 bits) and length of header and data (24)
_VENDOR: Final = struct.Struct("!I")
_VENDOR_FLAG: Final = 0x80
_MANDATORY: Final = 0x40

MICROSOFT: Final = 311


class Code(IntEnum):
    """Attributes of RADIUS (vendor 0)."""

    USER_NAME = 1
    USER_PASSWORD = 2
    CHAP_PASSWORD = 3
    REPLY_MESSAGE = 18
    CHAP_CHALLENGE = 60
    EAP_MESSAGE = 79


class MsCode(IntEnum):
    """Attributes of Microsoft (RFC 2548, 2)."""

    CHAP_RESPONSE = 1
    CHAP_ERROR = 2
    CHAP_CHALLENGE = 11
    CHAP2_RESPONSE = 25
    CHAP2_SUCCESS = 26


@dataclass(frozen=True, slots=True)
class Avp:
    code: int
    data: bytes
    vendor: int = 0
    mandatory: bool = True

    def __bytes__(self) -> bytes:
        flags = _MANDATORY * self.mandatory | _VENDOR_FLAG * bool(self.vendor)
        vendor = _VENDOR.pack(self.vendor) if self.vendor else b""
        size = _HEADER.size + len(vendor) + len(self.data)
        head = _HEADER.pack(self.code, flags << 24 | size)
        return head + vendor + self.data + bytes(-size % 4)


def parse(octets: bytes) -> list[Avp]:
    """All of them, in order; the padding of the last one may be missing. Raises: MalformedFrame."""
    cursor = Cursor(octets)
    found = []
    try:
        while len(cursor):
            code, word = cursor.unpack(_HEADER)
            flags, size = word >> 24, word & 0xFFFFFF
            body = cursor.sub(size - _HEADER.size)
            vendor = body.unpack(_VENDOR)[0] if flags & _VENDOR_FLAG else 0
            found.append(Avp(code, body.rest(), vendor, bool(flags & _MANDATORY)))
            cursor.take(min(-size % 4, len(cursor)))
    except DecodeError as error:
        raise MalformedFrame.wrap(error) from None
    return found


def joined(avps: Iterable[Avp]) -> bytes:
    return b"".join(bytes(avp) for avp in avps)

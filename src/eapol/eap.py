"""EAP packets (RFC 3748, 4 and 5).

An unknown code or type survives. Padding after the packet's own length is dropped: EAPOL bodies
may be longer than the EAP packet in them (RFC 3748, 4: "octets outside the range of the Length
field should be treated as Data Link Layer padding").
"""

import struct
from dataclasses import dataclass
from typing import Final, Self

from eapol.errors import MalformedFrame
from wire.cursor import Cursor, DecodeError
from wire.open_enum import OpenEnum

_HEADER: Final = struct.Struct("!BBH")  # code, identifier, length of the packet in octets
_EXPANDED: Final = struct.Struct("!II")  # vendor (24 bits below the type 254), vendor type
_VENDOR_MASK: Final = 0xFFFFFF


class EapCode(OpenEnum):
    """RFC 3748, 4."""

    REQUEST = 1
    RESPONSE = 2
    SUCCESS = 3
    FAILURE = 4


class EapType(OpenEnum):
    """RFC 3748, 5, and the IANA registry "Method Types"; names as the control interface prints."""

    NONE = 0
    IDENTITY = 1
    NOTIFICATION = 2
    NAK = 3
    MD5 = 4
    OTP = 5
    GTC = 6
    TLS = 13
    LEAP = 17
    SIM = 18
    TTLS = 21
    AKA = 23
    PEAP = 25
    MSCHAPV2 = 26
    FAST = 43
    PSK = 47
    PWD = 52
    TEAP = 55
    EXPANDED = 254
    EXPERIMENTAL = 255


@dataclass(frozen=True, slots=True)
class Packet:
    """One EAP packet. `method` is None in Success, Failure and packets of unknown codes.

    `expanded` says that the type came in the expanded form (RFC 3748, 5.7): then `vendor` and
    `method` are the vendor's number and the vendor's type. Without it `vendor` is 0 (IETF).
    """

    code: EapCode
    identifier: int
    method: EapType | None = None
    data: bytes = b""
    vendor: int = 0
    expanded: bool = False

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Raises: MalformedFrame."""
        try:
            return cls._parse(Cursor(octets))
        except DecodeError as error:
            raise MalformedFrame.wrap(error) from None

    @classmethod
    def _parse(cls, cursor: Cursor) -> Self:
        code, identifier, length = cursor.unpack(_HEADER)
        body = cursor.sub(length - _HEADER.size)
        if code not in (EapCode.REQUEST, EapCode.RESPONSE):
            return cls(EapCode(code), identifier, None, body.rest())
        method = EapType(body.take(1)[0])
        if method != EapType.EXPANDED:
            return cls(EapCode(code), identifier, method, body.rest())
        vendor = int.from_bytes(body.take(3), "big")
        vendor_type = EapType(int.from_bytes(body.take(4), "big"))
        return cls(EapCode(code), identifier, vendor_type, body.rest(), vendor, True)

    def __bytes__(self) -> bytes:
        body = self._type_octets() + self.data
        return _HEADER.pack(self.code, self.identifier, _HEADER.size + len(body)) + body

    def _type_octets(self) -> bytes:
        if self.method is None:
            return b""
        if not self.expanded:
            return bytes((self.method,))
        head = EapType.EXPANDED << 24 | self.vendor & _VENDOR_MASK
        return _EXPANDED.pack(head, self.method)


def response(identifier: int, method: EapType, data: bytes = b"") -> Packet:
    return Packet(EapCode.RESPONSE, identifier, method, data)


def request(identifier: int, method: EapType, data: bytes = b"") -> Packet:
    return Packet(EapCode.REQUEST, identifier, method, data)


def nak(identifier: int, wanted: tuple[EapType, ...]) -> Packet:
    """The Nak that names the methods we would take (RFC 3748, 5.3.1); none is written as 0."""
    return response(identifier, EapType.NAK, bytes(wanted) or b"\0")


def expanded_nak(identifier: int, wanted: tuple[EapType, ...]) -> Packet:
    """The Nak that answers an expanded type we do not have (RFC 3748, 5.3.2)."""
    entries = [_EXPANDED.pack(EapType.EXPANDED << 24, method) for method in wanted or (0,)]
    return Packet(EapCode.RESPONSE, identifier, EapType.NAK, b"".join(entries), 0, True)

"""The TLVs that PEAP, EAP-FAST and TEAP carry inside of TLS (RFC 7170, 4.2; [MS-PEAP], 2.2.8)."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from eapol.errors import MalformedFrame
from wire.cursor import Cursor, DecodeError

_HEADER: Final = struct.Struct("!HH")  # M, R and type; length of the value in octets
_MANDATORY: Final = 0x8000
_TYPE: Final = 0x3FFF


class TlvType(IntEnum):
    """RFC 7170, 4.2.1, as far as they are used here."""

    AUTHORITY_ID = 1
    IDENTITY_TYPE = 2
    RESULT = 3
    NAK = 4
    ERROR = 5
    VENDOR_SPECIFIC = 7
    EAP_PAYLOAD = 9
    INTERMEDIATE_RESULT = 10
    PAC = 11
    CRYPTO_BINDING = 12
    BASIC_PASSWORD_AUTH_REQ = 13
    BASIC_PASSWORD_AUTH_RESP = 14


class Result(IntEnum):
    """The value of a Result TLV (RFC 7170, 4.2.4)."""

    SUCCESS = 1
    FAILURE = 2


@dataclass(frozen=True, slots=True)
class Tlv:
    type: int
    value: bytes
    mandatory: bool = True

    def __bytes__(self) -> bytes:
        head = self.type | _MANDATORY * self.mandatory
        return _HEADER.pack(head, len(self.value)) + self.value


def parse(octets: bytes) -> list[Tlv]:
    """All of them, in order. Raises: MalformedFrame."""
    cursor = Cursor(octets)
    found = []
    try:
        while len(cursor):
            head, length = cursor.unpack(_HEADER)
            found.append(Tlv(head & _TYPE, cursor.take(length), bool(head & _MANDATORY)))
    except DecodeError as error:
        raise MalformedFrame.wrap(error) from None
    return found


def only(tlvs: list[Tlv], wanted: int) -> Tlv | None:
    """The TLV of that type, if there is one. Raises: MalformedFrame if there are several."""
    found = [tlv for tlv in tlvs if tlv.type == wanted]
    if len(found) > 1:
        raise MalformedFrame(f"TLV {wanted} appears {len(found)} times", 0)
    return found[0] if found else None


def result(value: Result) -> Tlv:
    return Tlv(TlvType.RESULT, value.to_bytes(2, "big"))


def result_of(tlv: Tlv) -> Result:
    """Raises: MalformedFrame for a value that is neither success nor failure."""
    if tlv.value == b"\0\1":
        return Result.SUCCESS
    if tlv.value == b"\0\2":
        return Result.FAILURE
    raise MalformedFrame("a result that is neither success nor failure", 0)


def nak(refused: Tlv) -> Tlv:
    """The answer to a mandatory TLV that we do not know (RFC 7170, 4.2.5)."""
    return Tlv(TlvType.NAK, struct.pack("!IH", 0, refused.type))

"""The ISAKMP header (RFC 2408, 3.1)."""

import struct
from dataclasses import dataclass
from typing import Final, Self

from ike.errors import (
    InvalidFlags,
    InvalidMajorVersion,
    InvalidMinorVersion,
    PayloadMalformed,
    UnequalPayloadLengths,
)
from ike.numbers.isakmp import VERSION_1_0, ExchangeType, Flags, PayloadType

_HEADER = struct.Struct("!8s8sBBBBII")
HEADER_SIZE: Final = _HEADER.size  # 28 octets
NO_COOKIE: Final = bytes(8)


@dataclass(frozen=True, slots=True)
class Header:
    """`length` counts the whole message, header and encryption padding included, in octets."""

    initiator_cookie: bytes
    responder_cookie: bytes
    next_payload: PayloadType
    exchange: ExchangeType
    flags: Flags
    message_id: int
    length: int
    version: int = VERSION_1_0

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The header of the message that `data` begins with.

        The header says where the message ends (RFC 2408, 3.1). Old Cisco clients send octets behind
        that, which racoon does not read: in the clear they are left to the caller to cut off. What
        is encrypted fills whole blocks, and must be as long as its header says.

        Raises: PayloadMalformed, UnequalPayloadLengths, InvalidMajorVersion, InvalidMinorVersion,
            InvalidFlags (RFC 2408, 5.2).
        """
        if len(data) < HEADER_SIZE:
            raise PayloadMalformed(f"{len(data)} octets are not an ISAKMP header")
        icookie, rcookie, first, version, exchange, flags, message_id, length = _HEADER.unpack_from(
            data
        )
        if version >> 4 != VERSION_1_0 >> 4:
            raise InvalidMajorVersion(
                f"version {version >> 4}.{version & 15} is not supported: only 1.0 is"
            )
        if version != VERSION_1_0:
            raise InvalidMinorVersion(
                f"version {version >> 4}.{version & 15} is not supported: only 1.0 is"
            )
        if not HEADER_SIZE <= length <= len(data) or (flags & 1 and length != len(data)):
            raise UnequalPayloadLengths(
                f"the header gives {length} octets, the datagram has {len(data)}"
            )
        if icookie == NO_COOKIE:
            raise PayloadMalformed("the initiator's cookie is zero")
        if flags > 7:
            raise InvalidFlags(f"flags 0x{flags:02x}")
        return cls(
            icookie,
            rcookie,
            PayloadType(first),
            ExchangeType(exchange),
            Flags(flags),
            message_id,
            length,
            version,
        )

    def __bytes__(self) -> bytes:
        return _HEADER.pack(
            self.initiator_cookie,
            self.responder_cookie,
            self.next_payload,
            self.version,
            self.exchange,
            self.flags,
            self.message_id,
            self.length,
        )

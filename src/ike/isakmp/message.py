"""Messages: a header and a chain of payloads (RFC 2408, 3.1 and 3.2).

A payload stays raw (type and body) until an exchange that expects it decodes it: hashes cover the
octets as they came, and unknown types survive. Since reserved octets must be zero, packing parsed
payloads again gives the very octets that were read.

The chain ends with the payload that says NONE comes next; what follows up to the end of the message
is padding. RFC 2408, 5.1 compares the header's length with the datagram only, and libreswan fills
messages in the clear, too, to a multiple of four octets. Padding is never read.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from ike.errors import PayloadMalformed, decoder
from ike.isakmp.header import HEADER_SIZE, Header
from ike.numbers.isakmp import ExchangeType, Flags, PayloadType
from wire.cursor import Cursor, DecodeError

_GENERIC = struct.Struct("!BBH")  # next payload, reserved, length with this header in octets
MAX_PAYLOADS: Final = 64
MAX_MESSAGE: Final = 65507  # what fits into a UDP datagram


@dataclass(frozen=True, slots=True)
class Payload:
    type: PayloadType
    body: bytes


@decoder
def parse_chain(
    first: PayloadType, data: bytes, start: int = 0
) -> tuple[tuple[Payload, ...], bytes]:
    """The payloads in `data[start:]`, and what is left behind the last one (padding).

    Raises: PayloadMalformed for a wrong length, a reserved octet that is not zero, or more than
        MAX_PAYLOADS payloads.
    """
    cursor = Cursor(data, start)
    payloads: list[Payload] = []
    kind = int(first)
    while kind:
        if len(payloads) == MAX_PAYLOADS:
            raise DecodeError(f"more than {MAX_PAYLOADS} payloads", cursor.offset)
        following, reserved, length = cursor.unpack(_GENERIC)
        if reserved or length < _GENERIC.size:
            raise DecodeError(f"bad payload header (type {kind}, length {length})", cursor.offset)
        payloads.append(Payload(PayloadType(kind), cursor.take(length - _GENERIC.size)))
        kind = following
    return tuple(payloads), cursor.rest()


def pack_chain(payloads: Sequence[Payload]) -> bytes:
    out: list[bytes] = []
    following = PayloadType.NONE
    for payload in reversed(payloads):
        out.append(payload.body)
        out.append(_GENERIC.pack(following, 0, len(payload.body) + _GENERIC.size))
        following = payload.type
    return b"".join(reversed(out))


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message in the clear, or one that was decrypted (`encrypted` tells which)."""

    initiator_cookie: bytes
    responder_cookie: bytes
    exchange: ExchangeType
    payloads: tuple[Payload, ...]
    message_id: int = 0
    encrypted: bool = False
    commit: bool = False
    authentication_only: bool = False
    padding: int = field(default=0, compare=False)  # octets behind the last payload, as received

    @classmethod
    def parse(cls, header: Header, data: bytes) -> Self:
        """The message in the clear that `data` is, with its header parsed already.

        Raises: PayloadMalformed.
        """
        return cls.of(header, *parse_chain(header.next_payload, data, HEADER_SIZE))

    @classmethod
    def decrypted(cls, header: Header, plaintext: bytes) -> Self:
        """The message whose payloads and padding were decrypted to `plaintext`.

        Raises: PayloadMalformed, which in practice means a wrong key.
        """
        return cls.of(header, *parse_chain(header.next_payload, plaintext))

    @classmethod
    def of(cls, header: Header, payloads: tuple[Payload, ...], padding: bytes) -> Self:
        return cls(
            initiator_cookie=header.initiator_cookie,
            responder_cookie=header.responder_cookie,
            exchange=header.exchange,
            payloads=payloads,
            message_id=header.message_id,
            encrypted=bool(header.flags & Flags.ENCRYPTED),
            commit=bool(header.flags & Flags.COMMIT),
            authentication_only=bool(header.flags & Flags.AUTHENTICATION_ONLY),
            padding=len(padding),
        )

    def header(self, body_size: int) -> Header:
        """The header of this message around `body_size` octets of payloads and padding."""
        flags = Flags.NONE
        if self.encrypted:
            flags |= Flags.ENCRYPTED
        if self.commit:
            flags |= Flags.COMMIT
        if self.authentication_only:
            flags |= Flags.AUTHENTICATION_ONLY
        return Header(
            self.initiator_cookie,
            self.responder_cookie,
            self.payloads[0].type if self.payloads else PayloadType.NONE,
            self.exchange,
            flags,
            self.message_id,
            HEADER_SIZE + body_size,
        )

    def __bytes__(self) -> bytes:
        """The message in the clear."""
        body = pack_chain(self.payloads)
        return bytes(self.header(len(body))) + body

    def all(self, *types: PayloadType) -> list[bytes]:
        """The bodies of all payloads of these types."""
        return [payload.body for payload in self.payloads if payload.type in types]

    def first(self, kind: PayloadType) -> bytes:
        """The body of the first payload of a type. Raises: PayloadMalformed if there is none."""
        for payload in self.payloads:
            if payload.type == kind:
                return payload.body
        raise PayloadMalformed(f"no {kind.name} payload")

"""Bodies of payloads (RFC 2408, 3.4 to 3.15; RFC 3947): what follows the generic header."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Self

from ike.errors import DoiNotSupported, SituationNotSupported, decoder
from ike.isakmp.attributes import Attribute, pack_attributes, parse_attributes
from ike.numbers.doi import IPSEC_DOI, SIT_IDENTITY_ONLY, IdType
from ike.numbers.isakmp import NotifyType, PayloadType, ProtocolId
from wire.cursor import Cursor, DecodeError

_DOI_SITUATION = struct.Struct("!II")
_PROPOSAL = struct.Struct("!BBHBBBB")  # next, 0, length, number, protocol, SPI size, transforms
_TRANSFORM = struct.Struct("!BBHBBH")  # next, 0, length, number, identifier, reserved
_ID = struct.Struct("!BBH")  # type, IP protocol, port
_NOTIFY = struct.Struct("!IBBH")  # DOI, protocol, SPI size, type
_DELETE = struct.Struct("!IBBH")  # DOI, protocol, SPI size, number of SPIs
_FRAGMENT = struct.Struct("!HBB")  # identifier, number from 1, flags
MAX_PROPOSALS: Final = 64
MAX_TRANSFORMS: Final = 128  # of all proposals together
MAX_SPI: Final = 16


@dataclass(frozen=True, slots=True)
class Transform:
    """RFC 2408, 3.6."""

    number: int
    id: int
    attributes: tuple[Attribute, ...] = ()

    @classmethod
    def parse(cls, cursor: Cursor, expected_last: bool) -> Self:
        following, reserved, length, number, identifier, _ = cursor.unpack(_TRANSFORM)
        last = following == PayloadType.NONE
        if reserved or length < _TRANSFORM.size or following not in (0, PayloadType.TRANSFORM):
            raise DecodeError("bad transform header", cursor.offset)
        if last is not expected_last:
            raise DecodeError("number of transforms is wrong", cursor.offset)
        body = cursor.sub(length - _TRANSFORM.size)
        return cls(number, identifier, parse_attributes(body))

    def pack(self, last: bool) -> bytes:
        body = pack_attributes(self.attributes)
        following = PayloadType.NONE if last else PayloadType.TRANSFORM
        return _TRANSFORM.pack(
            following, 0, _TRANSFORM.size + len(body), self.number, self.id, 0
        ) + (body)


@dataclass(frozen=True, slots=True)
class Proposal:
    """RFC 2408, 3.5. Several with one number belong together: all of them or none."""

    number: int
    protocol: ProtocolId
    spi: bytes
    transforms: tuple[Transform, ...]

    @classmethod
    def parse(cls, cursor: Cursor) -> tuple[Self, bool]:
        """The proposal at the cursor, and whether it is the last. Raises: DecodeError."""
        following, reserved, length, number, protocol, spi_size, count = cursor.unpack(_PROPOSAL)
        if reserved or length < _PROPOSAL.size or following not in (0, PayloadType.PROPOSAL):
            raise DecodeError("bad proposal header", cursor.offset)
        if spi_size > MAX_SPI:
            raise DecodeError(f"SPI of {spi_size} octets", cursor.offset)
        if count > MAX_TRANSFORMS:
            raise DecodeError(f"more than {MAX_TRANSFORMS} transforms", cursor.offset)
        body = cursor.sub(length - _PROPOSAL.size)
        spi = body.take(spi_size)
        transforms = tuple(Transform.parse(body, at == count - 1) for at in range(count))
        body.finish()
        return cls(number, ProtocolId(protocol), spi, transforms), following == PayloadType.NONE

    def pack(self, last: bool) -> bytes:
        final = len(self.transforms) - 1
        body = self.spi + b"".join(t.pack(at == final) for at, t in enumerate(self.transforms))
        return (
            _PROPOSAL.pack(
                PayloadType.NONE if last else PayloadType.PROPOSAL,
                0,
                _PROPOSAL.size + len(body),
                self.number,
                self.protocol,
                len(self.spi),
                len(self.transforms),
            )
            + body
        )


@dataclass(frozen=True, slots=True)
class SaBody:
    """RFC 2408, 3.4, for the IPsec DOI and identity-only situation (RFC 2407, 4.2.1)."""

    proposals: tuple[Proposal, ...]

    @classmethod
    @decoder
    def parse(cls, body: bytes) -> Self:
        """Raises: DoiNotSupported, SituationNotSupported, PayloadMalformed."""
        cursor = Cursor(body)
        doi, situation = cursor.unpack(_DOI_SITUATION)
        if doi != IPSEC_DOI:
            raise DoiNotSupported(f"DOI {doi}")
        if situation != SIT_IDENTITY_ONLY:
            raise SituationNotSupported(f"situation {situation}")
        proposals: list[Proposal] = []
        last, total = False, 0
        while not last:
            if len(proposals) == MAX_PROPOSALS:
                raise DecodeError(f"more than {MAX_PROPOSALS} proposals", cursor.offset)
            proposal, last = Proposal.parse(cursor)
            proposals.append(proposal)
            total += len(proposal.transforms)
            if total > MAX_TRANSFORMS:
                raise DecodeError(f"more than {MAX_TRANSFORMS} transforms", cursor.offset)
        cursor.finish()
        return cls(tuple(proposals))

    def __bytes__(self) -> bytes:
        final = len(self.proposals) - 1
        return _DOI_SITUATION.pack(IPSEC_DOI, SIT_IDENTITY_ONLY) + b"".join(
            proposal.pack(at == final) for at, proposal in enumerate(self.proposals)
        )


@dataclass(frozen=True, slots=True)
class Identification:
    """RFC 2407, 4.6.2. Protocol 0 and port 0 are any."""

    type: IdType
    data: bytes
    protocol: int = 0
    port: int = 0

    @classmethod
    @decoder
    def parse(cls, body: bytes) -> Self:
        """Raises: PayloadMalformed."""
        cursor = Cursor(body)
        kind, protocol, port = cursor.unpack(_ID)
        return cls(IdType(kind), cursor.rest(), protocol, port)

    def __bytes__(self) -> bytes:
        return _ID.pack(self.type, self.protocol, self.port) + self.data


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate or a certificate request (RFC 2408, 3.9 and 3.10)."""

    encoding: int
    data: bytes

    @classmethod
    @decoder
    def parse(cls, body: bytes) -> Self:
        """Raises: PayloadMalformed."""
        cursor = Cursor(body)
        return cls(cursor.take(1)[0], cursor.rest())

    def __bytes__(self) -> bytes:
        return bytes([self.encoding]) + self.data


@dataclass(frozen=True, slots=True)
class Notification:
    """RFC 2408, 3.14."""

    type: NotifyType
    protocol: ProtocolId = ProtocolId.ISAKMP
    spi: bytes = b""
    data: bytes = b""
    doi: int = IPSEC_DOI

    @classmethod
    @decoder
    def parse(cls, body: bytes) -> Self:
        """Raises: PayloadMalformed."""
        cursor = Cursor(body)
        doi, protocol, spi_size, kind = cursor.unpack(_NOTIFY)
        spi = cursor.take(spi_size)
        return cls(NotifyType(kind), ProtocolId(protocol), spi, cursor.rest(), doi)

    def __bytes__(self) -> bytes:
        head = _NOTIFY.pack(self.doi, self.protocol, len(self.spi), self.type)
        return head + self.spi + self.data


@dataclass(frozen=True, slots=True)
class Delete:
    """RFC 2408, 3.15: SAs that the sender has removed."""

    protocol: ProtocolId
    spis: tuple[bytes, ...]
    doi: int = IPSEC_DOI

    @classmethod
    @decoder
    def parse(cls, body: bytes) -> Self:
        """Raises: PayloadMalformed."""
        cursor = Cursor(body)
        doi, protocol, spi_size, count = cursor.unpack(_DELETE)
        if not 1 <= spi_size <= MAX_SPI or count * spi_size != len(cursor):
            raise DecodeError(f"{count} SPIs of {spi_size} octets", cursor.offset)
        spis = tuple(cursor.take(spi_size) for _ in range(count))
        return cls(ProtocolId(protocol), spis, doi)

    def __bytes__(self) -> bytes:
        size = len(self.spis[0]) if self.spis else 4
        return _DELETE.pack(self.doi, self.protocol, size, len(self.spis)) + b"".join(self.spis)


@dataclass(frozen=True, slots=True)
class OriginalAddress:
    """NAT-OA (RFC 3947, 5.2): the address a peer had before a NAT changed it."""

    address: IPv4Address | IPv6Address

    @classmethod
    @decoder
    def parse(cls, body: bytes) -> Self:
        """Raises: PayloadMalformed."""
        cursor = Cursor(body)
        kind, _ = cursor.unpack(struct.Struct("!B3s"))
        data = cursor.rest()
        if kind == IdType.IPV4_ADDR and len(data) == 4:
            return cls(IPv4Address(data))
        if kind == IdType.IPV6_ADDR and len(data) == 16:
            return cls(IPv6Address(data))
        raise DecodeError(f"NAT-OA of type {kind} with {len(data)} octets", 0)

    def __bytes__(self) -> bytes:
        v4 = isinstance(self.address, IPv4Address)
        kind = IdType.IPV4_ADDR if v4 else IdType.IPV6_ADDR
        return bytes([kind, 0, 0, 0]) + self.address.packed


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a message (Cisco's IKE fragmentation, as racoon and strongSwan implement it)."""

    identifier: int
    number: int
    last: bool
    data: bytes

    @classmethod
    @decoder
    def parse(cls, body: bytes) -> Self:
        """Raises: PayloadMalformed."""
        cursor = Cursor(body)
        identifier, number, flags = cursor.unpack(_FRAGMENT)
        if number == 0 or not len(cursor):
            raise DecodeError("empty fragment or one without a number", cursor.offset)
        return cls(identifier, number, bool(flags & 1), cursor.rest())

    def __bytes__(self) -> bytes:
        return _FRAGMENT.pack(self.identifier, self.number, self.last) + self.data

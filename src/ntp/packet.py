"""The packet -- RFC 5905, 7.3 (header), RFC 7822 (extension fields) and RFC 8573 (MAC).

The header is fixed; what follows it is not delimited. RFC 7822 makes it readable: what is left is
a MAC if it is 20 or 24 octets long (a crypto-NAK: 4), else it starts with an extension field.
Anything else is junk, and a packet with junk is refused.
"""

from enum import IntEnum
from struct import Struct

from ntp.errors import Malformed
from wire.lean import Final, Self
from wire.record import Record

HEADER_LENGTH: Final = 48
MAC_LENGTHS: Final = (4, 20, 24)  # crypto-NAK; key id with 16 octets (MD5, CMAC), 20 (SHA-1)
_SHORTEST_LAST_FIELD: Final = 28  # RFC 7822, 7.5: without a MAC the last field is no shorter
_SHORTEST_FIELD: Final = 16

_HEADER = Struct("!BBbbII4sQQQQ")
_FIELD = Struct("!HH")
_KEY_ID = Struct("!I")


class Mode(IntEnum):
    """Association modes; all eight values of the three bits have a name."""

    RESERVED = 0
    SYMMETRIC_ACTIVE = 1
    SYMMETRIC_PASSIVE = 2
    CLIENT = 3
    SERVER = 4
    BROADCAST = 5
    CONTROL = 6
    PRIVATE = 7


class Leap(IntEnum):
    """Leap indicator."""

    NONE = 0
    LAST_MINUTE_61 = 1
    LAST_MINUTE_59 = 2
    UNSYNCHRONIZED = 3


class Header(Record):
    """The 48 octets that every version has. Timestamps: 64 bits, 2**-32 s."""

    mode: int  # Mode
    version: int = 4
    leap: int = 0  # Leap
    stratum: int = 0
    poll: int = 0  # log2 s
    precision: int = 0  # log2 s
    root_delay: int = 0  # 2**-16 s
    root_dispersion: int = 0  # 2**-16 s
    reference_id: bytes = bytes(4)
    reference: int = 0
    origin: int = 0
    receive: int = 0
    transmit: int = 0

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        if len(octets) < HEADER_LENGTH:
            raise Malformed(f"{len(octets)} octets are too few for a packet")
        first, *rest = _HEADER.unpack_from(octets)
        return cls(first & 7, first >> 3 & 7, first >> 6, *rest)

    def __bytes__(self) -> bytes:
        return _HEADER.pack(
            self.leap << 6 | self.version << 3 | self.mode,
            self.stratum,
            self.poll,
            self.precision,
            self.root_delay,
            self.root_dispersion,
            self.reference_id,
            self.reference,
            self.origin,
            self.receive,
            self.transmit,
        )


class ExtensionField(Record):
    """RFC 7822, 7.5. `value` as on the wire, with its padding; written, it is padded."""

    field_type: int
    value: bytes = b""

    def __bytes__(self) -> bytes:
        length = max(_FIELD.size + len(self.value) + 3 & ~3, _SHORTEST_FIELD)
        return _FIELD.pack(self.field_type, length) + self.value.ljust(length - _FIELD.size, b"\0")


class Mac(Record):
    """Key identifier and digest. An empty digest is a crypto-NAK."""

    key_id: int
    digest: bytes

    def __bytes__(self) -> bytes:
        return _KEY_ID.pack(self.key_id) + self.digest


class Packet(Record):
    """A header and what follows it."""

    header: Header
    extensions: tuple[ExtensionField, ...] = ()
    mac: Mac | None = None

    @classmethod
    def parse(cls, octets: bytes, header: Header | None = None) -> Self:
        """Raises Malformed for whatever is not a packet to its last octet.

        `header`: that of these octets, if the caller has looked at it already.
        """
        header = header or Header.parse(octets)
        at, end = HEADER_LENGTH, len(octets)
        extensions: list[ExtensionField] = []
        while end - at not in (0, *MAC_LENGTHS):
            if header.version != 4:
                raise Malformed(f"version {header.version} with {end - at} octets of junk")
            extensions.append(_field(octets, at))
            at += len(extensions[-1].value) + _FIELD.size
        if at == end:
            if extensions and len(extensions[-1].value) + _FIELD.size < _SHORTEST_LAST_FIELD:
                raise Malformed("the last extension field is too short without a MAC")
            return cls(header, tuple(extensions))
        (key_id,) = _KEY_ID.unpack_from(octets, at)
        return cls(header, tuple(extensions), Mac(key_id, octets[at + _KEY_ID.size :]))

    def __bytes__(self) -> bytes:
        return b"".join(map(bytes, (self.header, *self.extensions, self.mac or b"")))


def _field(octets: bytes, at: int) -> ExtensionField:
    left = len(octets) - at
    if left < _SHORTEST_FIELD:
        raise Malformed(f"{left} octets of junk after the packet")
    field_type, length = _FIELD.unpack_from(octets, at)
    if not _SHORTEST_FIELD <= length <= left or length % 4:
        raise Malformed(f"an extension field of {length} octets where {left} are left")
    return ExtensionField(field_type, octets[at + _FIELD.size : at + length])

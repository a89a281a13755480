"""Data attributes (RFC 2408, 3.3): short ones type/value, long ones type/length/value."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from wire.cursor import Cursor, DecodeError

_TYPE_VALUE = struct.Struct("!HH")
_BASIC = 0x8000
MAX_ATTRIBUTES: Final = 64


@dataclass(frozen=True, slots=True)
class Attribute:
    """A `value` of int is a basic attribute (16 bits), one of bytes a variable one.

    The form is kept, because what a peer chose must be returned to it octet for octet.
    """

    type: int
    value: int | bytes

    @property
    def number(self) -> int | None:
        """The value as a number, whichever form it has; None if it is longer than 8 octets."""
        if isinstance(self.value, int):
            return self.value
        return int.from_bytes(self.value) if 0 < len(self.value) <= 8 else None

    def __bytes__(self) -> bytes:
        if isinstance(self.value, int):
            return _TYPE_VALUE.pack(self.type | _BASIC, self.value)
        return _TYPE_VALUE.pack(self.type, len(self.value)) + self.value


def numeric(attribute_type: int, number: int) -> Attribute:
    """The shortest form: basic below 65536, else four octets."""
    if number < 1 << 16:
        return Attribute(attribute_type, number)
    return Attribute(attribute_type, number.to_bytes(4))


def parse_attributes(cursor: Cursor) -> tuple[Attribute, ...]:
    """All attributes up to the end of `cursor`. Raises: DecodeError."""
    found: list[Attribute] = []
    while len(cursor):
        if len(found) == MAX_ATTRIBUTES:
            raise DecodeError(f"more than {MAX_ATTRIBUTES} attributes", cursor.offset)
        kind, value = cursor.unpack(_TYPE_VALUE)
        if kind & _BASIC:
            found.append(Attribute(kind & ~_BASIC, value))
        else:
            found.append(Attribute(kind, cursor.take(value)))
    return tuple(found)


def pack_attributes(attributes: Iterable[Attribute]) -> bytes:
    return b"".join(map(bytes, attributes))

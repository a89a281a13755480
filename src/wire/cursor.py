"""A bounded reader: the only way octets from the wire enter the packages."""

from struct import Struct

from wire.lean import Any


class DecodeError(Exception):
    """Octets do not form what the standard says they must; `offset` is where.

    Each package derives its own error for untrusted input from this one or wraps it.
    """

    def __init__(self, what: str, offset: int) -> None:
        super().__init__(f"{what} at octet {offset}")
        self.what = what
        self.offset = offset


class Cursor:
    """Reads forward through `data[start:end]`; a read past `end` raises DecodeError.

    Offsets in errors count from the start of `data`, also in a `sub` cursor.
    """

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._at = start
        self._end = len(data) if end is None else end

    def __len__(self) -> int:
        return self._end - self._at

    @property
    def offset(self) -> int:
        """Where the next read begins, in octets from the start of the data."""
        return self._at

    def take(self, size: int) -> bytes:
        """The next `size` octets."""
        start = self._advance(size)
        return self._data[start : self._at]

    def unpack(self, layout: Struct) -> tuple[Any, ...]:
        """The next `layout.size` octets, unpacked."""
        return layout.unpack_from(self._data, self._advance(layout.size))

    def sub(self, size: int) -> "Cursor":
        """A cursor over the next `size` octets, which this one skips."""
        start = self._advance(size)
        return Cursor(self._data, start, self._at)

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self))

    def finish(self) -> None:
        """Raise DecodeError unless everything was read."""
        if len(self):
            raise DecodeError(f"{len(self)} octets left over", self._at)

    def _advance(self, size: int) -> int:
        start = self._at
        if not 0 <= size <= len(self):
            raise DecodeError(f"{size} octets expected, {len(self)} left", start)
        self._at = start + size
        return start

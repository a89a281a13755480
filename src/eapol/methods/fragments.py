"""EAP-TLS packets and their fragments (RFC 5216, 2.1.5 and 3)."""

import struct
from dataclasses import dataclass, replace
from typing import Final, Self

from eapol.errors import MalformedFrame
from wire.cursor import Cursor, DecodeError

LENGTH_INCLUDED: Final = 0x80
MORE_FRAGMENTS: Final = 0x40
START: Final = 0x20
VERSION_BITS: Final = 0x07
"""Of the reserved bits; EAP-TLS leaves them 0 (RFC 5216, 3.1; RFC 5281, 9.1)."""

OVERHEAD: Final = 10
"""Octets of an EAP packet that are not TLS data: EAP header 4, type 1, flags 1, length 4."""

MAX_MESSAGE: Final = 1 << 17
"""Octets of TLS data that one message may have; RFC 5216 leaves the bound to us (2.1.5)."""

_LENGTH: Final = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class TlsPacket:
    """The type-data of an EAP-TLS packet. `total` is octets of the whole message, if L is set."""

    data: bytes = b""
    total: int | None = None
    more: bool = False
    start: bool = False
    reserved: int = 0

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Raises: MalformedFrame."""
        cursor = Cursor(octets)
        try:
            flags = cursor.take(1)[0]
            total = cursor.unpack(_LENGTH)[0] if flags & LENGTH_INCLUDED else None
        except DecodeError as error:
            raise MalformedFrame.wrap(error) from None
        more, start = bool(flags & MORE_FRAGMENTS), bool(flags & START)
        return cls(cursor.rest(), total, more, start, flags & 0x1F)

    def __bytes__(self) -> bytes:
        flags = self.reserved | MORE_FRAGMENTS * self.more | START * self.start
        if self.total is None:
            return bytes((flags,)) + self.data
        return bytes((flags | LENGTH_INCLUDED,)) + _LENGTH.pack(self.total) + self.data

    def of_version(self, version: int) -> Self:
        """The same packet of that version of its method (the lowest bits of the flags)."""
        return replace(self, reserved=self.reserved & ~VERSION_BITS | version) if version else self

    @property
    def version(self) -> int:
        return self.reserved & VERSION_BITS

    @property
    def acknowledges(self) -> bool:
        """No data and no flags: the answer to a fragment with more to come."""
        return not (self.data or self.more or self.start)


class Outgoing:
    """A message being sent, fragment by fragment. `size` is octets of TLS data in each."""

    __slots__ = ("_always_length", "_at", "_message", "_size")

    def __init__(self, message: bytes, size: int, *, always_length: bool = False) -> None:
        self._message = message
        self._size = max(1, size)
        self._always_length = always_length
        self._at = 0

    @property
    def finished(self) -> bool:
        return self._at >= len(self._message)

    def next(self) -> TlsPacket:
        """The next fragment; the first says how long the message is, if there are more."""
        data = self._message[self._at : self._at + self._size]
        first = self._at == 0
        self._at += len(data)
        more = not self.finished
        total = len(self._message) if first and (more or self._always_length) else None
        return TlsPacket(data, total, more)


class Incoming:
    """A message being received. Bounded: `MAX_MESSAGE` octets, and what its first fragment says."""

    __slots__ = ("_parts", "_size", "_total")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._total: int | None = None

    def add(self, packet: TlsPacket) -> bytes | None:
        """The message once `packet` completes it, else None: then it must be acknowledged.

        Raises: MalformedFrame if the fragments do not fit together; what was gathered is lost.
        """
        if self._total is None:
            self._total = packet.total
        self._parts.append(packet.data)
        self._size += len(packet.data)
        limit = MAX_MESSAGE if self._total is None else min(self._total, MAX_MESSAGE)
        if self._size > limit:
            self._clear()
            raise MalformedFrame("TLS message longer than announced or allowed", limit)
        if packet.more:
            return None
        message, total = b"".join(self._parts), self._total
        self._clear()
        if total is not None and len(message) != total:
            raise MalformedFrame(f"TLS message of {len(message)} octets, {total} announced", 0)
        return message

    def _clear(self) -> None:
        self._parts.clear()
        self._size = 0
        self._total = None

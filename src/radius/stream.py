"""RADIUS in a stream (RFC 6613, 2.6.2; RFC 6614): packets one after the other, by their length."""

from collections.abc import Iterator
from typing import Final

from radius.errors import Malformed
from radius.numbers import LONGEST_PACKET

_HEAD: Final = 4
_SHORTEST: Final = 20


class Stream:
    """Bounded: never holds more than one packet that is not complete."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, octets: bytes) -> Iterator[bytes]:
        """The packets that `octets` complete. Raises: Malformed, and then the stream is lost."""
        self._held += octets
        while len(self._held) >= _HEAD:
            length = int.from_bytes(self._held[2:4], "big")
            if not _SHORTEST <= length <= LONGEST_PACKET:
                raise Malformed(f"a packet of {length} octets in the stream", 2)
            if len(self._held) < length:
                return
            packet = bytes(self._held[:length])
            del self._held[:length]
            yield packet

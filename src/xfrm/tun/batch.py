"""ESP in UDP in bursts: datagrams of equal size to one peer are sent in one call (UDP_SEGMENT).

A `sendmsg` costs about as much as sealing two packets, and one for forty segments little more.
"""

from collections.abc import Callable
from typing import Final

# Octets, and the size of each datagram in them but the last; 0: they are one datagram.
SendDatagrams = Callable[[bytes, int], object]

MOST_SEGMENTS: Final = 64  # the kernel's UDP_MAX_SEGMENTS
MOST_OCTETS: Final = 65000  # of one call; an IP packet's limit less all headers


class Batch:
    """Collects packets for one peer until `flush`, which `soon` is asked to call."""

    def __init__(
        self,
        send: SendDatagrams,
        soon: Callable[[Callable[[], None]], object],
        failed: Callable[[], None],
    ) -> None:
        """`failed` is called for a burst that the socket did not take."""
        self._send = send
        self._soon = soon
        self._failed = failed
        self._packets: list[bytes] = []
        self._size = 0  # of all but the last
        self._room = 0  # how many more of that size

    def add(self, packet: bytes, _tos: int) -> None:
        size = len(packet)
        if self._packets and (size > self._size or not self._room):
            self.flush()
        if not self._packets:
            self._size = size
            self._room = min(MOST_SEGMENTS, MOST_OCTETS // size)
            self._soon(self.flush)
        self._packets.append(packet)
        self._room -= 1
        if size < self._size:  # only the last one may be shorter
            self.flush()

    def flush(self) -> None:
        packets = self._packets
        if not packets:
            return
        self._packets = []
        try:
            self._send(b"".join(packets), self._size if len(packets) > 1 else 0)
        except OSError:
            self._failed()

"""Which servers are up (RFC 5997, 4: Status-Server; RFC 2865, 2.4 for the order).

A server is down once a request to it had no answer, and up as soon as anything it sent is proved to
be its own. While it is down it is asked last, and asked by Status-Server every Tw seconds.
"""

from dataclasses import dataclass
from typing import Final

from radius.settings import Timers

PROBE: Final = -1
"""The number of the request that asks a server whether it is up."""


@dataclass(slots=True)
class _Server:
    down_since: float | None = None
    probe_at: float = 0.0


class Health:
    def __init__(self, servers: int, timers: Timers) -> None:
        self._servers = [_Server() for _ in range(servers)]
        self._timers = timers
        self._probing: int | None = None

    @property
    def deadline(self) -> float | None:
        """None with a single server: there is no choice that a probe could serve."""
        if self._probing is not None or len(self._servers) < 2:
            return None
        times = [server.probe_at for server in self._servers if server.down_since is not None]
        return min(times, default=None)

    def order(self, now: float) -> list[int]:
        """All servers, in the order of the configuration, those that are down last."""
        return sorted(range(len(self._servers)), key=lambda number: self._is_down(number, now))

    def silent(self, number: int, now: float) -> None:
        server = self._servers[number]
        if server.down_since is None:
            server.down_since = now
            server.probe_at = now + self._timers.Tw

    def alive(self, number: int) -> None:
        self._servers[number].down_since = None
        if self._probing == number:
            self._probing = None

    def to_probe(self, now: float) -> int | None:
        """A server whose Status-Server is due; it counts as sent."""
        deadline = self.deadline
        if deadline is None or deadline > now:
            return None
        down = [n for n, server in enumerate(self._servers) if server.down_since is not None]
        self._probing = min(down, key=lambda n: self._servers[n].probe_at)
        return self._probing

    def unanswered(self, now: float) -> None:
        """The server that was probed is still down."""
        if self._probing is not None:
            self._servers[self._probing].probe_at = now + self._timers.Tw
        self._probing = None

    def _is_down(self, number: int, now: float) -> bool:
        since = self._servers[number].down_since
        return since is not None and now - since < self._timers.revive

"""Source ports and identifiers: a request is known by both (RFC 2865, 3).

One port has 256 identifiers; with more requests open, further ports are used. A request that is
sent again keeps both (RFC 5080, 2.2.2: the server's detection of duplicates); one to another
server, or with other attributes, gets new ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

R = TypeVar("R")

IDENTIFIERS: Final = 256
MOST_PORTS: Final = 64
"""Of one server: 16,384 requests at once."""


@dataclass(slots=True, eq=False)
class Port(Generic[R]):
    """`open` are the requests by identifier; `unsent` waits until the port is there."""

    number: int
    server: int
    opened: bool = False
    open: dict[int, R] = field(default_factory=dict)
    unsent: list[bytes] = field(default_factory=list)
    _next: int = 0

    def take(self, request: R) -> int | None:
        """An identifier that no open request has; the one that was used longest ago."""
        if len(self.open) == IDENTIFIERS:
            return None
        while self._next in self.open:
            self._next = (self._next + 1) % IDENTIFIERS
        identifier, self._next = self._next, (self._next + 1) % IDENTIFIERS
        self.open[identifier] = request
        return identifier


class Ports(Generic[R]):
    """The ports of all servers, by number. Numbers are never used again."""

    def __init__(self) -> None:
        self._by_number: dict[int, Port[R]] = {}
        self._by_server: dict[int, list[Port[R]]] = {}
        self._last = 0

    def __getitem__(self, number: int) -> Port[R] | None:
        return self._by_number.get(number)

    def of(self, server: int) -> Iterator[Port[R]]:
        """Those of one server; the newest first, which has most room."""
        return reversed(self._by_server.get(server, []))

    def make(self, server: int) -> Port[R] | None:
        """Another port to `server`, None if it has too many."""
        mine = self._by_server.setdefault(server, [])
        if len(mine) == MOST_PORTS:
            return None
        self._last += 1
        port = Port[R](self._last, server)
        self._by_number[port.number] = port
        mine.append(port)
        return port

    def drop(self, port: Port[R]) -> None:
        del self._by_number[port.number]
        self._by_server[port.server].remove(port)

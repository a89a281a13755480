"""A network in memory: cores without I/O, one virtual clock, links that lose and reorder.

Nothing sleeps: the clock jumps to the next delivery or deadline, so that an hour of retransmissions
takes milliseconds. The same seed gives the same run (but for what a core's TLS draws itself).
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What a link does to each message: probabilities, and the delay in seconds."""

    loss: float = 0.0
    duplication: float = 0.0
    delay: float = 0.001
    jitter: float = 0.0  # up to this much more, so that messages overtake each other


FAIR = Weather()


@dataclass(slots=True, eq=False)
class Station:
    """One core on the network. `perform` carries out its commands, usually by `Lab.send`."""

    name: str
    core: Any
    perform: Callable[[Any], None]
    timer: object


@dataclass(slots=True)
class Lab:
    """The clock, what is under way, and the stations."""

    weather: Weather = FAIR
    seed: int = 0
    now: float = 0.0
    delivered: int = 0
    _random: Random = field(init=False)
    _under_way: list[tuple[float, int, Station, object]] = field(default_factory=list)
    _serial: int = 0
    _stations: list[Station] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def entropy(self, size: int) -> bytes:
        """A random source of this lab, for cores that are given one."""
        return self._random.randbytes(size)

    def add(self, name: str, core: Any, perform: Callable[[Any], None], timer: object) -> Station:
        """Put a core on the network; `timer` is the event that says its deadline has passed."""
        station = Station(name, core, perform, timer)
        self._stations.append(station)
        return station

    def remove(self, station: Station) -> None:
        """Take a station off; what is under way to it is lost."""
        self._stations.remove(station)

    def tell(self, station: Station, event: object, after: float = 0.0) -> None:
        """Give a core an event (an answer, a carrier change), without the weather."""
        self._serial += 1
        heapq.heappush(self._under_way, (self.now + after, self._serial, station, event))

    def send(self, station: Station, event: object) -> None:
        """Send a message through the weather; it arrives as `event`."""
        copies = 0 if self._random.random() < self.weather.loss else 1
        copies += self._random.random() < self.weather.duplication
        for _ in range(copies):
            self.tell(
                station, event, self.weather.delay + self._random.random() * self.weather.jitter
            )

    def run(self, until: Callable[[], bool], limit: float) -> bool:
        """Run until `until()` holds (True), or `limit` virtual seconds from now (False).

        False also when nothing is under way and no core has a deadline: the network is stuck.
        """
        end = self.now + limit
        while not until():
            due = self._next_deadline()
            arrival = self._under_way[0][0] if self._under_way else None
            if due is None and arrival is None:
                return False
            if min(m for m in (arrival, due and due[0]) if m is not None) > end:
                self.now = end  # what is under way stays so, for the next run
                return False
            if arrival is not None and (due is None or arrival <= due[0]):
                self.now = max(self.now, arrival)
                _, _, station, event = heapq.heappop(self._under_way)
            else:
                assert due is not None
                self.now, station, event = max(self.now, due[0]), due[1], due[1].timer
            if station in self._stations:
                self.delivered += 1
                for command in station.core.handle(event, self.now):
                    station.perform(command)
        return True

    def _next_deadline(self) -> tuple[float, Station] | None:
        waiting = [(s.core.deadline, s) for s in self._stations if s.core.deadline is not None]
        return min(waiting, key=lambda pair: pair[0], default=None)

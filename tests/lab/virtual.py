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
    """One core on the network. `perform` carries out its commands, usually by `Lab.send`.

    `cost` is what each message costs it, in seconds of its one CPU: messages wait their turn, and
    what follows from one leaves when it is done.
    """

    name: str
    core: Any
    perform: Callable[[Any], None]
    timer: object
    cost: float = 0.0
    busy_until: float = 0.0
    deadline: float | None = None  # the core's, as the lab has noted it


@dataclass(slots=True)
class Lab:
    """The clock, what is under way, and the stations.

    A step costs the same however many stations there are. So the lab looks at a core's deadline
    when it has given it an event, and at all of them when `run` begins: in between, a core gets its
    events by the lab only.
    """

    weather: Weather = FAIR
    seed: int = 0
    now: float = 0.0
    delivered: int = 0
    _random: Random = field(init=False)
    _under_way: list[tuple[float, int, Station, object]] = field(default_factory=list)
    _deadlines: list[tuple[float, int, Station]] = field(default_factory=list)
    _serial: int = 0
    _stations: dict[Station, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def entropy(self, size: int) -> bytes:
        """A random source of this lab, for cores that are given one."""
        return self._random.randbytes(size)

    def add(self, name: str, core: Any, perform: Callable[[Any], None], timer: object) -> Station:
        """Put a core on the network; `timer` is the event that says its deadline has passed."""
        station = Station(name, core, perform, timer)
        self.resume(station)
        return station

    def remove(self, station: Station) -> None:
        """Take a station off: it fires no timer, and what is under way to it is lost."""
        del self._stations[station]

    def resume(self, station: Station) -> None:
        """Put a station on the network, again: the time that it was away has passed for it, too."""
        self._stations[station] = None
        station.deadline = None
        self._note_deadline(station)

    def tell(self, station: Station, event: object, after: float = 0.0) -> None:
        """Give a core an event (an answer, a carrier change), without the weather."""
        self._serial += 1
        heapq.heappush(self._under_way, (self.now + after, self._serial, station, event))

    def send(self, station: Station, event: object) -> None:
        """Send a message through the weather; it arrives as `event`."""
        copies = 0 if self._random.random() < self.weather.loss else 1
        copies += self._random.random() < self.weather.duplication
        for _ in range(copies):
            after = self.weather.delay + self._random.random() * self.weather.jitter
            self.tell(station, _Message(event) if station.cost else event, after)

    def run(self, until: Callable[[], bool], limit: float) -> bool:
        """Run until `until()` holds (True), or `limit` virtual seconds from now (False).

        False also when nothing is under way and no core has a deadline: the network is stuck.
        """
        end = self.now + limit
        for station in self._stations:
            self._note_deadline(station)
        while not until():
            due = self._next_deadline()
            arrival = self._under_way[0][0] if self._under_way else None
            if due is None and arrival is None:
                return False
            if min(m for m in (arrival, due) if m is not None) > end:
                self.now = end  # what is under way stays so, for the next run
                return False
            if arrival is not None and (due is None or arrival <= due):
                self.now = max(self.now, arrival)
                _, _, station, event = heapq.heappop(self._under_way)
            else:
                assert due is not None
                self.now, station = max(self.now, due), self._deadlines[0][2]
                event = station.timer
            if isinstance(event, _Message):
                self._take_turn(station, event)
            else:
                self.give(station, event)
        return True

    def give(self, station: Station, event: object) -> None:
        """Let a core handle an event now."""
        if station not in self._stations:
            return
        self.delivered += 1
        for command in station.core.handle(event, self.now):
            station.perform(command)
        self._note_deadline(station)

    def _take_turn(self, station: Station, message: "_Message") -> None:
        """What came before is handled before; then this costs its time."""
        station.busy_until = max(self.now, station.busy_until) + station.cost
        self.tell(station, message.event, station.busy_until - self.now)

    def _note_deadline(self, station: Station) -> None:
        deadline = station.core.deadline
        if deadline != station.deadline:
            station.deadline = deadline
            if deadline is not None:
                self._serial += 1
                heapq.heappush(self._deadlines, (deadline, self._serial, station))

    def _next_deadline(self) -> float | None:
        """The earliest; its station is the first of the heap. Entries that hold no more go."""
        while self._deadlines:
            deadline, _, station = self._deadlines[0]
            if station.deadline == deadline and station in self._stations:
                return deadline
            heapq.heappop(self._deadlines)
        return None


@dataclass(frozen=True, slots=True)
class _Message:
    """An event that costs its station time."""

    event: object

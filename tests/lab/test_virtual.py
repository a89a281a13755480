"""The network in memory: what other tests stand on."""

from dataclasses import dataclass, field

from lab.virtual import Lab


@dataclass
class Core:
    """Notes what it is given and when; wants to be called at the times in `alarms`."""

    alarms: list[float] = field(default_factory=list)
    heard: list[tuple[float, object]] = field(default_factory=list)

    @property
    def deadline(self) -> float | None:
        return self.alarms[0] if self.alarms else None

    def handle(self, event: object, now: float) -> list[object]:
        self.heard.append((round(now, 6), event))
        while self.alarms and self.alarms[0] <= now:
            self.alarms.pop(0)
        return []


def never() -> bool:
    return False


def test_each_core_is_called_at_its_own_deadlines_in_order_of_time() -> None:
    lab = Lab()
    cores = [Core([0.1 * n, 5.0 - 0.1 * n]) for n in range(1, 20)]
    for n, core in enumerate(cores):
        lab.add(str(n), core, lambda _: None, "timer")
    lab.run(never, 10.0)
    for n, core in enumerate(cores, 1):
        assert core.heard == [(round(0.1 * n, 6), "timer"), (round(5.0 - 0.1 * n, 6), "timer")]


def test_a_deadline_that_moved_or_went_is_not_fired() -> None:
    lab, core = Lab(), Core([1.0])
    station = lab.add("one", core, lambda _: None, "timer")
    core.alarms = [2.0]
    lab.give(station, "event")
    lab.run(never, 1.5)
    assert core.heard == [(0.0, "event")]
    core.alarms = []
    assert not lab.run(never, 10.0)
    assert core.heard == [(0.0, "event")]


def test_messages_wait_their_turn_at_a_station_that_they_cost_time() -> None:
    lab, core = Lab(), Core()
    station = lab.add("slow", core, lambda _: None, "timer")
    station.cost = 0.5
    for message in "abc":
        lab.send(station, message)
    lab.tell(station, "an answer of its own", 0.7)
    lab.run(never, 10.0)
    assert core.heard == [
        (0.501, "a"),
        (0.7, "an answer of its own"),
        (1.001, "b"),
        (1.501, "c"),
    ]


def test_a_station_that_is_away_fires_nothing_and_hears_nothing_until_it_is_back() -> None:
    lab, core = Lab(), Core([1.0])
    station = lab.add("sleeper", core, lambda _: None, "timer")
    lab.remove(station)
    lab.send(station, "lost")
    lab.run(never, 3600.0)
    lab.now = 3600.0
    lab.resume(station)
    lab.run(never, 1.0)
    assert core.heard == [(3600.0, "timer")]

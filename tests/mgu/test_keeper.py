"""When a daemon is started again, in virtual time."""

import pytest

from mgu.services.keeper import (
    LONGEST,
    PATIENCE,
    SILENCE,
    START_LIMIT,
    Alive,
    Command,
    End,
    Ended,
    Event,
    Keeper,
    Kill,
    Ready,
    Say,
    Start,
    Stop,
    Terminate,
)
from wire.timer import TimerFired


class World:
    """A keeper and its clock."""

    def __init__(self, *, adopted: bool = False) -> None:
        self.now = 0.0
        self.keeper = Keeper("racoon", self.now, adopted=adopted)

    def tell(self, event: Event, after: float = 0.0) -> list[Command]:
        self.now += after
        return self.keeper.handle(event, self.now)

    def wait(self) -> tuple[float, list[Command]]:
        """Seconds until its deadline, and what it does then."""
        deadline = self.keeper.deadline
        seconds, self.now = deadline - self.now, deadline
        return seconds, self.keeper.handle(TimerFired(), self.now)

    def up(self) -> "World":
        assert self.wait() == (0.0, [Start()])
        assert self.tell(Ready(), 0.5) == []
        return self


def test_a_daemon_that_is_killed_is_started_again_after_a_second() -> None:
    world = World().up()
    text = "racoon was killed by signal 9 after 10 s; it is restarted in 1 s"
    assert world.tell(Ended(-9), 9.5) == [Say(text)]
    assert world.wait() == (1.0, [Start()])


def test_each_further_start_waits_twice_as_long_up_to_a_minute() -> None:
    world, waits = World(), []
    for _ in range(9):
        seconds, commands = world.wait()
        assert commands == [Start()]
        waits.append(seconds)
        world.tell(Ended(1))
    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST, LONGEST]


def test_after_a_minute_of_life_the_waits_begin_anew() -> None:
    world = World()
    for _ in range(5):
        world.wait()
        world.tell(Ended(1))
    world.wait()
    (say,) = world.tell(Ended(1), 60.0)
    assert say == Say("racoon ended with exit code 1 after 60 s; it is restarted in 1 s")


@pytest.mark.parametrize("code", [0, 4, 64])
def test_what_another_start_would_not_change_is_not_started_again(code: int) -> None:
    world = World().up()
    text = f"racoon ended with exit code {code} and is not restarted"
    assert world.tell(Ended(code)) == [Say(text), End(code)]


def test_it_is_stopped_in_order_and_then_that_is_all() -> None:
    world = World().up()
    assert world.tell(Stop()) == [Terminate()]
    assert world.tell(Alive(), 1.0) == []
    assert world.tell(Ended(-15), 1.0) == [End(0)]


def test_one_that_does_not_stop_is_killed() -> None:
    world = World().up()
    world.tell(Stop())
    assert world.wait() == (PATIENCE, [Say("racoon does not stop and is killed"), Kill()])
    assert world.tell(Ended(-9)) == [End(0)]


def test_a_stop_between_two_starts_ends_at_once() -> None:
    world = World().up()
    world.tell(Ended(1))
    assert world.tell(Stop()) == [End(0)]


def test_one_that_gives_no_sign_of_life_is_killed_and_started_again() -> None:
    world = World().up()
    assert world.tell(Alive(), SILENCE - 1) == []
    seconds, (say, kill) = world.wait()
    assert (seconds, kill) == (SILENCE, Kill())
    assert say == Say("racoon did not report that it is alive (stopped, or it hangs): killed")
    assert isinstance(world.tell(Ended(-9))[0], Say)
    assert world.wait() == (1.0, [Start()])


def test_signs_of_life_that_waited_count_before_the_time_is_over() -> None:
    """Both were stopped for an hour: what the daemon had said is read first."""
    world = World().up()
    assert world.tell(Alive(), 3600.0) == []
    assert world.wait()[0] == SILENCE


def test_one_that_is_never_ready_is_killed() -> None:
    world = World()
    world.wait()
    seconds, (_, kill) = world.wait()
    assert (seconds, kill) == (START_LIMIT, Kill())


def test_one_that_is_taken_over_is_watched_as_any_other() -> None:
    world = World(adopted=True)
    assert world.tell(Alive(), 30.0) == []
    seconds, (_, kill) = world.wait()
    assert (seconds, kill) == (SILENCE, Kill())
    (say,) = world.tell(Ended(None))
    assert say == Say("racoon ended after 90 s; it is restarted in 1 s")


def test_a_timer_that_fires_early_does_nothing() -> None:
    world = World().up()
    assert world.tell(TimerFired()) == []

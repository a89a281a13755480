"""The service core: when it asks, and when it dares to set the clock."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ntp.messages import Outcome, Verdict
from ntp.service import (
    CALM,
    MAXPOLL,
    Begin,
    CancelRound,
    ClockChanged,
    Command,
    Event,
    NetworkChanged,
    RoundEnded,
    SaveDate,
    Service,
    SetClock,
    StartRound,
    Stop,
)
from ntp.timestamp import SECOND
from wire.timer import TimerFired


def good(offset: int = 0) -> RoundEnded:
    return RoundEnded(
        outcome=Outcome(verdict=Verdict.AGREED, why="", servers=(), offset=offset, error=1000)
    )


def bad() -> RoundEnded:
    return RoundEnded(outcome=Outcome(verdict=Verdict.NO_ANSWER, why="silence", servers=()))


class Running:
    """A service on a virtual clock; rounds take no time and end as `ends` says."""

    def __init__(self, jitter: float = 0.0) -> None:
        self.core = Service(lambda: jitter)
        self.now = 0.0
        self.asked: list[float] = []

    def handle(self, event: Event) -> Sequence[Command]:
        commands = self.core.handle(event, self.now)
        self.asked += [self.now for command in commands if isinstance(command, StartRound)]
        return commands

    def next(self, ended: RoundEnded) -> Sequence[Command]:
        """The round that is due ends so."""
        while True:
            deadline = self.core.deadline
            assert deadline is not None
            self.now = max(self.now, deadline)
            commands = self.handle(TimerFired())
            if any(isinstance(command, StartRound) for command in commands):
                return self.handle(ended)

    def begin(self, ended: RoundEnded) -> Sequence[Command]:
        self.handle(Begin())
        return self.handle(ended)

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.asked, self.asked[1:], strict=False)]


def test_the_first_answer_sets_the_clock_at_once() -> None:
    (command,) = Running().begin(good(50 * 365 * 86400 * SECOND))
    assert isinstance(command, SetClock)
    assert command.step


def test_silence_at_boot_is_asked_again_quickly_and_then_every_minute() -> None:
    service = Running()
    service.begin(bad())
    for _ in range(8):
        service.next(bad())
    assert service.gaps == [2, 4, 8, 16, 32, 64, 64, 64]


def test_a_right_clock_is_asked_about_ever_less_often() -> None:
    service = Running()
    service.begin(good())
    for _ in range(6):
        service.next(good())
    assert service.gaps == [64, 128, 256, 512, 1024, 1024]


def test_silence_of_a_known_server_backs_off_to_the_longest_interval() -> None:
    service = Running()
    service.begin(good())
    for _ in range(6):
        service.next(bad())
    assert service.gaps == [64, 64, 128, 256, 512, 1024]


def test_a_jump_of_a_right_clock_must_be_seen_twice() -> None:
    service = Running()
    service.begin(good())
    assert service.next(good(SECOND)) == []
    (command,) = service.next(good(SECOND))
    assert isinstance(command, SetClock)
    assert command.step


def test_two_rounds_that_see_different_jumps_confirm_neither() -> None:
    service = Running()
    service.begin(good())
    service.next(good(3600 * SECOND))
    assert service.next(good(-60 * SECOND)) == []
    (command,) = service.next(good(-60 * SECOND))
    assert isinstance(command, SetClock)
    assert command.outcome.offset == -60 * SECOND


def test_one_bad_round_moves_nothing() -> None:
    service = Running()
    service.begin(good())
    service.next(good(3600 * SECOND))
    (command,) = service.next(good(1000))
    assert isinstance(command, SetClock)
    assert not command.step


def test_after_another_hand_on_the_clock_it_is_set_as_after_a_boot() -> None:
    service = Running()
    service.begin(good())
    service.handle(ClockChanged())
    (command,) = service.next(good(3600 * SECOND))
    assert isinstance(command, SetClock)
    assert service.gaps == [1]


def test_a_running_round_is_of_no_use_when_the_clock_changes() -> None:
    service = Running()
    service.handle(Begin())
    assert service.handle(ClockChanged()) == [CancelRound()]
    assert service.handle(good()) == []  # it had ended just then


def test_a_new_network_is_used_soon_but_a_flapping_one_makes_no_flood() -> None:
    service = Running()
    service.begin(good())
    for _ in range(600):
        service.now += 0.1
        service.handle(NetworkChanged())
        deadline = service.core.deadline
        if deadline is not None and deadline <= service.now:
            service.handle(TimerFired())
            service.handle(good())
    assert 2 <= len(service.asked) <= 2 + 60 / CALM
    assert service.gaps[0] <= CALM + 0.2


def test_a_network_that_comes_up_in_the_first_round_begins_it_anew() -> None:
    service = Running()
    service.handle(Begin())
    service.now = 3.0
    assert service.handle(NetworkChanged()) == [CancelRound()]
    (command,) = service.next(good(SECOND))
    assert isinstance(command, SetClock)
    assert service.gaps == [4.0]


def test_the_date_is_saved_every_hour_and_at_the_end() -> None:
    service = Running()
    service.begin(good())
    saved = []
    while service.now < 4 * 3600:
        deadline = service.core.deadline
        assert deadline is not None
        service.now = deadline
        commands = service.handle(TimerFired())
        saved += [service.now for command in commands if isinstance(command, SaveDate)]
        if any(isinstance(command, StartRound) for command in commands):
            service.handle(bad())
    assert saved == [3600.0, 7200.0, 10800.0, 14400.0]
    assert SaveDate() in service.handle(Stop())


def test_a_date_that_somebody_else_set_is_not_saved() -> None:
    """It would be the floor, and the right date would be refused ever after."""
    service = Running()
    service.begin(good())
    service.handle(ClockChanged())
    service.next(bad())
    service.now = 3600.0
    assert SaveDate() not in service.handle(TimerFired())
    assert SaveDate() not in service.handle(Stop())


def test_a_date_that_was_never_right_is_not_saved_at_the_end() -> None:
    service = Running()
    service.begin(bad())
    assert SaveDate() not in service.handle(Stop())


@given(st.floats(0.0, 1.0), st.lists(st.sampled_from(["good", "bad", "jump", "net", "clock"])))
def test_whatever_happens_it_asks_again_within_the_longest_interval(
    jitter: float, story: list[str]
) -> None:
    service = Running(jitter)
    service.begin(good())
    for event in story:
        match event:
            case "good":
                service.next(good())
            case "bad":
                service.next(bad())
            case "jump":
                service.next(good(SECOND))
            case "net":
                service.handle(NetworkChanged())
            case _:
                service.handle(ClockChanged())
        deadline = service.core.deadline
        assert deadline is not None
        assert deadline - service.now <= 2**MAXPOLL

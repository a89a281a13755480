"""The service core: when it asks, and when it dares to set the clock."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lab.ntp_memory import DATE, FLOOR
from ntp.jump import STEPOUT
from ntp.messages import Outcome, Verdict
from ntp.service import (
    CALM,
    HOLDS,
    LOST,
    MAXPOLL,
    Begin,
    CancelRound,
    ClockChanged,
    Command,
    Event,
    LoseTrust,
    NetworkChanged,
    NotSet,
    RoundEnded,
    SaveDate,
    Service,
    SetClock,
    StartRound,
    Stop,
)
from ntp.timestamp import SECOND
from ntp.trust import Floor, Level, Trust
from wire.record import replace
from wire.timer import TimerFired

HOUR = 3600 * SECOND
BASE = Floor(released=FLOOR, saved=FLOOR + HOUR)


def good(offset: int = 0, level: Level = Level.AGREED) -> RoundEnded:
    trust = Trust(level=level, by=("a",), since=DATE, error=1000)
    outcome = Outcome(
        verdict=Verdict.AGREED, why="", servers=(), offset=offset, error=1000, trust=trust
    )
    return RoundEnded(outcome=outcome)


def alone(offset: int = 0) -> RoundEnded:
    return good(offset, Level.UNCONFIRMED)


def bad() -> RoundEnded:
    return RoundEnded(outcome=Outcome(verdict=Verdict.NO_ANSWER, why="silence", servers=()))


class Running:
    """A service on a virtual clock; rounds take no time and end as `ends` says.

    The clock shows DATE at 0 s, so that an answer's date is that and its offset.
    """

    def __init__(self, jitter: float = 0.0, maxchange: float | None = None) -> None:
        self.core = Service(lambda: jitter, floor=BASE, maxchange=maxchange)
        self.now = 0.0
        self.asked: list[float] = []
        self.saved: list[int] = []

    def handle(self, event: Event) -> Sequence[Command]:
        if isinstance(event, RoundEnded):
            date = DATE + round(self.now * SECOND) + event.outcome.offset
            event = RoundEnded(outcome=replace(event.outcome, date=date, at=self.now))
        commands = self.core.handle(event, self.now)
        self.asked += [self.now for command in commands if isinstance(command, StartRound)]
        self.saved += [command.date for command in commands if isinstance(command, SaveDate)]
        return [command for command in commands if not isinstance(command, SaveDate)]

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

    def until_set(self, ended: RoundEnded) -> float:
        """Rounds that end so, until the clock is set by one. Returns: how long it took, s."""
        begun = self.now
        while not any(isinstance(command, SetClock) for command in self.next(ended)):
            assert self.now < begun + 10 * HOLDS, "it is never set"
        return self.now - begun

    @property
    def trust(self) -> Trust:
        trust = self.core.state.trust
        assert trust is not None
        return trust

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.asked, self.asked[1:], strict=False)]


def test_a_round_that_nobody_began_says_nothing() -> None:
    running = Running()
    assert running.handle(good()) == []
    assert running.core.state.trust is None


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


def test_an_agreed_date_is_saved_at_once_then_every_hour_and_at_the_end() -> None:
    service = Running()
    service.begin(good())
    while service.now < 4 * 3600:
        service.next(good())
    passed = [round((date - DATE) / SECOND) for date in service.saved]
    assert passed[0] == 0
    assert all(3600 <= later - earlier <= 3600 + 2**MAXPOLL for earlier, later in pairwise(passed))
    service.now += 100
    service.handle(Stop())
    assert abs(service.saved[-1] - DATE - service.now * SECOND) < SECOND


def test_an_unconfirmed_date_moves_the_floor_by_what_has_passed_and_after_several_rounds() -> None:
    service = Running()
    service.begin(alone(50 * 365 * 24 * HOUR))
    service.next(alone())
    assert service.saved == []
    while service.now < 86_400:
        service.next(alone())
    assert 0 < service.saved[0] - BASE.saved <= 200 * SECOND
    assert service.saved == sorted(service.saved)
    assert 0.9 * 86_400 < (service.saved[-1] - BASE.saved) / SECOND <= service.now


def test_nothing_is_saved_while_answers_are_refused() -> None:
    service = Running()
    service.begin(good())
    count = len(service.saved)
    while service.now < 86_400:
        service.next(bad())
    service.handle(Stop())
    assert len(service.saved) == count


def test_a_majority_may_take_the_saved_floor_back() -> None:
    service = Running()
    service.begin(good(50 * HOUR))
    service.until_set(good(-50 * HOUR))
    service.now += 3600
    service.next(good())
    assert service.core.state.floor.saved < DATE + 2 * HOUR
    assert service.saved[-1] == service.core.state.floor.saved


def test_a_date_that_somebody_else_set_is_not_saved() -> None:
    """It would be the floor, and the right date would be refused ever after."""
    service = Running()
    service.begin(good())
    count = len(service.saved)
    service.handle(ClockChanged())
    service.next(bad())
    service.now = 3600.0
    service.handle(TimerFired())
    service.handle(Stop())
    assert len(service.saved) == count


def test_a_date_that_was_never_right_is_not_saved_at_the_end() -> None:
    service = Running()
    service.begin(bad())
    service.handle(Stop())
    assert service.saved == []


def test_an_hour_of_a_lone_liar_is_neither_believed_nor_saved() -> None:
    service = Running()
    service.begin(alone())
    while service.now < 7200:
        service.next(alone())
    count = len(service.saved)
    begun = service.now
    while service.now < begun + 45:
        assert service.next(alone(HOUR)) == []
    assert service.core.state.jump is not None
    (command,) = service.next(alone())
    assert isinstance(command, SetClock)
    assert service.core.state.jump is None
    assert len(service.saved) <= count + 1


def test_the_only_server_is_believed_again_after_a_quarter_of_an_hour() -> None:
    service = Running()
    service.begin(alone())
    while service.now < 7200:
        service.next(alone())
    assert STEPOUT <= service.until_set(alone(-HOUR)) <= STEPOUT + 2**MAXPOLL + 64


def test_a_date_that_one_answer_gave_is_displaced_by_two_that_say_otherwise() -> None:
    service = Running()
    service.begin(alone(30 * 365 * 24 * HOUR))
    assert service.until_set(alone(-30 * 365 * 24 * HOUR)) < 2 * 64


def test_less_trust_does_not_displace_more_before_a_day_has_passed() -> None:
    service = Running()
    service.begin(good(level=Level.AUTHENTICATED))
    service.next(good(HOUR))
    jump = service.core.state.jump
    assert jump is not None
    assert jump.waits_for == "an authenticated answer, which confirmed the present date"
    service = Running()
    service.begin(good())
    assert service.next(alone(HOUR)) == []
    jump = service.core.state.jump
    assert jump is not None
    assert jump.waits_for == "a majority, which confirmed the present date"
    service.next(bad())
    service = Running()
    service.begin(good())
    took = 0.0
    while took < HOLDS - 2**MAXPOLL:
        service.next(alone())
        took = service.now
    assert service.trust.level is Level.AGREED
    service.next(alone(HOUR))
    assert service.core.state.jump is not None
    assert service.until_set(alone(HOUR)) >= HOLDS - took


def test_a_date_that_was_right_is_moved_by_maxchange_at_most() -> None:
    service = Running(maxchange=60.0)
    (command,) = service.begin(good(50 * HOUR))  # it was not right yet
    assert isinstance(command, SetClock)
    for _ in range(50):
        assert service.next(good(61 * SECOND)) == []
    jump = service.core.state.jump
    assert jump is not None
    assert "more than maxchange, 60 s" in jump.waits_for
    assert service.until_set(good(60 * SECOND)) < 100


def test_trust_ends_when_nobody_was_heard_for_so_long_that_the_clock_may_be_16_s_off() -> None:
    service = Running()
    service.begin(good())
    ended = None
    while ended is None:
        deadline = service.core.deadline
        assert deadline is not None
        service.now = deadline
        commands = service.handle(TimerFired())
        if LoseTrust() in commands:
            ended = service.now
        service.handle(bad())
    assert abs(ended - (LOST - 1000) / SECOND / 500e-6) < 1
    assert service.core.state.trust is None
    (command,) = service.next(good(HOUR))
    assert isinstance(command, SetClock)  # as after a boot


def test_a_service_that_began_late_holds_a_higher_level_as_long() -> None:
    service = Running()
    service.now = 10 * HOLDS
    service.begin(good())
    service.next(alone())
    assert service.trust.level is Level.AGREED


def test_trust_says_since_when_by_whom_and_within_which_error() -> None:
    service = Running()
    (command,) = service.begin(good())
    assert isinstance(command, SetClock)
    assert command.trust == Trust(level=Level.AGREED, by=("a",), since=DATE, error=1000)
    for _ in range(5):
        service.next(good())
    assert service.trust.since == DATE
    service.next(alone())
    assert (service.trust.level, service.trust.since) == (Level.AGREED, DATE)
    service.next(good(level=Level.AUTHENTICATED))
    assert service.trust.level is Level.AUTHENTICATED


def test_somebody_elses_hand_on_the_clock_ends_the_trust() -> None:
    service = Running()
    service.begin(good())
    assert LoseTrust() in service.handle(ClockChanged())
    assert LoseTrust() not in service.handle(ClockChanged())


def test_a_date_that_the_kernel_does_not_take_is_asked_for_again_without_haste() -> None:
    service = Running()
    service.begin(good())
    assert service.handle(NotSet()) == [LoseTrust()]
    for _ in range(8):
        service.next(good())
        service.handle(NotSet())
    assert service.gaps == [64] * 8


def test_after_a_round_that_failed_certificates_are_verified_at_the_servers_date() -> None:
    """Our own date may be what is wrong."""
    service = Running()
    service.begin(good())
    service.now = 64.0
    (asked,) = service.handle(TimerFired())
    assert isinstance(asked, StartRound)
    assert asked.trusted
    service.handle(bad())
    service.now = 128.0
    (asked,) = service.handle(TimerFired())
    assert isinstance(asked, StartRound)
    assert not asked.trusted


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

"""The service core: when to ask, and what to do with what the servers say.

Until the date is right: one quick sample of each server, and after silence again in 2, 4, ... 64 s.
Then: several paced samples every 64 s, up to every 1024 s while the clock stays right; after
silence back off in the same way. Each interval is moved by a random part, so that a street of
gateways after a power cut does not ask as one. A change of the network, a resume after suspend, or
another program that sets the clock starts the next round early.

The first usable answer sets the clock, however little it may be trusted: any date is better than
none. From then on a jump is held until it has earned the trust that it takes (ntp.jump). A date is
saved only after a round that was accepted (ntp.trust). Trust ends when nobody was heard for so long
that the clock may be as far off as the kernel, too, calls unsynchronised; then all begins anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ntp.jump import Jump, judge
from ntp.messages import Outcome
from ntp.sample import STEPT
from ntp.timestamp import SECOND
from ntp.trust import MAXFREQ, Floor, Level, Trust, error_after, may_be_saved
from wire.record import replace
from wire.timer import TimerFired

MINPOLL: Final = 6  # log2 s
MAXPOLL: Final = 10
FIRST_RETRY: Final = 2.0  # s
SAVE_EVERY: Final = 3600.0  # s
SETTLE: Final = 1.0  # s from a change of the network to the question
CALM: Final = 16.0  # s; rounds that events bring forward are no closer to each other
CONFIRM: Final = 16.0  # s; when to look again at a jump
JITTER: Final = 0.1  # of the interval
RIGHT: Final = SECOND * 20 // 1000  # ns; off by less, ask less often
LOST: Final = 16 * SECOND  # ns of error: no longer right (the kernel's NTP_PHASE_LIMIT)
HOLDS: Final = 86_400.0  # s that a higher level of trust stands against a lower one
SEVERAL: Final = 3  # rounds, before an unconfirmed date may move the floor


@dataclass(frozen=True, slots=True)
class Begin:
    """The service starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundEnded:
    """All servers were asked; this came of it."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class NetworkChanged:
    """A link came up, or an address or a route is new."""


@dataclass(frozen=True, slots=True)
class ClockChanged:
    """The machine was suspended, or another program set the clock."""


@dataclass(frozen=True, slots=True)
class NotSet:
    """The kernel did not take the date of the last SetClock."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The service ends."""


Event = Begin | RoundEnded | NetworkChanged | ClockChanged | NotSet | Stop | TimerFired


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRound:
    """Asked: ask all servers; answered by RoundEnded. `samples` of each; `trusted`: the date is
    right already (ntp.client); `interval`: s between two rounds."""

    samples: int
    trusted: bool
    interval: float
    floor: Floor


@dataclass(frozen=True, slots=True)
class CancelRound:
    """Told: what the running round says is no longer of use. No RoundEnded comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetClock:
    """Told: set the clock by `outcome`, at once (`step`) or bit by bit; `poll`: log2 s to the next
    round. The date is then as right as `trust` says. NotSet comes if it could not be done."""

    outcome: Outcome
    step: bool
    poll: int
    trust: Trust


@dataclass(frozen=True, slots=True)
class LoseTrust:
    """Told: from now on it is not known whether the date is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveDate:
    """Told: `date` (Unix ns) has surely passed; save it as the floor."""

    date: int


Command = StartRound | CancelRound | SetClock | LoseTrust | SaveDate


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The state of the service. Times: monotonic s; `poll`: log2 s."""

    trust: Trust | None
    heard: float | None  # the last answer that was accepted
    next_round: float | None
    poll: int
    jump: Jump | None
    floor: Floor


class Service:
    """Args: `random` gives numbers of 0.0 to 1.0, for the jitter; `floor`, as it is when the
    service begins; `samples` of each server in a paced round; `maxchange`, s: a date that was right
    is moved no further than that."""

    def __init__(
        self,
        random: Callable[[], float],
        *,
        floor: Floor,
        samples: int = 4,
        maxchange: float | None = None,
    ) -> None:
        self._random = random
        self._floor = self._base = floor  # now, and at the time `_base_at`
        self._base_at: float | None = None
        self._samples = samples
        self._maxchange = maxchange
        self._trust: Trust | None = None
        self._level_at = self._heard = float("-inf")
        self._begun = 0.0  # when this date was first accepted
        self._accepted: Outcome | None = None  # the last round's, if it was
        self._rounds = 0  # accepted since the last step
        self._poll = MINPOLL
        self._silences = 0
        self._asking = False
        self._last_round = float("-inf")
        self._next_round: float | None = None
        self._next_save = float("-inf")
        self._jump: Jump | None = None

    @property
    def state(self) -> State:
        return State(
            trust=self._trust,
            heard=self._heard if self._trust else None,
            next_round=self._next_round,
            poll=self._poll,
            jump=self._jump,
            floor=self._floor,
        )

    @property
    def deadline(self) -> float | None:
        """Monotonic s."""
        times = [time for time in (self._next_round, self._trust_ends) if time is not None]
        return min(times, default=None)

    @property
    def _trust_ends(self) -> float | None:
        if self._trust is None:
            return None
        return self._heard + max(LOST - self._trust.error, 0) / SECOND / (MAXFREQ * 1e-6)

    def handle(self, event: Event, now: float) -> Sequence[Command]:
        if self._base_at is None:
            self._base_at = now
        commands = self._fire(now)
        match event:
            case Begin():
                commands += self._ask(now)
            case RoundEnded() if self._asking:
                commands += self._ended(event.outcome, now)
            case NetworkChanged():
                commands += self._bring_forward(now)
            case ClockChanged():
                commands += self._restart(now)
            case NotSet():
                commands += self._not_set(now)
            case Stop():
                commands += self._stop(now)
            case RoundEnded() | TimerFired():
                pass
        return commands

    def _fire(self, now: float) -> list[Command]:
        commands: list[Command] = []
        if self._trust_ends is not None and self._trust_ends <= now:
            commands += self._lose_trust()
        if self._next_round is not None and self._next_round <= now:
            commands += self._ask(now)
        return commands

    def _lose_trust(self) -> list[Command]:
        had, self._trust, self._jump, self._accepted = self._trust, None, None, None
        self._rounds, self._poll = 0, MINPOLL
        return [LoseTrust()] if had else []

    def _ask(self, now: float) -> list[Command]:
        self._asking, self._last_round, self._next_round = True, now, None
        return [
            StartRound(
                samples=self._samples if self._trust else 1,
                trusted=self._trust is not None and not self._silences,
                interval=2.0**self._poll,
                floor=self._floor,
            )
        ]

    def _ended(self, outcome: Outcome, now: float) -> list[Command]:
        self._asking, self._accepted = False, None
        if outcome.trust is None:
            longest = 2.0 ** (MAXPOLL if self._trust else MINPOLL)
            first = 2.0**self._poll if self._trust else FIRST_RETRY
            self._schedule(min(first * 2**self._silences, longest), now)
            self._silences = min(self._silences + 1, 16)
            return []
        self._silences = 0
        if self._trust and abs(outcome.offset) >= STEPT:
            jump = self._judged(outcome, outcome.trust, self._trust, now)
            if jump.waits_for:
                self._schedule(CONFIRM if jump.since == now else 2.0**MINPOLL, now)
                self._jump = jump
                return []
        return self._accept(outcome, outcome.trust, now)

    def _judged(self, outcome: Outcome, said: Trust, trust: Trust, now: float) -> Jump:
        is_old = now - self._level_at > HOLDS
        return judge(
            self._jump,
            outcome,
            said.level,
            held=Level.UNCONFIRMED if is_old else trust.level,
            affirmed=self._heard - self._begun,
            maxchange=self._maxchange,
            now=now,
        )

    def _accept(self, outcome: Outcome, said: Trust, now: float) -> list[Command]:
        step = abs(outcome.offset) >= STEPT
        calm = self._trust is not None and abs(outcome.offset) < RIGHT
        self._poll = min(self._poll + 1, MAXPOLL) if calm else MINPOLL
        self._trust = self._grown(said, step, now)
        self._jump, self._accepted, self._heard = None, outcome, now
        self._rounds = 1 if step else self._rounds + 1
        self._schedule(2.0**self._poll, now)
        commands: list[Command] = [
            SetClock(outcome=outcome, step=step, poll=self._poll, trust=self._trust)
        ]
        if now >= self._next_save:
            commands += self._save(now)
        return commands

    def _grown(self, said: Trust, step: bool, now: float) -> Trust:
        """The trust in the clock, now that it was set: a lower level ends no higher one at once."""
        trust = self._trust
        if trust is None or step:
            self._level_at = self._begun = now
            return said
        if said.level < trust.level and now - self._level_at <= HOLDS:
            return replace(trust, error=said.error)
        self._level_at = now
        return replace(said, since=trust.since) if said.level is trust.level else said

    def _save(self, now: float) -> list[Command]:
        """After a round that was accepted, and before the next one."""
        outcome = self._accepted
        if outcome is None or outcome.trust is None or self._base_at is None:
            return []
        trust = outcome.trust
        if trust.level is Level.UNCONFIRMED and self._rounds < SEVERAL:
            return []
        passed = now - outcome.at
        date = outcome.date + round(passed * SECOND)
        wider = replace(trust, error=error_after(trust.error, passed))
        date = may_be_saved(date, wider, self._base, now - self._base_at)
        if date <= self._floor.saved and trust.level is Level.UNCONFIRMED:
            return []
        self._floor = replace(self._floor, saved=date)
        if trust.level is not Level.UNCONFIRMED:
            self._base, self._base_at = self._floor, now
        self._next_save = now + SAVE_EVERY
        return [SaveDate(date=date)]

    def _schedule(self, interval: float, now: float) -> None:
        self._next_round = now + interval * (1 - JITTER * self._random())

    def _bring_forward(self, now: float) -> list[Command]:
        """Ask soon; but a flapping link must not make us a nuisance to the servers."""
        soon = max(now + SETTLE, self._last_round + (CALM if self._trust else SETTLE))
        commands: list[Command] = []
        if self._asking:
            if self._trust:
                return commands
            self._asking = False  # what it asks may have been lost on the way to nowhere
            commands.append(CancelRound())
        if self._next_round is None or soon < self._next_round:
            self._next_round = soon
            self._silences = 0
        return commands

    def _restart(self, now: float) -> list[Command]:
        """What was known of the clock no longer holds: begin as after a boot."""
        self._silences = 0
        commands: list[Command] = [CancelRound()] if self._asking else []
        self._asking = False
        self._next_round = now + SETTLE
        return commands + self._lose_trust()

    def _not_set(self, now: float) -> list[Command]:
        """The servers gave a date that this machine cannot show."""
        self._schedule(2.0**MINPOLL, now)
        return self._lose_trust()

    def _stop(self, now: float) -> list[Command]:
        self._next_round = None
        commands: list[Command] = [CancelRound()] if self._asking else []
        return commands + self._save(now)

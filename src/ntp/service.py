"""The service core: when to ask, and what to do with what the servers say.

Until the date is right: one quick sample of each server, and after silence again in 2, 4, ... 64 s.
Then: several paced samples every 64 s, up to every 1024 s while the clock stays right; after
silence back off in the same way. Each interval is moved by a random part, so that a street of
gateways after a power cut does not ask as one. A change of the network, a wake-up after suspend,
or somebody else's hand on the clock brings the next round forward.

Once right, the same jump must be seen in two rounds before it is made: one bad hour of a server, or
one packet held back on the way, must not move the date.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ntp.messages import Outcome
from ntp.sample import STEPT
from ntp.timestamp import SECOND
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
    """The machine slept, or somebody else set the clock."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The service ends."""


Event = Begin | RoundEnded | NetworkChanged | ClockChanged | Stop | TimerFired


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRound:
    """Asked: ask all servers; answered by RoundEnded. `samples` of each; `trusted`: the date is
    right already (ntp.client); `interval`: s between two rounds."""

    samples: int
    trusted: bool
    interval: float


@dataclass(frozen=True, slots=True)
class CancelRound:
    """Told: what the running round says is no longer of use. No RoundEnded comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetClock:
    """Told: set the clock by `outcome`, at once (`step`) or bit by bit; `poll`: log2 s to the next
    round. Then save the date."""

    outcome: Outcome
    step: bool
    poll: int


@dataclass(frozen=True, slots=True)
class SaveDate:
    """Told: save the date."""


Command = StartRound | CancelRound | SetClock | SaveDate


class Service:
    """Args: `random` gives numbers of 0.0 to 1.0, for the jitter; `samples` of each server in a
    paced round."""

    def __init__(self, random: Callable[[], float], samples: int = 4) -> None:
        self._random = random
        self._samples = samples
        self._right = False
        self._poll = MINPOLL
        self._silences = 0
        self._asking = False
        self._last_round = float("-inf")
        self._next_round: float | None = None
        self._next_save: float | None = None
        self._jump: int | None = None  # ns; an offset that must be seen again to be believed

    @property
    def deadline(self) -> float | None:
        """Monotonic s."""
        times = [time for time in (self._next_round, self._next_save) if time is not None]
        return min(times, default=None)

    def handle(self, event: Event, now: float) -> Sequence[Command]:
        commands = self._fire(now)
        match event:
            case Begin():
                commands += self._ask(now)
            case RoundEnded() if self._asking:
                commands += self._ended(event, now)
            case NetworkChanged():
                commands += self._bring_forward(now)
            case ClockChanged():
                commands += self._restart(now)
            case Stop():
                commands += self._stop()
            case RoundEnded() | TimerFired():
                pass
        return commands

    def _fire(self, now: float) -> list[Command]:
        commands: list[Command] = []
        if self._next_save is not None and self._next_save <= now:
            self._next_save = now + SAVE_EVERY
            if self._may_save:
                commands.append(SaveDate())
        if self._next_round is not None and self._next_round <= now:
            commands += self._ask(now)
        return commands

    @property
    def _may_save(self) -> bool:
        """A wrong date must not become the floor."""
        return self._right and self._jump is None

    def _ask(self, now: float) -> list[Command]:
        self._asking, self._last_round, self._next_round = True, now, None
        samples = self._samples if self._right else 1
        return [StartRound(samples=samples, trusted=self._right, interval=2.0**self._poll)]

    def _ended(self, ended: RoundEnded, now: float) -> list[Command]:
        self._asking = False
        outcome = ended.outcome
        if not outcome.verdict.usable:
            longest = 2.0 ** (MAXPOLL if self._right else MINPOLL)
            first = 2.0**self._poll if self._right else FIRST_RETRY
            self._schedule(min(first * 2**self._silences, longest), now)
            self._silences = min(self._silences + 1, 16)
            return []
        self._silences = 0
        step = abs(outcome.offset) >= STEPT
        if step and self._right and not self._is_confirmed(outcome):
            self._schedule(CONFIRM if self._jump is None else 2.0**MINPOLL, now)
            self._jump = outcome.offset
            return []
        self._jump = None
        calm = self._right and abs(outcome.offset) < RIGHT
        self._poll = min(self._poll + 1, MAXPOLL) if calm else MINPOLL
        self._right = True
        if self._next_save is None:
            self._next_save = now + SAVE_EVERY
        self._schedule(2.0**self._poll, now)
        return [SetClock(outcome=outcome, step=step, poll=self._poll)]

    def _is_confirmed(self, outcome: Outcome) -> bool:
        """Whether the round before saw the same jump."""
        return self._jump is not None and abs(outcome.offset - self._jump) < STEPT + outcome.error

    def _schedule(self, interval: float, now: float) -> None:
        self._next_round = now + interval * (1 - JITTER * self._random())

    def _bring_forward(self, now: float) -> list[Command]:
        """Ask soon; but a flapping link must not make us a nuisance to the servers."""
        soon = max(now + SETTLE, self._last_round + (CALM if self._right else SETTLE))
        commands: list[Command] = []
        if self._asking:
            if self._right:
                return commands
            self._asking = False  # what it asks may have been lost on the way to nowhere
            commands.append(CancelRound())
        if self._next_round is None or soon < self._next_round:
            self._next_round = soon
            self._silences = 0
        return commands

    def _restart(self, now: float) -> list[Command]:
        """What was known of the clock no longer holds: begin as after a boot."""
        self._poll, self._silences = MINPOLL, 0
        self._right, self._jump = False, None
        commands: list[Command] = [CancelRound()] if self._asking else []
        self._asking = False
        self._next_round = now + SETTLE
        return commands

    def _stop(self) -> list[Command]:
        self._next_round = self._next_save = None
        commands: list[Command] = [CancelRound()] if self._asking else []
        if self._may_save:
            commands.append(SaveDate())
        return commands

"""When a daemon is started again: what systemd.service(5) calls Restart= and WatchdogSec=.

A core without I/O: events in, commands out, `deadline` in monotonic seconds; its driver is
`mgu.services.supervise`. A timer fires by `TimerFired` only, never beside another event: who was
stopped together with the daemon finds its signs of life first.
"""

from mgu import exits
from wire.lean import Final
from wire.record import Record
from wire.timer import TimerFired

FIRST: Final = 1.0
"""Seconds until the first new start; each further one waits twice as long."""
LONGEST: Final = 60.0
STEADY: Final = 60.0
"""Who lived so long, in seconds, is started again as if for the first time."""
START_LIMIT: Final = 90.0
"""Seconds until a daemon must have said that it is ready."""
SILENCE: Final = 60.0
"""Seconds: a daemon that says nothing for so long is stopped, or hangs."""
PATIENCE: Final = 10.0
"""Seconds between SIGTERM and SIGKILL."""

GIVE_UP: Final = frozenset({exits.OK, exits.NO_PERMISSION, exits.USAGE})
"""Exit codes that another start would not change. OK: it was asked to end."""


class Ended(Record):
    """The daemon's exit code, negative for a signal; None if it cannot be known."""

    code: int | None


class Ready(Record):
    """The daemon serves."""


class Alive(Record):
    """Its loop turns."""


class Stop(Record):
    """Take it down, and end."""


Event = Ended | Ready | Alive | Stop | TimerFired


class Start(Record):
    """The daemon."""


class Terminate(Record):
    """Ask it to end."""


class Kill(Record):
    """End it."""


class Say(Record):
    text: str


class End(Record):
    """There is nothing left to do."""

    code: int


Command = Start | Terminate | Kill | Say | End


class Keeper:
    """Keeps the daemon of the service `name` up, from `now` on.

    `adopted`: it runs already, and its parent is gone.
    """

    def __init__(self, name: str, now: float, *, adopted: bool = False) -> None:
        self._name = name
        self._failures = 0
        self._began = now
        self._running = adopted
        self._stopping = False
        self.deadline = now + SILENCE if adopted else now

    def handle(self, event: Event, now: float) -> list[Command]:
        match event:
            case Ended(code=code):
                return self._ended(code, now)
            case Ready() | Alive():
                if self._running and not self._stopping:
                    self.deadline = now + SILENCE
            case Stop():
                return self._stop(now)
            case TimerFired():
                return self._timer(now)
        return []

    def _ended(self, code: int | None, now: float) -> list[Command]:
        self._running = False
        if self._stopping:
            return [End(exits.OK)]
        how = _how(code)
        if code in GIVE_UP:
            return [Say(f"{self._name} {how} and is not restarted"), End(code or exits.OK)]
        lived = now - self._began
        self._failures = 0 if lived >= STEADY else self._failures + 1
        delay = min(FIRST * 2 ** max(self._failures - 1, 0), LONGEST)
        self.deadline = now + delay
        return [Say(f"{self._name} {how} after {lived:.0f} s; it is restarted in {delay:g} s")]

    def _stop(self, now: float) -> list[Command]:
        self._stopping = True
        if not self._running:
            return [End(exits.OK)]
        self.deadline = now + PATIENCE
        return [Terminate()]

    def _timer(self, now: float) -> list[Command]:
        if now < self.deadline:
            return []
        if not self._running:
            self._running = True
            self._began = now
            self.deadline = now + START_LIMIT
            return [Start()]
        self.deadline = now + PATIENCE
        if self._stopping:
            return [Say(f"{self._name} does not stop and is killed"), Kill()]
        return [
            Say(f"{self._name} did not report that it is alive (stopped, or it hangs): killed"),
            Kill(),
        ]


def _how(code: int | None) -> str:
    if code is None:
        return "ended"
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"

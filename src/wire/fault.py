"""Unexpected exceptions in a daemon: they are logged with what was being done.

A fault in one event of one peer does not affect others: the event is lost and logged. After many
faults the program ends, so that its supervisor restarts it.
"""

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from wire.runner import Core
from wire.shortage import is_shortage
from wire.timer import TimerFired

E = TypeVar("E")
C = TypeVar("C")

MANY: Final = 5
WITHIN: Final = 60.0  # seconds


class CannotGoOn(Exception):
    """Not a fault of the program: something that it needs is gone. The text says what."""


class Faults:
    """Logs faults to `logger`; MANY of them WITHIN so many seconds are raised."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._seen: deque[float] = deque(maxlen=MANY)

    def survive(self, error: Exception, doing: str, now: float) -> None:
        """Raises: `error`, with `doing` as a note, if it is one too many. `now`: seconds."""
        self._seen.append(now)
        if len(self._seen) == MANY and now - self._seen[0] < WITHIN:
            error.add_note(f"while {doing}; {MANY} faults within {WITHIN:g} s")
            raise error
        if is_shortage(error):
            self._logger.error("there is not enough memory while %s; the daemon continues", doing)
            return
        text = "internal error while %s: %s: %s; the daemon continues"
        self._logger.error(text, doing, type(error).__name__, error, exc_info=error)


class Guarded(Generic[E, C]):
    """A core whose faults cost the event that it handled."""

    def __init__(self, core: Core[E, C], faults: Faults) -> None:
        self._core = core
        self._faults = faults

    @property
    def deadline(self) -> float | None:
        return self._core.deadline

    def handle(self, event: E | TimerFired, now: float) -> Sequence[C]:
        try:
            return self._core.handle(event, now)
        except Exception as error:  # noqa: BLE001 - the outermost loop of a daemon
            self._faults.survive(error, f"handling {type(event).__name__}", now)
            return ()

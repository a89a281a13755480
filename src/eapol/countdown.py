"""The timers of the state diagrams.

Differs: the standards count down once a second; here a timer is the moment at which it reaches
zero, so that nothing wakes in between and no second is lost to rounding.
"""

from collections.abc import Iterable
from typing import Final

NOT_SET: Final = float("-inf")


class Clock:
    """Monotonic seconds of the core's last event."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0


class Countdown:
    """Set to a number of seconds; `zero` from the moment they have passed, and before it is set."""

    __slots__ = ("_clock", "at")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.at = NOT_SET

    def set(self, seconds: float) -> None:
        self.at = self._clock.now + seconds

    def clear(self) -> None:
        """Back to "not set"."""
        self.at = NOT_SET

    @property
    def running(self) -> bool:
        return self.at > self._clock.now

    @property
    def due(self) -> bool:
        """Whether it was set, and has reached zero since."""
        return NOT_SET < self.at <= self._clock.now

    @property
    def zero(self) -> bool:
        return self._clock.now >= self.at


def earliest(timers: Iterable[Countdown]) -> float | None:
    """When the next of `timers` reaches zero, or None if all have."""
    ahead = [timer.at for timer in timers if timer.at > timer._clock.now]
    return min(ahead, default=None)

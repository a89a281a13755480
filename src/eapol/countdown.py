"""The timers of the state diagrams.

Differs: the standards count down once a second; here a timer is the moment at which it reaches
zero, so that nothing wakes in between and no second is lost to rounding.
"""

from collections.abc import Iterable


class Clock:
    """Monotonic seconds as the core was last told."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0


class Countdown:
    """Set to a number of seconds; `zero` from the moment they have passed, and before it is set."""

    __slots__ = ("_clock", "at")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.at = float("-inf")

    def set(self, seconds: float) -> None:
        self.at = self._clock.now + seconds

    @property
    def zero(self) -> bool:
        return self._clock.now >= self.at


def earliest(clock: Clock, timers: Iterable[Countdown]) -> float | None:
    """When the next of `timers` reaches zero, or None if all have."""
    return min((timer.at for timer in timers if timer.at > clock.now), default=None)

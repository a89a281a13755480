"""The one event that every core shares. Apart from the runner, so that a core needs no asyncio."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The deadline that the core asked for has passed."""

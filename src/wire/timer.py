"""The one event that every core shares. Apart from the runner, so that a core needs no asyncio."""

from wire.record import Record


class TimerFired(Record):
    """The deadline that the core asked for has passed."""

"""Whether we were away: the machine was suspended, or the daemon was stopped, for minutes.

The clock of the daemon counts time in suspend. While there are SAs, a timer fires every minute. If
it is late by more than peers wait for an answer (dead peer detection, RFC 3706), they have deleted
our SAs, and packets that we send with them are lost.
"""

from typing import Final

from ike.context import Context
from ike.timers import Timer

BEAT: Final = 60.0  # seconds
LONG: Final = 300.0  # seconds


class Absence:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._beat: Timer | None = None

    def watch(self, *, anything: bool) -> None:
        """Go on, as long as there is `anything` to lose."""
        if anything and (self._beat is None or not self._beat.pending):
            self._beat = self._context.later("are we awake", BEAT, lambda: None)

    def ends(self) -> bool:
        """Whether we were away, before the timers of that time fire."""
        beat = self._beat
        return beat is not None and beat.pending and self._context.now - beat.at > LONG

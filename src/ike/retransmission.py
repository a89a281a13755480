"""Sending again (racoon.conf(5), `timer`): the last message, at fixed intervals, a few times.

Differs: racoon waits a whole interval (10 s) before it repairs a lost datagram. Here the first
interval holds three early repeats; from its end on the schedule and the patience are racoon's.
"""

from collections.abc import Callable
from typing import Final

from ike.context import Context
from ike.timers import Timer

EARLY: Final = (0.1, 0.2, 0.4, 0.3)
"""The pauses of the first interval, in parts of it; the last one ends it."""
MAX_REPEATS: Final = 32
"""How often at most a repeated message of the peer makes us repeat our answer."""


class Retransmitter:
    """The last message sent in one exchange.

    The side that waits for an answer retransmits by a timer; the side that has answered, only when
    the request is repeated, octet for octet. So one lost datagram is repaired by exactly one side.
    """

    __slots__ = (
        "_context",
        "_exhausted",
        "_last",
        "_name",
        "_pauses",
        "_repeats",
        "_send",
        "_timer",
    )

    def __init__(
        self,
        context: Context,
        name: str,
        send: Callable[[bytes], None],
        exhausted: Callable[[], None],
    ) -> None:
        self._context = context
        self._name = name
        self._send = send
        self._exhausted = exhausted
        self._last: bytes | None = None
        self._timer: Timer | None = None
        self._pauses: list[float] = []
        self._repeats = 0

    def send(self, octets: bytes, *, awaited: bool) -> None:
        """Send a new message. `awaited`: an answer must come, else `exhausted` is called."""
        self.stop()
        self._last = octets
        self._repeats = MAX_REPEATS
        counter, interval = (
            self._context.config.timers.counter,
            self._context.config.timers.interval,
        )
        self._pauses = [*(part * interval for part in EARLY), *[interval] * counter]
        self._transmit()
        if awaited:
            self._arm()

    def settle(self) -> None:
        """No answer is awaited any more; a repeated question is still answered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> None:
        """The answer came: what we sent is done with."""
        self.settle()
        self._last = None

    def repeat(self, *, eager: bool) -> None:
        """The peer repeated what our last message answers, so it has not got that.

        While the timer runs it sees to it, unless `eager`: a responder's answer is due at once.
        """
        if (eager or self._timer is None) and self._last is not None and self._repeats:
            self._repeats -= 1
            self._transmit()

    def _arm(self) -> None:
        self._timer = self._context.later(self._name, self._pauses.pop(0), self._fired)

    def _fired(self) -> None:
        self._timer = None
        if not self._pauses:
            self._exhausted()
            return
        self._transmit()
        self._arm()

    def _transmit(self) -> None:
        if self._last is not None:
            for _ in range(self._context.config.timers.persend):
                self._send(self._last)

"""Dead peer detection (RFC 3706): asking whether the peer is still there, when nothing is heard."""

from collections.abc import Callable
from typing import Final

from ike.config import Remote
from ike.context import Context
from ike.crypto.keys import Cookies
from ike.isakmp.payloads import Notification
from ike.numbers.isakmp import NotifyType, ProtocolId
from ike.timers import Timer

PROBE_PAUSE: Final = 1.0  # seconds


class DeadPeerDetection:
    """For one ISAKMP SA. `ask` sends a protected notification; `dead` is called in the end.

    Any authenticated message is a sign of life (RFC 3706, 5.5: no need to ask then).
    """

    def __init__(
        self,
        context: Context,
        remote: Remote,
        cookies: Cookies,
        ask: Callable[[Notification], None],
        dead: Callable[[], None],
    ) -> None:
        self._context = context
        self._remote = remote
        self._cookies = cookies
        self._ask = ask
        self._dead = dead
        self._sequence = int.from_bytes(context.entropy(4)) & 0x7FFFFFFF
        self._timer: Timer | None = None
        self._heard = context.now
        self.fails = 0

    def start(self) -> None:
        """Ask from time to time, when the configuration wants it."""
        if self._remote.dpd_delay > 0:
            self._arm(self._remote.dpd_delay, self._idle)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def heard(self) -> None:
        """An authenticated message came."""
        self._heard = self._context.now
        if self.fails:
            self.fails = 0
            self.stop()
            self.start()

    def probe(self) -> None:
        """Ask now: something hints that the peer has lost the SA. Not soon after it was heard."""
        if not self.fails and self._context.now - self._heard > PROBE_PAUSE:
            self.stop()
            self._question()

    def _idle(self) -> None:
        quiet = self._context.now - self._heard
        if quiet < self._remote.dpd_delay:
            self._arm(self._remote.dpd_delay - quiet, self._idle)
        else:
            self._question()

    def _question(self) -> None:
        if self.fails >= self._remote.dpd_maxfail:
            self._dead()
            return
        self.fails += 1
        data = self._sequence.to_bytes(4)
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        self._arm(self._remote.dpd_retry, self._question)
        self._ask(Notification(NotifyType.R_U_THERE, ProtocolId.ISAKMP, bytes(self._cookies), data))

    def _arm(self, delay: float, action: Callable[[], None]) -> None:
        self._timer = self._context.later("DPD", delay, action)


def acknowledgement(question: Notification, cookies: Cookies) -> Notification | None:
    """The answer to an R-U-THERE, or None if it is not about this SA (RFC 3706, 5.3)."""
    if question.spi != bytes(cookies) or len(question.data) != 4:
        return None
    return Notification(NotifyType.R_U_THERE_ACK, ProtocolId.ISAKMP, question.spi, question.data)

"""NAT keepalives (RFC 3948, 4): they keep the NAT's mapping while nothing else is sent."""

from ike.commands import SendDatagram
from ike.context import Context
from ike.phase1.facts import Phase1
from ike.phase1.nat import KEEPALIVE
from ike.timers import Timer


class NatKeepalive:
    """Sends one after each interval, to where the peer is then, until `stop`."""

    def __init__(self, context: Context, facts: Phase1) -> None:
        self._context = context
        self._facts = facts
        self._timer: Timer
        self._arm()

    def stop(self) -> None:
        self._timer.cancel()

    def _arm(self) -> None:
        interval = self._context.config.timers.natt_keepalive
        self._timer = self._context.later("NAT keepalive", interval, self._send)

    def _send(self) -> None:
        facts = self._facts
        self._context.emit(SendDatagram(octets=KEEPALIVE, to=facts.peer, local=facts.local))
        self._arm()

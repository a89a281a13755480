"""The client: many requests to a few servers (RFC 2865, 2.4 and 2.5; RFC 5080, 2.2).

A core without I/O: `handle(event, now)` returns commands. `entropy(n)` gives n random octets, for
Request Authenticators and the spread of repetitions. A request is repeated to its server with the
octets it had; a server that stays silent is left for the next one (`radius.health`). An answer that
is not proved to be the server's changes nothing but a counter: the true one may still come.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from radius.errors import BadAttribute, Fault, Malformed, NotAuthentic
from radius.events import (
    Answered,
    Ask,
    ClosePort,
    Command,
    Event,
    Failed,
    Forget,
    OpenPort,
    PortFailed,
    PortOpened,
    Received,
    Send,
    Server,
    Transport,
)
from radius.health import PROBE, Health
from radius.numbers import Code
from radius.packet import Packet, Request, made, prove
from radius.ports import Port, Ports
from radius.reasons import reason
from radius.settings import Timers
from wire.timer import TimerFired

_SPREAD: Final = 0.1
"""RAND of RFC 5080, 2.2.1: a wait is shorter or longer by up to a tenth."""

REFUSALS: Final = 2
"""So many ICMP refusals end a request; the first may be of a server that is just starting.

Differs: RFC 2865 and RFC 5080 say nothing of them; waiting on would only hide the cause.
"""


@dataclass(slots=True, eq=False)
class Pending:
    """A request that waits for its answer: where it was sent, how often, and what came instead."""

    asked: Ask
    untried: list[int]
    begun: float  # at this server
    server: int = 0
    port: Port["Pending"] | None = None
    request: Request | None = None
    sent: int = 0
    wait: float = 0.0
    at: float = 0.0  # when it is due for its next repetition
    faults: Counter[Fault] = field(default_factory=Counter)
    refusals: int = 0
    broke: str = ""


class Client:
    """`servers` in the order in which they are asked. `discarded` counts what came and was not
    an answer (RFC 4668 has a counter for each)."""

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        entropy: Callable[[int], bytes],
        timers: Timers | None = None,
    ) -> None:
        self.servers = tuple(servers)
        self.discarded: Counter[Fault] = Counter()
        self._entropy = entropy
        self._timers = timers or Timers()
        self._health = Health(len(self.servers), self._timers)
        self._ports = Ports[Pending]()
        self._pending: dict[int, Pending] = {}
        self._due: list[tuple[float, int, Pending]] = []
        self._serial = 0
        self._now = 0.0
        self._out: list[Command] = []

    @property
    def deadline(self) -> float | None:
        while self._due and not self._waits(self._due[0]):
            heapq.heappop(self._due)
        times = (self._due[0][0] if self._due else None, self._health.deadline)
        return min((at for at in times if at is not None), default=None)

    def handle(self, event: Event | TimerFired, now: float) -> Sequence[Command]:
        self._now = now
        self._repeat_due()
        match event:
            case Ask():
                self._begin(event)
            case Forget(ask=ask):
                if ask in self._pending:
                    self._end(self._pending[ask])
            case Received(port=number, octets=octets):
                self._received(number, octets)
            case PortOpened(port=number):
                self._opened(number)
            case PortFailed():
                self._failed(event)
            case TimerFired():
                pass
        self._probe()
        out, self._out = self._out, []
        return out

    # Requests

    def _begin(self, asked: Ask) -> None:
        only = asked.server
        order = [only] if only is not None else self._health.order(self._now)
        pending = Pending(asked, order, begun=self._now)
        self._pending[asked.ask] = pending
        self._try_next(pending)

    def _try_next(self, pending: Pending) -> None:
        """Ask the next server, with a new identifier, port and authenticator."""
        self._leave_port(pending)
        if not pending.untried:
            self._give_up(pending)
            return
        pending.server = pending.untried.pop(0)
        pending.begun, pending.sent, pending.refusals = self._now, 0, 0
        pending.broke = ""
        port, identifier = self._place(pending)
        if port is None:
            pending.broke = "too many requests are open"
            self._try_next(pending)
            return
        server, asked = self.servers[pending.server], pending.asked
        try:
            pending.request = made(
                asked.code, identifier, self._entropy(16), server.secret, asked.attributes
            )
        except BadAttribute as error:  # the same for every server
            del port.open[identifier]
            pending.broke = str(error)
            self._give_up(pending)
            return
        pending.port = port
        self._transmit(pending)

    def _place(self, pending: Pending) -> tuple[Port[Pending] | None, int]:
        for port in self._ports.of(pending.server):
            identifier = port.take(pending)
            if identifier is not None:
                return port, identifier
        another = self._ports.make(pending.server)
        if another is None:
            return None, 0
        self._out.append(OpenPort(port=another.number, server=self.servers[pending.server]))
        return another, another.take(pending) or 0

    def _transmit(self, pending: Pending) -> None:
        assert pending.port is not None
        assert pending.request is not None
        if pending.port.opened:
            self._out.append(Send(port=pending.port.number, octets=pending.request.octets))
        else:
            pending.port.unsent.append(pending.request.octets)
        pending.sent += 1
        pending.wait = self._next_wait(pending)
        until = pending.asked.until
        ends = (self._now + pending.wait, pending.begun + self._timers.MRD)
        pending.at = min(*ends, *((until,) if until is not None else ()))
        self._serial += 1
        heapq.heappush(self._due, (pending.at, self._serial, pending))

    def _next_wait(self, pending: Pending) -> float:
        """RT of RFC 5080, 2.2.1. TCP repeats by itself (RFC 6613, 2.6.1), so over TLS there is one
        wait, MRD."""
        if self.servers[pending.server].transport is Transport.TLS:
            return self._timers.MRD
        spread = 1 + _SPREAD * (int.from_bytes(self._entropy(2), "big") / 32767.5 - 1)
        if pending.sent == 1:
            return self._timers.IRT * spread
        longest = self._timers.MRT
        doubled = pending.wait * (1 + spread)
        return doubled if doubled < longest else longest * spread

    def _waits(self, entry: tuple[float, int, Pending]) -> bool:
        at, _, pending = entry
        return pending.at == at and self._pending.get(pending.asked.ask) is pending

    def _repeat_due(self) -> None:
        while self._due and self._due[0][0] <= self._now:
            entry = heapq.heappop(self._due)
            if not self._waits(entry):
                continue
            pending = entry[2]
            if pending.asked.until is not None and self._now >= pending.asked.until:
                self._health.silent(pending.server, self._now)
                self._give_up(pending)
                continue
            most = self._timers.failover if pending.untried else self._timers.MRC
            last = pending.sent >= most or self._now >= pending.begun + self._timers.MRD
            if last or self.servers[pending.server].transport is Transport.TLS:
                self._health.silent(pending.server, self._now)
                self._try_next(pending)
            else:
                self._transmit(pending)

    def _give_up(self, pending: Pending) -> None:
        self._end(pending)
        if pending.asked.ask == PROBE:
            self._health.unanswered(self._now)
            return
        server = self.servers[pending.server]
        cause, text = reason(
            server, pending.faults, pending.refusals, pending.broke, self._now - pending.begun
        )
        self._out.append(Failed(ask=pending.asked.ask, cause=cause, reason=text))

    def _end(self, pending: Pending) -> None:
        self._leave_port(pending)
        if self._pending.get(pending.asked.ask) is pending:
            del self._pending[pending.asked.ask]

    def _leave_port(self, pending: Pending) -> None:
        port, pending.port = pending.port, None
        if port is not None and pending.request is not None:
            del port.open[pending.request.identifier]

    # Answers

    def _received(self, number: int, octets: bytes) -> None:
        port = self._ports[number]
        if port is None:
            return
        try:
            packet = Packet.parse(octets)
        except Malformed:
            self.discarded[Fault.MALFORMED] += 1
            return
        pending = port.open.get(packet.identifier)
        if pending is None or pending.request is None:
            self.discarded[Fault.UNASKED] += 1
            return
        server = self.servers[port.server]
        try:
            # what says only "I am up" (RFC 5997) authorizes nobody, and old servers do not sign it
            signed = server.signed and pending.asked.code == Code.ACCESS_REQUEST
            prove(packet, pending.request, server.secret, signed=signed)
        except NotAuthentic as error:
            self.discarded[error.fault] += 1
            pending.faults[error.fault] += 1
            return
        self._health.alive(port.server)
        self._end(pending)
        if pending.asked.ask != PROBE:
            made = pending.request.authenticator
            self._out.append(
                Answered(
                    ask=pending.asked.ask, server=port.server, packet=packet, authenticator=made
                )
            )

    def _probe(self) -> None:
        """Ask a server that is down whether it is up again (RFC 5997, 4.1)."""
        server = self._health.to_probe(self._now)
        if server is not None and PROBE not in self._pending:
            self._begin(Ask(ask=PROBE, attributes=(), code=Code.STATUS_SERVER, server=server))

    # Ports

    def _opened(self, number: int) -> None:
        port = self._ports[number]
        if port is None:
            self._out.append(ClosePort(port=number))
            return
        port.opened = True
        self._out += (Send(port=number, octets=octets) for octets in port.unsent)
        port.unsent = []

    def _failed(self, event: PortFailed) -> None:
        port = self._ports[event.port]
        if port is None:
            return
        waiting = list(port.open.values())
        if event.refused and self.servers[port.server].transport is Transport.UDP:
            self._refused(waiting)
            return
        self._ports.drop(port)
        self._out.append(ClosePort(port=port.number))
        for pending in waiting:
            pending.broke = event.reason or "the connection broke"
            pending.refusals = REFUSALS if event.refused else 0
            self._lost(pending)

    def _refused(self, waiting: Sequence[Pending]) -> None:
        """ICMP does not say which datagram it is about: each that is open counts it."""
        for pending in waiting:
            pending.refusals += 1
            if pending.untried or pending.refusals >= REFUSALS:
                self._lost(pending)

    def _lost(self, pending: Pending) -> None:
        """Its server is not there."""
        self._health.silent(pending.server, self._now)
        if pending.untried:
            self._try_next(pending)
        else:
            self._give_up(pending)

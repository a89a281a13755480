"""A network in memory: client cores and server cores, a virtual clock, links that misbehave."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from ntp.auth import Key, KeyAuthentication
from ntp.client import Client
from ntp.messages import (
    Address,
    Command,
    Event,
    ExchangeKeys,
    Finished,
    Forget,
    KeysAgreed,
    KeysRefused,
    Outcome,
    Received,
    Resolve,
    Resolved,
    Send,
    Start,
)
from ntp.onwire import OnWire
from ntp.peer import Peer
from ntp.sample import Stamps
from ntp.server import Datagram, Server, Settings
from ntp.timestamp import SECOND
from ntp.trust import Floor
from ntp.turn import Policy
from wire.timer import TimerFired

DATE = 1_795_500_000 * SECOND  # 2026-11-24: what the servers of these tests show
FLOOR = DATE - 86_400 * SECOND

# What stands at the other end of a link: octets of a request in, octets of replies out
Responder = Callable[[bytes, float], Iterable[bytes]]


def entropy(seed: int = 1) -> Callable[[int], bytes]:
    return Random(seed).randbytes


def honest(server: Server) -> Responder:
    """The server core as it is."""
    client = Address("192.0.2.99", 40000)

    def respond(octets: bytes, now: float) -> Iterable[bytes]:
        for reply in server.handle(Datagram(octets=octets, source=client), now):
            yield reply.octets

    return respond


def server(date: int = DATE, **settings: object) -> Server:
    return Server(Settings(date=date, at=0.0, **settings))  # type: ignore[arg-type]


def peer(host: str, *, key: Key | None = None, pivot: int = FLOOR, **more: object) -> Peer:
    authentication = KeyAuthentication(key) if key else None
    on_wire = OnWire(entropy(hash(host)), pivot=pivot, authentication=authentication)
    return Peer(name=host, on_wire=on_wire, **more)  # type: ignore[arg-type]


@dataclass
class Network:
    """Links from one client to several servers. Seconds; `local`: what the client's clock shows
    at virtual time 0, Unix ns."""

    servers: dict[str, Responder]
    local: int = DATE
    delay: float = 0.010
    loss: float = 0.0
    duplicates: float = 0.0
    jitter: float = 0.0
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    keys: Callable[[ExchangeKeys], KeysAgreed | KeysRefused] | None = None
    random: Random = field(default_factory=lambda: Random(1))
    now: float = 0.0
    sent: list[Send] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # when

    def run(
        self,
        peers: Sequence[Peer],
        policy: Policy | None = None,
        *,
        floor: Floor = Floor(released=FLOOR),  # noqa: B008 - it cannot be changed
        trusted: bool = False,
    ) -> Outcome:
        """One round, from its start to its end."""
        client = Client(peers, floor=floor, policy=policy, trusted=trusted)
        self._open: dict[int, float] = {}
        self._queue: list[tuple[float, int, Event]] = []
        self._count = 0
        begun = self.now
        self._later(begun, Start(date=self._date(begun)))
        while True:
            deadline = client.deadline
            due = self._queue[0][0] if self._queue else None
            event: Event = TimerFired()
            if due is not None and (deadline is None or due <= deadline):
                self.now, _, event = heapq.heappop(self._queue)
            else:
                assert deadline is not None, "the core waits for nothing"
                self.now = max(self.now, deadline)
            for command in client.handle(event, self.now):
                outcome = self._perform(command)
                if outcome:
                    assert client.deadline is None
                    assert not self._open, "a socket is left open"
                    return outcome

    def _date(self, now: float) -> int:
        return self.local + round(now * SECOND)

    def _later(self, at: float, event: Event) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at, self._count, event))

    def _perform(self, command: Command) -> Outcome | None:
        match command:
            case Send():
                self.sent.append(command)
                self.times.append(self.now)
                self._open[command.request] = self.now
                self._deliver(command)
            case Forget():
                del self._open[command.request]
            case Resolve():
                hosts = self.names.get(command.host, ())
                why = "" if hosts else "unknown"
                self._later(self.now + 0.05, Resolved(server=command.server, hosts=hosts, why=why))
            case ExchangeKeys():
                assert self.keys is not None
                self._later(self.now + 0.05, self.keys(command))
            case Finished():
                return command.outcome
        return None

    def _deliver(self, command: Send) -> None:
        respond = self.servers.get(command.to.host)
        if respond is None or self.random.random() < self.loss:
            return
        for octets in respond(command.octets, self.now + self.delay / 2):
            if self.random.random() < self.loss:
                continue
            for _ in range(1 + (self.random.random() < self.duplicates)):
                at = self.now + self.delay + self.jitter * self.random.random()
                stamps = Stamps(sent=self._date(self.now), received=self._date(at), by_kernel=True)
                received = Received(
                    request=command.request, octets=octets, stamps=stamps, own="192.0.2.99"
                )
                self._later(at, received)

"""The server core: answers clients for a branch office, and for tests -- RFC 4330, 6; RFC 9769, 2.

Its time is a date and a monotonic moment that belong together, never this machine's own clock: a
server whose clock is being set by its own client must not follow it. Requests are untrusted octets:
what is not a request is dropped and counted. The rate limit answers one excess request in four with
the kiss code RATE, so that a forged source address draws little.
"""

from collections import Counter, OrderedDict
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Final

from ntp.auth import Key, Keys
from ntp.errors import NotAuthentic, Skip
from ntp.messages import Address
from ntp.packet import Header, Mode, Packet
from ntp.timestamp import SECOND, from_unix_ns, ns_to_short
from wire.timer import TimerFired

CLIENTS: Final = 4096  # remembered; the oldest gives way
_KISS_EVERY: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """A request. `received`: monotonic s by a stamp of the kernel, None if there is none."""

    octets: bytes
    source: Address
    received: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A reply has left. `receive`: as in its Reply; `at`: monotonic s by a stamp of the kernel."""

    to: Address
    receive: int
    at: float


Event = Datagram | Sent | TimerFired


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Told: send `octets`. `receive` identifies it in the event Sent."""

    octets: bytes
    to: Address
    receive: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the server says of itself.

    `date` (Unix ns) was right at the monotonic moment `at` (s). `root_delay`, `root_dispersion`:
    ns. `rate`: seconds between requests of one client, after `burst` of them; 0: no limit.
    `keys_only`: no answer without a valid MAC. `denied`: hosts that get the kiss code DENY.
    """

    date: int
    at: float
    stratum: int = 1
    leap: int = 0
    precision: int = -20
    reference_id: bytes = b"LOCL"
    root_delay: int = 0
    root_dispersion: int = 0
    keys: Keys = field(default_factory=dict)
    keys_only: bool = False
    rate: float = 0.0
    burst: int = 8
    denied: Container[str] = ()
    interleaved: bool = True


@dataclass(slots=True)
class _Client:
    tokens: float
    at: float
    excess: int = 0
    receive: int = 0  # of the last reply
    transmit: int = 0  # when that one really left; 0: not known


class NoRequest(Skip):
    """Not what a client sends."""


class TooOften(Skip):
    """The client is over its rate, and has got its RATE kiss code already."""


class Server:
    """Events in, replies out. `counters` says what became of the requests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    @property
    def deadline(self) -> float | None:
        """Nothing is ever due."""
        return None

    def date(self, now: float) -> int:
        """What the server shows at the monotonic moment `now`: Unix ns."""
        return self.settings.date + round((now - self.settings.at) * SECOND)

    def handle(self, event: Event, now: float) -> Sequence[Reply]:
        match event:
            case Datagram():
                try:
                    return (self._answer(event, now),)
                except Skip as reason:
                    self.counters[type(reason).__name__] += 1
                    return ()
            case Sent():
                client = self._clients.get(event.to.host)
                if client and client.receive == event.receive:
                    client.transmit = from_unix_ns(self.date(event.at))
                return ()
            case TimerFired():
                return ()

    def _answer(self, datagram: Datagram, now: float) -> Reply:
        """Raises Skip if the datagram deserves no answer."""
        request = Packet.parse(datagram.octets)
        header = request.header
        if header.version not in (1, 2, 3, 4) or not _asks(header):
            raise NoRequest("not the packet of a client")
        key = self._key(request, datagram.octets)
        if self.settings.keys_only and key is None:
            raise NotAuthentic("it carries no authentication")
        client = self._client(datagram.source.host, now)
        kiss = self._kiss(client, datagram.source.host)
        if kiss:
            reply = self._kiss_reply(header, kiss)
        else:
            received = self.date(now if datagram.received is None else datagram.received)
            reply = self._reply(header, client, from_unix_ns(received), now)
        self.counters[kiss.decode() or "answered"] += 1
        octets = bytes(reply)
        return Reply(
            octets=key.sign(octets) if key else octets, to=datagram.source, receive=reply.receive
        )

    def _key(self, request: Packet, octets: bytes) -> Key | None:
        if request.mac is None:
            return None
        key = self.settings.keys.get(request.mac.key_id)
        if key is None:
            raise NotAuthentic(f"key {request.mac.key_id} is not known")
        key.verify(request, octets)
        return key

    def _client(self, host: str, now: float) -> _Client:
        client = self._clients.get(host)
        if client is None:
            client = self._clients[host] = _Client(float(self.settings.burst), now)
            if len(self._clients) > CLIENTS:
                self._clients.popitem(last=False)
        self._clients.move_to_end(host)
        if self.settings.rate:
            gained = max(now - client.at, 0.0) / self.settings.rate
            client.tokens = min(client.tokens + gained, float(self.settings.burst))
        client.at = now
        return client

    def _kiss(self, client: _Client, host: str) -> bytes:
        """The kiss code due to `client`; empty: it is served. Raises TooOften."""
        if host in self.settings.denied:
            return b"DENY"
        if not self.settings.rate:
            return b""
        if client.tokens >= 1:
            client.tokens -= 1
            return b""
        client.excess += 1
        if client.excess % _KISS_EVERY != 1:
            raise TooOften("the client asks too often")
        return b"RATE"

    def _kiss_reply(self, request: Header, code: bytes) -> Header:
        return Header(
            Mode.SERVER,
            version=request.version,
            leap=3,
            poll=request.poll,
            reference_id=code,
            origin=request.transmit,
            receive=request.transmit,
            transmit=request.transmit,
        )

    def _reply(self, request: Header, client: _Client, receive: int, now: float) -> Header:
        settings = self.settings
        interleaved = (
            settings.interleaved
            and client.transmit != 0
            and request.origin == client.receive
            and request.receive != request.transmit
        )
        transmit = client.transmit if interleaved else from_unix_ns(self.date(now))
        client.receive, client.transmit = receive, 0
        return Header(
            Mode.SERVER,
            version=request.version,
            leap=settings.leap,
            stratum=settings.stratum,
            poll=request.poll,
            precision=settings.precision,
            root_delay=ns_to_short(settings.root_delay),
            root_dispersion=ns_to_short(settings.root_dispersion),
            reference_id=settings.reference_id,
            reference=from_unix_ns(settings.date),
            origin=request.receive if interleaved else request.transmit,
            receive=receive,
            transmit=transmit,
        )


def _asks(header: Header) -> bool:
    """A client's packet; version 1 had no modes and left zeros there (RFC 1059)."""
    return header.mode == Mode.CLIENT or (header.version == 1 and header.mode == Mode.RESERVED)

"""Stations and RADIUS servers on one network in memory."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from lab.radius_server import RadiusServer
from lab.virtual import FAIR, Lab, Weather
from radius.client import Client
from radius.events import (
    Answered,
    Ask,
    ClosePort,
    Command,
    Event,
    Failed,
    OpenPort,
    PortFailed,
    PortOpened,
    Received,
    Send,
    Server,
)
from radius.numbers import AttributeType as A
from radius.packet import Attributes
from radius.settings import Timers
from wire.secret import Secret
from wire.timer import TimerFired

IDENTITY: Attributes = ((A.USER_NAME, b"gw"), (A.EAP_MESSAGE, bytes.fromhex("0201000701") + b"gw"))


def server_value(number: int = 0, secret: bytes = b"radius", *, signed: bool = True) -> Server:
    address = ip_address(f"192.0.2.{number + 1}")
    return Server(address=address, port=1812, secret=Secret(secret), signed=signed)


class Office:
    """One client and its servers. `answers` are what came of each request, by its number."""

    def __init__(
        self,
        servers: Sequence[RadiusServer],
        *,
        values: Sequence[Server] | None = None,
        weather: Weather = FAIR,
        timers: Timers | None = None,
        seed: int = 0,
    ) -> None:
        self.lab = Lab(weather=weather, seed=seed)
        self.servers = servers
        self.values = values or [server_value(number) for number in range(len(servers))]
        self.client = Client(self.values, entropy=self.lab.entropy, timers=timers)
        self.answers: dict[int, Answered | Failed] = {}
        self.sent: list[tuple[float, int, int, bytes]] = []  # when, server, port, octets
        self.ports: dict[int, int] = {}
        self.closed: list[int] = []
        self.told: Callable[[Answered | Failed], None] = lambda _: None
        self._stations = [
            self.lab.add(f"server {number}", core, self._by_server, TimerFired())
            for number, core in enumerate(servers)
        ]
        self.station = self.lab.add("client", self.client, self._by_client, TimerFired())

    @property
    def date(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.lab.now)

    def give(self, event: Event) -> None:
        self.lab.give(self.station, event)

    def ask(self, number: int = 1, attributes: Attributes = IDENTITY, **more: object) -> None:
        self.give(Ask(ask=number, attributes=attributes, **more))  # type: ignore[arg-type]

    def wait(self, number: int = 1, within: float = 300.0) -> Answered | Failed:
        """What comes of the request `number`."""
        assert self.lab.run(lambda: number in self.answers, within)
        return self.answers[number]

    def run_for(self, seconds: float) -> None:
        self.lab.run(lambda: False, seconds)

    def inject(self, octets: bytes, port: int = 1) -> None:
        """A datagram that somebody sent to our port."""
        self.give(Received(port=port, octets=octets))

    def refuse(self, port: int = 1) -> None:
        """An ICMP message."""
        self.give(PortFailed(port=port, reason="Connection refused", refused=True))

    def _by_client(self, command: Command) -> None:
        match command:
            case OpenPort(port=port, server=server):
                self.ports[port] = self.values.index(server)
                self.lab.tell(self.station, PortOpened(port=port))
            case Send(port=port, octets=octets):
                to = self.ports[port]
                self.sent.append((self.lab.now, to, port, octets))
                self.lab.send(self._stations[to], Received(port=port, octets=octets))
            case ClosePort(port=port):
                self.closed.append(port)
            case Answered(ask=ask) | Failed(ask=ask):
                assert ask not in self.answers, "answered twice"
                self.answers[ask] = command
                self.told(command)

    def _by_server(self, command: Send) -> None:
        self.lab.send(self.station, Received(port=command.port, octets=command.octets))

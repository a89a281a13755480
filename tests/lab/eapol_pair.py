"""A supplicant and an authenticator on one wire of the network in memory."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from eapol.authenticator import Authenticator, AuthenticatorSettings
from eapol.authenticator.port import PortCommand
from eapol.eap import Packet
from eapol.events import (
    Command,
    Event,
    FrameReceived,
    LinkChanged,
    Look,
    Looked,
    SendFrame,
    Tell,
    UseNetwork,
)
from eapol.frame import Frame, PacketType
from eapol.notices import Notice, StateEntered
from eapol.settings import Credentials, NamedOctets, NamedSecret, Network, Timers, TlsPolicy
from eapol.status import PaeState, PortStatus
from eapol.supplicant import Supplicant
from eapol.tls import ClientContext, ServerContext
from lab.pki import Issued, site
from lab.virtual import FAIR, Lab, Weather
from wire.secret import Secret
from wire.timer import TimerFired

GATEWAY = bytes.fromhex("020000000001")
SWITCH = bytes.fromhex("0200000000fe")
STRANGER = bytes.fromhex("020000000bad")
NETWORK = Network(identity=b"gw-0001", private_key="client.key")
START, LOGOFF = Frame(PacketType.START), Frame(PacketType.LOGOFF)


def credentials(own: Issued, ca: bytes, name: str = "client") -> Credentials:
    return Credentials(
        ca=NamedOctets("ca.pem", ca),
        certificate=NamedOctets(f"{name}.pem", own.certificate_pem(with_chain=True)),
        key=NamedSecret(f"{name}.key", Secret(own.key_pem())),
    )


class Pair:
    """Both ends; `log` is what the supplicant told, `frames` what was sent, by whom."""

    def __init__(
        self,
        supplicant: Supplicant,
        authenticator: Authenticator,
        *,
        weather: Weather = FAIR,
        seed: int = 0,
        date: datetime | None = None,
    ) -> None:
        self.supplicant = supplicant
        self.authenticator = authenticator
        self._begun = date or datetime.now(UTC)
        self.log: list[Notice] = []
        self.commands: list[Command] = []
        self.switch_commands: list[PortCommand] = []
        self.frames: list[tuple[str, Frame]] = []
        self.tap: Callable[[str, bytes], bytes | None] = lambda _, octets: octets
        self.lab = Lab(weather=weather, seed=seed)
        self.station = self.lab.add("gateway", supplicant, self._by_gateway, TimerFired())
        self._switch = self.lab.add("switch", authenticator, self._by_switch, TimerFired())

    @property
    def date(self) -> datetime:
        """The gateway's; it goes with the virtual clock, and can be set."""
        return self._begun + timedelta(seconds=self.lab.now)

    @date.setter
    def date(self, date: datetime) -> None:
        self._begun = date - timedelta(seconds=self.lab.now)

    def gateway(self, event: Event) -> None:
        for command in self.supplicant.handle(event, self.lab.now):
            self._by_gateway(command)

    def switch(self, event: FrameReceived | LinkChanged) -> None:
        for command in self.authenticator.handle(event, self.lab.now):
            self._by_switch(command)

    def plug_in(self) -> None:
        self.switch(LinkChanged(up=True))
        self.gateway(LinkChanged(up=True))

    def inject(self, octets: bytes, source: bytes = SWITCH) -> None:
        """A frame to the gateway that the switch did not send."""
        self.gateway(self.received(octets, source))

    def received(self, octets: bytes, source: bytes) -> FrameReceived:
        return FrameReceived(octets=octets, source=source, date=self.date)

    def run(self, until: Callable[[], bool], within: float) -> bool:
        """Let time pass until `until` holds, at most `within` seconds."""
        return self.lab.run(until, within)

    def run_for(self, seconds: float) -> None:
        self.lab.run(lambda: False, seconds)

    def opens(self, within: float = 5.0) -> bool:
        return self.run(lambda: self.open, within)

    @property
    def open(self) -> bool:
        """Whether both ends think that the port is open."""
        status = self.supplicant.status()
        return self.authenticator.authorized and status.port_status is PortStatus.AUTHORIZED

    def said(self, kind: type[Notice]) -> list[str]:
        return [str(notice) for notice in self.log if isinstance(notice, kind)]

    def sent(self, who: str) -> list[Frame]:
        return [frame for sender, frame in self.frames if sender == who]

    def _by_gateway(self, command: Command) -> None:
        self.commands.append(command)
        if isinstance(command, SendFrame):
            self._send("gateway", command.octets)
        elif isinstance(command, Tell) and not isinstance(command.notice, StateEntered):
            self.log.append(command.notice)
        elif isinstance(command, Look):
            self.lab.tell(self.station, Looked(date=self.date))

    def _by_switch(self, command: PortCommand) -> None:
        self.switch_commands.append(command)
        if isinstance(command, SendFrame):
            self._send("switch", command.octets)

    def _send(self, sender: str, octets: bytes) -> None:
        self.frames.append((sender, Frame.parse(octets)))
        passed = self.tap(sender, octets)
        if passed is None:
            return
        source, to = (SWITCH, self.station) if sender == "switch" else (GATEWAY, self._switch)
        self.lab.send(to, self.received(passed, source))


@lru_cache(maxsize=64)
def client_context(policy: TlsPolicy = NETWORK.tls, depth: int = 2) -> ClientContext:
    """Cached, therefore without resumption; a test that resumes makes its own."""
    here = site(depth=depth)
    own = credentials(here.client, here.root.certificate_pem())
    return ClientContext(replace(policy, resume=False), own)


@lru_cache(maxsize=64)
def server_context(policy: TlsPolicy = NETWORK.tls, depth: int = 2) -> ServerContext:
    here = site(depth=depth)
    own = credentials(here.server, here.root.certificate_pem(), "server")
    return ServerContext(replace(policy, resume=False), own)


def pair(
    *,
    network: Network = NETWORK,
    client: ClientContext | None = None,
    server: ServerContext | None = None,
    settings: AuthenticatorSettings | None = None,
    timers: Timers | None = None,
    weather: Weather = FAIR,
    seed: int = 0,
    date: datetime | None = None,
    mtu: int = 1500,
    supplicant: Supplicant | None = None,
) -> Pair:
    """Both ends with good credentials, the cable not plugged in yet."""
    supplicant = supplicant or Supplicant(entropy=os.urandom, timers=timers, mtu=mtu)
    authenticator = Authenticator(server or server_context(), settings)
    both = Pair(supplicant, authenticator, weather=weather, seed=seed, date=date)
    both.gateway(UseNetwork(network=network, tls=client or client_context(network.tls)))
    return both


def frame(packet: Packet) -> bytes:
    return bytes(Frame(PacketType.EAP_PACKET, bytes(packet)))


def nothing(_sender: str, _octets: bytes) -> None:
    """A wire that carries nothing."""


def silent(network: Network = NETWORK, timers: Timers | None = None) -> Pair:
    """A gateway whose switch hears nothing."""
    both = pair(network=network, timers=timers)
    both.tap = nothing
    return both


def opened(both: Pair | None = None) -> Pair:
    """Plugged in, and open at both ends."""
    both = both or pair()
    both.plug_in()
    assert both.opens()
    return both


def start_times(both: Pair, within: float) -> list[float]:
    """When the gateway sent EAPOL-Start, in seconds."""
    times = []

    def note(sender: str, octets: bytes) -> None:
        if Frame.parse(octets) == START:
            times.append(both.lab.now)

    both.tap = note
    both.gateway(LinkChanged(up=True))
    both.run_for(within)
    return times


def pae(both: Pair) -> PaeState:
    return both.supplicant.status().pae_state

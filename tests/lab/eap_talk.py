"""A server that says what a test wants, to the supplicant's whole core: EAP without a switch.

`Talk` asks one EAP request after the other. `Tunnel` is the TLS of PEAP, EAP-TTLS and TEAP on top
of it: a real TLS server, whose inside is the test's.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from eapol import eap
from eapol.eap import EapCode, EapType, Packet
from eapol.engine import Keys
from eapol.events import (
    Command,
    FrameReceived,
    LinkChanged,
    PortAuthorized,
    SendFrame,
    Tell,
    UseNetwork,
)
from eapol.frame import Frame, PacketType
from eapol.methods.fragments import Incoming, Outgoing, TlsPacket
from eapol.notices import Notice
from eapol.settings import Credentials, NamedOctets, Network, Password, TlsPolicy, TlsVersion
from eapol.status import PortStatus
from eapol.supplicant import Supplicant
from eapol.tls import ClientContext, Connection, ServerContext
from lab.eapol_pair import SWITCH, credentials, frame
from lab.pki import site
from wire.secret import Secret

USER, PASSWORD = b"gw-0001", b"a good password"
TLS_1_2 = TlsPolicy(max_version=TlsVersion.TLS_1_2, resume=False)
TLS_1_3 = TlsPolicy(min_version=TlsVersion.TLS_1_3, resume=False)


def user(*eap: EapType, password: bytes = PASSWORD) -> Network:
    """A network with a password."""
    return Network(eap=eap, identity=USER, password=Password(Secret(password)))


@cache
def client_tls(policy: TlsPolicy = TLS_1_2) -> ClientContext:
    """Without a certificate of its own. Cached: a test that resumes makes its own."""
    return without_certificate(policy)


def without_certificate(policy: TlsPolicy) -> ClientContext:
    ca = NamedOctets("ca.pem", site().root.certificate_pem())
    here = site()
    inner = (replace(policy, resume=False), credentials(here.client, here.root.certificate_pem()))
    return ClientContext(policy, Credentials(ca=ca, inner=inner))


@cache
def server_tls(policy: TlsPolicy = TLS_1_2, *, demand: bool = False) -> ServerContext:
    here = site()
    own = credentials(here.server, here.root.certificate_pem(), "server")
    return ServerContext(policy, own, demand=demand)


class Talk:
    """The supplicant, and a server that asks it. `keys` are those that the port opened with,
    `notices` what it told."""

    def __init__(
        self,
        network: Network,
        tls: ClientContext | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.supplicant = Supplicant(entropy=entropy)
        self.keys: PortAuthorized | None = None
        self.identifier = 0
        self.notices: list[Notice] = []
        self._answers: list[Packet] = []
        self._do(self.supplicant.handle(UseNetwork(network=network, tls=tls), 0.0))
        self._do(self.supplicant.handle(LinkChanged(up=True), 0.0))
        self.identity = self.ask(EapType.IDENTITY)

    @property
    def open(self) -> bool:
        return self.supplicant.status().port_status is PortStatus.AUTHORIZED

    @property
    def failure(self) -> str:
        return self.supplicant.status().failure or ""

    def ask(self, method: EapType, data: bytes = b"") -> Packet | None:
        """The response to a request; None if there is none."""
        self.identifier = (self.identifier + 1) & 0xFF
        return self.send(eap.request(self.identifier, method, data))

    def send(self, packet: Packet) -> Packet | None:
        self._answers.clear()
        event = FrameReceived(octets=frame(packet), source=SWITCH, date=datetime.now(UTC))
        self._do(self.supplicant.handle(event, 0.0))
        return self._answers[-1] if self._answers else None

    def success(self) -> bool:
        """EAP-Success; whether the port is open then."""
        self.send(Packet(EapCode.SUCCESS, self.identifier))
        return self.open

    def reject(self) -> None:
        self.send(Packet(EapCode.FAILURE, self.identifier))

    def _do(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, SendFrame):
                sent = Frame.parse(command.octets)
                if sent.packet_type == PacketType.EAP_PACKET:
                    self._answers.append(Packet.parse(sent.body))
            elif isinstance(command, PortAuthorized):
                self.keys = command
            elif isinstance(command, Tell):
                self.notices.append(command.notice)


class TunnelEnded(Exception):
    """The peer sent an alert."""


class Tunnel:
    """A TLS server inside of `method`. `version` is the method's, in the lowest bits of flags."""

    def __init__(
        self,
        talk: Talk,
        method: EapType,
        context: ServerContext,
        *,
        version: int = 0,
        size: int = 1000,
        start: bytes = b"",
        flags: int = 0,
    ) -> None:
        self.talk = talk
        self.method = method
        self.tls: Connection = context.connection(datetime.now(UTC))
        self.version = version
        self.size = size
        self.spoken: int | None = None
        first = TlsPacket(start, start=True, reserved=version | flags)
        self.answer = self._ask(first)

    def handshake(self) -> bytes:
        """Until TLS is complete at both ends; what came with its last message, decrypted."""
        while True:
            flight = self.tls.step(self.answer)
            if flight.failure is not None or not (flight.records or self.answer):
                raise TunnelEnded(flight.failure)
            if flight.records:
                self.answer = self._send(flight.records)
            if self.tls.established and not (flight.records and self.answer):
                return self.tls.received()

    def say(self, data: bytes) -> bytes:
        """Send `data` through TLS; what comes back, decrypted."""
        return self.hear(self._send(self.tls.seal(data)))

    def nothing(self) -> bytes:
        """An empty packet: the acknowledgement with which a server waits for the peer."""
        return self.hear(self._ask(TlsPacket()))

    def hear(self, records: bytes) -> bytes:
        flight = self.tls.step(records) if records else None
        if flight is not None and flight.failure is not None:
            raise TunnelEnded(flight.failure)
        return self.tls.received()

    def keys(self, of: Callable[[Connection], Keys]) -> Keys:
        return of(self.tls)

    def _send(self, records: bytes) -> bytes:
        outgoing = Outgoing(records, self.size)
        while True:
            answer = self._ask(outgoing.next().of_version(self.version))
            if outgoing.finished:
                return answer

    def _ask(self, packet: TlsPacket) -> bytes:
        """The TLS data of the answer, put together."""
        incoming = Incoming()
        response = self.talk.ask(self.method, bytes(packet))
        while True:
            if response is None or response.method != self.method:
                return b""
            part = TlsPacket.parse(response.data)
            self.spoken = part.version
            message = incoming.add(part)
            if message is not None:
                return message
            response = self.talk.ask(self.method, bytes(TlsPacket().of_version(self.version)))

"""A small authenticator: the switch's port and the EAP-TLS server behind it, in one.

After IEEE Std 802.1X-2004, 8.2.4 (Authenticator PAE) and RFC 3748, 4.3 (retransmission), without
RADIUS. It is the other end in tests and in the demonstration, and a test engineer's: what it
offers, and what it leaves out, is in `AuthenticatorSettings`. A core without I/O like
`eapol.supplicant`.

Differs: it polls a silent port with EAP-Request/Identity for ever, and waits `quietPeriod` after
a failure without looking at EAPOL-Start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Final

from eapol import eap
from eapol.countdown import Clock, Countdown, earliest
from eapol.eap import EapCode, EapType, Packet
from eapol.engine import Keys, TlsContext
from eapol.errors import MalformedFrame
from eapol.events import (
    Command,
    FrameReceived,
    LinkChanged,
    PortAuthorized,
    PortUnauthorized,
    Reauthenticate,
    SendFrame,
    Tell,
)
from eapol.frame import VERSION, Frame, PacketType
from eapol.methods.tls_server import START_PACKET, TlsServerMethod, Turn, Verdict
from eapol.notices import EapFailure, EapSuccess, Notice, Warned
from eapol.status import TlsStatus
from wire.timer import TimerFired

MAX_ROUNDS: Final = 200
"""Requests of one conversation before it is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatorSettings:
    """Seconds, octets. `offers` are methods proposed before EAP-TLS, to see the peer's Nak.

    `retransmit` are the waits before each repetition of a request; after the last one the
    conversation is given up. `identities` None lets everybody with a good certificate in.
    """

    fragment_size: int = 1020
    eapol_version: int = VERSION
    reAuthPeriod: float | None = None
    quietPeriod: float = 60.0
    txPeriod: float = 30.0
    retransmit: tuple[float, ...] = (3.0, 6.0, 12.0)
    identities: frozenset[bytes] | None = None
    offers: tuple[EapType, ...] = ()
    notification: str | None = None
    promise: bool = True


class PortState(Enum):
    """Where the port is; names after the states of 8.2.4 that they stand for."""

    DISCONNECTED = auto()
    CONNECTING = auto()
    AUTHENTICATING = auto()
    AUTHENTICATED = auto()
    HELD = auto()


class Authenticator:
    """One port. `authorized`, `identity` and `tls` are those of the last authentication."""

    def __init__(self, tls: TlsContext, settings: AuthenticatorSettings | None = None) -> None:
        self.settings = settings or AuthenticatorSettings()
        self.state = PortState.DISCONNECTED
        self.authorized = False
        self.identity = b""
        self.keys: Keys | None = None
        self.tls: TlsStatus | None = None
        self._context = tls
        self._clock = Clock()
        self._out: list[Command] = []
        self._request = b""
        self._identifier = 0
        self._rounds = 0
        self._repeats = 0
        self._offers: list[EapType] = []
        self._method: TlsServerMethod | None = None
        self._date = datetime.fromtimestamp(0, UTC)
        self._wait = Countdown(self._clock)
        self._reauthenticate = Countdown(self._clock)

    @property
    def deadline(self) -> float | None:
        return earliest((self._wait, self._reauthenticate))

    def handle(
        self, event: FrameReceived | LinkChanged | Reauthenticate | TimerFired, now: float
    ) -> Sequence[Command]:
        self._clock.now = now
        self._timers()
        match event:
            case FrameReceived():
                if self.state is not PortState.DISCONNECTED:
                    self._date = event.date
                    self._frame(event.octets)
            case LinkChanged(up=True):
                if self.state is PortState.DISCONNECTED:
                    self._connect()
            case LinkChanged():
                self._disconnect()
            case Reauthenticate():
                if self.state is PortState.AUTHENTICATED:
                    self._connect()
            case TimerFired():
                pass
        out, self._out = self._out, []
        return out

    # Events

    def _timers(self) -> None:
        if self._reauthenticate.due:
            self._connect()
        if not self._wait.due:
            return
        self._wait.clear()
        if self.state is PortState.HELD:
            self._connect()
        elif self.state in (PortState.CONNECTING, PortState.AUTHENTICATING):
            self._repeat()

    def _frame(self, octets: bytes) -> None:
        try:
            frame = Frame.parse(octets)
            if frame.packet_type == PacketType.START:
                if self.state is not PortState.HELD:
                    self._connect()
            elif frame.packet_type == PacketType.LOGOFF:
                self._close_port()
                self._connect()
            elif frame.packet_type == PacketType.EAP_PACKET:
                self._response(Packet.parse(frame.body))
        except MalformedFrame:
            return

    def _response(self, packet: Packet) -> None:
        running = self.state in (PortState.CONNECTING, PortState.AUTHENTICATING)
        expected = packet.code == EapCode.RESPONSE and packet.identifier == self._identifier
        if not (running and expected) or not self._request:
            return
        asked = Packet.parse(self._request)
        if packet.method == EapType.NAK and asked.method != EapType.IDENTITY:
            self._naked(asked, packet)
        elif packet.method != asked.method:
            return
        elif packet.method == EapType.IDENTITY:
            self._identified(packet.data)
        elif packet.method == EapType.TLS and self._method is not None:
            self._turn(self._method.process(packet.data))
        else:
            self._offer()

    # A conversation

    def _connect(self) -> None:
        self._reauthenticate.clear()
        self._begin()
        self._ask(EapType.IDENTITY)

    def _begin(self) -> None:
        self._drop_method()
        self.state = PortState.CONNECTING
        self._rounds = 0
        self._offers = [*self.settings.offers, EapType.TLS]

    def _identified(self, identity: bytes) -> None:
        self.identity = identity
        self.state = PortState.AUTHENTICATING
        allowed = self.settings.identities
        if allowed is not None and identity not in allowed:
            self._fail(f"identity {identity!r} is not allowed")
        elif self.settings.notification is not None:
            self._ask(EapType.NOTIFICATION, self.settings.notification.encode())
        else:
            self._offer()

    def _offer(self) -> None:
        if not self._offers:
            self._fail("the peer takes none of the methods offered")
            return
        method = self._offers.pop(0)
        if method != EapType.TLS:
            self._ask(method, bytes(16))
            return
        self._method = TlsServerMethod(
            self._context.connection(self._date),
            fragment_size=self.settings.fragment_size,
            promise=self.settings.promise,
        )
        self._ask(EapType.TLS, START_PACKET)

    def _naked(self, asked: Packet, packet: Packet) -> None:
        if asked.method == EapType.TLS:
            self._drop_method()
        if EapType.TLS not in packet.data:
            self._fail("the peer does not want EAP-TLS")
        else:
            self._offer()

    def _turn(self, turn: Turn) -> None:
        assert self._method is not None
        if turn.data is not None:
            self._ask(EapType.TLS, turn.data)
        elif turn.verdict is Verdict.SUCCESS:
            self._succeed(self._method)
        elif turn.verdict is Verdict.FAILURE:
            for notice in self._method.connection.notices():
                self._tell(notice)
            self._fail(self._method.failure or "EAP-TLS failed")

    def _succeed(self, method: TlsServerMethod) -> None:
        self.keys, self.tls = method.keys(), method.connection.status
        method.connection.close(success=True)
        self._method = None
        self._send(bytes(Packet(EapCode.SUCCESS, self._identifier)))
        self.state = PortState.AUTHENTICATED
        self.authorized = True
        self._wait.clear()
        if self.settings.reAuthPeriod is not None:
            self._reauthenticate.set(self.settings.reAuthPeriod)
        self._tell(EapSuccess())
        keys = self.keys
        self._out.append(PortAuthorized(msk=keys.msk, emsk=keys.emsk, session_id=keys.session_id))

    def _fail(self, reason: str) -> None:
        self._drop_method()
        self._send(bytes(Packet(EapCode.FAILURE, self._identifier)))
        self._tell(Warned(reason))
        self._tell(EapFailure())
        self._close_port()
        self.state = PortState.HELD
        self._wait.set(self.settings.quietPeriod)

    def _disconnect(self) -> None:
        self._drop_method()
        self._close_port()
        self.state = PortState.DISCONNECTED
        self._wait.clear()
        self._reauthenticate.clear()

    def _close_port(self) -> None:
        if self.authorized:
            self.authorized = False
            self._out.append(PortUnauthorized())

    def _drop_method(self) -> None:
        if self._method is not None:
            self._method.connection.close(success=False)
            self._method = None

    # Requests

    def _ask(self, method: EapType, data: bytes = b"") -> None:
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            self._fail(f"more than {MAX_ROUNDS} requests in one conversation")
            return
        self._identifier = (self._identifier + 1) & 0xFF
        self._request = bytes(eap.request(self._identifier, method, data))
        self._repeats = 0
        self._send(self._request)
        self._wait.set(self.settings.retransmit[0])

    def _repeat(self) -> None:
        """The request again; after the last one only the identity is asked for, for ever."""
        self._repeats += 1
        if self._repeats < len(self.settings.retransmit):
            self._send(self._request)
            self._wait.set(self.settings.retransmit[self._repeats])
            return
        if self._repeats == len(self.settings.retransmit):
            self._close_port()
            if self.state is PortState.AUTHENTICATING:
                self._tell(Warned("the supplicant stopped answering"))
        self._begin()
        self._ask(EapType.IDENTITY)
        self._repeats = len(self.settings.retransmit)
        self._wait.set(self.settings.txPeriod)

    def _send(self, packet: bytes) -> None:
        frame = Frame(PacketType.EAP_PACKET, packet, self.settings.eapol_version)
        self._out.append(SendFrame(octets=bytes(frame)))

    def _tell(self, notice: Notice) -> None:
        self._out.append(Tell(notice=notice))

"""The core of a switch's port: four machines and the authentication server behind them.

A core without I/O like `eapol.supplicant`. A port is `authorized` once its server has accepted a
supplicant; what the server wants of it beyond that (a VLAN, say) is in `attributes`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from eapol.authenticator import backend, eap, pae
from eapol.authenticator.local import LocalServer
from eapol.authenticator.server import (
    Answer,
    ServerAbandoned,
    ServerAsked,
    ServerReplied,
    ServerVerdict,
)
from eapol.authenticator.settings import AuthenticatorSettings
from eapol.authenticator.variables import (
    BackendState,
    EapState,
    PortState,
    Procedures,
    ReauthState,
    Variables,
)
from eapol.countdown import Clock, earliest
from eapol.engine import TlsContext
from eapol.errors import MalformedFrame
from eapol.events import (
    Command,
    FrameReceived,
    LinkChanged,
    PortAuthorized,
    PortUnauthorized,
    Reauthenticate,
    SendFrame,
    SetPortControl,
    Tell,
)
from eapol.frame import Frame, PacketType
from eapol.machine import Machine, settle
from eapol.notices import EapFailure, EapSuccess, Notice, Warned
from eapol.status import TlsStatus
from wire.timer import TimerFired

PortEvent = FrameReceived | LinkChanged | Reauthenticate | SetPortControl | ServerReplied
PortCommand = Command | ServerAsked | ServerAbandoned


SHORTEST: Final = 1.0
"""Seconds of a session that a RADIUS server names. Differs: 802.1X, 8.2.8 has no bound, and with 0
(RFC 2865, 5.27) the figure would go round and round in one moment."""


class Authenticator:
    """One port. With `tls` its server is in it; with None the server is asked, by `ServerAsked`.

    `identity`, `keys` and `attributes` are those of the last authentication that succeeded, `tls`
    is the own server's connection then.
    """

    def __init__(
        self, tls: TlsContext | None, settings: AuthenticatorSettings | None = None
    ) -> None:
        self.keys: PortAuthorized | None = None
        self.tls: TlsStatus | None = None
        self.attributes: tuple[tuple[str, str], ...] = ()
        chosen = settings or AuthenticatorSettings()
        self._server = LocalServer(tls, chosen) if tls is not None else None
        self._clock = Clock()
        self._out: list[PortCommand] = []
        self._date = datetime.fromtimestamp(0, UTC)
        self._asks = 0
        self._waits_for: int | None = None
        self._conversing = False
        self._v = v = Variables(self._clock, chosen, self._procedures())
        self._pae = Machine(pae.FIGURE, v, PortState.INITIALIZE, self._pae_entered)
        self._backend = Machine(backend.FIGURE, v, BackendState.INITIALIZE, self._backend_entered)
        self._reauth = Machine(pae.REAUTH_TIMER, v, ReauthState.INITIALIZE, lambda _: None)
        self._eap = Machine(eap.FIGURE, v, EapState.DISABLED, lambda _: None)
        self._countdowns = v.countdowns()
        v.initialize = False

    @property
    def settings(self) -> AuthenticatorSettings:
        return self._v.settings

    @settings.setter
    def settings(self, settings: AuthenticatorSettings) -> None:
        """From the next request on."""
        self._v.settings = settings
        if self._server is not None:
            self._server.settings = settings

    @property
    def state(self) -> PortState:
        return self._pae.state

    @property
    def authorized(self) -> bool:
        return self._v.authorized

    @property
    def identity(self) -> bytes:
        return self._v.identity

    @property
    def identifier(self) -> int:
        """Of the request that waits for its response."""
        return self._v.currentId

    @property
    def deadline(self) -> float | None:
        return earliest(self._countdowns)

    def handle(self, event: PortEvent | TimerFired, now: float) -> Sequence[PortCommand]:
        self._clock.now = now
        before = self._v.authorized
        self._settle()  # the timers that `now` has passed
        self._take(event)
        self._settle()
        if before and not self._v.authorized:
            self._out.append(PortUnauthorized())
        out, self._out = self._out, []
        return out

    # What comes in

    def _take(self, event: PortEvent | TimerFired) -> None:
        match event:
            case FrameReceived():
                self._date = event.date
                if self._v.portEnabled:
                    self._frame(event.octets)
            case LinkChanged(up=up):
                self._v.portEnabled = up
            case Reauthenticate():
                self._v.reAuthenticate = self._pae.state is PortState.AUTHENTICATED
            case SetPortControl(control=control):
                self._v.portControl = control
            case ServerReplied(ask=ask, answer=answer):
                if ask == self._waits_for:
                    self._waits_for = None
                    self._answered(answer)
            case TimerFired():
                pass

    def _frame(self, octets: bytes) -> None:
        """Differs: a Start while HELD is not kept for later, nor is an unexpected response: the one
        would end the quiet period's purpose, the other answer the next request.
        """
        v = self._v
        try:
            frame = Frame.parse(octets)
        except MalformedFrame:
            return
        if frame.packet_type == PacketType.START:
            v.eapolStart = self._pae.state is not PortState.HELD
        elif frame.packet_type == PacketType.LOGOFF:
            v.eapolLogoff = self._pae.state is not PortState.HELD
        elif frame.packet_type == PacketType.EAP_PACKET:
            waits = self._backend.state in (BackendState.REQUEST, BackendState.IGNORE)
            v.eapolEap = waits and self._pae.state is PortState.AUTHENTICATING
            v.eapRespData = frame.body

    # The machines

    def _settle(self) -> None:
        settle((self._reauth, self._pae, self._eap, self._backend))

    def _procedures(self) -> Procedures:
        return Procedures(
            txReq=self._send, askServer=self._ask, abortAuth=self._abandon, fail=self._fail
        )

    def _pae_entered(self, state: PortState) -> None:
        match state:
            case PortState.AUTHENTICATED:
                self._let_in()
            case PortState.FORCE_AUTH:
                self._out.append(PortAuthorized(msk=None, emsk=None, session_id=b""))
            case PortState.HELD:
                self._tell(EapFailure())
            case _:
                pass

    def _backend_entered(self, state: BackendState) -> None:
        if state is BackendState.TIMEOUT and self._waits_for is not None:
            seconds = self.settings.serverTimeout
            self._fail(f"the authentication server did not answer within {seconds:.0f} s")

    def _let_in(self) -> None:
        answer = self._v.aaa
        assert answer is not None
        self._conversing = False
        self.tls, self.attributes = answer.tls, answer.attributes
        self.keys = PortAuthorized(msk=answer.msk, emsk=answer.emsk, session_id=answer.session_id)
        self._v.sessionEnds = False
        self._v.reAuthPeriod = self.settings.reAuthPeriod
        if answer.session_timeout is not None:
            self._v.sessionEnds = not answer.reauthenticate
            self._v.reAuthPeriod = max(SHORTEST, answer.session_timeout)
        pae.reauth_initialize(self._v)
        self._tell(EapSuccess())
        self._out.append(self.keys)

    # The server

    def _ask(self) -> None:
        v = self._v
        assert v.resp is not None
        if self._server is not None:
            self._answered(self._server.respond(v.resp, self._date))
            return
        self._asks += 1
        self._waits_for = self._asks
        first, self._conversing = not self._conversing, True
        self._out.append(
            ServerAsked(ask=self._asks, eap=v.eapRespData, identity=v.identity, first=first)
        )

    def _answered(self, answer: Answer) -> None:
        """Differs: only EAP requests are passed on."""
        if answer.verdict is ServerVerdict.REQUEST and len(answer.eap) < 5:
            answer = Answer(verdict=ServerVerdict.FAIL, reason="the server sent no EAP request")
        self._v.aaa = answer
        for notice in answer.notices:
            self._tell(notice)

    def _abandon(self) -> None:
        if self._server is not None:
            self._server.abort()
        elif self._conversing:
            self._out.append(ServerAbandoned())
        self._waits_for = None
        self._conversing = False

    # What goes out

    def _send(self, packet: bytes) -> None:
        frame = Frame(PacketType.EAP_PACKET, packet, self.settings.eapol_version)
        self._out.append(SendFrame(octets=bytes(frame)))

    def _fail(self, reason: str) -> None:
        self._tell(Warned(reason))

    def _tell(self, notice: Notice) -> None:
        self._out.append(Tell(notice=notice))

"""The supplicant of one wired port: three state machines and what they exchange.

A core without I/O: `handle(event, now)` returns commands, `deadline` says when to come back with
nothing. A frame becomes `eapolEap` (`eapol.intake`), the machines run to rest (`_settle`), and what
changed for the outside is found by comparing before and after (`_report`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from eapol import backend, pae, peer
from eapol.countdown import NOT_SET, Clock, Countdown, earliest
from eapol.eap import EapType
from eapol.engine import ClientTlsContext
from eapol.events import (
    Command,
    Disconnect,
    Event,
    FrameReceived,
    LinkChanged,
    Logoff,
    Logon,
    Look,
    Looked,
    PortAuthorized,
    PortUnauthorized,
    Reauthenticate,
    Reconnect,
    SendFrame,
    SetPortControl,
    SetTimer,
    Tell,
    Terminate,
    Terminated,
    UseNetwork,
    UseTls,
    entered,
)
from eapol.frame import VERSION, Frame, PacketType
from eapol.intake import Intake
from eapol.machine import Machine, settle
from eapol.methods import table
from eapol.methods.base import Entropy, Method, Setup
from eapol.methods.fragments import OVERHEAD
from eapol.notices import (
    Associated,
    Connected,
    Disconnected,
    EapFailure,
    Noted,
    Notice,
    SubnetStatusUpdate,
    Terminating,
    Warned,
)
from eapol.settings import Network, Timers
from eapol.status import (
    BackendState,
    EapState,
    PaeState,
    PortStatus,
    Review,
    Status,
    WpaState,
)
from eapol.variables import Procedures, Variables
from wire.timer import TimerFired

LOOK_CLOSED: Final = 1.0
LOOK_OPEN: Final = 60.0
"""Seconds between two looks at the files and the date: what keeps a port closed may end at any
moment, and one that is open needs no hurry."""

STEP: Final = 1.0
"""Seconds by which the date moved against the monotonic clock: then it was set."""

DAY: Final = 86_400.0  # seconds; our own certificate is looked at daily

_HEADERS: Final = OVERHEAD + 4  # of EAP and EAPOL, octets


@dataclass(frozen=True, slots=True)
class _Picture:
    """What the outside knows: is the port in use, and is it open."""

    enabled: bool
    authorized: bool


class Supplicant:
    """IEEE Std 802.1X-2004, clause 8, the supplicant's side; EAP peer of RFC 4137.

    `entropy(n)` gives n random octets. `mtu` is the interface's, octets; fragments are made to
    fit. Nothing is sent before both `LinkChanged(up=True)` and `UseNetwork`.
    """

    def __init__(
        self,
        *,
        entropy: Entropy,
        timers: Timers | None = None,
        eapol_version: int = VERSION,
        mtu: int = 1500,
    ) -> None:
        self._version = eapol_version
        self._mtu = mtu
        self._clock = Clock()
        self._out: list[Command] = []
        self._network: Network | None = None
        self._tls: ClientTlsContext | None = None
        self._ready = False
        self._entropy = entropy
        self._date = datetime.fromtimestamp(0, UTC)
        self._link = False
        self._stopped = False
        self._renewed = False
        self._look = Countdown(self._clock)
        self._epoch: float | None = None  # the date at monotonic 0, Unix seconds
        self._review = Review()
        self._reviewed: float | None = None
        self._failure: str | None = None
        self._said_why = False
        self._v = v = Variables(self._clock, timers or Timers(), self._procedures())
        self._intake = Intake(v)
        self._pae = Machine(pae.FIGURE, v, PaeState.DISCONNECTED, self._pae_entered)
        self._backend = Machine(backend.FIGURE, v, BackendState.INITIALIZE, self._backend_entered)
        self._peer = Machine(peer.FIGURE, v, EapState.DISABLED, self._peer_entered)
        self._countdowns = (*v.countdowns(), self._look)
        self.deadline: float | None = None
        self._settle()
        v.initialize = False

    def handle(self, event: Event | TimerFired, now: float) -> Sequence[Command]:
        due = self.deadline is not None and self.deadline <= now
        self._clock.now = now
        before = self._picture()
        if due:
            self._settle()
        if self._take(event) or due:
            self._enable()
            self._settle()
            self._report(before)
        self._look_when_due()
        if isinstance(event, Terminate):
            self._out += [Tell(notice=Terminating()), Terminated()]
        self.deadline = earliest(self._countdowns)
        out, self._out = self._out, []
        return out

    @property
    def is_ready(self) -> bool:
        """Whether there is all that it takes to authenticate."""
        return self._ready

    def status(self) -> Status:
        """A snapshot; nothing in it changes later."""
        v = self._v
        keys = v.eapKeyData if self._peer.state is EapState.SUCCESS else None
        return Status(
            wpa_state=self._wpa_state(),
            pae_state=self._pae.state,
            backend_state=self._backend.state,
            port_status=v.suppPortStatus,
            port_control=v.portControl,
            eap_state=self._peer.state,
            selected_method=v.selectedMethod if v.selectedMethod != EapType.NONE else None,
            req_method=v.req.method or 0 if v.req is not None else 0,
            method_state=v.methodState,
            decision=v.decision,
            tls=v.m.tls if v.m is not None else None,
            eap_session_id=keys.session_id if keys is not None else None,
            timers=v.timers,
            counters=self._intake.counters,
            review=self._review,
            failure=self._failure,
        )

    # What comes in

    def _take(self, event: Event | TimerFired) -> bool:
        """Whether a machine may move."""
        match event:
            case FrameReceived(date=date):
                if not self._intake.take(event, self._pae.state):
                    return False
                self._date = date
            case LinkChanged(up=up, mtu=mtu):
                self._link = up
                self._mtu = mtu or self._mtu
            case UseNetwork(network=network, tls=tls, waits=waits, eapol_version=version):
                self._version = version or self._version
                self._use(network, tls, waits)
            case UseTls(tls=tls):
                self._renew(tls)
            case Looked(date=date):
                return self._looked(date)
            case Logoff():
                self._v.userLogoff = True
            case Logon():
                self._v.userLogoff = False
            case Reauthenticate():
                self._v.reauthenticate = self._pae.state is PaeState.AUTHENTICATED
            case Disconnect():
                self._stopped = True
            case Reconnect():
                self._v.userLogoff = False
                self._begin_anew()
            case SetTimer(name=name, value=value):
                # never 0: a figure would go round and round in one moment
                self._v.timers = replace(self._v.timers, **{name.value: max(1, value)})
            case SetPortControl(control=control):
                self._v.portControl = control
            case Terminate(logoff=logoff):
                self._terminate(logoff=logoff)
            case TimerFired():
                pass
        return True

    def _use(self, network: Network, tls: ClientTlsContext | None, waits: str | None) -> None:
        self._network, self._tls = network, tls
        self._review, self._reviewed = Review(), None
        self._v.use(network, table.methods_of(network))
        self._ready = waits is None and (tls is not None or not table.needs_tls(network))
        self._begin_anew()
        self._failure = None
        self._fail(waits)
        self._out.append(Look())

    def _renew(self, tls: ClientTlsContext) -> None:
        if not self._ready:
            self._failure = None
        self._tls, self._reviewed = tls, None
        self._ready = True
        self._retry()

    def _retry(self) -> None:
        """What led to HELD may be gone."""
        self._v.retry = self._pae.state is PaeState.HELD

    # The date and our own certificate

    def _looked(self, date: datetime) -> bool:
        before, self._epoch = self._epoch, date.timestamp() - self._clock.now
        stepped = before is not None and abs(self._epoch - before) > STEP
        if stepped:
            self._retry()
            again = "; trying again" if self._v.retry else ""
            self._tell(Noted(f"the date was set; it is {date:%Y-%m-%d %H:%M:%S} UTC now{again}"))
        if self._tls is not None:
            self._judge_own(self._tls, date, again=stepped)
        return self._v.retry

    def _judge_own(self, tls: ClientTlsContext, date: datetime, *, again: bool) -> None:
        now = self._clock.now
        if not again and self._reviewed is not None and now - self._reviewed < DAY:
            return
        self._reviewed, self._review = now, tls.review(date)
        for said in (*self._review.faults, *self._review.warnings):
            self._tell(Warned(said))

    def _look_when_due(self) -> None:
        if self._network is None or self._network.disabled:
            self._look.clear()
            return
        now, at = self._clock.now, self._look.at
        if NOT_SET < at <= now:
            self._out.append(Look())
        resting = self._stopped or self._v.suppPortStatus is PortStatus.AUTHORIZED
        period = LOOK_OPEN if resting else LOOK_CLOSED
        if not now < at <= now + period:
            self._look.set(period)

    def _begin_anew(self) -> None:
        self._stopped = self._said_why = False
        self._v.portEnabled = False
        self._settle()

    def _enable(self) -> None:
        usable = self._network is not None and not self._network.disabled and self._ready
        enabled = self._link and usable and not self._stopped
        if enabled and not self._v.portEnabled:
            self._tell(Associated())
            self._tell(SubnetStatusUpdate())
        self._v.portEnabled = enabled

    def _terminate(self, *, logoff: bool) -> None:
        if logoff and self._v.suppPortStatus is PortStatus.AUTHORIZED:
            self._send(PacketType.LOGOFF)
        self._stopped = True

    # The machines

    def _settle(self) -> None:
        settle((self._pae, self._backend, self._peer))

    def _procedures(self) -> Procedures:
        return Procedures(
            txStart=partial(self._send, PacketType.START),
            txLogoff=partial(self._send, PacketType.LOGOFF),
            txSuppRsp=partial(self._send, PacketType.EAP_PACKET),
            buildIdentity=self._identity,
            method=self._method,
            tell=self._tell,
            fail=self._fail,
        )

    def _pae_entered(self, state: PaeState) -> None:
        self._out.append(entered("SUPP_PAE", state))
        match state:
            case PaeState.RESTART:
                self._said_why = False
                self._out.append(Look())
            case PaeState.HELD:
                self._fail("no answer to EAPOL-Start; is 802.1X enabled on the switch port?")
                self._tell(EapFailure())
            case PaeState.AUTHENTICATED | PaeState.S_FORCE_AUTH:
                self._renewed = True
            case _:
                pass

    def _backend_entered(self, state: BackendState) -> None:
        self._out.append(entered("SUPP_BE", state))
        if state is BackendState.TIMEOUT:
            self._fail(peer.silence(self._v.timers.authPeriod))

    def _peer_entered(self, state: EapState) -> None:
        self._out.append(entered("EAP", state))

    def _method(self, wanted: EapType) -> Method | None:
        assert self._network is not None
        setup = Setup(
            network=self._network,
            tls=self._tls,
            date=self._date,
            fragment_size=min(self._network.fragment_size, self._mtu - _HEADERS),
            entropy=self._entropy,
        )
        return table.begin(wanted, setup)

    def _identity(self) -> bytes:
        assert self._network is not None
        return self._network.outer_identity

    def _fail(self, reason: str | None) -> None:
        """The first reason of a conversation is the one that people need; it is kept until the
        port opens, or the next conversation fails."""
        if self._pae.state is PaeState.LOGOFF:  # the switch is silent because we logged off
            return
        if reason is not None and not self._said_why:
            self._said_why = True
            if self._v.m is not None and self._review.faults:
                reason = f"{reason}. Our own certificate: {'; '.join(self._review.faults)}"
            self._failure = reason
            self._tell(Warned(reason))

    # What goes out

    def _tell(self, notice: Notice) -> None:
        self._out.append(Tell(notice=notice))

    def _send(self, packet_type: PacketType, body: bytes = b"") -> None:
        self._intake.sent(packet_type)
        self._out.append(SendFrame(octets=bytes(Frame(packet_type, body, self._version))))

    def _picture(self) -> _Picture:
        authorized = self._v.suppPortStatus is PortStatus.AUTHORIZED
        return _Picture(self._v.portEnabled, authorized)

    def _report(self, before: _Picture) -> None:
        after = self._picture()
        if after.authorized and (self._renewed or not before.authorized):
            self._failure = None
            keys = self._v.eapKeyData
            self._out.append(
                PortAuthorized(
                    msk=keys.msk if keys is not None else None,
                    emsk=keys.emsk if keys is not None else None,
                    session_id=keys.session_id if keys is not None else b"",
                )
            )
        self._renewed = False
        if after.authorized and not before.authorized:
            self._tell(Connected(self._network.id_str if self._network is not None else ""))
        if before.authorized and not after.authorized:
            self._out.append(PortUnauthorized())
        if (before.authorized and not after.authorized) or (before.enabled and not after.enabled):
            self._tell(Disconnected(locally_generated=self._link))

    def _wpa_state(self) -> WpaState:
        if self._network is None or self._network.disabled:
            return WpaState.INACTIVE
        if not self._v.portEnabled:
            return WpaState.DISCONNECTED
        if self._v.suppPortStatus is PortStatus.AUTHORIZED:
            return WpaState.COMPLETED
        return WpaState.ASSOCIATED

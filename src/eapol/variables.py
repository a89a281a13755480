"""The variables that the three machines of a supplicant share.

They keep the names that the standards give them: IEEE Std 802.1X-2004, 8.2.2.2 (variables of the
whole port), 8.2.11.1 (Supplicant PAE), 8.2.12.1 (Supplicant Backend); RFC 4137, 4.1 (between the
lower layer and the EAP peer) and 4.3 (inside the peer).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from eapol.countdown import Clock, Countdown
from eapol.eap import EapType, Packet
from eapol.engine import Keys
from eapol.methods.base import Method
from eapol.notices import Notice
from eapol.settings import Network, Timers
from eapol.status import Decision, MethodState, PortControl, PortStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedures:
    """What the boxes call outside of the figures.

    `txStart`, `txLogoff`: send that frame. `txSuppRsp`: send the EAP packet. `buildIdentity`:
    octets of the identity. `method`: a new method of that type, or None if there is none.
    `fail`: why a conversation failed, in words; None adds nothing to what was said.
    """

    txStart: Callable[[], None]
    txLogoff: Callable[[], None]
    txSuppRsp: Callable[[bytes], None]
    buildIdentity: Callable[[], bytes]
    method: Callable[[EapType], Method | None]
    tell: Callable[[Notice], None]
    fail: Callable[[str | None], None]


@dataclass(slots=True, eq=False)
class Variables:
    """One supplicant's variables, and the procedures that its boxes call."""

    clock: Clock
    timers: Timers
    procedures: Procedures

    # the port, 8.2.2.2
    initialize: bool = True
    portEnabled: bool = False
    portControl: PortControl = PortControl.AUTO
    suppPortStatus: PortStatus = PortStatus.UNAUTHORIZED
    portValid: bool = False

    # the Supplicant PAE, 8.2.11.1
    sPortMode: PortControl = PortControl.AUTO
    userLogoff: bool = False
    logoffSent: bool = False
    startCount: int = 0
    eapolEap: bool = False
    startWhen: Countdown = field(init=False)
    heldWhile: Countdown = field(init=False)

    # PAE and Backend, 8.2.2.2 and 8.2.12.1
    suppAbort: bool = False
    suppFail: bool = False
    suppStart: bool = False
    suppSuccess: bool = False
    suppTimeout: bool = False
    authWhile: Countdown = field(init=False)

    # lower layer and EAP peer, RFC 4137, 4.1; `req` is what parseEapReq made of eapReqData
    eapRestart: bool = False
    eapReq: bool = False
    eapReqData: bytes = b""
    eapResp: bool = False
    eapRespData: bytes = b""
    eapNoResp: bool = False
    eapSuccess: bool = False
    eapFail: bool = False
    eapKeyData: Keys | None = None
    idleWhile: Countdown = field(init=False)
    req: Packet | None = None

    # inside the EAP peer, RFC 4137, 4.3
    m: Method | None = None
    selectedMethod: EapType = EapType.NONE
    methodState: MethodState = MethodState.NONE
    decision: Decision = Decision.FAIL
    allowNotifications: bool = True
    ignore: bool = False
    lastId: int | None = None
    lastReqData: bytes = b""
    lastRespData: bytes = b""

    # ours: the methods that we would take, in order of preference (RFC 4137: allowMethod)
    wanted: tuple[EapType, ...] = ()

    # ours: the cause of HELD may be gone; REAUTHENTICATE was asked; allow_canned_success and
    # eap_workaround of the network
    retry: bool = False
    reauthenticate: bool = False
    allowCanned: bool = False
    workaround: bool = True

    # ours: the partner and the bounds of a conversation (see peer.py)
    partner: bytes = bytes(6)
    partnerWhile: Countdown = field(init=False)
    rounds: int = 0
    futile: int = 0
    progress: bool = False
    endWhen: Countdown = field(init=False)
    answeredAt: float = 0.0

    def __post_init__(self) -> None:
        self.startWhen = Countdown(self.clock)
        self.heldWhile = Countdown(self.clock)
        self.authWhile = Countdown(self.clock)
        self.idleWhile = Countdown(self.clock)
        self.partnerWhile = Countdown(self.clock)
        self.endWhen = Countdown(self.clock)

    def use(self, network: Network, wanted: tuple[EapType, ...]) -> None:
        self.wanted = wanted
        self.allowCanned = network.allow_canned_success
        self.workaround = network.eap_workaround

    def countdowns(self) -> tuple[Countdown, ...]:
        return (self.startWhen, self.heldWhile, self.authWhile, self.idleWhile, self.endWhen)

"""The variables that the three machines of a supplicant share.

They keep the names that the standards give them: IEEE Std 802.1X-2004, 8.2.2.2 (variables of the
whole port), 8.2.11.1 (Supplicant PAE), 8.2.12.1 (Supplicant Backend); RFC 4137, 4.1 (between the
lower layer and the EAP peer) and 4.3 (inside the peer).
"""

from collections.abc import Callable
from dataclasses import dataclass

from eapol.countdown import Clock, Countdown
from eapol.eap import EapType, Packet
from eapol.engine import Keys
from eapol.methods.base import Method
from eapol.notices import Notice
from eapol.settings import Timers
from eapol.status import Decision, MethodState, PortControl, PortStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedures:
    """What the boxes call outside of the figures.

    `txStart`, `txLogoff`: send that frame. `txSuppRsp`: send the EAP packet. `buildIdentity`:
    octets of the identity. `method`: a new method of that type, or None if it is not allowed.
    `wanted`: the methods that a Nak names. `fail`: why a conversation failed, in words.
    """

    txStart: Callable[[], None]
    txLogoff: Callable[[], None]
    txSuppRsp: Callable[[bytes], None]
    buildIdentity: Callable[[], bytes]
    method: Callable[[EapType], Method | None]
    wanted: Callable[[], tuple[EapType, ...]]
    tell: Callable[[Notice], None]
    fail: Callable[[str], None]


class Variables:
    """One supplicant's variables, and the procedures that its boxes call."""

    __slots__ = (
        "ClientTimeout",
        "allowCanned",
        "allowNotifications",
        "authWhile",
        "cannedSuccess",
        "clock",
        "decision",
        "eapFail",
        "eapKeyData",
        "eapNoResp",
        "eapReq",
        "eapReqData",
        "eapResp",
        "eapRespData",
        "eapRestart",
        "eapSuccess",
        "eapolEap",
        "heldWhile",
        "idleWhile",
        "ignore",
        "initialize",
        "lastId",
        "lastReqData",
        "lastRespData",
        "logoffSent",
        "m",
        "methodState",
        "portControl",
        "portEnabled",
        "portValid",
        "procedures",
        "reauthenticate",
        "req",
        "sPortMode",
        "selectedMethod",
        "startCount",
        "startWhen",
        "suppAbort",
        "suppFail",
        "suppPortStatus",
        "suppStart",
        "suppSuccess",
        "suppTimeout",
        "timers",
        "userLogoff",
        "workaround",
    )

    def __init__(self, clock: Clock, timers: Timers, procedures: Procedures) -> None:
        self.clock = clock
        self.timers = timers
        self.procedures = procedures
        # the port, 8.2.2.2
        self.initialize = True
        self.portEnabled = False
        self.portControl = PortControl.AUTO
        self.suppPortStatus = PortStatus.UNAUTHORIZED
        self.portValid = False
        # the Supplicant PAE, 8.2.11.1
        self.sPortMode = PortControl.AUTO
        self.userLogoff = False
        self.logoffSent = False
        self.startCount = 0
        self.eapolEap = False
        self.reauthenticate = False
        self.startWhen = Countdown(clock)
        self.heldWhile = Countdown(clock)
        # PAE and Backend, 8.2.2.2
        self.suppAbort = False
        self.suppFail = False
        self.suppStart = False
        self.suppSuccess = False
        self.suppTimeout = False
        self.authWhile = Countdown(clock)
        # lower layer and EAP peer, RFC 4137, 4.1
        self.eapRestart = False
        self.eapReq = False
        self.eapReqData = b""
        self.eapResp = False
        self.eapRespData = b""
        self.eapNoResp = False
        self.eapSuccess = False
        self.eapFail = False
        self.eapKeyData: Keys | None = None
        self.idleWhile = Countdown(clock)
        # inside the EAP peer, RFC 4137, 4.3
        self.req: Packet | None = None
        self.m: Method | None = None
        self.selectedMethod = EapType.NONE
        self.methodState = MethodState.NONE
        self.decision = Decision.FAIL
        self.allowNotifications = True
        self.ignore = False
        self.lastId: int | None = None
        self.lastReqData = b""
        self.lastRespData = b""
        # ours
        self.allowCanned = False
        self.cannedSuccess = False
        self.workaround = True

    def countdowns(self) -> tuple[Countdown, ...]:
        return (self.startWhen, self.heldWhile, self.authWhile, self.idleWhile)

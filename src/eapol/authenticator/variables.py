"""The variables that the machines of a port share, under the names of the standards.

IEEE Std 802.1X-2004, 8.2.2.2 (the port), 8.2.4.1 (Authenticator PAE), 8.2.8.1 (Reauthentication
Timer), 8.2.9.1 (Backend Authentication); RFC 4137, 5.1, 5.3 and 6 (the EAP authenticator).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto

from eapol.authenticator.server import Answer
from eapol.authenticator.settings import AuthenticatorSettings
from eapol.countdown import Clock, Countdown
from eapol.eap import Packet
from eapol.status import PortControl


class PortState(IntEnum):
    """States of the Authenticator PAE; numbers of dot1xAuthPaeState (9.4.2)."""

    INITIALIZE = 1
    DISCONNECTED = 2
    CONNECTING = 3
    AUTHENTICATING = 4
    AUTHENTICATED = 5
    ABORTING = 6
    HELD = 7
    FORCE_AUTH = 8
    FORCE_UNAUTH = 9
    RESTART = 10


class BackendState(IntEnum):
    """States of the Backend Authentication machine; numbers of dot1xAuthBackendAuthState."""

    REQUEST = 1
    RESPONSE = 2
    SUCCESS = 3
    FAIL = 4
    TIMEOUT = 5
    IDLE = 6
    INITIALIZE = 7
    IGNORE = 8


class ReauthState(Enum):
    """States of the Reauthentication Timer machine (8.2.8)."""

    INITIALIZE = auto()
    REAUTHENTICATE = auto()


class EapState(Enum):
    """States of the full authenticator of RFC 4137, 7; see `eapol.authenticator.eap`."""

    DISABLED = auto()
    INITIALIZE = auto()
    IDLE = auto()
    RETRANSMIT = auto()
    RECEIVED = auto()
    DISCARD = auto()
    AAA_REQUEST = auto()
    AAA_IDLE = auto()
    AAA_RESPONSE = auto()
    SEND_REQUEST = auto()
    SUCCESS = auto()
    FAILURE = auto()
    TIMEOUT_FAILURE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedures:
    """What the boxes call outside of the figures.

    `txReq`: send the EAP packet. `askServer`: give the server the EAP response, whose answer goes
    into `aaa`, at once or later. `abortAuth`: drop that answer. `fail`: why, in words.
    """

    txReq: Callable[[bytes], None]
    askServer: Callable[[], None]
    abortAuth: Callable[[], None]
    fail: Callable[[str], None]


@dataclass(slots=True, eq=False)
class Variables:
    clock: Clock
    settings: AuthenticatorSettings
    procedures: Procedures

    # the port, 8.2.2.2
    initialize: bool = True
    portEnabled: bool = False
    portControl: PortControl = PortControl.AUTO
    authorized: bool = False  # authPortStatus
    portValid: bool = True  # there are no EAPOL keys on wired ports

    # Authenticator PAE, 8.2.4.1
    portMode: PortControl = PortControl.AUTO
    eapolLogoff: bool = False
    eapolStart: bool = False
    reAuthenticate: bool = False
    reAuthCount: int = 0
    quietWhile: Countdown = field(init=False)

    # Reauthentication Timer, 8.2.8.1; `sessionEnds`: the server wants an end, not a repetition
    reAuthPeriod: float | None = None
    reAuthWhen: Countdown = field(init=False)
    sessionEnds: bool = False

    # PAE and Backend, 8.2.2.2 and 8.2.9.1
    authAbort: bool = False
    authFail: bool = False
    authStart: bool = False
    authTimeout: bool = False
    authSuccess: bool = False
    eapolEap: bool = False
    aWhile: Countdown = field(init=False)

    # lower layer and EAP, RFC 4137, 5.1 and 6.1
    eapRestart: bool = False
    eapReq: bool = False
    eapReqData: bytes = b""
    eapResp: bool = False
    eapRespData: bytes = b""
    eapNoReq: bool = False
    eapSuccess: bool = False
    eapFail: bool = False
    eapTimeout: bool = False
    resp: Packet | None = None  # what parseEapResp made of eapRespData
    aaa: Answer | None = None  # aaaEapReq, aaaSuccess, aaaFail ... with what they bring

    # inside the EAP authenticator, RFC 4137, 5.3
    currentId: int = 0
    lastReqData: bytes = b""
    retransCount: int = 0
    retransWhile: Countdown = field(init=False)

    # ours: nobody answered the last conversation; requests of this one; the peer's identity
    quiet: bool = False
    rounds: int = 0
    identity: bytes = b""

    def __post_init__(self) -> None:
        self.quietWhile = Countdown(self.clock)
        self.reAuthWhen = Countdown(self.clock)
        self.aWhile = Countdown(self.clock)
        self.retransWhile = Countdown(self.clock)
        self.reAuthPeriod = self.settings.reAuthPeriod

    def countdowns(self) -> tuple[Countdown, ...]:
        return self.quietWhile, self.reAuthWhen, self.aWhile, self.retransWhile

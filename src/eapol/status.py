"""A picture of the supplicant at one moment, for `wpa_cli status`, `status verbose` and `mib`."""

from dataclasses import dataclass, field
from enum import Enum, IntEnum

from eapol.eap import EapType
from eapol.settings import Timers


class PortControl(Enum):
    """portControl (IEEE Std 802.1X-2004, 8.2.2.2), in the words of the control interface."""

    AUTO = "Auto"
    FORCE_AUTHORIZED = "ForceAuthorized"
    FORCE_UNAUTHORIZED = "ForceUnauthorized"


class WpaState(Enum):
    """`wpa_state`, as far as a wired port has it."""

    DISCONNECTED = "DISCONNECTED"
    INACTIVE = "INACTIVE"
    ASSOCIATED = "ASSOCIATED"
    COMPLETED = "COMPLETED"


class PaeState(IntEnum):
    """Supplicant PAE states (IEEE Std 802.1X-2004, 8.2.11); numbers of dot1xSuppPaeState."""

    DISCONNECTED = 1
    LOGOFF = 2
    CONNECTING = 3
    AUTHENTICATING = 4
    AUTHENTICATED = 5
    HELD = 7
    RESTART = 8
    S_FORCE_AUTH = 9
    S_FORCE_UNAUTH = 10


class BackendState(IntEnum):
    """Supplicant Backend states (8.2.12); numbers of dot1xSuppBackendPaeState."""

    INITIALIZE = 1
    IDLE = 2
    REQUEST = 3
    RECEIVE = 4
    RESPONSE = 5
    FAIL = 6
    TIMEOUT = 7
    SUCCESS = 8


class PortStatus(Enum):
    """suppPortStatus (8.2.2.2)."""

    UNAUTHORIZED = "Unauthorized"
    AUTHORIZED = "Authorized"


class EapState(Enum):
    """States of the EAP peer (RFC 4137, figure 3)."""

    DISABLED = "DISABLED"
    INITIALIZE = "INITIALIZE"
    IDLE = "IDLE"
    RECEIVED = "RECEIVED"
    GET_METHOD = "GET_METHOD"
    METHOD = "METHOD"
    SEND_RESPONSE = "SEND_RESPONSE"
    DISCARD = "DISCARD"
    IDENTITY = "IDENTITY"
    NOTIFICATION = "NOTIFICATION"
    RETRANSMIT = "RETRANSMIT"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


class MethodState(Enum):
    """methodState (RFC 4137, 4.2)."""

    NONE = "NONE"
    INIT = "INIT"
    CONT = "CONT"
    MAY_CONT = "MAY_CONT"
    DONE = "DONE"


class Decision(Enum):
    """decision (RFC 4137, 4.2)."""

    FAIL = "FAIL"
    COND_SUCC = "COND_SUCC"
    UNCOND_SUCC = "UNCOND_SUCC"


@dataclass(slots=True)
class Counters:
    """The statistics of IEEE Std 802.1X-2004, 9.5.2."""

    EapolFramesRx: int = 0
    EapolFramesTx: int = 0
    EapolStartFramesTx: int = 0
    EapolLogoffFramesTx: int = 0
    EapolRespFramesTx: int = 0
    EapolReqIdFramesRx: int = 0
    EapolReqFramesRx: int = 0
    InvalidEapolFramesRx: int = 0
    EapLengthErrorFramesRx: int = 0
    LastEapolFrameVersion: int = 0
    LastEapolFrameSource: bytes = bytes(6)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsStatus:
    """The TLS connection of the last authentication. `cipher` is OpenSSL's name of the suite."""

    version: str
    cipher: str
    resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Warnings about our own certificate, in sentences with file and remedy.

    `faults` are what a server may refuse it for; `warnings` are what will be one, or should not
    have to work.
    """

    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`selected_method` None: no method was chosen yet. `counters` is a copy."""

    wpa_state: WpaState
    pae_state: PaeState
    backend_state: BackendState
    port_status: PortStatus
    port_control: PortControl
    eap_state: EapState
    selected_method: EapType | None = None
    req_method: int = 0
    method_state: MethodState = MethodState.NONE
    decision: Decision = Decision.FAIL
    tls: TlsStatus | None = None
    eap_session_id: bytes | None = None
    timers: Timers = field(default_factory=Timers)
    counters: Counters = field(default_factory=Counters)
    review: Review = field(default_factory=Review)
    failure: str | None = None

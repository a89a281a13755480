"""What a port and an authentication server exchange (RFC 4137, 6.1.2 and 6.2: aaa...)."""

from dataclasses import dataclass, field
from enum import Enum, auto

from eapol.notices import Notice
from eapol.status import TlsStatus
from wire.secret import Secret


class ServerVerdict(Enum):
    """aaaEapReq, aaaSuccess, aaaFail, aaaEapNoReq; SILENT is aaaTimeout."""

    REQUEST = auto()
    SUCCESS = auto()
    FAIL = auto()
    NO_REQUEST = auto()
    SILENT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`eap` is the EAP packet for the peer, empty for one that the port makes itself.

    `reason`: why the supplicant was not accepted. `session_timeout` in seconds, and whether the
    supplicant is authenticated again then, or the session ends (RFC 3580, 3.17). `attributes`: what
    else a server wants of the port, a VLAN for example, by name.
    """

    verdict: ServerVerdict
    eap: bytes = b""
    reason: str = ""
    msk: Secret | None = None
    emsk: Secret | None = None
    session_id: bytes = b""
    tls: TlsStatus | None = None
    session_timeout: float | None = None
    reauthenticate: bool = True
    attributes: tuple[tuple[str, str], ...] = ()
    notices: tuple[Notice, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAsked:
    """Asked: give this EAP response to the server; answered by `ServerReplied` with the same `ask`.

    `first`: a conversation begins. `identity` is the one of its Identity response.
    """

    ask: int
    eap: bytes
    identity: bytes
    first: bool


@dataclass(frozen=True, slots=True)
class ServerAbandoned:
    """The answer is no longer needed (abortAuth, 8.2.9.1.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReplied:
    ask: int
    answer: Answer

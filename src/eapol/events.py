"""What goes into the supplicant's core and what comes out of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cache

from eapol.engine import ClientTlsContext
from eapol.notices import Notice, StateEntered
from eapol.settings import Network
from eapol.status import PortControl
from wire.secret import Secret


class TimerName(Enum):
    """What `SET EAPOL::...` may change."""

    START_PERIOD = "startPeriod"
    MAX_START = "maxStart"
    HELD_PERIOD = "heldPeriod"
    AUTH_PERIOD = "authPeriod"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameReceived:
    """An EAPOL frame, without its Ethernet header.

    `date` is the gateway's date, for certificates; it may jump by decades between two frames.
    """

    octets: bytes
    source: bytes
    date: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChanged:
    """Carrier came or went; `mtu` is the interface's, octets, if it is known."""

    up: bool
    mtu: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UseNetwork:
    """Start again with this network. `tls` is None with one that is disabled, and while a file of
    it cannot be used: `waits` says which, and `UseTls` ends that. `eapol_version` is sent from now
    on; None changes nothing."""

    network: Network
    tls: ClientTlsContext | None
    waits: str | None = None
    eapol_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UseTls:
    """A certificate or key file came, or was renewed: from the next authentication on, use this."""

    tls: ClientTlsContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """The answer to `Look`, after `UseTls` if a file changed. `date` is the gateway's."""

    date: datetime


@dataclass(frozen=True, slots=True)
class Logoff:
    """The user logs off: EAPOL-Logoff, and no answer to anything until Logon."""


@dataclass(frozen=True, slots=True)
class Logon:
    """The end of Logoff."""


@dataclass(frozen=True, slots=True)
class Reauthenticate:
    """Ask the switch to authenticate again; nothing happens unless we are authenticated."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Stop until Reconnect; no EAPOL-Logoff."""


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Start again, from any state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTimer:
    name: TimerName
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPortControl:
    control: PortControl


@dataclass(frozen=True, slots=True)
class Terminate:
    """The program ends: EAPOL-Logoff if `logoff` and we are authenticated; then `Terminated`."""

    logoff: bool = True


Request = (
    Logoff | Logon | Reauthenticate | Disconnect | Reconnect | SetTimer | SetPortControl | Terminate
)
"""What the control interface may ask."""

Event = FrameReceived | LinkChanged | UseNetwork | UseTls | Looked | Request


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFrame:
    """To the PAE group address; octets without the Ethernet header."""

    octets: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    notice: Notice


@cache
def entered(machine: str, state: Enum) -> Tell:
    """Said some seventy times in an authentication, and made once."""
    return Tell(notice=StateEntered(machine, state.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class PortAuthorized:
    """The port opened, or a re-authentication made new keys.

    `msk`, `emsk`: 64 octets each (RFC 5216, 2.3; RFC 9190, 2.3); None for a canned success or
    a forced port.
    """

    msk: Secret | None
    emsk: Secret | None
    session_id: bytes


@dataclass(frozen=True, slots=True)
class PortUnauthorized:
    pass


@dataclass(frozen=True, slots=True)
class Look:
    """Look whether a certificate or key file changed (then `UseTls`), and at the date: `Looked`."""


@dataclass(frozen=True, slots=True)
class Terminated:
    """Nothing more will come."""


Command = SendFrame | Tell | PortAuthorized | PortUnauthorized | Look | Terminated

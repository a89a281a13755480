"""Events and commands of the client core. Closed unions: mypy checks that each is handled."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from ntp.nts.session import Material
from ntp.sample import Sample, Stamps
from wire.timer import TimerFired


class Address(NamedTuple):
    """Where a datagram goes: a numeric address (IPv6 with its %zone) and a UDP port."""

    host: str
    port: int = 123

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 123 else f"{host}:{self.port}"


# Events: what happened


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Begin. `date` is what our clock shows, Unix ns."""

    date: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A datagram came back to the socket of `request`. `own` is that socket's own address."""

    request: int
    octets: bytes
    stamps: Stamps
    own: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFailed:
    """The request could not leave, or the network sent it back (ICMP). `why` is for people."""

    request: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Numeric addresses of a server's name, best first; none: `why` says what failed."""

    server: str
    hosts: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysAgreed:
    """The NTS key exchange with a server is done."""

    server: str
    material: Material


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysRefused:
    """The NTS key exchange failed. `untrusted`: the server's certificate or answer was no good."""

    server: str
    why: str
    untrusted: bool


Event = Start | Received | SendFailed | Resolved | KeysAgreed | KeysRefused | TimerFired


# Commands: what is to be done


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Told: send from a new socket, connected to `to`; what comes back is Received."""

    request: int
    to: Address
    octets: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Told: close the socket of `request`."""

    request: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """Asked: look up `host` for the source `server`; answered by Resolved."""

    server: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeKeys:
    """Asked: NTS key exchange with `host` (TCP `port`) for the source `server`, its certificate
    verified at the date `at` (Unix ns). Answered by KeysAgreed or KeysRefused."""

    server: str
    host: str
    port: int
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Told: nothing more will happen; here is what came of it."""

    outcome: "Outcome"


Command = Send | Forget | Resolve | ExchangeKeys | Finished


class Verdict(Enum):
    """What the servers' answers amount to."""

    AGREED = "agreed"  # a majority of several, or an authenticated server
    UNCONFIRMED = "unconfirmed"  # the one server that answered; nobody confirmed it
    NO_ANSWER = "no answer"
    NO_MAJORITY = "no majority"
    REFUSED = "refused"  # floor, kiss code, authentication

    @property
    def usable(self) -> bool:
        return self in (Verdict.AGREED, Verdict.UNCONFIRMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of one server."""

    server: str
    address: Address | None
    sample: Sample | None
    survivor: bool
    why: str  # one clause for people; empty when it is a survivor


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a round. `offset`, `error`, `delay` in ns, meaningful if `verdict.usable`."""

    verdict: Verdict
    why: str  # one sentence for people; empty if usable
    servers: tuple[Report, ...]
    offset: int = 0
    error: int = 0
    delay: int = 0
    date: int = 0  # the right date when the last reply came, Unix ns
    leap: int = 0
    authenticated: bool = False

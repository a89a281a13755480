"""Events and commands of the client core. Closed unions: mypy checks that each is handled."""

from enum import Enum

from ntp.sample import Sample, Stamps
from ntp.trust import Level, Trust
from wire.lean import TYPE_CHECKING
from wire.record import Record
from wire.timer import TimerFired

if TYPE_CHECKING:
    from ntp.nts.session import Material


class Address(Record):
    """Where a datagram goes: a numeric address (IPv6 with its %zone) and a UDP port."""

    host: str
    port: int = 123

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 123 else f"{host}:{self.port}"


# Events: what happened


class Start(Record, kw_only=True):
    """Begin. `date` is what our clock shows, Unix ns."""

    date: int


class Received(Record, kw_only=True):
    """A datagram came back to the socket of `request`. `own` is that socket's own address."""

    request: int
    octets: bytes
    stamps: Stamps
    own: str = ""


class SendFailed(Record, kw_only=True):
    """The request could not leave, or the network sent it back (ICMP). `why` is for people."""

    request: int
    why: str


class Resolved(Record, kw_only=True):
    """Numeric addresses of a server's name, best first; none: `why` says what failed."""

    server: str
    hosts: tuple[str, ...]
    why: str = ""


class KeysAgreed(Record, kw_only=True):
    """The NTS key exchange with a server is done."""

    server: str
    material: "Material"


class KeysRefused(Record, kw_only=True):
    """The NTS key exchange failed. `untrusted`: the server's certificate or answer was no good."""

    server: str
    why: str
    untrusted: bool


Event = Start | Received | SendFailed | Resolved | KeysAgreed | KeysRefused | TimerFired


# Commands: what is to be done


class Send(Record, kw_only=True):
    """Told: send from a new socket, connected to `to`; what comes back is Received."""

    request: int
    to: Address
    octets: bytes


class Forget(Record, kw_only=True):
    """Told: close the socket of `request`."""

    request: int


class Resolve(Record, kw_only=True):
    """Asked: look up `host` for the peer `server`; answered by Resolved."""

    server: str
    host: str


class ExchangeKeys(Record, kw_only=True):
    """Asked: NTS key exchange with `host` (TCP `port`) for the peer `server`, its certificate
    verified at the date `at` (Unix ns). Answered by KeysAgreed or KeysRefused."""

    server: str
    host: str
    port: int
    at: int


class Finished(Record, kw_only=True):
    """Told: nothing more will happen; here is what came of it."""

    outcome: "Outcome"


Command = Send | Forget | Resolve | ExchangeKeys | Finished


class Verdict(Enum):
    """What the servers' answers amount to."""

    AGREED = "agreed"  # a majority of those configured, or an authenticated server
    UNCONFIRMED = "unconfirmed"  # one server, or too few of those configured
    NO_ANSWER = "no answer"
    NO_MAJORITY = "no majority"
    REFUSED = "refused"  # floor, kiss code, authentication

    @property
    def usable(self) -> bool:
        return self in (Verdict.AGREED, Verdict.UNCONFIRMED)


class Report(Record, kw_only=True):
    """What became of one server."""

    server: str
    address: Address | None
    sample: Sample | None
    survivor: bool
    why: str  # one clause for people; empty when it is a survivor
    reach: int = 0  # of the last eight rounds, one bit each, those in which it answered
    jitter: int = 0  # ns, of the last eight rounds


class Outcome(Record, kw_only=True):
    """The result of a round. `offset`, `error`, `delay` in ns, meaningful if `verdict.usable`.

    `trust`: how far the date may be trusted; None if it is not usable.
    """

    verdict: Verdict
    why: str  # one sentence for people; empty if usable
    servers: tuple[Report, ...]
    offset: int = 0
    error: int = 0
    delay: int = 0
    date: int = 0  # the right date at the time `at`, Unix ns
    at: float = 0.0  # monotonic s
    leap: int = 0
    trust: Trust | None = None

    @property
    def authenticated(self) -> bool:
        return self.trust is not None and self.trust.level is Level.AUTHENTICATED

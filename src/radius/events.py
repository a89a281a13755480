"""What goes into the client's core and what comes out of it."""

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from radius.errors import NoSecret
from radius.numbers import Code
from radius.packet import Attributes, Packet
from wire.secret import Secret


class Transport(Enum):
    UDP = "UDP"  # RFC 2865
    TLS = "TLS"  # RFC 6614


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Over TLS the secret is "radsec" (RFC 6614, 2.3). `signed` False takes answers without
    Message-Authenticator. Raises: NoSecret.
    """

    address: IPv4Address | IPv6Address
    port: int
    secret: Secret
    transport: Transport = Transport.UDP
    signed: bool = True

    def __post_init__(self) -> None:
        if not self.secret.reveal():
            raise NoSecret(str(self))

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}/{self.transport.value}"


class Cause(Enum):
    """Why a request has no answer that counts."""

    SILENT = "silent"
    REFUSED = "refused"
    UNPROVEN = "unproven"
    UNSIGNED = "unsigned"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A new request. `ask` is the caller's number for it, `server` the index of the only server
    that may answer (a State of its came before), None for the first one that does. `until`: when
    the caller's patience ends, monotonic seconds."""

    ask: int
    attributes: Attributes
    code: Code = Code.ACCESS_REQUEST
    server: int | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """The answer is no longer needed."""

    ask: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PortOpened:
    """The answer to `OpenPort`."""

    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PortFailed:
    """It could not be opened, or broke; with TLS every request on it is lost.

    `refused`: an ICMP message reported that no program listens there.
    """

    port: int
    reason: str
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    port: int
    octets: bytes


Event = Ask | Forget | PortOpened | PortFailed | Received


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPort:
    """Asked: a new source port towards `server`; answered by PortOpened or PortFailed."""

    port: int
    server: Server


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePort:
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    port: int
    octets: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The first answer that is proved to be the server's. `server` is its index.

    `authenticator` is the request's, which decrypts attributes.
    """

    ask: int
    server: int
    packet: Packet
    authenticator: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """No server answered; `reason` is one sentence for people."""

    ask: int
    cause: Cause
    reason: str


Command = OpenPort | ClosePort | Send | Answered | Failed

"""Security associations and the traffic they are for, as IKE sees them (RFC 2407; RFC 4301, 4.4).

The engine uses these values only; who enforces them (kernel, user space, a test's list)
translates. Addresses are `ipaddress` objects, lifetimes seconds and kilobytes of 1024 octets.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Self

from ike.numbers.doi import EspTransform, Integrity
from ike.numbers.isakmp import ExchangeType, ProtocolId
from wire.secret import Secret

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A UDP address. Prints as racoon's log does: `10.0.0.1[500]`."""

    address: Address
    port: int

    def __str__(self) -> str:
        return f"{self.address}[{self.port}]"

    def with_port(self, port: int) -> Self:
        return type(self)(self.address, port)


class Mode(Enum):
    TRANSPORT = "Transport"
    TUNNEL = "Tunnel"


class Direction(Enum):
    IN = "in"
    OUT = "out"


class Role(Enum):
    INITIATOR = "initiator"
    RESPONDER = "responder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """The traffic meant, seen from here. Protocol 0 and port 0 are any."""

    local: Network
    remote: Network
    protocol: int = 0
    local_port: int = 0
    remote_port: int = 0

    def covers(self, other: "Selector") -> bool:
        """Whether all traffic of `other` is traffic of this selector too."""
        return (
            _within(other.local, self.local)
            and _within(other.remote, self.remote)
            and self.protocol in (0, other.protocol)
            and self.local_port in (0, other.local_port)
            and self.remote_port in (0, other.remote_port)
        )

    def __str__(self) -> str:
        protocol = "any" if self.protocol == 0 else str(self.protocol)
        return (
            f"{self.local}[{self.local_port or 'any'}] "
            f"{self.remote}[{self.remote_port or 'any'}] {protocol}"
        )


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """One SA that a policy asks for. `reqid` ties it to the policy's template; 0 ties nothing."""

    protocol: ProtocolId = ProtocolId.ESP
    mode: Mode = Mode.TRANSPORT
    reqid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyEntry:
    """A policy of the data plane that calls for SAs.

    `local` and `remote` are the SAs' end points: the tunnel's, or in transport mode the hosts.
    `protections` are in the order in which they are applied to an outgoing packet.
    """

    selector: Selector
    local: Address
    remote: Address
    protections: tuple[Protection, ...]


@dataclass(frozen=True, slots=True)
class SaId:
    """What names an SA: destination, protocol, SPI (RFC 4301, 4.1)."""

    destination: Address
    protocol: ProtocolId
    spi: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SaLifetime:
    """Limits from the time of installation; None is none."""

    soft_seconds: int | None = None
    hard_seconds: int | None = None
    soft_kilobytes: int | None = None
    hard_kilobytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IpsecSa:
    """One direction of a negotiated SA, ready to install.

    AH: `encryption` is None. ESP without integrity: `integrity` is NONE. With `udp_source` and
    `udp_destination` set the packets travel in UDP (RFC 3948), between these ports.
    `nat_oa_source` and `nat_oa_destination` are the peers' original addresses (RFC 3947, 5.2).
    `selector` is seen from here, for both directions.
    """

    direction: Direction
    source: Address
    destination: Address
    spi: int
    protocol: ProtocolId
    mode: Mode
    reqid: int
    encryption: EspTransform | None
    encryption_key: Secret
    integrity: Integrity
    integrity_key: Secret
    lifetime: SaLifetime
    selector: Selector
    udp_source: int | None = None
    udp_destination: int | None = None
    nat_oa_source: Address | None = None
    nat_oa_destination: Address | None = None

    @property
    def id(self) -> SaId:
        return SaId(self.destination, self.protocol, self.spi)


# --- what an administrator may look at ---


class Phase1State(IntEnum):
    """racoon's numbers, column ST of `racoonctl -l show-sa isakmp`."""

    SPAWN = 0
    START = 1
    MSG1_RECEIVED = 2
    MSG1_SENT = 3
    MSG2_RECEIVED = 4
    MSG2_SENT = 5
    MSG3_RECEIVED = 6
    MSG3_SENT = 7
    MSG4_RECEIVED = 8
    ESTABLISHED = 9
    DYING = 10
    EXPIRED = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class IsakmpView:
    """An ISAKMP SA to show. `created` is monotonic seconds; 0.0 when not established yet."""

    local: Endpoint
    remote: Endpoint
    initiator_cookie: bytes
    responder_cookie: bytes
    state: Phase1State
    role: Role
    exchange: ExchangeType
    created: float
    phase2_count: int
    remote_name: str
    remote_id: str = ""
    local_id: str = ""
    encryption: str = ""
    hash: str = ""
    authentication: str = ""
    group: int = 0
    lifetime_seconds: int = 0
    dpd: bool = False
    dpd_fails: int = 0
    nat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IpsecView:
    """A pair of SAs to show. `created` is monotonic seconds."""

    initiator_cookie: bytes  # of the phase 1 that made it
    responder_cookie: bytes
    local: Endpoint
    remote: Endpoint
    role: Role
    established: bool
    message_id: int
    protocol: ProtocolId
    mode: Mode
    selector: Selector
    spi_in: int
    spi_out: int
    created: float
    encryption: str = ""
    integrity: str = ""
    pfs_group: int = 0
    effective_group: int = 0
    lifetime_seconds: int = 0
    lifetime_kilobytes: int = 0
    reqid: int = 0


@dataclass(frozen=True, slots=True)
class TimerView:
    """A running timer: what for, and when it fires (monotonic seconds)."""

    name: str
    fires: float
    created: float

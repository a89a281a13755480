"""Security associations and policies as values (RFC 4301, 4.4), for every data plane.

The same objects go to the kernel over netlink, to the userspace data path and to `setkey`.
Addresses are `ipaddress` objects; lifetimes are seconds, octets and packets.
"""

from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from wire.cursor import DecodeError
from wire.open_enum import OpenEnum
from wire.record import Record
from wire.secret import Secret

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Malformed(DecodeError):
    """Octets (netlink, PF_KEY, ESP) do not form a value of this model."""


class Protocol(OpenEnum):
    """IP protocol numbers of the security protocols."""

    ESP = 50
    AH = 51
    IPCOMP = 108


class Mode(OpenEnum):
    TRANSPORT = 0
    TUNNEL = 1


class Direction(IntEnum):
    IN = 0
    OUT = 1
    FWD = 2
    SOCKET_IN = 3  # of one socket (IP_XFRM_POLICY): listed, never ours to change
    SOCKET_OUT = 4


class Action(IntEnum):
    ALLOW = 0
    BLOCK = 1


class Selector(Record, kw_only=True):
    """The traffic meant (RFC 4301, 4.4.1.1).

    `protocol` 0 is any. A port of None is any; for ICMP `src_port` is the type and `dst_port`
    the code.
    """

    src: Network
    dst: Network
    protocol: int = 0
    src_port: int | None = None
    dst_port: int | None = None


class Algorithm(Record, kw_only=True):
    """One algorithm with its key, by the Linux crypto API's name, such as `cbc(aes)`.

    `icv_bits` is the length of the integrity check value for authentication and AEAD, else 0.
    """

    name: str
    key: Secret
    icv_bits: int = 0


class Encapsulation(Record, kw_only=True):
    """ESP in UDP (RFC 3948)."""

    src_port: int = 4500
    dst_port: int = 4500


class Mark(Record, kw_only=True):
    """A firewall mark: packets whose mark, masked, is `value`."""

    value: int
    mask: int = 0xFFFFFFFF


class Lifetime(Record, kw_only=True):
    """Limits; None is no limit. Seconds count from the time the SA was added."""

    soft_seconds: int | None = None
    hard_seconds: int | None = None
    soft_octets: int | None = None
    hard_octets: int | None = None
    soft_packets: int | None = None
    hard_packets: int | None = None


class Usage(Record, kw_only=True):
    """What an SA or a policy has done so far. Times are Unix seconds; 0 is never."""

    octets: int = 0
    packets: int = 0
    added: int = 0
    used: int = 0


class SaId(Record):
    """What names an SA: destination, protocol, SPI (RFC 4301, 4.1); in Linux its mark too."""

    dst: Address
    protocol: Protocol
    spi: int
    mark: Mark | None = None


class SecurityAssociation(Record, kw_only=True):
    """One direction of a protected path.

    Either `aead`, or `encryption` and/or `authentication`, or `compression` (IPComp).
    `replay_window` counts packets. `larval` marks an SPI that was allocated but has no keys yet.
    `if_id` ties the SA to an xfrm interface. `sequence` is kept as it was given, so that who
    installed an SA may know it again (Linux looks for the Acquire of that number, a small one).
    """

    src: Address
    dst: Address
    spi: int
    protocol: Protocol = Protocol.ESP
    mode: Mode = Mode.TRANSPORT
    reqid: int = 0
    encryption: Algorithm | None = None
    authentication: Algorithm | None = None
    aead: Algorithm | None = None
    compression: Algorithm | None = None
    encapsulation: Encapsulation | None = None
    replay_window: int = 64
    esn: bool = False
    lifetime: Lifetime = Lifetime()
    selector: Selector | None = None
    usage: Usage = Usage()
    larval: bool = False
    sequence: int = 0
    mark: Mark | None = None
    if_id: int = 0

    @property
    def id(self) -> SaId:
        return SaId(self.dst, self.protocol, self.spi, self.mark)


class Template(Record, kw_only=True):
    """The SA that a policy asks for. In transport mode the end points may stay None."""

    protocol: Protocol = Protocol.ESP
    mode: Mode = Mode.TRANSPORT
    src: Address | None = None
    dst: Address | None = None
    reqid: int = 0
    spi: int = 0
    optional: bool = False


class Policy(Record, kw_only=True):
    """What a policy does with traffic (RFC 4301, 4.4.1). No templates and ALLOW: bypass."""

    selector: Selector
    direction: Direction
    action: Action = Action.ALLOW
    templates: tuple[Template, ...] = ()
    priority: int = 0
    index: int = 0
    lifetime: Lifetime = Lifetime()
    usage: Usage = Usage()
    mark: Mark | None = None
    if_id: int = 0

    @property
    def per_socket(self) -> bool:
        """Whether it belongs to one socket, such as a key daemon's bypass for its own port."""
        return self.direction in (Direction.SOCKET_IN, Direction.SOCKET_OUT)

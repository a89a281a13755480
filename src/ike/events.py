"""What can happen to the engine. `ask` repeats the number of the command that is answered."""

from dataclasses import dataclass
from datetime import datetime

from ike.config import Config
from ike.values import Address, Endpoint, PolicyEntry, SaId
from wire.timer import TimerFired


@dataclass(frozen=True, slots=True, kw_only=True)
class DatagramReceived:
    """A datagram as it came from the wire (with the non-ESP marker on the NAT-T port).

    `date` is the time of day, for certificates; without it their dates are not checked.
    """

    octets: bytes
    source: Endpoint
    local: Endpoint
    date: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquire:
    """Traffic waits for SAs of this policy, or an administrator wants them (`establish-sa esp`).

    `local` may hold the port to send from; without it the engine takes 500.
    """

    policy: PolicyEntry
    local_port: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SpiAllocated:
    ask: int
    spi: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpiRefused:
    ask: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SaInstalled:
    ask: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SaRefused:
    ask: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAdded:
    """A policy of the data plane calls for SAs: all there are at the start, then each new one.

    `generated`: a daemon before us made it for a peer (`generate_policy`); it is ours to remove.
    """

    policy: PolicyEntry
    generated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRemoved:
    """A policy is gone from the data plane: its SAs live on to their end and are not renewed."""

    policy: PolicyEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class SaExpired:
    """The data plane reports a lifetime: soft asks for a new SA, after hard the SA is gone."""

    sa: SaId
    hard: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SaGone:
    """Another program deleted an SA of ours."""

    sa: SaId


@dataclass(frozen=True, slots=True, kw_only=True)
class EstablishIsakmp:
    """`racoonctl establish-sa isakmp`. A phase 1 that already exists is left as it is."""

    local: Endpoint
    remote: Address
    remote_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteIsakmp:
    """`racoonctl delete-sa isakmp`, and with `children` `vpn-disconnect`; `local` None is any."""

    remote: Address
    local: Address | None = None
    children: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteIpsec:
    """Delete the pair that this SA belongs to, and tell the peer."""

    sa: SaId


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePolicySas:
    """A policy went away: delete the SAs that were made for it, and tell the peer."""

    policy: PolicyEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Flush:
    """`racoonctl flush-sa`: all ISAKMP SAs, all IPsec SAs (ours only), or both."""

    isakmp: bool = True
    ipsec: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """A new configuration; what is established stays until it is rekeyed under the new one."""

    config: Config


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressGone:
    """A local address was removed: what stood on it cannot work any more."""

    address: Address


@dataclass(frozen=True, slots=True)
class Stop:
    """Send deletes for everything, then finish: the last command is `Stopped`."""


Event = (
    DatagramReceived
    | Acquire
    | SpiAllocated
    | SpiRefused
    | SaInstalled
    | SaRefused
    | PolicyAdded
    | PolicyRemoved
    | SaExpired
    | SaGone
    | EstablishIsakmp
    | DeleteIsakmp
    | DeleteIpsec
    | DeletePolicySas
    | Flush
    | Reload
    | AddressGone
    | Stop
    | TimerFired
)

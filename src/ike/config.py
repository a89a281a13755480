"""What the engine is configured with: racoon.conf and psk.txt as values.

The words are racoon.conf(5)'s. Reading files is `ike.conf`'s business; a test or a library user
builds these directly. All times are seconds.
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Self

from ike.commands import Level
from ike.crypto.credentials import Credentials
from ike.numbers.doi import (
    Authentication,
    Encryption,
    EspTransform,
    Group,
    Hash,
    IdType,
    Integrity,
)
from ike.numbers.isakmp import ExchangeType
from ike.values import Address, Network
from wire.secret import Secret


class ProposalCheck(Enum):
    """What a responder does when the peer's lifetime, PFS or key length differ (racoon.conf)."""

    OBEY = "obey"
    STRICT = "strict"
    CLAIM = "claim"
    EXACT = "exact"


class Switch(Enum):
    OFF = "off"
    ON = "on"
    FORCE = "force"


class GeneratePolicy(Enum):
    OFF = "off"
    ON = "on"
    REQUIRE = "require"
    UNIQUE = "unique"


@dataclass(frozen=True, slots=True)
class Identifier:
    """`my_identifier` or `peers_identifier`.

    `value` is text: an address, a name, a key id (its octets as `wire.source` has them). For
    DER_ASN1_DN it is an RFC 4514-like string, or "" for the certificate's subject. An address type
    with "" is the own address.
    """

    type: IdType
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase1Proposal:
    """`proposal { ... }`. `key_bits` of None: the algorithm's fixed length, or 128 for AES.

    `lifetime_seconds` of None: the remote's.
    """

    encryption: Encryption = Encryption.AES
    key_bits: int | None = None
    hash: Hash = Hash.SHA1
    authentication: Authentication = Authentication.PRE_SHARED_KEY
    group: Group = Group.MODP1024
    lifetime_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """`remote ... { }`: how to talk to one peer. `address` of None is `anonymous`."""

    name: str
    address: Address | None
    port: int = 500
    exchange_modes: tuple[ExchangeType, ...] = (ExchangeType.MAIN,)
    proposals: tuple[Phase1Proposal, ...] = (Phase1Proposal(),)  # empty: no peer is accepted
    my_identifier: Identifier | None = None  # None: our address
    peers_identifiers: tuple[Identifier, ...] = ()  # empty: not checked
    verify_identifier: bool = False
    credentials: Credentials | None = None  # for signatures
    lifetime_seconds: int = 28800
    proposal_check: ProposalCheck = ProposalCheck.STRICT
    nat_traversal: Switch = Switch.OFF
    ike_frag: Switch = Switch.OFF
    initial_contact: bool = True
    dpd: bool = True  # announce and answer
    dpd_delay: float = 0.0  # 0: never ask
    dpd_retry: float = 5.0
    dpd_maxfail: int = 5
    nonce_size: int = 16
    passive: bool = False  # never initiate
    generate_policy: GeneratePolicy = GeneratePolicy.OFF
    support_proxy: bool = False  # accepted; here identities of others always work
    rekey: Switch = Switch.ON  # phase 1 before it expires; FORCE: also without DPD or children
    send_cert: bool = True
    send_cr: bool = True
    verify_cert: bool = True
    peers_certificate: bytes | None = None  # DER: the peer's own, whichever it sends
    ph1id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SainfoId:
    """One side of `sainfo`: compared with the ID payload's values exactly, as racoon does.

    Either a network with port and protocol (0 is any), or an identifier by name.
    """

    network: Network | None = None
    port: int = 0
    protocol: int = 0
    identifier: Identifier | None = None


@dataclass(frozen=True, slots=True)
class EspEncryption:
    """`encryption_algorithm aes 128`; `key_bits` 0: the algorithm's own, or 128 for AES."""

    transform: EspTransform = EspTransform.AES
    key_bits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sainfo:
    """`sainfo ... { }`: what phase 2 may negotiate. A side of None is `anonymous`.

    `encryption` and `integrity` are in order of preference; a proposal is made of each pair.
    """

    local: SainfoId | None = None
    remote: SainfoId | None = None
    pfs_group: Group | None = None  # None: propose none, accept any
    lifetime_seconds: int = 28800
    lifetime_kilobytes: int | None = None
    encryption: tuple[EspEncryption, ...] = (EspEncryption(),)
    integrity: tuple[Integrity, ...] = (Integrity.HMAC_SHA1,)
    remoteid: int = 0
    peer: Identifier | None = None  # only for a peer with this identity in phase 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """`timer { }`: retransmission, patience, keepalives. `counter` is how often to resend."""

    counter: int = 5
    interval: float = 10.0
    persend: int = 1
    phase1: float = 30.0  # a phase 2 waits that long for its phase 1
    phase2: float = 30.0  # a phase 2 may take that long
    natt_keepalive: float = 20.0  # 0: none


@dataclass(frozen=True, slots=True)
class PreSharedKeys:
    """psk.txt: names with keys, first match wins; the name `*` matches all.

    Whose key is empty, as it could not be read, has none: what matches later does not count.
    """

    entries: tuple[tuple[str, Secret], ...] = ()
    _places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        places = {name: at for at, (name, _) in reversed(list(enumerate(self.entries)))}
        object.__setattr__(self, "_places", places)

    def find(self, *names: str) -> Secret | None:
        """The key of the first entry that carries one of `names`."""
        place = self._place(*names)
        return (self.entries[place][1] or None) if place is not None else None

    def name_of(self, *names: str) -> str | None:
        """The name under which `find` finds the key."""
        place = self._place(*names)
        return None if place is None else self.entries[place][0]

    def _place(self, *names: str) -> int | None:
        return min((self._places[n] for n in (*names, "*") if n in self._places), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What strangers, and peers, can make us hold (strangers need no key for a first message).

    The first ten are those of `limits { }` in racoon.conf.
    """

    half_open: int = 2048  # phase 1 exchanges as responder that are not authenticated, in all
    half_open_per_prefix: int = 1024  # of them from one /24, or /48 of IPv6
    half_open_per_address: int = 256  # a NAT may have that many behind it
    opened_per_second: int = 500  # strangers' first messages, in all; half of it for one prefix
    opened_per_second_per_remote: int = 50  # of a configured peer, or one that was there before
    connections_per_peer: int = 128
    negotiations_per_peer: int = 64  # Quick Modes that run at once
    sas_per_peer: int = 512  # IPsec SAs, inbound and outbound
    fragment_octets_per_source: int = 64 * 1024  # of messages that are not whole yet
    patience_after_proof: float = 10.0  # seconds from message 4 to the peer's authentication
    per_proof: int = 1024  # identities, and generated policies, of peers with the same key
    queued_early: int = 4  # Quick Mode messages kept for a phase 1 about to be established
    message_in_the_clear: int = 8192  # octets
    fragments: int = 64 * 1024  # octets of one fragmented message
    fragment_octets: int = 4 * 1024 * 1024  # of messages that are not whole yet, in all
    notifies_per_second: float = 5.0  # unauthenticated answers to unexpected messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All that an engine knows. The non-ESP marker goes with the local port `natt_port`."""

    remotes: tuple[Remote, ...] = ()
    sainfos: tuple[Sainfo, ...] = ()
    keys: PreSharedKeys = field(default_factory=PreSharedKeys)
    timers: Timers = field(default_factory=Timers)
    limits: Limits = field(default_factory=Limits)
    natt_port: int = 4500
    export_keys: bool = False  # emit ExportKeys, for captures
    log: Level = Level.INFO  # Log commands below it are not made
    _by_address: dict[Address | None, list[Remote]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # made when it is asked for: a configuration that is being read is replaced at every line
    _by_name: dict[str, Remote] = field(default_factory=dict, init=False, repr=False, compare=False)

    def remote_for(self, address: Address, port: int | None = None) -> Remote | None:
        """The remote of this address (with this port first), else `anonymous`."""
        if not self._by_address:
            for remote in self.remotes:
                self._by_address.setdefault(remote.address, []).append(remote)
        named = self._by_address.get(address) or self._by_address.get(None, [])
        return next(
            (r for r in named if r.address is not None and r.port == port), next(iter(named), None)
        )

    def remote_named(self, name: str) -> Remote | None:
        if not self._by_name:
            self._by_name.update((remote.name, remote) for remote in reversed(self.remotes))
        return self._by_name.get(name)

    def with_keys(self, keys: PreSharedKeys) -> Self:
        return replace(self, keys=keys)

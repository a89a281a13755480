"""The facts of one phase 1 negotiation, as they become known (RFC 2409, 5)."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Final, Self

from ike.config import PreSharedKeys, Remote
from ike.crypto.groups import KeyPair
from ike.crypto.keys import Cookies, Nonces, Phase1Keys, PublicValues
from ike.crypto.prf import HASHES, HashSpec
from ike.doi.proposals import Phase1Suite
from ike.isakmp.payloads import Identification
from ike.isakmp.vendor import Vendor
from ike.numbers.isakmp import ExchangeType
from ike.phase1.nat import Nat
from ike.values import Endpoint, Role
from wire.secret import Secret

MIN_NONCE: Final = 8
MAX_NONCE: Final = 256


@dataclass(slots=True, kw_only=True)
class Phase1:
    """What one side knows. `suite` and what follows are set in the course of the exchange."""

    role: Role
    exchange: ExchangeType
    remote: Remote
    pre_shared_keys: PreSharedKeys
    entropy: Callable[[int], bytes]
    cookies: Cookies
    local: Endpoint
    peer: Endpoint
    date: Callable[[], datetime | None] = lambda: None  # for certificates
    first_contact: Callable[[], bool] = lambda: False  # whether we have no other SA with the peer

    vendors: set[Vendor] = field(default_factory=set)  # of the peer
    unknown_vendors: list[bytes] = field(default_factory=list)
    nat: Nat = field(default_factory=Nat)
    offered: tuple[Phase1Suite, ...] = ()
    suite: Phase1Suite | None = None
    choice: bytes = b""  # the SA body that answers the offer
    sa_i: bytes = b""  # SAi_b
    pair: KeyPair | None = None
    own_nonce: bytes = b""
    peer_nonce: bytes = b""
    peer_public: bytes = b""
    keys: Phase1Keys | None = None
    own_id: Identification | None = None
    peer_id: Identification | None = None
    key_name: str | None = None  # under which psk.txt has the key: what the peer proves by it
    peer_initial_contact: bool = False

    def copy(self) -> Self:
        """Where a message can be taken into and, if it is refused, leaves nothing behind."""
        return replace(
            self,
            vendors=set(self.vendors),
            unknown_vendors=list(self.unknown_vendors),
            nat=replace(self.nat),
        )

    def become(self, other: Self) -> None:
        """All that `other` knows is known here from now on."""
        for known in fields(self):
            setattr(self, known.name, getattr(other, known.name))

    @property
    def nonce_size(self) -> int:
        """Octets of our nonces, in both phases (RFC 2409, 5: 8 to 256)."""
        return min(max(self.remote.nonce_size, MIN_NONCE), MAX_NONCE)

    @property
    def is_initiator(self) -> bool:
        return self.role is Role.INITIATOR

    @property
    def agreed(self) -> Phase1Suite:
        """The suite, in a row that comes after its choice."""
        assert self.suite is not None
        return self.suite

    @property
    def hash_spec(self) -> HashSpec:
        return HASHES[self.agreed.hash]

    @property
    def nonces(self) -> Nonces:
        if self.is_initiator:
            return Nonces(initiator=self.own_nonce, responder=self.peer_nonce)
        return Nonces(initiator=self.peer_nonce, responder=self.own_nonce)

    @property
    def public(self) -> PublicValues:
        assert self.pair is not None
        if self.is_initiator:
            return PublicValues(initiator=self.pair.public, responder=self.peer_public)
        return PublicValues(initiator=self.peer_public, responder=self.pair.public)

    def agree(self, skeyid: Callable[[Secret], Secret]) -> None:
        """g^xy and all keys, once both public values and nonces are known.

        Raises: InvalidKeyInformation.
        """
        assert self.pair is not None
        shared = self.pair.shared(self.peer_public)
        self.keys = Phase1Keys(
            hash_algorithm=self.agreed.hash,
            encryption=self.agreed.encryption,
            key_bits=self.agreed.key_bits,
            skeyid=skeyid(shared),
            shared=shared,
            cookies=self.cookies,
        )

    def proof_of(self, role: Role, identity: bytes) -> bytes:
        """HASH_I or HASH_R over the identification body of that side."""
        assert self.keys is not None
        if role is Role.INITIATOR:
            return self.keys.phase1_hash_i(self.public, self.sa_i, identity)
        return self.keys.phase1_hash_r(self.public, self.sa_i, identity)

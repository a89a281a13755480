"""Authentication methods of phase 1 (RFC 2409, 5.1 and 5.4): how SKEYID is made, what proves it."""

from collections.abc import Sequence
from typing import Final, Protocol

from ike.crypto.keys import skeyid_pre_shared_key
from ike.crypto.prf import equal
from ike.doi.identity import describe, matches, own_identity
from ike.errors import AuthenticationFailed, LocalError
from ike.isakmp.message import Message, Payload
from ike.isakmp.payloads import Identification
from ike.isakmp.table import Count, one
from ike.numbers.doi import Authentication
from ike.numbers.isakmp import ExchangeType
from ike.numbers.isakmp import PayloadType as P
from ike.phase1.facts import Phase1
from ike.phase1.rsa import RsaSignature
from ike.values import Role
from wire.secret import Secret


class Method(Protocol):
    """One method. `proof` are the payloads of a message that proves an identity, besides ID."""

    proof: tuple[Count, ...]

    def prepare(self, facts: Phase1) -> None:
        """Whether we could. Raises: LocalError."""

    def skeyid(self, facts: Phase1, shared: Secret) -> Secret:
        """SKEYID. Raises: LocalError."""

    def requests(self, facts: Phase1) -> list[Payload]:
        """What we ask for beside our public value. Raises: LocalError."""

    def identity(self, facts: Phase1) -> Identification:
        """Who we say we are. Raises: LocalError."""

    def prove(self, facts: Phase1, digest: bytes) -> list[Payload]:
        """Payloads that prove it. Raises: LocalError."""

    def verify(
        self, facts: Phase1, message: Message, identity: Identification, digest: bytes
    ) -> tuple[Identification, ...]:
        """The peer's identity, when it has proved it, and its other names that the proof has.

        Raises: PeerError.
        """


class PreSharedKey:
    """RFC 2409, 5.4. In main mode the key must be found by the peer's address; in aggressive mode
    the peer has said its name before.
    """

    proof: tuple[Count, ...] = (one(P.HASH),)

    def prepare(self, facts: Phase1) -> None:
        if facts.exchange == ExchangeType.MAIN:
            self._key(facts)

    def skeyid(self, facts: Phase1, shared: Secret) -> Secret:  # noqa: ARG002
        return skeyid_pre_shared_key(facts.hash_spec, self._key(facts), facts.nonces)

    def requests(self, facts: Phase1) -> list[Payload]:  # noqa: ARG002
        return []

    def identity(self, facts: Phase1) -> Identification:
        return own_identity(facts.remote.my_identifier, facts.local.address)

    def prove(self, facts: Phase1, digest: bytes) -> list[Payload]:  # noqa: ARG002
        return [Payload(P.HASH, digest)]

    def verify(
        self,
        facts: Phase1,  # noqa: ARG002
        message: Message,
        identity: Identification,
        digest: bytes,
    ) -> tuple[Identification, ...]:
        if not equal(message.first(P.HASH), digest):
            raise AuthenticationFailed("HASH mismatched; is the pre-shared key the same there?")
        return (identity,)

    def _key(self, facts: Phase1) -> Secret:
        names = [str(facts.peer.address)]
        if facts.peer_id is not None:
            names.append(describe(facts.peer_id))
        key = facts.pre_shared_keys.find(*names)
        if key is None:
            raise LocalError("couldn't find the pskey.")
        facts.key_name = facts.pre_shared_keys.name_of(*names)
        return key


METHODS: Final[dict[Authentication, Method]] = {
    Authentication.PRE_SHARED_KEY: PreSharedKey(),
    Authentication.RSA_SIGNATURE: RsaSignature(),
}


def method_of(facts: Phase1) -> Method:
    return METHODS[facts.agreed.authentication]


def check_identity(facts: Phase1, proved: Sequence[Identification]) -> None:
    """The peer's identity against `peers_identifier`. Raises: AuthenticationFailed.

    As with racoon, a mismatch counts only with `verify_identifier on`.
    Differs: any name counts that the peer's certificate has, whichever of them it sends.
    """
    expected = facts.remote.peers_identifiers
    if not facts.remote.verify_identifier or not expected:
        return
    if not any(matches(name, one_of) for name in proved for one_of in expected):
        names = " alias ".join(dict.fromkeys(describe(name) for name in proved))
        wanted = " or ".join(e.value or f"any {e.type}" for e in expected)
        raise AuthenticationFailed(f"the peer is {names}, but peers_identifier is {wanted}")


def other(role: Role) -> Role:
    return Role.RESPONDER if role is Role.INITIATOR else Role.INITIATOR

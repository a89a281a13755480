"""Quick Mode (RFC 2409, 5.5): one exchange makes the SAs of one policy.

The same table-and-step form as Main Mode, but between the rows we wait for others: for SPIs, for
the policy, for SAs to be installed. `ike.sa.bundle` does that; here is only what the octets say.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ike.crypto.groups import KeyPair
from ike.crypto.keys import Nonces, Phase1Keys
from ike.crypto.prf import equal
from ike.doi.identity import traffic_identity
from ike.doi.proposals import (
    ESP_KEY_BITS,
    INTEGRITY_KEY_OCTETS,
    NONCE_OCTETS,
    Phase2Suite,
    lifetime_attributes,
)
from ike.doi.select import Chosen2, accept_phase2, phase2_offer
from ike.errors import InvalidHashInformation, InvalidIdInformation, PayloadMalformed
from ike.isakmp.attributes import pack_attributes
from ike.isakmp.message import Message, Payload, pack_chain
from ike.isakmp.payloads import Identification, Notification, OriginalAddress, SaBody
from ike.isakmp.table import initiator, one, optional, responder
from ike.numbers.doi import Group
from ike.numbers.isakmp import NotifyType
from ike.numbers.isakmp import PayloadType as P
from ike.phase1.facts import MAX_NONCE, MIN_NONCE
from ike.values import Address, Role, Selector
from wire.secret import Secret

_CONTENT = (
    one(P.HASH),
    one(P.SA),
    one(P.NONCE),
    optional(P.KE),
    optional(P.ID, 2),
    optional(P.NAT_OA, 2),
    optional(P.NAT_OA_DRAFT, 2),
)
# fmt: off
QUICK_MODE = (
    initiator(*_CONTENT, encrypted=True, first=P.HASH),    # HDR*, HASH(1), SA, Ni [, KE] [, IDs]
    responder(*_CONTENT, encrypted=True, first=P.HASH),    # <-- HDR*, HASH(2), SA, Nr [, KE] ...
    initiator(one(P.HASH), encrypted=True, first=P.HASH),  # HDR*, HASH(3)
)
# fmt: on


@dataclass(slots=True, kw_only=True)
class Phase2:
    """The facts of one Quick Mode, as they become known."""

    role: Role
    message_id: int
    keys: Phase1Keys
    entropy: Callable[[int], bytes]
    selector: Selector | None = None
    ids: tuple[Identification, Identification] | None = None  # IDci, IDcr as on the wire
    original_addresses: tuple[Address, Address] | None = (
        None  # NAT-OA to send: initiator, responder
    )
    peer_original_addresses: tuple[Address, ...] = ()
    offered: SaBody | None = None
    own_nonce: bytes = b""
    peer_nonce: bytes = b""
    peer_public: bytes | None = None
    pair: KeyPair | None = None
    shared: Secret | None = None
    chosen: Chosen2 | None = None
    spis: list[bytes] = field(default_factory=list)  # ours, inbound, by protection
    commit: bool = False  # the peer set the commit bit

    @property
    def mid(self) -> bytes:
        return self.message_id.to_bytes(4)

    @property
    def nonces(self) -> Nonces:
        if self.role is Role.INITIATOR:
            return Nonces(initiator=self.own_nonce, responder=self.peer_nonce)
        return Nonces(initiator=self.peer_nonce, responder=self.own_nonce)

    def keymat(self, suite: Phase2Suite, spi: bytes) -> tuple[Secret, Secret]:
        """Encryption and integrity key of one direction, named by its SPI (RFC 2409, 5.5)."""
        cipher_octets = 0
        if suite.encryption is not None:
            cipher_octets = (suite.key_bits or ESP_KEY_BITS[suite.encryption][0]) // 8
            cipher_octets += NONCE_OCTETS.get(suite.encryption, 0)
        integrity_octets = INTEGRITY_KEY_OCTETS[suite.integrity]
        octets = self.keys.keymat(
            cipher_octets + integrity_octets,
            protocol=suite.protocol,
            spi=spi,
            nonces=self.nonces,
            shared=self.shared,
        ).reveal()
        return Secret(octets[:cipher_octets]), Secret(octets[cipher_octets:])


# --- message 1 ---


def build_first(
    facts: Phase2, offers: list[tuple[Phase2Suite, ...]], oa_type: P, nonce_size: int
) -> tuple[Payload, ...]:
    """HASH(1), SA, Ni [, KE] [, IDci, IDcr] [, NAT-OA]."""
    assert facts.selector is not None
    group = offers[0][0].group
    facts.own_nonce = facts.entropy(nonce_size)
    sa = phase2_offer(offers, facts.spis)
    rest = [Payload(P.SA, bytes(sa)), Payload(P.NONCE, facts.own_nonce)]
    if group != Group.NONE:
        facts.pair = KeyPair.generate(group, facts.entropy)
        rest.append(Payload(P.KE, facts.pair.public))
    s = facts.selector
    facts.ids = (
        traffic_identity(s.local, s.protocol, s.local_port),
        traffic_identity(s.remote, s.protocol, s.remote_port),
    )
    rest += [Payload(P.ID, bytes(identity)) for identity in facts.ids]
    rest += _original_addresses(facts, oa_type)
    digest = facts.keys.phase2_hash(facts.mid, pack_chain(rest))
    return (Payload(P.HASH, digest), *rest)


def take_first(facts: Phase2, message: Message) -> None:
    """Raises: InvalidHashInformation, PayloadMalformed, InvalidIdInformation, ..."""
    rest = message.payloads[1:]
    _verify(facts.keys.phase2_hash(facts.mid, pack_chain(rest)), message, 1)
    facts.offered = SaBody.parse(message.first(P.SA))
    _take_common(facts, message)
    ids = message.all(P.ID)
    if len(ids) == 1:
        raise InvalidIdInformation("one ID payload where two are needed")
    if ids:
        facts.ids = (Identification.parse(ids[0]), Identification.parse(ids[1]))


# --- message 2 ---


def prepare_second(facts: Phase2, nonce_size: int, group: Group) -> None:
    """The responder's nonce and half of the PFS exchange. Raises: InvalidKeyInformation."""
    facts.own_nonce = facts.entropy(nonce_size)
    if facts.peer_public is not None:
        facts.pair = KeyPair.generate(group, facts.entropy)
        facts.shared = facts.pair.shared(facts.peer_public)


def build_second(facts: Phase2, oa_type: P) -> tuple[Payload, ...]:
    """HASH(2), SA, Nr [, KE] [, IDci, IDcr] [, NAT-OA] [, N(RESPONDER-LIFETIME)]."""
    assert facts.chosen is not None
    answer = SaBody(
        tuple(
            replace(proposal, spi=facts.spis[at])
            for proposal, at in zip(facts.chosen.reply.proposals, facts.chosen.order, strict=True)
        )
    )
    rest = [Payload(P.SA, bytes(answer)), Payload(P.NONCE, facts.own_nonce)]
    if facts.pair is not None:
        rest.append(Payload(P.KE, facts.pair.public))
    if facts.ids is not None:
        rest += [Payload(P.ID, bytes(identity)) for identity in facts.ids]
    rest += _original_addresses(facts, oa_type)
    if facts.chosen.shortened:
        rest += [Payload(P.NOTIFY, bytes(n)) for n in _responder_lifetimes(facts)]
    digest = facts.keys.phase2_hash(facts.mid, facts.nonces.initiator, pack_chain(rest))
    return (Payload(P.HASH, digest), *rest)


def _responder_lifetimes(facts: Phase2) -> list[Notification]:
    """RFC 2407, 4.6.3.1: we keep a shorter lifetime than was offered."""
    assert facts.chosen is not None
    return [
        Notification(
            NotifyType.RESPONDER_LIFETIME,
            suite.protocol,
            spi,
            pack_attributes(lifetime_attributes(suite.lifetime)),
        )
        for suite, spi in zip(facts.chosen.suites, facts.spis, strict=True)
    ]


def take_second(
    facts: Phase2, message: Message, offers: list[tuple[Phase2Suite, ...]]
) -> list[Notification]:
    """The responder's choice; its notifications are returned.

    Raises: InvalidHashInformation, NoProposalChosen, InvalidIdInformation, PayloadMalformed, ...
    """
    digest = facts.keys.phase2_hash(facts.mid, facts.own_nonce, pack_chain(message.payloads[1:]))
    _verify(digest, message, 2)
    facts.chosen = accept_phase2(SaBody.parse(message.first(P.SA)), offers)
    _take_common(facts, message)
    ids = [Identification.parse(body) for body in message.all(P.ID)]
    if ids and not _answers(facts, ids):
        raise InvalidIdInformation("the answer's identities are not those that were sent")
    if (facts.pair is None) is not (facts.peer_public is None):
        raise PayloadMalformed("KE payload in one direction only")
    if facts.pair is not None and facts.peer_public is not None:
        facts.shared = facts.pair.shared(facts.peer_public)
    return [Notification.parse(body) for body in message.all(P.NOTIFY)]


# --- message 3 ---


def build_third(facts: Phase2) -> tuple[Payload, ...]:
    """HASH(3) = prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b)."""
    return (Payload(P.HASH, _third(facts)),)


def take_third(facts: Phase2, message: Message) -> None:
    """Raises: InvalidHashInformation."""
    _verify(_third(facts), message, 3)


def _third(facts: Phase2) -> bytes:
    return facts.keys.phase2_hash(b"\0", facts.mid, bytes(facts.nonces))


def _answers(facts: Phase2, ids: list[Identification]) -> bool:
    """Whether the answer's identities are ours. In transport mode behind NATs each side names hosts
    by the addresses that it sees (strongSwan does), so that only the rest can be compared.
    """
    if facts.ids is None or len(ids) != 2:
        return False
    if facts.original_addresses is None:
        return tuple(ids) == facts.ids
    return all(
        (one.type, one.protocol, one.port) == (sent.type, sent.protocol, sent.port)
        for one, sent in zip(ids, facts.ids, strict=True)
    )


def _verify(digest: bytes, message: Message, number: int) -> None:
    if not equal(message.first(P.HASH), digest):
        raise InvalidHashInformation(f"HASH({number}) mismatched")


def _take_common(facts: Phase2, message: Message) -> None:
    facts.commit = message.commit
    facts.peer_nonce = message.first(P.NONCE)
    if not MIN_NONCE <= len(facts.peer_nonce) <= MAX_NONCE:
        raise PayloadMalformed(f"nonce of {len(facts.peer_nonce)} octets")
    if publics := message.all(P.KE):
        facts.peer_public = publics[0]
    facts.peer_original_addresses = tuple(
        OriginalAddress.parse(body).address for body in message.all(P.NAT_OA, P.NAT_OA_DRAFT)
    )


def _original_addresses(facts: Phase2, oa_type: P) -> list[Payload]:
    if facts.original_addresses is None:
        return []
    return [Payload(oa_type, bytes(OriginalAddress(a))) for a in facts.original_addresses]

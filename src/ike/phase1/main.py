"""Main Mode, the Identity Protection exchange (RFC 2409, 5; RFC 2408, 4.5)."""

from ike.config import Switch
from ike.crypto.groups import KeyPair
from ike.doi.select_phase1 import accept_phase1, choose_phase1, phase1_offer, phase1_suites
from ike.errors import InvalidKeyInformation, LocalError, PayloadMalformed
from ike.isakmp.message import Message, Payload
from ike.isakmp.payloads import Identification, Notification, SaBody
from ike.isakmp.table import Step, initiator, one, optional, responder
from ike.isakmp.vendor import NAT_TRAVERSAL, Vendor, known, octets
from ike.numbers.doi import Group
from ike.numbers.isakmp import NotifyType, ProtocolId
from ike.numbers.isakmp import PayloadType as P
from ike.phase1.authentication import METHODS, Method, check_identity, method_of, other
from ike.phase1.facts import MAX_NONCE, MIN_NONCE, Phase1
from ike.phase1.nat import common_version, discover, discovery_payloads


def main_mode(method: Method) -> tuple[Step[Phase1], ...]:
    """The table of Main Mode authenticated by `method`; the first four rows are always the same."""
    nat_d = (optional(P.NAT_D, 16), optional(P.NAT_D_DRAFT, 16))
    keys = (one(P.KE), one(P.NONCE), *nat_d)
    proof = (one(P.ID), *method.proof)
    # fmt: off
    return (
        Step(initiator(one(P.SA), first=P.SA), send_offer, take_offer),    # HDR, SA        -->
        Step(responder(one(P.SA), first=P.SA), send_choice, take_choice),  #    <-- HDR, SA
        Step(initiator(*keys), send_key, take_key),                        # HDR, KE, Ni    -->
        Step(responder(*keys), send_key, take_key),                        #    <-- HDR, KE, Nr
        Step(initiator(*proof, encrypted=True), send_proof, take_proof),   # HDR*, IDii, .. -->
        Step(responder(*proof, encrypted=True), send_proof, take_proof),   #    <-- HDR*, IDir, ..
    )
    # fmt: on


# --- HDR, SA ---


def send_offer(facts: Phase1) -> list[Payload]:
    facts.offered = tuple(s for s in phase1_suites(facts.remote) if s.authentication in METHODS)
    if not facts.offered:
        raise LocalError(f"remote {facts.remote.name}: no proposal that is supported here")
    for authentication in {suite.authentication for suite in facts.offered}:
        METHODS[authentication].prepare(facts)
    facts.sa_i = bytes(phase1_offer(facts.offered))
    vendors = [Vendor.DPD] if facts.remote.dpd else []
    if facts.remote.nat_traversal is not Switch.OFF:
        vendors += NAT_TRAVERSAL
    if facts.remote.ike_frag is not Switch.OFF:
        vendors.append(Vendor.FRAGMENTATION)
    return [Payload(P.SA, facts.sa_i), *(Payload(P.VENDOR, octets(v)) for v in vendors)]


def take_offer(facts: Phase1, message: Message) -> None:
    take_vendors(facts, message)
    facts.sa_i = message.first(P.SA)
    allowed = [s for s in phase1_suites(facts.remote) if s.authentication in METHODS]
    chosen = choose_phase1(SaBody.parse(facts.sa_i), allowed, facts.remote.proposal_check)
    facts.suite, facts.choice = chosen.suite, bytes(chosen.reply)
    method_of(facts).prepare(facts)


def send_choice(facts: Phase1) -> list[Payload]:
    vendors = [Vendor.DPD] if facts.remote.dpd else []
    if facts.remote.nat_traversal is not Switch.OFF:
        facts.nat.version = common_version(facts.vendors)
        if facts.nat.version is not None:
            vendors.append(facts.nat.version)
    if facts.remote.ike_frag is not Switch.OFF and Vendor.FRAGMENTATION in facts.vendors:
        vendors.append(Vendor.FRAGMENTATION)
    return [Payload(P.SA, facts.choice), *(Payload(P.VENDOR, octets(v)) for v in vendors)]


def take_choice(facts: Phase1, message: Message) -> None:
    take_vendors(facts, message)
    facts.suite = accept_phase1(SaBody.parse(message.first(P.SA)), facts.offered)
    if facts.remote.nat_traversal is not Switch.OFF:
        facts.nat.version = common_version(facts.vendors)


def take_vendors(facts: Phase1, message: Message) -> None:
    for body in message.all(P.VENDOR):
        vendor = known(body)
        if vendor is None:
            facts.unknown_vendors.append(body)
        else:
            facts.vendors.add(vendor)


# --- HDR, KE, Nonce ---


def send_key(facts: Phase1) -> list[Payload]:
    if facts.pair is None:
        prepare_key(facts, facts.agreed.group)
    return [*public_payloads(facts), *method_of(facts).requests(facts), *nat_payloads(facts)]


def take_key(facts: Phase1, message: Message) -> None:
    take_public(facts, message)
    discover_nat(facts, message)
    if facts.pair is None:  # the responder's
        prepare_key(facts, facts.agreed.group)
    facts.agree(lambda shared: method_of(facts).skeyid(facts, shared))


def prepare_key(facts: Phase1, group: Group) -> None:
    facts.pair = KeyPair.generate(group, facts.entropy)
    facts.own_nonce = facts.entropy(facts.nonce_size)


def public_payloads(facts: Phase1) -> list[Payload]:
    assert facts.pair is not None
    return [Payload(P.KE, facts.pair.public), Payload(P.NONCE, facts.own_nonce)]


def take_public(facts: Phase1, message: Message) -> None:
    facts.peer_public = message.first(P.KE)
    facts.peer_nonce = message.first(P.NONCE)
    if not MIN_NONCE <= len(facts.peer_nonce) <= MAX_NONCE:
        raise PayloadMalformed(f"nonce of {len(facts.peer_nonce)} octets")
    if facts.pair is not None and facts.peer_public == facts.pair.public:
        raise InvalidKeyInformation("the public value is our own: our message was reflected")


def nat_payloads(facts: Phase1) -> list[Payload]:
    if facts.nat.version is None:
        return []
    forced = facts.remote.nat_traversal is Switch.FORCE
    spec = facts.hash_spec
    return discovery_payloads(
        facts.nat,
        spec,
        facts.cookies,
        local=facts.local,
        peer=facts.peer,
        disguise=facts.entropy(spec.size) if forced else b"",
    )


def discover_nat(facts: Phase1, message: Message) -> None:
    if facts.nat.version is None:
        return
    facts.nat.forced = facts.remote.nat_traversal is Switch.FORCE
    discover(
        facts.nat,
        facts.hash_spec,
        facts.cookies,
        message.all(facts.nat.discovery_type),
        local=facts.local,
        peer=facts.peer,
    )


# --- HDR*, ID, proof ---


def send_proof(facts: Phase1) -> list[Payload]:
    method = method_of(facts)
    facts.own_id = method.identity(facts)
    body = bytes(facts.own_id)
    payloads = [Payload(P.ID, body), *method.prove(facts, facts.proof_of(facts.role, body))]
    if facts.is_initiator and facts.remote.initial_contact and facts.first_contact():
        payloads.append(Payload(P.NOTIFY, bytes(initial_contact(facts))))
    return payloads


def initial_contact(facts: Phase1) -> Notification:
    """RFC 2407, 4.6.3.3: we have no other SA with this peer; it may delete what it has."""
    return Notification(NotifyType.INITIAL_CONTACT, ProtocolId.ISAKMP, bytes(facts.cookies))


def take_proof(facts: Phase1, message: Message) -> None:
    body = message.first(P.ID)
    identity = Identification.parse(body)
    digest = facts.proof_of(other(facts.role), body)
    check_identity(facts, method_of(facts).verify(facts, message, identity, digest))
    facts.peer_id = identity
    facts.peer_initial_contact = any(
        Notification.parse(n).type == NotifyType.INITIAL_CONTACT for n in message.all(P.NOTIFY)
    )

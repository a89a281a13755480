"""Aggressive Mode (RFC 2409, 5.1 and 5.4): phase 1 in three messages, identities in the clear.

With a pre-shared key, the second message allows an offline search for the key: the mode is used
only if it is configured. The group cannot be negotiated, because the first message holds a public
value already. The last message may be encrypted (RFC 2409, 5.1). Ours is, which gives peers like
libreswan the vector from which phase 2 goes on.
"""

from ike.errors import LocalError
from ike.isakmp.message import Message, Payload
from ike.isakmp.payloads import Identification
from ike.isakmp.table import Step, initiator, one, optional, responder
from ike.numbers.isakmp import PayloadType as P
from ike.phase1.authentication import METHODS, Method, check_identity, method_of, other
from ike.phase1.facts import Phase1
from ike.phase1.main import (
    discover_nat,
    nat_payloads,
    prepare_key,
    public_payloads,
    send_choice,
    send_offer,
    take_choice,
    take_offer,
    take_public,
)


def aggressive_mode(method: Method) -> tuple[Step[Phase1], ...]:
    """The table of Aggressive Mode authenticated by `method`."""
    nat_d = (optional(P.NAT_D, 16), optional(P.NAT_D_DRAFT, 16))
    opening = (one(P.SA), one(P.KE), one(P.NONCE), one(P.ID))
    answer = (*opening, *method.proof, *nat_d)
    end = (*method.proof, *nat_d)
    # fmt: off
    return (
        Step(initiator(*opening, first=P.SA), send_opening, take_opening),  # HDR, SA, KE, Ni, IDii
        Step(responder(*answer, first=P.SA), send_answer, take_answer),     # <-- .., IDir, HASH_R
        Step(initiator(*end, encrypted=None), send_end, take_end),          # HDR(*), HASH_I
    )
    # fmt: on


def send_opening(facts: Phase1) -> list[Payload]:
    sa, *vendors = send_offer(facts)
    suite = facts.offered[0]
    alike = [s for s in facts.offered if s.group == suite.group]
    if len(alike) != len(facts.offered):
        raise LocalError(
            f"remote {facts.remote.name}: in aggressive mode all proposals need one dh_group"
        )
    facts.own_id = METHODS[suite.authentication].identity(facts)
    prepare_key(facts, suite.group)
    requests = METHODS[suite.authentication].requests(facts)
    named = [*public_payloads(facts), Payload(P.ID, bytes(facts.own_id)), *requests]
    return [sa, *named, *vendors]


def take_opening(facts: Phase1, message: Message) -> None:
    facts.peer_id = Identification.parse(message.first(P.ID))
    take_offer(facts, message)
    take_public(facts, message)
    prepare_key(facts, facts.agreed.group)
    facts.agree(lambda shared: method_of(facts).skeyid(facts, shared))


def send_answer(facts: Phase1) -> list[Payload]:
    sa, *vendors = send_choice(facts)
    method = method_of(facts)
    facts.own_id = method.identity(facts)
    body = bytes(facts.own_id)
    proof = method.prove(facts, facts.proof_of(facts.role, body))
    named = [*public_payloads(facts), Payload(P.ID, body), *proof, *method.requests(facts)]
    return [sa, *named, *vendors, *nat_payloads(facts)]


def take_answer(facts: Phase1, message: Message) -> None:
    body = message.first(P.ID)
    identity = Identification.parse(body)
    take_choice(facts, message)
    take_public(facts, message)
    discover_nat(facts, message)
    facts.peer_id = identity
    facts.agree(lambda shared: method_of(facts).skeyid(facts, shared))
    digest = facts.proof_of(other(facts.role), body)
    check_identity(facts, method_of(facts).verify(facts, message, identity, digest))


def send_end(facts: Phase1) -> list[Payload]:
    assert facts.own_id is not None
    proof = method_of(facts).prove(facts, facts.proof_of(facts.role, bytes(facts.own_id)))
    return [*proof, *nat_payloads(facts)]


def take_end(facts: Phase1, message: Message) -> None:
    assert facts.peer_id is not None
    digest = facts.proof_of(other(facts.role), bytes(facts.peer_id))
    check_identity(facts, method_of(facts).verify(facts, message, facts.peer_id, digest))
    discover_nat(facts, message)

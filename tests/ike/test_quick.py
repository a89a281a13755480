"""Quick Mode's messages by themselves (RFC 2409, 5.5)."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ike.config import ProposalCheck, Sainfo
from ike.crypto.keys import Cookies, Phase1Keys
from ike.doi.identity import address_identity, host_selector
from ike.doi.proposals import Phase2Suite
from ike.doi.select import choose_phase2, phase2_suites
from ike.errors import (
    InvalidFlags,
    InvalidHashInformation,
    InvalidIdInformation,
    OutOfTurn,
    PayloadMalformed,
)
from ike.isakmp.message import Message, Payload, pack_chain
from ike.isakmp.payloads import SaBody
from ike.numbers.doi import Encryption, Group, Hash
from ike.numbers.isakmp import ExchangeType, PayloadType, ProtocolId
from ike.phase2.quick import (
    QUICK_MODE,
    Phase2,
    build_first,
    build_second,
    build_third,
    prepare_second,
    take_first,
    take_second,
    take_third,
)
from ike.values import Protection, Role
from wire.secret import Secret

HERE, THERE, PUBLIC = (ip_address(a) for a in ("10.0.0.1", "10.0.0.2", "203.0.113.7"))
KEYS = Phase1Keys(
    hash_algorithm=Hash.SHA1,
    encryption=Encryption.AES,
    key_bits=128,
    skeyid=Secret(b"skeyid"),
    shared=Secret(b"g^xy"),
    cookies=Cookies(initiator=b"initcook", responder=b"respcook"),
)


def _facts(role: Role) -> Phase2:
    return Phase2(role=role, message_id=7, keys=KEYS, entropy=lambda size: bytes([9]) * size)


def _message(payloads: tuple[Payload, ...]) -> Message:
    return Message(
        initiator_cookie=b"initcook",
        responder_cookie=b"respcook",
        exchange=ExchangeType.QUICK,
        payloads=payloads,
        message_id=7,
        encrypted=True,
    )


class Exchange:
    """Both sides up to the answer, which `change` may alter before it is built."""

    def __init__(
        self, group: Group = Group.NONE, *, nat: bool = False, change: Callable[[Phase2], None]
    ) -> None:
        sainfo = replace(Sainfo(), pfs_group=group or None)
        self.offers: list[tuple[Phase2Suite, ...]] = [phase2_suites(sainfo, Protection(), udp=nat)]
        self.initiator, self.responder = _facts(Role.INITIATOR), _facts(Role.RESPONDER)
        self.initiator.selector = host_selector(HERE, THERE)
        self.initiator.spis = [b"\0\0\1\1"]
        if nat:
            self.initiator.original_addresses = (HERE, THERE)
        first = build_first(self.initiator, self.offers, PayloadType.NAT_OA, 16)
        take_first(self.responder, _message(first))
        assert self.responder.offered is not None
        pfs = bool(group)
        self.responder.chosen = choose_phase2(
            self.responder.offered, self.offers, ProposalCheck.EXACT, pfs
        )
        self.responder.spis = [b"\0\0\2\2"]
        prepare_second(self.responder, 16, group)
        change(self.responder)
        self.second = _message(build_second(self.responder, PayloadType.NAT_OA))

    def finish(self) -> None:
        take_second(self.initiator, self.second, self.offers)
        take_third(self.responder, _message(build_third(self.initiator)))


def _as_it_is(_: Phase2) -> None:
    return None


def test_the_hashes_are_those_of_the_formulas() -> None:
    """RFC 2409, 5.5, computed here."""
    exchange = Exchange(change=_as_it_is)
    first, second = exchange.initiator, exchange.responder
    key, mid = KEYS.SKEYID_a.reveal(), (7).to_bytes(4)
    ni, nr = first.own_nonce, second.own_nonce
    rest = pack_chain(exchange.second.payloads[1:])
    assert exchange.second.payloads[0].body == KEYS.spec.prf(key, mid + ni + rest)
    exchange.finish()
    (third,) = build_third(first)
    assert third.body == KEYS.spec.prf(key, b"\0" + mid + ni + nr)


@pytest.mark.parametrize("group", [Group.NONE, Group.MODP1024])
def test_both_sides_derive_the_same_keys_for_each_spi(group: Group) -> None:
    exchange = Exchange(group, change=_as_it_is)
    exchange.finish()
    suite = exchange.offers[0][0]
    for spi in (b"\0\0\1\1", b"\0\0\2\2"):
        assert exchange.initiator.keymat(suite, spi) == exchange.responder.keymat(suite, spi)
    assert exchange.initiator.keymat(suite, b"one!") != exchange.initiator.keymat(suite, b"two!")


def _renamed(facts: Phase2) -> None:
    assert facts.ids is not None
    facts.ids = (address_identity(PUBLIC), facts.ids[1])


def test_other_identities_in_the_answer_are_refused() -> None:
    with pytest.raises(InvalidIdInformation, match="not those that were sent"):
        Exchange(change=_renamed).finish()


def test_behind_a_nat_the_answer_may_name_us_by_our_public_address() -> None:
    """strongSwan 5.9.8 as responder does so in transport mode."""
    exchange = Exchange(nat=True, change=_renamed)
    exchange.finish()
    assert exchange.initiator.chosen is not None


def test_but_not_by_another_port() -> None:
    def change(facts: Phase2) -> None:
        assert facts.ids is not None
        facts.ids = (replace(facts.ids[0], port=9), facts.ids[1])

    with pytest.raises(InvalidIdInformation):
        Exchange(nat=True, change=change).finish()


def test_a_public_value_in_one_direction_only_is_refused() -> None:
    def change(facts: Phase2) -> None:
        facts.pair = None

    with pytest.raises(PayloadMalformed):
        Exchange(Group.MODP1024, change=change).finish()


@pytest.mark.parametrize("number", range(3))
def test_each_hash_is_checked(number: int) -> None:
    exchange = Exchange(change=_as_it_is)
    wrong = Payload(PayloadType.HASH, bytes(20))
    if number == 0:
        first = build_first(exchange.initiator, exchange.offers, PayloadType.NAT_OA, 16)
        with pytest.raises(InvalidHashInformation, match=r"HASH\(1\)"):
            take_first(_facts(Role.RESPONDER), _message((wrong, *first[1:])))
    elif number == 1:
        second = _message((wrong, *exchange.second.payloads[1:]))
        with pytest.raises(InvalidHashInformation, match=r"HASH\(2\)"):
            take_second(exchange.initiator, second, exchange.offers)
    else:
        with pytest.raises(InvalidHashInformation, match=r"HASH\(3\)"):
            take_third(exchange.responder, _message((wrong,)))


def test_the_answer_to_a_bundle_has_the_initiators_order_and_our_spis_by_protocol() -> None:
    ah, esp = (
        phase2_suites(Sainfo(), Protection(protocol=protocol))
        for protocol in (ProtocolId.AH, ProtocolId.ESP)
    )
    initiator, responder = _facts(Role.INITIATOR), _facts(Role.RESPONDER)
    initiator.selector = host_selector(HERE, THERE)
    initiator.spis = [b"\0\0\1\1", b"\0\0\1\2"]
    take_first(responder, _message(build_first(initiator, [ah, esp], PayloadType.NAT_OA, 16)))
    assert responder.offered is not None
    responder.chosen = choose_phase2(responder.offered, [esp, ah], ProposalCheck.EXACT, pfs=False)
    assert responder.chosen.spis == (b"\0\0\1\2", b"\0\0\1\1")
    responder.spis = [b"\0esp", b"\0\0ah"]
    prepare_second(responder, 16, Group.NONE)
    answer = SaBody.parse(
        _message(build_second(responder, PayloadType.NAT_OA)).first(PayloadType.SA)
    )
    assert [(p.protocol, p.spi) for p in answer.proposals] == [
        (ProtocolId.AH, b"\0\0ah"),
        (ProtocolId.ESP, b"\0esp"),
    ]


def _with_nonce(payloads: tuple[Payload, ...], size: int) -> Message:
    """Message 1 with another nonce, authenticated."""
    rest = tuple(
        Payload(p.type, bytes(size)) if p.type == PayloadType.NONCE else p for p in payloads[1:]
    )
    digest = KEYS.phase2_hash((7).to_bytes(4), pack_chain(rest))
    return _message((Payload(PayloadType.HASH, digest), *rest))


@pytest.mark.parametrize(("size", "taken"), [(7, False), (8, True), (256, True), (257, False)])
def test_a_nonce_has_8_to_256_octets(size: int, taken: bool) -> None:
    """RFC 2409, 5."""
    exchange, responder = Exchange(change=_as_it_is), _facts(Role.RESPONDER)
    first = build_first(exchange.initiator, exchange.offers, PayloadType.NAT_OA, 16)
    with nullcontext() if taken else pytest.raises(PayloadMalformed, match="nonce"):
        take_first(responder, _with_nonce(first, size))


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        (PayloadType.SA, 1),
        (PayloadType.NONCE, 1),
        (PayloadType.KE, 1),
        (PayloadType.ID, 2),
        (PayloadType.NAT_OA, 2),
        (PayloadType.NAT_OA_DRAFT, 2),
    ],
)
def test_no_payload_stands_more_often_than_the_table_says(kind: PayloadType, most: int) -> None:
    exchange = Exchange(change=_as_it_is)
    first = build_first(exchange.initiator, exchange.offers, PayloadType.NAT_OA, 16)
    others = tuple(payload for payload in first if payload.type != kind)
    for row, sender in ((0, Role.INITIATOR), (1, Role.RESPONDER)):
        QUICK_MODE[row].check(sender, _message((*others, *[Payload(kind, b"")] * most)))
        with pytest.raises(PayloadMalformed, match=f"{most + 1} {kind.name} payloads"):
            QUICK_MODE[row].check(sender, _message((*others, *[Payload(kind, b"")] * (most + 1))))


def test_the_hash_stands_in_front_and_messages_are_encrypted() -> None:
    exchange = Exchange(change=_as_it_is)
    first = build_first(exchange.initiator, exchange.offers, PayloadType.NAT_OA, 16)
    with pytest.raises(PayloadMalformed, match="comes before HASH"):
        QUICK_MODE[0].check(Role.INITIATOR, _message((*first[1:], first[0])))
    with pytest.raises(InvalidFlags):
        QUICK_MODE[0].check(Role.INITIATOR, replace(_message(first), encrypted=False))
    with pytest.raises(OutOfTurn):
        QUICK_MODE[0].check(Role.RESPONDER, _message(first))

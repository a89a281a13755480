"""Phase 1 message by message (RFC 2409, 5): what each side keeps of what it hears."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ike.config import Config, Switch
from ike.context import Context
from ike.crypto.keys import Cookies
from ike.errors import IkeError, InvalidCertificate, LocalError, PeerError
from ike.isakmp.header import NO_COOKIE, Header
from ike.isakmp.message import Message, Payload
from ike.isakmp.vendor import Vendor, octets
from ike.numbers.isakmp import ExchangeType, Flags, PayloadType
from ike.phase1.aggressive import send_end
from ike.phase1.facts import Phase1
from ike.phase1.handshake import Handshake
from ike.values import Endpoint, Phase1State, Role
from lab.ike_rsa import NOW, credentials, ike_site, root_of, signing
from lab.ike_world import LEFT, RIGHT, config
from lab.pki import Usage

HERE, THERE = Endpoint(LEFT, 500), Endpoint(RIGHT, 500)
NATT = {"nat_traversal": Switch.ON, "ike_frag": Switch.ON}


@dataclass
class Side:
    """One side of a phase 1, and what it has sent."""

    context: Context
    facts: Phase1
    handshake: Handshake
    sent: list[bytes] = field(default_factory=list)

    @property
    def last(self) -> bytes:
        return self.sent[-1]

    def hears(self, message: bytes) -> None:
        ends = (self.facts.peer, self.facts.local)
        self.handshake.receive(Header.parse(message), message, *ends)


def _side(
    role: Role,
    configuration: Config,
    exchange: ExchangeType,
    date: Callable[[], datetime | None] = lambda: NOW,
) -> Side:
    context = Context(configuration, random.Random(role.value).randbytes)
    initiator = role is Role.INITIATOR
    facts = Phase1(
        role=role,
        exchange=exchange,
        remote=configuration.remotes[0],
        pre_shared_keys=configuration.keys,
        entropy=context.entropy,
        cookies=Cookies(initiator=b"initcook", responder=NO_COOKIE if initiator else b"respcook"),
        local=HERE if initiator else THERE,
        peer=THERE if initiator else HERE,
        date=date,
    )
    sent: list[bytes] = []
    return Side(context, facts, Handshake(context, facts, sent.append, lambda: None), sent)


def _sides(
    left: Config | None = None,
    right: Config | None = None,
    exchange: ExchangeType = ExchangeType.MAIN,
    date: Callable[[], datetime | None] = lambda: NOW,
) -> tuple[Side, Side]:
    """The initiator, which has sent its first message, and the responder."""
    initiator = _side(Role.INITIATOR, left or config(RIGHT, **NATT), exchange)
    responder = _side(Role.RESPONDER, right or config(LEFT, **NATT), exchange, date)
    initiator.handshake.start()
    return initiator, responder


def _turns(initiator: Side, responder: Side) -> Iterator[tuple[Side, bytes]]:
    """Who hears which message, in turn, until both are done."""
    hearer, speaker = responder, initiator
    while not hearer.handshake.done:
        message = speaker.last
        yield hearer, message
        hearer.hears(message)
        hearer, speaker = speaker, hearer


def _refuses(side: Side, message: bytes) -> bool:
    try:
        side.hears(message)
    except IkeError:
        return True
    return False


# --- nothing of a refused message stays ---


@given(
    st.integers(0, 5),
    st.integers(28, 400),
    st.integers(0, 255),
    st.sampled_from([ExchangeType.MAIN, ExchangeType.AGGRESSIVE]),
)
@settings(max_examples=100, deadline=None)
def test_nothing_of_a_refused_message_stays(
    turn: int, at: int, value: int, exchange: ExchangeType
) -> None:
    """One octet of one message is changed; if it is refused, the true one finds all as it was."""
    for number, (side, message) in enumerate(_turns(*_sides(exchange=exchange))):
        changed = bytearray(message)
        changed[min(at, len(message) - 1)] = value
        before = side.facts.copy()
        if number == turn and bytes(changed) != message:
            if not _refuses(side, bytes(changed)):
                return
            assert side.facts == before


def _bad_key(message: bytes) -> bytes:
    """A message with a public value that is refused, and without NAT-D and vendors."""
    header = Header.parse(message)
    parsed = Message.parse(header, message)
    public = parsed.first(PayloadType.KE)
    payloads = (
        Payload(PayloadType.KE, bytes(len(public) - 1) + b"\1"),
        Payload(PayloadType.NONCE, parsed.first(PayloadType.NONCE)),
    )
    return bytes(replace(parsed, payloads=payloads))


def test_a_refused_message_cannot_turn_nat_traversal_off() -> None:
    sides = _sides()
    for number, (side, message) in enumerate(_turns(*sides)):
        if number in (2, 3):  # KE, NONCE, NAT-D of either side
            assert _refuses(side, _bad_key(message))
    for side in sides:
        assert side.handshake.done
        assert side.facts.nat.version is Vendor.RFC_3947


def test_a_refused_message_brings_no_vendors() -> None:
    initiator, responder = _sides(right=config(LEFT))
    responder.hears(initiator.last)
    answer = Message.parse(Header.parse(responder.last), responder.last)
    sa = answer.first(PayloadType.SA)
    forged = replace(
        answer,
        payloads=(
            Payload(PayloadType.SA, sa[:7] + b"\x09" + sa[8:]),  # another situation
            Payload(PayloadType.VENDOR, octets(Vendor.FRAGMENTATION)),
            Payload(PayloadType.VENDOR, b"who knows"),
        ),
    )
    assert _refuses(initiator, bytes(forged))
    assert initiator.facts.vendors == set()
    assert initiator.facts.unknown_vendors == []
    initiator.hears(responder.last)
    assert initiator.facts.vendors == {Vendor.DPD}


def _with_nonce(message: bytes, size: int) -> bytes:
    parsed = Message.parse(Header.parse(message), message)
    payloads = [
        Payload(p.type, bytes(size)) if p.type == PayloadType.NONCE else p for p in parsed.payloads
    ]
    return bytes(replace(parsed, payloads=tuple(payloads)))


@pytest.mark.parametrize(("size", "refused"), [(7, True), (8, False), (256, False), (257, True)])
def test_a_nonce_has_8_to_256_octets(size: int, refused: bool) -> None:
    """RFC 2409, 5."""
    side, message = next(islice(_turns(*_sides()), 2, None))
    assert _refuses(side, _with_nonce(message, size)) is refused


# --- a refused message is judged once ---


def test_a_refused_certificate_is_judged_once_and_not_at_each_repeat() -> None:
    ca = ike_site()
    dates: list[datetime] = []

    def date() -> datetime:
        dates.append(NOW)
        return NOW

    late = signing(RIGHT, credentials(ca.expired(Usage.CLIENT), root_of(ca)))
    initiator, responder = _sides(
        late, signing(LEFT, credentials(ca.server, root_of(ca))), date=date
    )
    message = next(message for _, message in islice(_turns(initiator, responder), 4, None))
    texts = set()
    for _ in range(5):
        with pytest.raises(InvalidCertificate) as caught:
            responder.hears(message)
        texts.add(str(caught.value))
    assert len(dates) == 1
    assert len(texts) == 1
    with pytest.raises(PeerError):
        responder.hears(message[:-16])
    assert len(dates) == 1


# --- Aggressive Mode's last message ---


def test_the_last_message_of_aggressive_mode_is_encrypted() -> None:
    """strongSwan does so, too; libreswan takes the vector for phase 2 from it."""
    initiator, responder = _sides(exchange=ExchangeType.AGGRESSIVE)
    responder.hears(initiator.last)
    initiator.hears(responder.last)
    assert Header.parse(initiator.last).flags == Flags.ENCRYPTED
    responder.hears(initiator.last)
    assert responder.handshake.done
    assert responder.handshake.last_block == initiator.last[-16:] == initiator.handshake.last_block


def test_the_last_message_of_aggressive_mode_may_come_in_the_clear() -> None:
    """As racoon sends it: phase 2 then goes on from the first vector (RFC 2409, appendix B)."""
    initiator, responder = _sides(exchange=ExchangeType.AGGRESSIVE)
    responder.hears(initiator.last)
    initiator.hears(responder.last)
    clear = Message(
        initiator_cookie=b"initcook",
        responder_cookie=b"respcook",
        exchange=ExchangeType.AGGRESSIVE,
        payloads=tuple(send_end(initiator.facts)),
    )
    responder.hears(bytes(clear))
    assert responder.handshake.done
    assert responder.facts.keys is not None
    first = responder.facts.keys.first_iv(responder.facts.public)
    assert responder.handshake.last_block == first


def test_aggressive_mode_with_signatures_asks_for_certificates_in_both_directions() -> None:
    """RFC 2408, 3.10; strongSwan with `send_cert = ifasked` sends none without being asked."""
    ca = ike_site()
    initiator, responder = _sides(
        signing(RIGHT, credentials(ca.client, root_of(ca))),
        signing(LEFT, credentials(ca.server, root_of(ca))),
        ExchangeType.AGGRESSIVE,
    )
    for side in (initiator, responder):
        if side is responder:
            responder.hears(initiator.last)
        sent = Message.parse(Header.parse(side.last), side.last)
        assert [body[0] for body in sent.all(PayloadType.CERT_REQUEST)] == [4]


def test_with_a_pre_shared_key_no_certificate_is_asked_for() -> None:
    initiator, _ = _sides(exchange=ExchangeType.AGGRESSIVE)
    sent = Message.parse(Header.parse(initiator.last), initiator.last)
    assert not sent.all(PayloadType.CERT_REQUEST)


@pytest.mark.parametrize("exchange", [ExchangeType.MAIN, ExchangeType.AGGRESSIVE])
def test_nats_are_found_with_a_peer_that_knows_only_a_draft(exchange: ExchangeType) -> None:
    """draft-ietf-ipsec-nat-t-ike-03: the same with other numbers of payloads."""
    initiator, responder = _sides(exchange=exchange)
    new, unknown = octets(Vendor.RFC_3947), b"not RFC 3947 ..."
    assert new in initiator.last
    responder.hears(initiator.last.replace(new, unknown))
    types = set()
    hearer, speaker = initiator, responder
    while not hearer.handshake.done:
        if not Header.parse(speaker.last).flags & Flags.ENCRYPTED:
            sent = Message.parse(Header.parse(speaker.last), speaker.last)
            types |= {payload.type for payload in sent.payloads}
        hearer.hears(speaker.last)
        hearer, speaker = speaker, hearer
    for side in (initiator, responder):
        assert side.handshake.done
        assert side.facts.nat.version is Vendor.NATT_03
    assert PayloadType.NAT_D_DRAFT in types
    assert PayloadType.NAT_D not in types


def test_the_state_counts_the_messages_that_we_have_sent() -> None:
    """racoon's column ST; the last message of the responder makes it established elsewhere."""
    initiator, responder = _sides()
    sides = (initiator, responder)
    seen = [tuple(side.handshake.state for side in sides)]
    for _ in _turns(*sides):
        seen.append(tuple(side.handshake.state for side in sides))
    sent = Phase1State
    assert seen[1:] == [
        (sent.MSG1_SENT, sent.START),
        (sent.MSG1_SENT, sent.MSG1_SENT),
        (sent.MSG2_SENT, sent.MSG1_SENT),
        (sent.MSG2_SENT, sent.MSG2_SENT),
        (sent.MSG3_SENT, sent.MSG2_SENT),
        (sent.MSG3_SENT, sent.MSG3_SENT),
    ]


def test_one_octet_of_padding_is_counted() -> None:
    initiator, responder = _sides()
    filled = initiator.last[:24] + (len(initiator.last) + 1).to_bytes(4) + initiator.last[28:]
    responder.hears(filled + b"\0")
    assert responder.context.padded == 1
    initiator.hears(responder.last)
    assert initiator.context.padded == 0


def test_who_checks_by_certificates_needs_a_ca() -> None:
    ca = ike_site()
    with pytest.raises(LocalError, match="no CA to check the peer by"):
        _sides(signing(RIGHT, credentials(ca.client)))

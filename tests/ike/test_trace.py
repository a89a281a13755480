"""`log debug` and `log debug2`: each payload, each proposal compared, and never a key."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ike import trace
from ike.commands import Level
from ike.config import Config, EspEncryption, Phase1Proposal, ProposalCheck
from ike.context import MAX_DETAIL, Context
from ike.doi.compared import phase1_compared, phase2_compared
from ike.doi.proposals import Lifetime, Phase1Suite, Phase2Suite
from ike.doi.select import choose_phase2, phase2_offer
from ike.doi.select_phase1 import choose_phase1, phase1_offer
from ike.errors import NoProposalChosen
from ike.isakmp.header import Header
from ike.isakmp.message import Message, Payload
from ike.isakmp.payloads import SaBody
from ike.numbers.doi import (
    Authentication,
    EncapsulationMode,
    Encryption,
    EspTransform,
    Group,
    Hash,
    Integrity,
)
from ike.numbers.isakmp import ExchangeType, PayloadType, ProtocolId
from ike.values import Endpoint
from lab.ike_world import LEFT, PSK, RIGHT, Node, World, config, connect, mirrored, pair

HERE = Endpoint(LEFT, 500)


def texts(node: Node, *levels: Level) -> list[str]:
    return [log.text for log in node.logs if log.level in levels]


def connected(log: Level, world: World | None = None) -> tuple[Node, Node]:
    world = world or World()
    left, right = pair(
        world,
        left=config(RIGHT, log=log, export_keys=True),
        right=config(LEFT, log=log, export_keys=True),
    )
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)
    return left, right


def test_debug_shows_each_payload_of_each_message_at_both_ends() -> None:
    left, right = connected(Level.DEBUG)
    heads = {
        f"{LEFT}[500]: MAIN 00000000 in the clear: SA 52, VENDOR 16",
        f"{LEFT}[500]: MAIN 00000000 in the clear: KE 128, NONCE 16",
        f"{LEFT}[500]: MAIN 00000000 encrypted: ID 8, HASH 20",
    }
    received = {t for t in texts(right, Level.DEBUG) if t.startswith("received from ")}
    assert {head for head in heads if any(head in text for text in received)} == heads
    quick = [t for t in received if ": QUICK " in t]
    assert any("encrypted: HASH 20, SA 48, NONCE 16, ID 8, ID 8" in text for text in quick)
    sent = {t.replace(f"sent to {RIGHT}", "") for t in texts(left, Level.DEBUG) if "sent to" in t}
    assert sent == {t.replace(f"received from {LEFT}", "") for t in received}
    assert texts(left, Level.DEBUG2) == []


def test_debug2_decodes_payloads() -> None:
    _, right = connected(Level.DEBUG2)
    shown = texts(right, Level.DEBUG2)
    suite = "aes 128, sha1, pre_shared_key, group 2, 28800 s"
    assert f"  SA: proposal 1 ISAKMP, transform 1: {suite}" in shown
    assert "  VENDOR: DPD" in shown
    assert f"  ID: IPV4_ADDR {LEFT}" in shown
    assert "  KE: 128 octets" in shown
    (phase2,) = {t.partition(" spi ")[2].partition(", ")[2] for t in shown if " ESP spi " in t}
    assert phase2 == "transform 1: esp aes 128, hmac_sha1, transport, no pfs, 28800 s"


def test_no_key_is_ever_shown_nor_what_keys_are_made_of() -> None:
    world = World()
    for node in connected(Level.DEBUG2, world):
        secrets = [PSK.reveal(), *(key.encryption_key.reveal() for key in node.exported)]
        for sa in node.sas.values():
            secrets += [sa.encryption_key.reveal(), sa.integrity_key.reveal()]
        for datagram in world.datagrams:
            if not datagram.octets[19]:  # in the clear
                message = Message.parse(Header.parse(datagram.octets), datagram.octets)
                secrets += message.all(PayloadType.KE, PayloadType.NONCE)
        assert len(secrets) >= 10
        shown = "\n".join(log.text for log in node.logs)
        assert not [s for s in secrets if s.hex() in shown or repr(s)[2:-1] in shown]


@pytest.mark.parametrize(
    "kind",
    [
        PayloadType.KE,
        PayloadType.NONCE,
        PayloadType.HASH,
        PayloadType.SIG,
        PayloadType.ATTRIBUTES,
        PayloadType.CERT,
        PayloadType(250),
    ],
)
def test_octets_that_may_be_secret_are_counted_only(kind: PayloadType) -> None:
    message = _message(Payload(kind, b"password"))
    assert list(trace.decoded(message)) == [f"  {kind}: 8 octets"]


def _message(*payloads: Payload) -> Message:
    return Message(
        initiator_cookie=bytes(8),
        responder_cookie=bytes(8),
        exchange=ExchangeType.INFORMATIONAL,
        payloads=payloads,
    )


@given(st.sampled_from(list(PayloadType)), st.binary(max_size=80))
def test_any_octets_are_shown_or_said_not_to_decode(kind: PayloadType, body: bytes) -> None:
    lines = list(trace.decoded(_message(Payload(kind, body))))
    assert all(line.startswith(f"  {kind}: ") for line in lines)
    assert list(trace.summary("received from", _message(Payload(kind, body)), HERE)) == [
        f"received from {HERE}: INFORMATIONAL 00000000 in the clear: {kind} {len(body)}"
    ]


# --- when nobody listens ---


def never() -> Iterator[str]:
    raise AssertionError("nobody listens")
    yield ""


@pytest.mark.parametrize(
    ("log", "level", "told"),
    [
        (Level.INFO, Level.DEBUG, False),
        (Level.DEBUG, Level.DEBUG, True),
        (Level.DEBUG, Level.DEBUG2, False),
        (Level.DEBUG2, Level.DEBUG2, True),
    ],
)
def test_details_are_made_for_who_listens_and_not_begun_for_nobody(
    log: Level, level: Level, told: bool
) -> None:
    context = Context(Config(log=log), bytes)
    context.detail(iter(["a line"]) if told else never(), LEFT, level)
    assert bool(context.take_commands()) is told


def test_without_debug_no_line_of_it_is_made() -> None:
    left, right = connected(Level.INFO)
    assert {log.level for log in left.logs + right.logs} <= {Level.INFO, Level.WARNING}


def test_a_message_costs_a_bounded_number_of_lines() -> None:
    context = Context(Config(log=Level.DEBUG), bytes)
    context.detail((f"line {n}" for n in range(100_000)), LEFT)
    logs = context.take_commands()
    assert len(logs) == MAX_DETAIL + 1
    assert "further lines are not logged" in str(logs[-1])


# --- proposals ---


def test_each_proposal_of_phase_1_is_compared_and_what_differs_is_said() -> None:
    world = World()
    left, right = pair(
        world,
        left=config(
            RIGHT,
            proposals=(
                Phase1Proposal(encryption=Encryption.TRIPLE_DES),
                Phase1Proposal(hash=Hash.SHA2_256, group=Group.MODP2048),
            ),
        ),
        right=config(LEFT, proposals=(Phase1Proposal(), Phase1Proposal(key_bits=256))),
    )
    assert not connect(world, left, 5)
    assert [t for t in texts(right, Level.DEBUG) if t.startswith("compared: ")][:4] == [
        f"compared: transform {at} of the peer ({theirs}) with ours ({ours}): refused: {why}"
        for at, theirs, whys in (
            (
                1,
                "3des, sha1, pre_shared_key, group 2, 28800 s",
                ["encryption algorithm", "encryption algorithm"],
            ),
            (
                2,
                "aes 128, sha256, pre_shared_key, group 14, 28800 s",
                ["hash algorithm, group", "key length, hash algorithm, group"],
            ),
        )
        for ours, why in zip(
            (
                "aes 128, sha1, pre_shared_key, group 2, 28800 s",
                "aes 256, sha1, pre_shared_key, group 2, 28800 s",
            ),
            whys,
            strict=True,
        )
    ]


def test_each_proposal_of_phase_2_is_compared_and_what_differs_is_said() -> None:
    world = World()
    triple = (EspEncryption(EspTransform.TRIPLE_DES),)
    left, right = pair(
        world, left=config(RIGHT), right=config(LEFT, encryption=triple, pfs_group=Group.MODP1024)
    )
    assert not connect(world, left, 5)
    (line,) = {t for t in texts(right, Level.DEBUG) if "compared: proposal 1, transform 1" in t}
    assert line.endswith(": refused: encryption algorithm, PFS group")


SUITE1 = Phase1Suite(
    encryption=Encryption.AES,
    key_bits=128,
    hash=Hash.SHA1,
    authentication=Authentication.PRE_SHARED_KEY,
    group=Group.MODP1024,
    lifetime=Lifetime(seconds=3600),
)
SUITES1 = st.builds(
    replace,
    st.just(SUITE1),
    encryption=st.sampled_from([Encryption.AES, Encryption.TRIPLE_DES]),
    key_bits=st.sampled_from([None, 128, 192, 256, 100]),
    hash=st.sampled_from([Hash.SHA1, Hash.MD5]),
    authentication=st.sampled_from([Authentication.PRE_SHARED_KEY, Authentication.RSA_SIGNATURE]),
    group=st.sampled_from([Group.MODP1024, Group.MODP2048]),
    lifetime=st.builds(Lifetime, seconds=st.sampled_from([None, 60, 3600])),
)


@given(SUITES1, SUITES1, st.sampled_from(ProposalCheck))
def test_what_the_comparison_of_phase_1_calls_acceptable_is_what_is_taken(
    theirs: Phase1Suite, ours: Phase1Suite, check: ProposalCheck
) -> None:
    offered = phase1_offer([theirs])
    message = _message(Payload(PayloadType.SA, bytes(offered)))
    (line,) = phase1_compared(message, [ours], check)
    try:
        choose_phase1(offered, [ours], check)
    except NoProposalChosen:
        assert ": refused: " in line
    else:
        assert line.endswith(": acceptable")


SUITE2 = Phase2Suite(
    protocol=ProtocolId.ESP,
    encryption=EspTransform.AES,
    key_bits=128,
    integrity=Integrity.HMAC_SHA1,
    encapsulation=EncapsulationMode.TUNNEL,
)
SUITES2 = st.builds(
    replace,
    st.just(SUITE2),
    encryption=st.sampled_from([EspTransform.AES, EspTransform.TRIPLE_DES]),
    key_bits=st.sampled_from([None, 128, 256]),
    integrity=st.sampled_from([Integrity.HMAC_SHA1, Integrity.HMAC_MD5]),
    encapsulation=st.sampled_from([EncapsulationMode.TUNNEL, EncapsulationMode.UDP_TRANSPORT]),
    group=st.sampled_from([Group.NONE, Group.MODP1024, Group(99)]),
    lifetime=st.builds(Lifetime, seconds=st.sampled_from([None, 60, 3600])),
)


@given(SUITES2, SUITES2, st.sampled_from(ProposalCheck), st.booleans())
def test_what_the_comparison_of_phase_2_calls_acceptable_is_what_is_taken(
    theirs: Phase2Suite, ours: Phase2Suite, check: ProposalCheck, pfs: bool
) -> None:
    offered = phase2_offer([[theirs]], [(1 << 20).to_bytes(4)])
    offered = SaBody.parse(bytes(offered))
    (line,) = phase2_compared(offered, [(ours,)], check, pfs)
    try:
        choose_phase2(offered, [(ours,)], check, pfs)
    except NoProposalChosen:
        assert ": refused: " in line
    else:
        assert line.endswith(": acceptable")

"""Two engines on a fair network: what is negotiated, in which order, and what is logged."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from ike.commands import AskAgain, EventKind, InstallSa, Level, SendDatagram
from ike.config import (
    Config,
    EspEncryption,
    GeneratePolicy,
    Phase1Proposal,
    PreSharedKeys,
    ProposalCheck,
)
from ike.events import (
    Acquire,
    Flush,
    Reload,
)
from ike.numbers.doi import Encryption, EspTransform, Group, Hash, Integrity
from ike.numbers.isakmp import ProtocolId
from ike.reqids import GENERATED
from ike.values import (
    Address,
    Direction,
    Phase1State,
    PolicyEntry,
    Protection,
    Role,
    Selector,
)
from lab.ike_world import (
    LEFT,
    RIGHT,
    Node,
    World,
    config,
    connect,
    mirrored,
    network_to_network,
    pair,
    transport,
)
from wire.secret import Secret


def test_the_first_packet_brings_a_pair_of_sas_with_the_same_keys_at_both_ends() -> None:
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    world.run(1)
    assert len(left.sas) == len(right.sas) == 2
    assert mirrored(left, right)
    (sa,) = left.of(Direction.OUT)
    assert (sa.encryption, len(sa.encryption_key)) == (EspTransform.AES, 16)
    assert (sa.integrity, len(sa.integrity_key)) == (Integrity.HMAC_SHA1, 20)
    assert not left.reserved | right.reserved


def test_the_log_holds_the_manuals_lines() -> None:
    world = World()
    left, _ = pair(world)
    connect(world, left)
    (view,) = left.engine.isakmp_sas()
    cookies = f"{view.initiator_cookie.hex()}:{view.responder_cookie.hex()}"
    inner, outer = left.of(Direction.IN)[0].spi, left.of(Direction.OUT)[0].spi
    lines = [log.text for log in left.logs if log.level == Level.INFO]
    assert lines == [
        "IPsec-SA request for 10.0.0.2 queued due to no phase1 found.",
        "initiate new phase 1 negotiation: 10.0.0.1[500]<=>10.0.0.2[500]",
        "begin Identity Protection mode.",
        "received Vendor ID: DPD",
        f"ISAKMP-SA established 10.0.0.1[500]-10.0.0.2[500] spi:{cookies}",
        "initiate new phase 2 negotiation: 10.0.0.1[0]<=>10.0.0.2[0]",
        f"IPsec-SA established: ESP/Transport 10.0.0.2[0]->10.0.0.1[0] spi={inner}(0x{inner:x})",
        f"IPsec-SA established: ESP/Transport 10.0.0.1[0]->10.0.0.2[0] spi={outer}(0x{outer:x})",
    ]


def _steps(node: Node) -> list[str]:
    """What a node did in phase 2: installs by direction, messages (once) by exchange type 32."""
    steps: list[str] = []
    sent: set[bytes] = set()
    for command in node.commands:
        match command:
            case InstallSa():
                steps.append(command.sa.direction.value)
            case SendDatagram() if command.octets[18] == 32 and command.octets not in sent:
                sent.add(command.octets)
                steps.append("message")
            case _:
                pass
    return steps


def test_a_message_that_lets_the_peer_use_an_sa_leaves_after_that_sa_is_installed() -> None:
    world = World(install_delay=3.0)  # a slow data plane
    left, right = pair(world)
    assert connect(world, left)
    world.run(10)
    assert _steps(left) == ["message", "in", "message", "out"]
    assert _steps(right) == ["in", "message", "out"]


@pytest.mark.parametrize("group", [Group.NONE, Group.MODP1024, Group.MODP2048])
@pytest.mark.parametrize("policies", [transport, network_to_network])
def test_tunnel_and_transport_mode_work_with_and_without_pfs(
    policies: Callable[[Address, Address], PolicyEntry], group: Group
) -> None:
    world = World()
    pfs = group or None
    left, right = pair(world, policies, config(RIGHT, pfs_group=pfs), config(LEFT, pfs_group=pfs))
    assert connect(world, right)
    world.run(1)
    assert mirrored(left, right)
    (view,) = left.engine.ipsec_sas()
    assert (view.pfs_group, view.effective_group) == (group, group or Group.MODP1024)
    assert view.role is Role.RESPONDER


@pytest.mark.parametrize("hash_algorithm", [Hash.MD5, Hash.SHA1, Hash.SHA2_256, Hash.SHA2_512])
@pytest.mark.parametrize(
    ("encryption", "bits"),
    [
        (Encryption.AES, 256),
        (Encryption.TRIPLE_DES, None),
        (Encryption.DES, None),
        (Encryption.CAMELLIA, 192),
        (Encryption.BLOWFISH, 448),
        (Encryption.CAST, 128),
    ],
)
def test_each_phase_1_algorithm_works(
    hash_algorithm: Hash, encryption: Encryption, bits: int | None
) -> None:
    proposal = Phase1Proposal(
        encryption=encryption, key_bits=bits, hash=hash_algorithm, group=Group.MODP1536
    )
    world = World()
    left, right = pair(
        world,
        left=config(RIGHT, proposals=(proposal,)),
        right=config(LEFT, proposals=(Phase1Proposal(), proposal)),
    )
    assert connect(world, left)
    assert right.engine.isakmp_sas()[0].hash == str(hash_algorithm)


@pytest.mark.parametrize(
    ("transform", "bits", "octets"),
    [
        (EspTransform.AES, 256, 32),
        (EspTransform.AES, 192, 24),
        (EspTransform.TRIPLE_DES, 0, 24),
        (EspTransform.NULL, 0, 0),
        (EspTransform.CAST, 128, 16),
        (EspTransform.BLOWFISH, 448, 56),
        (EspTransform.CAMELLIA, 256, 32),
        (EspTransform.AES_CTR, 256, 36),  # and the nonce (RFC 3686, 5.1)
    ],
)
@pytest.mark.parametrize("integrity", [Integrity.HMAC_MD5, Integrity.HMAC_SHA2_512])
def test_each_esp_algorithm_gets_keys_of_its_length(
    transform: EspTransform, bits: int, octets: int, integrity: Integrity
) -> None:
    changes = {"encryption": (EspEncryption(transform, bits),), "integrity": (integrity,)}
    world = World()
    left, right = pair(world, left=config(RIGHT, **changes), right=config(LEFT, **changes))
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)
    assert len(left.of(Direction.OUT)[0].encryption_key) == octets


@pytest.mark.parametrize(
    ("transform", "bits", "octets"),
    [
        (EspTransform.AES_CCM_8, 128, 19),  # RFC 4309, 7.1
        (EspTransform.AES_CCM_12, 192, 27),
        (EspTransform.AES_CCM_16, 256, 35),
        (EspTransform.AES_GCM_8, 128, 20),  # RFC 4106, 8.1
        (EspTransform.AES_GCM_12, 192, 28),
        (EspTransform.AES_GCM_16, 256, 36),
    ],
)
def test_a_cipher_that_authenticates_gets_one_key_with_its_salt(
    transform: EspTransform, bits: int, octets: int
) -> None:
    changes = {"encryption": (EspEncryption(transform, bits),)}
    world = World()
    left, right = pair(world, left=config(RIGHT, **changes), right=config(LEFT, **changes))
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)
    sa = left.of(Direction.OUT)[0]
    assert (len(sa.encryption_key), len(sa.integrity_key)) == (octets, 0)


@pytest.mark.parametrize("group", [Group.ECP256, Group.ECP521, Group.ECP384BP, Group.CURVE25519])
def test_a_curve_keys_both_phases(group: Group) -> None:
    changes: dict[str, Any] = {"proposals": (Phase1Proposal(group=group),), "pfs_group": group}
    world = World()
    left, right = pair(world, left=config(RIGHT, **changes), right=config(LEFT, **changes))
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)
    assert left.engine.ipsec_sas()[0].pfs_group == group


def test_ah_works() -> None:
    def ah(local: Address, remote: Address) -> PolicyEntry:
        return transport(local, remote, protocol=ProtocolId.AH)

    world = World()
    left, right = pair(world, ah)
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)
    assert left.of(Direction.IN)[0].encryption is None


def test_a_bundle_of_esp_and_ah_is_negotiated_as_one() -> None:
    both = (Protection(protocol=ProtocolId.ESP), Protection(protocol=ProtocolId.AH))
    world = World()
    left, right = pair(world, lambda here, there: replace(transport(here, there), protections=both))
    assert connect(world, left)
    world.run(1)
    assert len(left.sas) == 4
    assert mirrored(left, right)


def test_a_policy_for_one_protocol_and_port_keeps_its_selector() -> None:
    def sctp(here: Address, there: Address) -> PolicyEntry:
        selector = Selector(
            local=ip_network(here), remote=ip_network(there), protocol=132, local_port=2905
        )
        if here == RIGHT:
            selector = replace(selector, local_port=0, remote_port=2905)
        return replace(transport(here, there), selector=selector)

    world = World()
    left, right = pair(world, sctp)
    assert connect(world, left)
    world.run(1)
    assert right.of(Direction.IN)[0].selector == right.policies[0].selector


def test_ipv6_works() -> None:
    world = World()
    here, there = ip_address("2001:db8::1"), ip_address("2001:db8::2")
    left = world.node("left", here, config(there))
    right = world.node("right", there, config(here))
    left.policies.append(transport(here, there))
    right.policies.append(transport(there, here))
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)


def test_a_second_policy_uses_the_phase_1_that_is_there() -> None:
    world = World()
    left, right = pair(world)
    for node, here, there in ((left, LEFT, RIGHT), (right, RIGHT, LEFT)):
        node.policies.insert(0, network_to_network(here, there))
    assert connect(world, left)
    world.tell(left, Acquire(policy=left.policies[1]))
    world.run(1)
    assert len(left.engine.isakmp_sas()) == 1
    assert len(left.engine.ipsec_sas()) == 2
    assert left.engine.isakmp_sas()[0].phase2_count == 2


def test_both_sides_may_begin_at_once() -> None:
    world = World()
    left, right = pair(world)
    world.tell(right, Acquire(policy=right.policies[0]))
    assert connect(world, left)
    world.run(30)
    assert mirrored(left, right)
    assert left.of(Direction.OUT)
    assert {v.state for v in left.engine.isakmp_sas()} == {Phase1State.ESTABLISHED}


def test_repeated_acquires_for_one_policy_are_one_negotiation() -> None:
    world = World()
    left, _ = pair(world)
    for _number in range(5):
        world.tell(left, Acquire(policy=left.policies[0]))
    assert connect(world, left)
    world.run(1)
    assert len(left.sas) == 2


def test_the_state_of_a_phase_1_is_racoons_number() -> None:
    world = World()
    left, right = pair(world)
    seen: dict[str, list[int]] = {"left": [], "right": []}

    def look(datagram: SendDatagram) -> SendDatagram:
        for node in (left, right):
            for view in node.engine.isakmp_sas():
                if view.state not in seen[node.name]:
                    seen[node.name].append(view.state)
        return datagram

    world.rewrite = look
    assert connect(world, left)
    world.run(1)
    S = Phase1State
    assert seen["left"] == [S.MSG1_SENT, S.MSG2_SENT, S.MSG3_SENT, S.ESTABLISHED]
    assert seen["right"] == [S.MSG1_SENT, S.MSG2_SENT, S.ESTABLISHED]


# --- refusals ---


def test_a_wrong_pre_shared_key_is_named_at_both_ends() -> None:
    other = PreSharedKeys(((str(LEFT), Secret(b"another")),))
    world = World()
    left, right = pair(world, right=config(LEFT, keys=other))
    assert not connect(world, left)
    assert EventKind.PHASE1_AUTH_FAILED in left.kinds()
    assert any("Is the pre-shared key the same at both ends?" in t for t in left.texts())
    assert any("is the pre-shared key the same" in text for text in right.texts())
    assert not left.engine.isakmp_sas()


def test_a_missing_pre_shared_key_is_racoons_error_and_nothing_is_sent() -> None:
    world = World()
    left, _ = pair(world, left=config(RIGHT, keys=PreSharedKeys()))
    assert not connect(world, left)
    assert "couldn't find the pskey." in left.texts()
    assert not world.datagrams


def test_unlike_phase_1_proposals_are_shown_side_by_side_and_end_the_attempt() -> None:
    strong = Phase1Proposal(group=Group.MODP2048, hash=Hash.SHA2_256)
    world = World()
    left, right = pair(world, right=config(LEFT, proposals=(strong,)))
    assert not connect(world, left, 10.0)
    assert EventKind.PHASE1_NO_PROPOSAL in left.kinds()
    assert EventKind.PHASE2_NO_PHASE1 in left.kinds()
    (line,) = {text for text in right.texts() if "configured here" in text}
    assert "the peer has: aes 128, sha1, pre_shared_key, group 2, 28800 s" in line
    assert "configured here: aes 128, sha256, pre_shared_key, group 14, 28800 s" in line


def test_a_refusal_that_was_told_is_not_told_again_when_the_attempt_ends() -> None:
    world = World()
    left, _ = pair(world, right=config(LEFT, proposals=(Phase1Proposal(group=Group.MODP2048),)))
    refused = 0

    def once(datagram: SendDatagram) -> SendDatagram | None:
        nonlocal refused
        refused += datagram.local.address == RIGHT
        return None if datagram.local.address == RIGHT and refused > 1 else datagram

    world.rewrite = once
    assert not connect(world, left, 100)
    errors = [log.text for log in left.logs if log.level == Level.ERROR]
    (told,) = [text for text in errors if "NO-PROPOSAL-CHOSEN" in text]
    assert told.endswith("received. Compare its proposals with those configured here.")
    assert all(text.startswith(("phase", "notification")) for text in errors)


def test_unlike_phase_2_proposals_end_quick_mode_at_once_at_both_ends() -> None:
    triple = (EspEncryption(EspTransform.TRIPLE_DES),)
    world = World()
    left, right = pair(world, right=config(LEFT, encryption=triple))
    assert not connect(world, left, 2.0)
    assert "the peer refused the negotiation: NO-PROPOSAL-CHOSEN" in left.texts()
    assert any("configured here: esp 3des" in text for text in right.texts())
    assert not left.sas
    assert not left.reserved | right.reserved


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({}, {"keys": PreSharedKeys(((str(LEFT), Secret(b"another")),))}),
        ({"keys": PreSharedKeys()}, {}),
        ({"passive": True}, {}),
        ({}, {"encryption": (EspEncryption(EspTransform.TRIPLE_DES),)}),
    ],
    ids=["another-key", "no-key", "passive", "other-algorithms"],
)
def test_after_a_failed_negotiation_the_policys_next_packet_may_ask_again(
    left: dict[str, object], right: dict[str, object]
) -> None:
    world = World()
    near, _ = pair(world, left=config(RIGHT, **left), right=config(LEFT, **right))
    assert not connect(world, near)
    asked = [command for command in near.commands if isinstance(command, AskAgain)]
    assert asked
    assert {command.policy for command in asked} == set(near.policies)


def test_a_policy_that_is_refused_again_and_again_asks_less_often_until_it_is_served() -> None:
    """Each packet asks, as with the kernel after the larval SA has gone."""
    triple = (EspEncryption(EspTransform.TRIPLE_DES),)
    world = World()
    near, far = pair(world, right=config(LEFT, encryption=triple))

    def failures(seconds: float) -> int:
        """How many negotiations a packet every 20 ms begins."""
        allowed, begun, end = True, 0, world.now + seconds
        while world.now < end:
            if allowed:
                world.tell(near, Acquire(policy=near.policies[0]))
                begun += 1
            near.commands.clear()
            world.run(0.02)
            allowed = any(isinstance(command, AskAgain) for command in near.commands)
        return begun

    assert failures(60.0) <= 12
    world.tell(far, Reload(config=config(LEFT)))
    assert world.run(8.1, lambda: any(isinstance(c, AskAgain) for c in near.commands))
    assert connect(world, near)
    world.tell(near, Flush())
    world.tell(far, Reload(config=config(LEFT, encryption=triple)))
    world.run(1)
    assert failures(0.5) == 2  # at once again


def test_a_negotiation_that_succeeds_has_nobody_ask_again() -> None:
    world = World()
    near, _ = pair(world)
    assert connect(world, near)
    assert not any(isinstance(command, AskAgain) for command in near.commands)


def test_traffic_without_a_policy_is_refused() -> None:
    world = World()
    left, right = pair(world)
    right.policies.clear()
    assert not connect(world, left, 2.0)
    assert "the peer refused the negotiation: INVALID-ID-INFORMATION" in left.texts()


def test_generate_policy_makes_the_policy_and_takes_it_away_with_the_sas() -> None:
    world = World()
    left, right = pair(world, right=config(LEFT, generate_policy=GeneratePolicy.ON))
    right.policies.clear()
    assert connect(world, left)
    world.run(1)
    (policy,) = right.policies
    assert policy.selector == transport(RIGHT, LEFT).selector
    assert policy.protections[0].reqid in GENERATED  # the next start knows it by that
    world.tell(left, Flush())
    world.run(1)
    assert not right.policies


def test_a_stranger_without_configuration_is_refused() -> None:
    world = World()
    left, right = pair(world, right=Config())
    assert not connect(world, left, 10.0)
    assert any("couldn't find configuration." in text for text in right.texts())


def test_a_data_plane_that_refuses_an_sa_leaves_nothing_behind() -> None:
    for direction in Direction:
        for refusing in range(2):
            world = World()
            nodes = pair(world)
            nodes[refusing].refuse = lambda sa, bad=direction: sa.direction is bad  # type: ignore[misc]
            connect(world, nodes[0], 5.0)
            world.run(60)
            assert not nodes[0].sas, (direction, refusing)
            assert not nodes[1].sas, (direction, refusing)
            assert not nodes[0].reserved | nodes[1].reserved
            assert any("the data plane refused an SA" in t for t in nodes[refusing].texts())


def test_a_passive_remote_waits_for_the_peer() -> None:
    world = World()
    left, right = pair(world, left=config(RIGHT, passive=True))
    assert not connect(world, left, 5.0)
    assert not world.datagrams
    assert connect(world, right)


def test_lifetimes_follow_the_initiator_or_the_shorter_as_proposal_check_says() -> None:
    expected = {ProposalCheck.OBEY: 28800, ProposalCheck.CLAIM: 600}
    for check, seconds in expected.items():
        world = World()
        short = config(LEFT, proposal_check=check)
        short = replace(
            short, sainfos=tuple(replace(s, lifetime_seconds=600) for s in short.sainfos)
        )
        left, right = pair(world, right=short)
        assert connect(world, left)
        world.run(1)
        lifetime = right.of(Direction.OUT)[0].lifetime
        assert (lifetime.hard_seconds, lifetime.soft_seconds) == (seconds, seconds * 0.8)
        told = "received RESPONDER-LIFETIME" in left.texts()
        assert told is (check is ProposalCheck.CLAIM)
        assert left.of(Direction.IN)[0].lifetime.hard_seconds == seconds

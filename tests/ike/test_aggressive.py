"""Aggressive Mode (RFC 2409, 5.4): three messages, keys by name."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ike.commands import EventKind, SendDatagram
from ike.config import Config, Identifier, Phase1Proposal, PreSharedKeys, Switch
from ike.numbers.doi import Group, IdType
from ike.numbers.isakmp import ExchangeType
from ike.values import Address, Endpoint
from lab.ike_world import (
    LEFT,
    PSK,
    RIGHT,
    Node,
    World,
    config,
    connect,
    mirrored,
    pair,
    transport,
)
from lab.virtual import Weather
from wire.secret import Secret

ONLY = {"exchange_modes": (ExchangeType.AGGRESSIVE,)}


def _pair(world: World) -> tuple[Node, Node]:
    return pair(world, left=config(RIGHT, **ONLY), right=config(LEFT, **ONLY))


def test_three_messages_make_an_isakmp_sa() -> None:
    world = World()
    left, right = _pair(world)
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)
    exchanges = [ExchangeType(d.octets[18]).name for d in world.datagrams]
    assert exchanges[:3] == ["AGGRESSIVE"] * 3
    assert exchanges.count("AGGRESSIVE") == 3
    assert "begin Aggressive mode." in right.texts()
    assert "received INITIAL-CONTACT" in right.texts()
    assert any("aggressive mode with a pre-shared key" in text for text in left.texts())


def test_keys_may_be_found_by_the_names_of_the_peers() -> None:
    """Both ends have addresses that psk.txt does not know."""

    def named(peer: Address, me: str, other: str) -> Config:
        made = config(peer, my_identifier=Identifier(IdType.FQDN, me), **ONLY)
        return replace(made, keys=PreSharedKeys(((other, PSK),)))

    world = World()
    left, right = pair(
        world,
        left=named(RIGHT, "left.test", "right.test"),
        right=named(LEFT, "right.test", "left.test"),
    )
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)
    assert right.engine.isakmp_sas()[0].remote_id == "left.test"


def test_a_wrong_key_is_found_by_the_initiator_and_said() -> None:
    world = World()
    other = PreSharedKeys(((str(LEFT), Secret(b"another")),))
    left, right = pair(world, left=config(RIGHT, **ONLY), right=config(LEFT, keys=other, **ONLY))
    assert not connect(world, left, 100)
    assert any("HASH mismatched; is the pre-shared key the same" in t for t in left.texts())
    assert EventKind.PHASE1_UP not in [*left.kinds(), *right.kinds()]


def test_groups_cannot_be_mixed() -> None:
    proposals = (Phase1Proposal(), Phase1Proposal(group=Group.MODP2048))
    world = World()
    left, _ = pair(world, left=config(RIGHT, proposals=proposals, **ONLY))
    assert not connect(world, left, 5)
    assert any("all proposals need one dh_group" in text for text in left.texts())
    assert not world.datagrams


def test_it_is_spoken_only_where_it_is_configured() -> None:
    world = World()
    left, right = pair(world, left=config(RIGHT, **ONLY))
    assert not connect(world, left, 10)
    assert any("not acceptable Aggressive mode" in text for text in right.texts())
    world = World()
    left, right = pair(world, right=config(LEFT, **ONLY))
    assert not connect(world, left, 10)
    assert any("not acceptable Identity Protection mode" in text for text in right.texts())


def test_the_first_of_several_exchange_modes_is_used_and_all_are_taken() -> None:
    both = (ExchangeType.AGGRESSIVE, ExchangeType.MAIN)
    world = World()
    left, right = pair(world, left=config(RIGHT), right=config(LEFT, exchange_modes=both))
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)
    assert {view.exchange for view in left.engine.isakmp_sas()} == {ExchangeType.MAIN}


@pytest.mark.parametrize("loss", [0.0, 0.3])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=30)
def test_over_a_bad_network_it_ends_well_or_is_reported(loss: float, seed: int) -> None:
    world = World(seed, Weather(loss=loss, duplication=0.3, jitter=0.6))
    left, right = _pair(world)
    connect(world, left, 120)
    world.run(120)
    failures = {
        EventKind.PHASE1_NO_RESPONSE,
        EventKind.PHASE2_NO_PHASE1,
        EventKind.PHASE2_NO_RESPONSE,
        EventKind.PHASE2_DOWN,
    }
    reported = failures & {EventKind(kind) for kind in (*left.kinds(), *right.kinds())}
    assert (mirrored(left, right) and left.sas) or reported


def test_behind_a_nat_it_moves_to_port_4500_with_its_last_message() -> None:
    outside = ip_address("203.0.113.7")

    def translate(datagram: SendDatagram) -> SendDatagram:
        if datagram.local.address == LEFT:
            return replace(datagram, local=Endpoint(outside, datagram.local.port + 20000))
        return replace(datagram, to=Endpoint(LEFT, datagram.to.port - 20000))

    world = World()
    world.rewrite = translate
    left = world.node("left", LEFT, config(RIGHT, nat_traversal=Switch.ON, **ONLY))
    right = world.node("right", RIGHT, config(outside, nat_traversal=Switch.ON, **ONLY))
    left.policies.append(transport(LEFT, RIGHT))
    right.policies.append(transport(RIGHT, outside))
    assert connect(world, left)
    world.run(1)
    assert [d.local.port for d in world.datagrams[:3]] == [500, 500, 4500]
    assert {sa.udp_destination for sa in right.sas.values()} == {4500, 24500}
    keys = {sa.encryption_key.reveal() for sa in left.sas.values()}
    assert keys == {sa.encryption_key.reveal() for sa in right.sas.values()}

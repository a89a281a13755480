"""A machine that sleeps for hours: what it had is void, the first packet makes anew what it needs.

The daemon's clock counts the time asleep (`wire.runner.clock`); nothing else happens meanwhile.
"""

from dataclasses import replace

import pytest

from ike.commands import DeleteSa, InstallSa, SendDatagram
from ike.config import GeneratePolicy
from ike.events import Acquire
from lab.ike_world import (
    LEFT,
    RIGHT,
    Node,
    World,
    config,
    connect,
    lasting,
    mirrored,
    network_to_network,
    pair,
    transport,
)

HOUR = 3600.0


def _sleep(world: World, node: Node, seconds: float) -> None:
    world.suspend(node)
    world.run(seconds)
    node.commands.clear()
    world.wake(node)


@pytest.mark.parametrize("asleep", [6 * HOUR, 400.0, 9 * HOUR])  # SAs live for 8 hours
def test_the_first_packet_after_a_sleep_has_fresh_sas_at_both_ends(asleep: float) -> None:
    """The peer has asked, got no answer, and forgotten."""
    world = World()
    left, right = pair(world, right=config(LEFT, dpd_delay=30.0))
    assert connect(world, left)
    world.run(1.0)
    old = set(left.sas)
    _sleep(world, left, asleep)
    assert not right.sas
    world.tell(left, Acquire(policy=left.policies[0]))
    assert world.run(0.5, lambda: len(left.sas) == len(right.sas) == 2)
    assert mirrored(left, right)
    assert old.isdisjoint(left.sas)
    deleted = [at for at, command in enumerate(left.commands) if isinstance(command, DeleteSa)]
    made = [at for at, command in enumerate(left.commands) if isinstance(command, InstallSa)]
    assert len(deleted) == 2
    assert max(deleted) < min(made)


def test_sas_that_nobody_may_use_go_without_a_packet() -> None:
    world = World()
    left, right = pair(world, right=config(LEFT, dpd_delay=30.0))
    assert connect(world, left)
    _sleep(world, left, 6 * HOUR)
    world.run(0.1)
    assert not left.sas
    assert not left.engine.isakmp_sas()
    assert not left.engine.ipsec_sas()
    assert not right.sas


def test_a_peer_that_has_forgotten_nothing_is_told() -> None:
    """Without dead peer detection its SAs would send into the void, and ours are gone."""
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    world.run(1.0)
    _sleep(world, left, 6 * HOUR)
    world.run(1.0)
    assert not left.sas
    assert not right.sas
    assert connect(world, right, 1.0)
    world.run(1.0)
    assert mirrored(left, right)


def test_a_gateway_that_slept_lets_its_roaming_peers_begin_anew() -> None:
    world = World()
    anybody = config(LEFT, generate_policy=GeneratePolicy.ON)
    left = world.node("left", LEFT, config(RIGHT, dpd_delay=30.0))
    right = world.node("right", RIGHT, anybody)
    left.policies.append(transport(LEFT, RIGHT))
    assert connect(world, left)
    world.run(1.0)
    _sleep(world, right, 2 * HOUR)
    world.run(1.0)
    assert not right.sas
    assert not right.policies
    assert connect(world, left, 1.0)
    world.run(1.0)
    assert mirrored(left, right)


def test_two_minutes_without_the_cpu_change_nothing() -> None:
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    world.run(1.0)
    old = dict(left.sas)
    _sleep(world, left, 120.0)
    world.run(1.0)
    assert left.sas == old
    assert mirrored(left, right)
    assert not [command for command in left.commands if isinstance(command, DeleteSa)]


def test_hours_without_a_packet_are_no_sleep() -> None:
    world = World()
    left, right = pair(
        world, network_to_network, lasting(RIGHT, 28800, 28800), lasting(LEFT, 28800, 28800)
    )
    assert connect(world, left)
    world.run(1.0)
    old = dict(left.sas)
    world.run(5 * HOUR)
    assert left.sas == old
    assert mirrored(left, right)


def test_a_negotiation_that_slept_does_not_go_on() -> None:
    world = World()
    left, _ = pair(world)
    assert connect(world, left)
    world.rewrite = lambda _: None
    world.tell(left, Acquire(policy=replace(transport(LEFT, RIGHT), local=LEFT)))
    world.run(1.0)
    _sleep(world, left, HOUR)
    world.run(0.1)
    sent = [command for command in left.commands if isinstance(command, SendDatagram)]
    assert len(sent) <= 3, "deletes"
    assert not left.engine.isakmp_sas()

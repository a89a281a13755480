"""SAs are renewed before they end, and no packet is lost meanwhile."""

from typing import Final

import pytest

from ike.commands import DeleteSa, EventKind, InstallSa, SendDatagram
from ike.config import Switch
from ike.events import Acquire, DeleteIpsec, DeleteIsakmp, SaExpired
from ike.values import Direction, Phase1State, Role
from lab.ike_world import (
    LEFT,
    RIGHT,
    Node,
    World,
    config,
    connect,
    lasting,
    mirrored,
    pair,
    receivable,
    transport,
    tunnel,
)
from lab.virtual import Weather

SLOW: Final = Weather(delay=0.3)  # seconds by which daemons are slower than their kernels


def _gaps(node: Node) -> bool:
    """Whether the node was ever without an outbound SA once it had one."""
    alive: set[object] = set()
    had = False
    for command in node.commands:
        match command:
            case InstallSa() if command.sa.direction is Direction.OUT:
                alive.add(command.sa.id)
                had = True
            case DeleteSa() if command.direction is Direction.OUT:
                alive.discard(command.sa)
                if had and not alive:
                    return True
            case _:
                pass
    return False


def test_ipsec_sas_are_renewed_before_they_expire_without_a_gap() -> None:
    world = World()
    left, right = pair(world, left=lasting(RIGHT), right=lasting(LEFT))
    assert connect(world, left)
    for _ in range(1000):
        world.run(1)
        assert receivable(left, right)
        assert 2 <= len(left.sas) <= 4
    assert not _gaps(left)
    assert not _gaps(right)
    assert left.kinds().count(EventKind.PHASE2_UP) >= 12


def test_a_soft_expiry_told_by_the_data_plane_renews_at_once() -> None:
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    old = left.of(Direction.IN)[0]
    world.tell(left, SaExpired(sa=old.id, hard=False))
    world.run(5)
    assert len(left.of(Direction.IN)) == 2
    world.run(15)
    assert len(left.sas) == len(right.sas) == 2
    assert old.id not in left.sas
    assert mirrored(left, right)


def test_a_responder_renews_when_the_initiator_does_not() -> None:
    world = World()
    left, right = pair(world, left=lasting(RIGHT, passive=False), right=lasting(LEFT))
    assert connect(world, left)
    world.run(1)
    world.remove(left)
    reborn = world.node("left", LEFT, config(RIGHT))
    reborn.policies.append(transport(LEFT, RIGHT))
    world.run(200)
    assert mirrored(reborn, right)
    assert right.engine.ipsec_sas()[0].role is Role.INITIATOR


def test_phase_1_is_renewed_before_it_expires_and_the_children_live_on() -> None:
    world = World()
    left, right = pair(world, left=lasting(RIGHT, 3000, 100), right=lasting(LEFT, 3000, 100))
    assert connect(world, left)
    sas = set(left.sas)
    for _ in range(10):
        world.run(40)
        states = [view.state for view in left.engine.isakmp_sas()]
        assert {Phase1State.ESTABLISHED, Phase1State.DYING} & set(states)
        assert len(states) <= 2
    assert set(left.sas) == sas
    assert mirrored(left, right)
    assert any(text.startswith("ISAKMP-SA expired") for text in left.texts())


def test_renewals_over_a_lossy_network_never_leave_the_peers_apart_for_long() -> None:
    world = World(7, Weather(loss=0.2, duplication=0.2, jitter=0.3))
    left, right = pair(world, left=lasting(RIGHT, 300, 900), right=lasting(LEFT, 300, 900))
    assert connect(world, left, 120)
    together = 0
    for _ in range(60):
        world.run(60)
        together += any(sa in right.sas for sa in left.sas)
        if not left.of(Direction.OUT):
            world.tell(left, Acquire(policy=left.policies[0]))
    assert together >= 57


@pytest.mark.parametrize("seconds", [10, 100])
def test_what_is_sent_during_a_renewal_is_receivable_at_every_moment(seconds: int) -> None:
    world = World(weather=SLOW)
    left, right = pair(world, left=lasting(RIGHT, seconds), right=lasting(LEFT, seconds))
    assert connect(world, left)
    world.run(2)
    for _ in range(seconds * 150):
        world.run(0.02)
        assert left.of(Direction.OUT)
        assert right.of(Direction.OUT)
        assert receivable(left, right)
    assert left.kinds().count(EventKind.PHASE2_UP) >= 3


def test_the_new_sa_is_used_at_once_when_the_peer_deletes_the_old_one() -> None:
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    world.run(1)
    old = left.of(Direction.OUT)[0]
    world.tell(left, SaExpired(sa=left.of(Direction.IN)[0].id, hard=False))
    assert world.run(1, lambda: len(right.of(Direction.OUT)) == 2)
    world.run(0.5)
    assert left.of(Direction.OUT) == [old]  # strongSwan installs its inbound SA on message 3
    world.tell(right, DeleteIpsec(sa=old.id))
    assert world.run(0.1, lambda: old.id not in left.sas)
    world.run(0.01)
    assert mirrored(left, right)
    assert len(left.sas) == 2


def test_a_renewal_outlives_the_isakmp_sa_that_made_it() -> None:
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    world.run(1)
    world.tell(left, SaExpired(sa=left.of(Direction.IN)[0].id, hard=False))
    assert world.run(1, lambda: len(right.of(Direction.OUT)) == 2)
    world.tell(left, DeleteIsakmp(remote=RIGHT, local=LEFT, children=False))
    assert world.run(0.1, lambda: len(left.of(Direction.OUT)) == 2)


def test_ipsec_sas_outlive_an_isakmp_sa_that_nobody_renews_at_both_ends() -> None:
    world = World()
    left, right = pair(
        world,
        left=lasting(RIGHT, 1000, 100, rekey=Switch.OFF),
        right=lasting(LEFT, 1000, 100, rekey=Switch.OFF),
    )
    count = 0

    def drop(datagram: SendDatagram) -> SendDatagram | None:
        nonlocal count
        count += 1
        return None if count == 6 else datagram  # the last of Main Mode: one end is earlier

    world.rewrite = drop
    assert connect(world, left)
    world.run(200)
    assert not left.engine.isakmp_sas()
    assert not right.engine.isakmp_sas()
    assert left.sas
    assert mirrored(left, right)


def _both_soften(world: World, left: Node, right: Node) -> None:
    for node in (left, right):
        for sa in node.of(Direction.OUT):
            world.tell(node, SaExpired(sa=sa.id, hard=False))


@pytest.mark.parametrize("delay", [0.0005, 0.01, 0.2])
def test_renewals_by_both_ends_at_once_settle_in_one_exchange(delay: float) -> None:
    """Both are the initiators of their SAs, and all soft limits pass at the same moment."""
    world = World(weather=Weather(delay=delay))
    left, right = pair(world)
    nets = [(f"10.1.{n}.0/24", f"10.2.{n}.0/24") for n in range(8)]
    left.policies += [tunnel(LEFT, RIGHT, a, b) for a, b in nets]
    right.policies += [tunnel(RIGHT, LEFT, b, a) for a, b in nets]
    for node in (left, right):
        for policy in node.policies[1:]:
            world.tell(node, Acquire(policy=policy))
    world.run(30)
    for _ in range(5):
        _both_soften(world, left, right)
        world.run(40)
        assert len(left.sas) == len(right.sas) == 16
        assert mirrored(left, right)


def test_equal_lifetimes_at_both_ends_do_not_multiply_the_sas() -> None:
    world = World()
    left, right = pair(world, left=lasting(RIGHT, 120), right=lasting(LEFT, 120))
    world.tell(left, Acquire(policy=left.policies[0]))
    world.tell(right, Acquire(policy=right.policies[0]))
    world.run(20)
    most = 0
    for _ in range(300):
        world.run(10)
        most = max(most, len(left.sas))
    assert most <= 4  # a set, and the one that replaces it
    assert receivable(left, right)

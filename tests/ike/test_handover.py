"""What may come between while a new set of SAs takes over from an old one."""

from dataclasses import replace

import pytest

from ike.commands import EventKind, SendDatagram
from ike.config import Config, GeneratePolicy
from ike.events import (
    Acquire,
    AddressGone,
    DeleteIpsec,
    DeleteIsakmp,
    DeletePolicySas,
    Event,
    Flush,
    Reload,
    SaExpired,
    SaGone,
)
from ike.numbers.isakmp import ExchangeType
from ike.values import Direction, SaId
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
)


def _handing_over(
    world: World | None = None, left: Config | None = None, right: Config | None = None
) -> tuple[World, Node, Node]:
    """`left` has sent message 3 of a renewal, and does not use the new SA yet."""
    world = world or World()
    one, other = pair(world, left=left or config(RIGHT), right=right or config(LEFT))
    assert connect(world, one)
    world.run(1)
    _renew(world, one)
    assert world.run(1, lambda: len(other.of(Direction.OUT)) == 2)
    world.run(0.1)
    assert (len(one.of(Direction.IN)), len(one.of(Direction.OUT))) == (2, 1)
    return world, one, other


def _renew(world: World, node: Node) -> None:
    world.tell(node, SaExpired(sa=_newest(node, Direction.IN), hard=False))


def _newest(node: Node, direction: Direction) -> SaId:
    return max(node.of(direction), key=lambda sa: sa.spi).id


@pytest.mark.parametrize(
    "event",
    [
        Flush(),
        Flush(isakmp=False),
        DeletePolicySas(policy=transport(LEFT, RIGHT)),
        DeleteIsakmp(remote=RIGHT),
        AddressGone(address=LEFT),
    ],
)
def test_what_takes_all_sas_down_takes_the_one_that_is_not_in_use_yet(event: Event) -> None:
    world, left, right = _handing_over()
    world.tell(left, event)
    world.run(20)
    assert not left.sas
    if not isinstance(event, AddressGone):
        assert not right.sas


@pytest.mark.parametrize("seconds", [0.001, 0.0055, 0.0085, 0.0105, 0.0115])
def test_no_sas_are_made_for_a_policy_that_went_away_meanwhile(seconds: float) -> None:
    world = World()
    left, right = pair(world)
    world.tell(left, Acquire(policy=left.policies[0]))
    world.run(seconds)
    world.tell(left, DeletePolicySas(policy=left.policies[0]))
    world.run(60)
    assert not left.sas
    assert not right.sas
    assert not left.reserved | right.reserved


def test_a_policy_that_replaced_another_keeps_its_sas_when_the_other_is_withdrawn() -> None:
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    (protection,) = left.policies[0].protections
    before = replace(left.policies[0], protections=(replace(protection, reqid=99),))
    world.tell(left, DeletePolicySas(policy=before))
    world.run(1)
    assert mirrored(left, right)


def test_a_new_sa_can_be_deleted_before_it_is_used() -> None:
    for pick in (DeleteIpsec, SaGone):
        world, left, right = _handing_over()
        new = _newest(left, Direction.IN)
        if pick is SaGone:
            del left.sas[new]
        world.tell(left, pick(sa=new))
        world.run(5)
        assert new not in left.sas
        assert len(left.sas) == 2
        assert mirrored(left, right)  # by the old set
        world.run(30)
        assert len(left.sas) == 2
        assert mirrored(left, right)  # renewed after all


def test_a_new_sa_that_ends_before_it_is_used_is_not_used() -> None:
    world, left, right = _handing_over()
    new = _newest(left, Direction.IN)
    del left.sas[new]
    world.tell(left, SaExpired(sa=new, hard=True))
    world.run(5)
    assert len(left.sas) == 2
    assert mirrored(left, right)


def test_a_new_sa_that_ages_before_it_is_used_is_renewed_as_soon_as_it_is() -> None:
    world, left, right = _handing_over()
    new = _newest(left, Direction.IN)
    world.tell(left, SaExpired(sa=new, hard=False))
    world.run(30)
    assert left.kinds().count(EventKind.PHASE2_UP) == 3
    assert len(left.sas) == 2
    assert new not in left.sas
    assert mirrored(left, right)


def test_a_peer_that_starts_anew_ends_the_handover_to_what_it_has_forgotten() -> None:
    world, left, right = _handing_over()
    world.remove(right)
    reborn = world.node("right again", RIGHT, config(LEFT))
    reborn.policies += right.policies
    assert connect(world, reborn, 0.5)
    world.run(5)
    assert len(left.sas) == 2
    assert mirrored(left, reborn)


def _across_phase_1() -> tuple[World, Node, Node]:
    """A handover under an ISAKMP SA that ends in its midst, while a younger one is there."""
    world = World()
    left, right = pair(
        world, left=config(RIGHT, lifetime_seconds=100), right=config(LEFT, lifetime_seconds=100)
    )
    assert connect(world, left)
    world.run(79.2)
    _renew(world, left)
    world.rewrite = lambda d: None if d.octets[18] == ExchangeType.QUICK else d
    world.run(19)
    assert len(left.engine.isakmp_sas()) == 2
    world.rewrite = lambda d: d
    assert world.run(5, lambda: len(right.of(Direction.OUT)) == 2)
    world.run(0.1)
    assert len(left.engine.isakmp_sas()) == 2
    assert len(left.of(Direction.OUT)) == 1
    return world, left, right


def test_a_handover_outlives_its_isakmp_sa_whoever_ends_that() -> None:
    world, left, right = _across_phase_1()
    new = _newest(left, Direction.IN)
    assert world.run(3, lambda: len(left.engine.isakmp_sas()) == 1)
    for _ in range(300):
        world.run(0.1)
        assert receivable(left, right)
    assert new in left.sas
    assert mirrored(left, right)


def test_a_peers_delete_counts_under_any_isakmp_sa_of_the_peer() -> None:
    world, left, right = _across_phase_1()
    new = _newest(right, Direction.IN)
    world.tell(right, DeleteIpsec(sa=new))
    world.run(5)
    assert new not in left.sas
    assert mirrored(left, right)


def _generating(seconds: int = 100) -> tuple[World, Node, Node]:
    """`right` has no policy of its own."""
    world = World()
    one = world.node("left", LEFT, lasting(RIGHT, seconds))
    other = world.node("right", RIGHT, lasting(LEFT, seconds, generate_policy=GeneratePolicy.ON))
    one.policies.append(transport(LEFT, RIGHT))
    assert connect(world, one)
    world.run(1)
    assert len(other.policies) == 1
    return world, one, other


def test_a_generated_policy_goes_with_its_last_sas_however_often_they_were_renewed() -> None:
    world, left, right = _generating()
    for _ in range(500):
        world.run(1)
        assert len(right.policies) == 1
    world.tell(left, Flush())
    world.run(1)
    assert not right.sas
    assert not right.policies


def test_a_generated_policy_stays_when_its_last_sas_go_while_new_ones_are_made() -> None:
    world, left, right = _generating()
    world.tell(left, Reload(config=lasting(RIGHT, 100, passive=True)))
    old = _newest(left, Direction.IN)
    assert world.run(100, lambda: len(left.of(Direction.OUT)) == 2)  # renewed by the other side
    assert len(right.of(Direction.OUT)) == 1
    world.tell(left, DeleteIpsec(sa=old))
    world.run(1)
    assert mirrored(left, right)
    assert len(right.policies) == 1
    world.tell(left, Flush())
    world.run(1)
    assert not right.sas
    assert not right.policies


def test_a_generated_policy_goes_when_the_negotiation_fails_that_kept_it() -> None:
    world, left, right = _generating()
    world.tell(left, Reload(config=lasting(RIGHT, 100, passive=True)))
    assert world.run(100, lambda: len(left.of(Direction.OUT)) == 2)
    world.tell(left, Flush(isakmp=False))
    world.run(60)
    assert not right.sas
    assert not right.policies


def test_a_delete_that_overtakes_message_2_counts_all_the_same() -> None:
    world = World()
    left, right = pair(world)
    answers = 0

    def drop(datagram: SendDatagram) -> SendDatagram | None:
        nonlocal answers
        answers += datagram.octets[18] == ExchangeType.QUICK and datagram.local.address == RIGHT
        return None if answers == 1 else datagram

    world.tell(left, Acquire(policy=left.policies[0]))
    assert world.run(1, lambda: bool(right.sas))
    world.rewrite = drop
    assert world.run(1, lambda: answers == 1)
    world.rewrite = lambda d: d
    world.tell(right, Flush(isakmp=False))
    world.run(5)  # message 1 is sent again, and answered
    assert EventKind.PHASE2_UP in left.kinds()
    assert not left.sas
    assert not right.sas


def test_an_initiator_is_told_at_once_when_its_message_1_is_not_answered_any_more() -> None:
    world = World(install_delay=0.2)
    left, right = pair(world)
    world.tell(left, Acquire(policy=left.policies[0]))
    assert world.run(5, lambda: bool(right.reserved))
    world.tell(right, DeletePolicySas(policy=right.policies[0]))
    assert world.run(1, lambda: EventKind.PHASE2_DOWN in left.kinds())

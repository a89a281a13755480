"""What may come between while a new set of SAs takes over from an old one."""

import pytest

from ike.events import (
    Acquire,
    AddressGone,
    DeleteIsakmp,
    DeletePolicySas,
    Event,
    Flush,
    SaExpired,
)
from ike.policy import Config
from ike.sa import Direction, SaId
from lab.ike_world import LEFT, RIGHT, Node, World, config, connect, pair, transport


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

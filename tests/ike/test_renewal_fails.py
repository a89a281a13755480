"""A renewal that fails is tried again, by whatever it takes, as long as the old SAs live."""

from ike.commands import EventKind
from ike.events import Acquire, DeleteIsakmp, Reload, SaExpired
from ike.values import Direction
from lab.ike_world import LEFT, RIGHT, World, config, connect, fast_timers, lasting, mirrored, pair
from lab.virtual import Weather


def test_a_renewal_is_tried_again_when_its_phase_1_failed() -> None:
    world = World()
    left, right = pair(world, left=lasting(RIGHT, 1000), right=lasting(LEFT, 1000, passive=True))
    assert connect(world, left)
    old = set(left.sas)
    world.run(10)
    world.tell(left, DeleteIsakmp(remote=RIGHT, children=False))
    world.rewrite = lambda _: None  # the peer keeps its own, and is out of reach for a while
    world.run(870)
    assert EventKind.PHASE2_NO_PHASE1 in left.kinds()
    assert set(left.sas) == old
    world.rewrite = lambda d: d
    world.run(100)
    assert old.isdisjoint(left.sas)
    assert mirrored(left, right)


def test_a_renewal_is_tried_again_when_a_negotiation_that_had_begun_before_fails() -> None:
    world = World()
    left, right = pair(world, left=lasting(RIGHT, 1000), right=lasting(LEFT, 1000, passive=True))
    assert connect(world, left)
    old = set(left.sas)
    world.run(790)
    world.rewrite = lambda _: None
    world.tell(left, Acquire(policy=left.policies[0]))  # an administrator, while there are SAs
    world.run(100)
    world.rewrite = lambda d: d
    world.run(80)
    assert old.isdisjoint(left.sas)
    assert mirrored(left, right)


def test_a_renewal_that_is_answered_late_has_the_time_to_hand_over() -> None:
    timers = fast_timers(phase2=10.5)
    world = World()
    left, right = pair(world, left=config(RIGHT, timers=timers))
    assert connect(world, left)
    world.run(1)
    world.rewrite = lambda _: None
    world.tell(left, SaExpired(sa=left.of(Direction.IN)[0].id, hard=False))
    world.run(9)
    world.rewrite = lambda d: d
    assert world.run(3, lambda: left.kinds().count(EventKind.PHASE2_UP) == 2)
    assert EventKind.PHASE2_NO_RESPONSE not in left.kinds()
    assert mirrored(left, right)


def test_octets_that_run_out_fast_are_renewed_by_the_responder_in_time() -> None:
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    world.tell(left, Reload(config=config(RIGHT, passive=True)))
    world.run(8)
    world.tell(right, SaExpired(sa=right.of(Direction.OUT)[0].id, hard=False))
    assert world.run(2, lambda: len(right.of(Direction.IN)) == 2)  # the hard limit is near


def test_a_lost_delete_does_not_keep_the_old_sas_at_the_peer() -> None:
    world = World(weather=Weather())
    left, right = pair(world)
    assert connect(world, left)
    old = set(left.sas)
    world.run(1)
    world.tell(left, SaExpired(sa=left.of(Direction.IN)[0].id, hard=False))
    world.run(5)
    world.rewrite = lambda _: None
    assert world.run(30, lambda: len(left.of(Direction.OUT)) == 1)
    world.rewrite = lambda d: d
    world.run(10)
    assert old.isdisjoint(left.sas)
    assert old.isdisjoint(right.sas)

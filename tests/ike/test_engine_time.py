"""What time does to an engine: loss, renewal, dead peers, NATs, restarts."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ike.commands import EventKind, SendDatagram
from ike.config import Phase1Proposal, Switch
from ike.events import Acquire, Stop
from ike.numbers.doi import Group
from ike.numbers.isakmp import ExchangeType, Flags
from lab.ike_world import (
    LEFT,
    RIGHT,
    World,
    config,
    connect,
    mirrored,
    pair,
    transport,
)
from lab.virtual import Weather

FAILURES = {
    EventKind.PHASE1_NO_RESPONSE,
    EventKind.PHASE2_NO_PHASE1,
    EventKind.PHASE2_NO_RESPONSE,
    EventKind.PHASE2_DOWN,
}


# --- loss ---


@pytest.mark.parametrize("loss", [0.0, 0.2, 0.5])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_every_negotiation_ends_established_or_in_a_reported_failure(
    loss: float, seed: int
) -> None:
    world = World(seed, Weather(loss=loss, duplication=0.3, jitter=0.6))
    left, right = pair(world)
    connect(world, left, 120)
    world.run(120)
    reported = FAILURES & {EventKind(k) for k in (*left.kinds(), *right.kinds())}
    assert (mirrored(left, right) and left.sas) or reported
    assert not left.reserved | right.reserved
    if loss == 0.0:
        assert not reported


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_simultaneous_starts_over_a_rough_network_end_with_working_sas(seed: int) -> None:
    world = World(seed, Weather(loss=0.1, duplication=0.2, jitter=0.5))
    left, right = pair(world)
    world.tell(right, Acquire(policy=right.policies[0]))
    connect(world, left, 120)
    world.run(60)
    reported = FAILURES & {EventKind(k) for k in (*left.kinds(), *right.kinds())}
    assert mirrored(left, right) or reported


@pytest.mark.parametrize("lost", range(9))
def test_any_one_lost_message_is_repaired_within_seconds(lost: int) -> None:
    world = World()
    left, right = pair(world)
    count = 0

    def drop(datagram: SendDatagram) -> SendDatagram | None:
        nonlocal count
        count += 1
        return None if count == lost + 1 else datagram

    world.rewrite = drop
    before = world.now
    assert connect(world, left, 10)
    world.run(5)
    assert mirrored(left, right)
    assert world.now - before < 10


def test_a_peer_that_never_answers_is_given_up_after_racoons_time() -> None:
    world = World()
    left, _ = pair(world)
    world.rewrite = lambda _: None
    assert not connect(world, left, 59)
    assert EventKind.PHASE2_NO_PHASE1 in left.kinds()
    assert world.run(2, lambda: EventKind.PHASE1_NO_RESPONSE in left.kinds())
    assert len(world.datagrams) == 9  # one, three early repeats, five at intervals of 10 s
    assert any("failed due to time up waiting for phase1" in text for text in left.texts())
    assert any("phase1 negotiation failed due to time up." in text for text in left.texts())


def test_the_commit_bit_disturbs_nothing() -> None:
    world = World()
    left, right = pair(world)

    def commit(datagram: SendDatagram) -> SendDatagram:
        octets = bytearray(datagram.octets)
        if octets[18] == ExchangeType.QUICK:
            octets[19] |= Flags.COMMIT
        return replace(datagram, octets=bytes(octets))

    world.rewrite = commit
    assert connect(world, left, 5)
    world.run(1)
    assert mirrored(left, right)


# --- dead peers ---


def test_a_dead_peer_is_noticed_and_everything_with_it_goes() -> None:
    world = World()
    left, right = pair(world, left=config(RIGHT, dpd_delay=10.0, dpd_retry=2.0, dpd_maxfail=3))
    assert connect(world, left)
    world.run(100)
    assert len(left.sas) == 2  # answered so far
    world.remove(right)
    assert world.run(30, lambda: EventKind.PHASE1_DPD_TIMEOUT in left.kinds())
    assert not left.sas
    assert not left.engine.isakmp_sas()
    assert any("seems to be dead." in text for text in left.texts())


@pytest.mark.parametrize(
    ("dpd", "said"), [(True, "seems to be dead"), (False, "may have lost the ISAKMP-SA")]
)
def test_a_peer_that_restarted_is_reached_again_by_the_next_packet(dpd: bool, said: str) -> None:
    world = World()
    left, right = pair(world, left=config(RIGHT, dpd=dpd))
    assert connect(world, left)
    world.remove(right)
    reborn = world.node("right again", RIGHT, config(LEFT))
    reborn.policies.append(transport(RIGHT, LEFT))
    assert connect(world, left, 60)
    world.run(5)
    assert reborn.sas
    assert any(said in text for text in left.texts())


def test_initial_contact_clears_what_the_peer_lost_in_a_restart() -> None:
    world = World()
    left, right = pair(world)
    assert connect(world, left)
    old = set(right.sas)
    world.remove(left)
    world.run(5)
    reborn = world.node("left again", LEFT, config(RIGHT))
    reborn.policies.append(transport(LEFT, RIGHT))
    assert connect(world, reborn)
    world.run(1)
    assert old.isdisjoint(right.sas)
    assert mirrored(reborn, right)
    assert len(right.engine.isakmp_sas()) == 1
    assert "received INITIAL-CONTACT" in right.texts()


def test_a_stopped_engine_says_nothing_more() -> None:
    world = World()
    left, _ = pair(world)
    assert connect(world, left)
    world.tell(left, Stop())
    world.run(1)
    sent = len(world.datagrams)
    world.run(100_000)
    assert len(world.datagrams) == sent


# --- fragments ---


def test_big_messages_go_in_fragments_when_both_sides_can() -> None:
    proposal = (Phase1Proposal(group=Group.MODP8192),)
    world = World(3, Weather(duplication=0.5, jitter=0.2))
    left, right = pair(
        world,
        left=config(RIGHT, ike_frag=Switch.ON, proposals=proposal, nonce_size=256),
        right=config(LEFT, ike_frag=Switch.ON, proposals=proposal, nonce_size=256),
    )
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)
    assert max(len(d.octets) for d in world.datagrams) <= 1272

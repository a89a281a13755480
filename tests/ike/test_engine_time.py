"""What time does to an engine: loss, renewal, dead peers, NATs, restarts."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ike.commands import DeleteSa, EventKind, InstallSa, SendDatagram
from ike.doi.numbers import Group
from ike.events import Acquire, SaExpired, Stop
from ike.isakmp.numbers import ExchangeType, Flags
from ike.policy import Config, Phase1Proposal, Switch
from ike.sa import Address, Direction, Phase1State, Role
from lab.ike_world import (
    LEFT,
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

FAILURES = {
    EventKind.PHASE1_NO_RESPONSE,
    EventKind.PHASE2_NO_PHASE1,
    EventKind.PHASE2_NO_RESPONSE,
    EventKind.PHASE2_DOWN,
}


def _short(peer: Address, seconds: int = 100, phase1: int = 3600, **changes: object) -> Config:
    """Phase 2 lasts `seconds`, phase 1 `phase1`."""
    made = config(peer, lifetime_seconds=phase1, **changes)
    return replace(made, sainfos=tuple(replace(s, lifetime_seconds=seconds) for s in made.sainfos))


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


# --- renewal ---


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
    left, right = pair(world, left=_short(RIGHT), right=_short(LEFT))
    assert connect(world, left)
    for _ in range(20):
        world.run(50)
        assert mirrored(left, right)
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
    world.run(10)
    assert len(left.sas) == len(right.sas) == 2
    assert old.id not in left.sas
    assert mirrored(left, right)


def test_a_responder_renews_when_the_initiator_does_not() -> None:
    world = World()
    left, right = pair(world, left=_short(RIGHT, passive=False), right=_short(LEFT))
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
    left, right = pair(world, left=_short(RIGHT, 3000, 100), right=_short(LEFT, 3000, 100))
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
    left, right = pair(world, left=_short(RIGHT, 300, 900), right=_short(LEFT, 300, 900))
    assert connect(world, left, 120)
    together = 0
    for _ in range(60):
        world.run(60)
        together += any(sa in right.sas for sa in left.sas)
        if not left.of(Direction.OUT):
            world.tell(left, Acquire(policy=left.policies[0]))
    assert together >= 57


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

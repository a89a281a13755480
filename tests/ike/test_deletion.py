"""How SAs end: deletes, flushes, expiry, stopping; and what is exported and never shown."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ike.commands import EventKind, Stopped
from ike.config import (
    Config,
)
from ike.events import (
    Acquire,
    AddressGone,
    DeleteIpsec,
    DeleteIsakmp,
    DeletePolicySas,
    EstablishIsakmp,
    Flush,
    Reload,
    SaExpired,
    SaGone,
    Stop,
)
from ike.values import (
    Direction,
    Endpoint,
    Mode,
)
from lab.ike_world import (
    LEFT,
    PSK,
    RIGHT,
    Node,
    World,
    config,
    connect,
    pair,
    transport,
)


def _connected(**changes: object) -> tuple[World, Node, Node]:
    world = World()
    left, right = pair(world, left=config(RIGHT, **changes), right=config(LEFT, **changes))
    assert connect(world, left)
    world.run(1)
    return world, left, right


def test_stop_deletes_everything_at_both_ends() -> None:
    world, left, right = _connected()
    world.tell(left, Stop())
    world.run(1)
    assert left.stopped
    assert not left.sas
    assert not right.sas
    assert not right.engine.isakmp_sas()
    out = "purged IPsec-SA proto_id=ESP spi="
    assert any(text.startswith(out) for text in right.texts())
    assert EventKind.PHASE1_PEER_DELETED in right.kinds()


def test_deleting_one_pair_tells_the_peer_and_leaves_the_rest() -> None:
    for pick in (DeleteIpsec, SaGone):
        world, left, right = _connected()
        world.tell(left, pick(sa=left.of(Direction.IN)[0].id))
        world.run(1)
        assert not left.sas
        assert not right.sas
        assert len(left.engine.isakmp_sas()) == len(right.engine.isakmp_sas()) == 1
        (down,) = [r for r in left.reports if r.kind == EventKind.PHASE2_DOWN]
        assert (down.local, down.remote) == (Endpoint(LEFT, 500), Endpoint(RIGHT, 500))


def test_deleting_by_policy_and_by_peer() -> None:
    for event in (
        DeletePolicySas(policy=transport(LEFT, RIGHT)),
        DeleteIsakmp(remote=RIGHT),
        Flush(),
    ):
        world, left, right = _connected()
        world.tell(left, event)
        world.run(1)
        assert not left.sas
        assert not right.sas


def test_a_hard_expiry_removes_both_directions() -> None:
    world, left, right = _connected()
    world.tell(left, SaExpired(sa=left.of(Direction.IN)[0].id, hard=True))
    world.run(1)
    assert not left.sas
    assert not right.sas
    assert any(t.startswith("IPsec-SA expired: ESP/Transport") for t in left.texts())


def test_a_lost_address_takes_its_sas_along() -> None:
    world, left, _ = _connected()
    world.tell(left, AddressGone(address=LEFT))
    world.run(1)
    assert not left.sas
    assert not left.engine.isakmp_sas()


def test_establish_and_delete_phase_1_alone() -> None:
    world = World()
    left, right = pair(world)
    ask = EstablishIsakmp(local=Endpoint(LEFT, 500), remote=RIGHT)
    world.tell(left, ask)
    assert world.run(5, lambda: EventKind.PHASE1_UP in left.kinds())
    world.tell(left, ask)
    world.run(1)
    assert left.kinds().count(EventKind.PHASE1_UP) == 2  # told again, made once
    assert len(right.engine.isakmp_sas()) == 1


def test_who_wants_a_phase_1_with_somebody_unknown_is_told_at_once() -> None:
    world = World()
    left, _ = pair(world)
    nobody = ip_address("192.0.2.99")
    world.tell(left, EstablishIsakmp(local=Endpoint(LEFT, 500), remote=nobody))
    world.run(1)
    assert left.texts() == [f"no configuration found for {nobody}."]
    (report,) = left.reports
    assert report.kind == EventKind.PHASE1_NO_RESPONSE
    assert (report.local, report.remote) == (Endpoint(LEFT, 500), Endpoint(nobody, 500))


def test_why_the_last_negotiation_with_a_peer_failed_is_kept_until_one_succeeds() -> None:
    world = World()
    left, right = pair(world)
    mended = right.engine.config
    world.tell(right, Reload(config=replace(mended, sainfos=())))
    assert not connect(world, left, 5)
    (name,) = left.engine.last_failures()
    assert str(RIGHT) in name
    assert "NO-PROPOSAL-CHOSEN" in left.engine.last_failures()[name]
    (text,) = right.engine.last_failures().values()
    assert "failed to get sainfo" in text
    for node, here, there in ((left, LEFT, RIGHT), (right, RIGHT, LEFT)):
        (down,) = [r for r in node.reports if r.kind == EventKind.PHASE2_DOWN]
        assert (down.local, down.remote) == (Endpoint(here, 500), Endpoint(there, 500))
    world.tell(right, Reload(config=mended))
    assert connect(world, left, 20)
    world.run(1)
    assert left.engine.last_failures() == right.engine.last_failures() == {}
    world.remove(right)
    world.tell(left, Flush())
    assert not connect(world, left, 100)
    (text,) = left.engine.last_failures().values()
    assert text == "phase1 negotiation failed due to time up."


@pytest.mark.parametrize("dpd", [False, True])
def test_what_is_shown_of_a_phase_1_says_whether_the_peer_is_watched(dpd: bool) -> None:
    _, left, right = _connected(dpd=dpd)
    for node in (left, right):
        (view,) = node.engine.isakmp_sas()
        assert view.dpd is dpd
        assert (view.remote_id, view.local_id) == (
            str(view.remote.address),
            str(view.local.address),
        )


def test_a_reload_counts_from_the_next_negotiation_on() -> None:
    world, left, _ = _connected()
    world.tell(left, Reload(config=config(RIGHT, passive=True)))
    world.run(1)
    assert len(left.sas) == 2
    world.tell(left, Flush())
    assert not connect(world, left, 2.0)
    assert f"remote {RIGHT} is passive: it must open the negotiation" in left.texts()


def test_a_remote_that_a_reload_removes_goes_with_all_it_has_and_is_not_renewed() -> None:
    world, left, right = _connected(lifetime_seconds=100)
    world.tell(left, Reload(config=Config()))
    world.run(1)
    assert not left.sas
    assert not left.engine.isakmp_sas()
    assert not right.sas  # it was told
    world.run(200)
    assert not left.engine.isakmp_sas()
    assert not connect(world, left, 2.0)
    assert f"no configuration found for {RIGHT}." in left.texts()


def test_keys_are_exported_only_when_asked_for() -> None:
    world = World()
    left, right = pair(world, left=config(RIGHT, export_keys=True))
    connect(world, left)
    (exported,) = left.exported
    assert exported.initiator_cookie == left.engine.isakmp_sas()[0].initiator_cookie
    assert len(exported.encryption_key) == 16
    assert not right.exported


def test_no_key_shows_in_anything_that_is_logged() -> None:
    _, left, right = _connected()
    shown = repr([*left.commands, *right.commands])
    for sa in left.sas.values():
        assert sa.encryption_key.reveal().hex() not in shown
        assert repr(sa.encryption_key.reveal()) not in shown
    assert repr(PSK.reveal()) not in shown
    assert Mode.TRANSPORT in {sa.mode for sa in right.sas.values()}


def test_an_answer_that_is_faster_than_the_responders_data_plane_starts_nothing_new() -> None:
    world = World(install_delay=0.2)
    left, right = pair(world)
    assert connect(world, left)
    assert EventKind.PHASE2_UP not in right.kinds()  # its outbound SA is still being installed
    world.tell(right, Acquire(policy=right.policies[0]))
    world.run(5)
    assert len(right.sas) == 2


@pytest.mark.parametrize("seconds", [0.25, 0.45, 0.65, 0.85])
def test_stopping_leaves_nothing_behind_that_the_data_plane_is_still_busy_with(
    seconds: float,
) -> None:
    world = World(install_delay=0.2)
    left, right = pair(world)
    world.tell(left, Acquire(policy=left.policies[0]))
    world.run(seconds)
    assert left.sas or left.reserved or seconds < 0.3
    for node in (left, right):
        world.tell(node, Stop())
    world.run(5)
    assert left.stopped
    assert right.stopped
    assert not {**left.sas, **right.sas}
    assert not left.reserved | right.reserved
    for node in (left, right):
        assert isinstance(node.commands[-1], Stopped)

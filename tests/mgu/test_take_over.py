"""The policies of connections: installed, kept, taken over, and removed only when told so."""

import logging
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from ike.events import DeleteIsakmp, DeletePolicySas, Event
from ike.reqids import CONNECTIONS, GENERATED
from ike.values import PolicyEntry
from lab.plane import Plane
from mgu.connections import folder
from mgu.connections.connection import Connection
from mgu.connections.served import Served, _as
from mgu.keying.backend import XfrmBackend
from mgu.keying.values import policies_of, policy_entry
from mgu.paths import under_root
from xfrm import dataplane, model

HERE, THERE = ip_address("10.77.0.1"), ip_address("10.77.0.2")
OFFICE = Connection(name="office", dst=THERE, src=HERE, network=ip_network("10.2.0.0/24"))
SHOP = replace(OFFICE, name="shop", network=ip_network("10.3.0.0/24"))


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    return tmp_path


class Host:
    """A daemon's start on a data plane that survives it."""

    def __init__(self, plane: Plane | None = None) -> None:
        self.plane = plane or Plane()
        self.told: list[Event] = []
        self.served = Served(XfrmBackend(self.plane), self.told.append)

    def entries(self) -> list[PolicyEntry]:
        """The outbound policies that ask for SAs."""
        out = (p for p in self.plane.spd.values() if p.direction is model.Direction.OUT)
        return [entry for policy in out if (entry := policy_entry(policy)) is not None]

    def reqids(self) -> list[int]:
        return [entry.protections[0].reqid for entry in self.entries()]

    async def killed(self) -> "Host":
        """The next start after a kill -9."""
        after = Host(self.plane)
        await after.served.take_over()
        return after


def up(*connections: Connection) -> None:
    for connection in connections:
        folder.save(connection)
        folder.set_started(connection.name, True)


async def test_each_connection_has_a_reqid_of_its_own_whatever_the_files_say() -> None:
    """Two tunnels to one peer with one reqid would use each other's SAs."""
    up(OFFICE, SHOP, replace(OFFICE, name="a", protocol=6, reqid=7))
    up(replace(OFFICE, name="b", protocol=17, reqid=CONNECTIONS[5]))
    up(replace(OFFICE, name="c", protocol=132, reqid=CONNECTIONS[5]))
    host = Host()
    await host.served.update()
    assert len(set(host.reqids())) == 5
    assert all(reqid in CONNECTIONS for reqid in host.reqids())
    assert CONNECTIONS[5] in host.reqids()


async def test_the_reqid_of_the_file_is_kept_over_orderly_stops() -> None:
    up(replace(OFFICE, reqid=CONNECTIONS[9]), SHOP)
    for _ in range(2):
        host = Host()
        await host.served.update()
        assert {e.selector.remote: e.protections[0].reqid for e in host.entries()} == {
            OFFICE.network: CONNECTIONS[9],
            SHOP.network: CONNECTIONS[0],
        }
        await host.served.clear()
        assert not host.plane.spd


async def test_a_reload_changes_nothing_of_what_stays_and_takes_away_what_went() -> None:
    up(OFFICE, SHOP)
    host = Host()
    await host.served.update()
    before = dict(host.plane.spd)
    await host.served.update()
    assert host.plane.spd == before
    folder.set_started("shop", False)
    await host.served.update()
    (office,) = host.entries()
    assert office.selector.remote == OFFICE.network
    (gone,) = (event for event in host.told if isinstance(event, DeletePolicySas))
    assert gone.policy.selector.remote == SHOP.network
    assert not any(isinstance(event, DeleteIsakmp) for event in host.told)
    folder.forget("office")
    await host.served.update()
    assert not host.plane.spd
    assert DeleteIsakmp(remote=THERE, local=HERE) in host.told


async def test_a_changed_connection_is_replaced_with_another_reqid_than_its_neighbours() -> None:
    up(OFFICE, SHOP)
    host = Host()
    await host.served.update()
    before = host.reqids()
    folder.save(replace(OFFICE, protocol=6))
    await host.served.update()
    assert [e.selector.protocol for e in host.entries()] == [0, 6]
    assert len(set(host.reqids())) == 2
    assert set(host.reqids()) & set(before)


class Traced(Plane):
    """Notes whether the outbound traffic of OFFICE was protected after each change."""

    def __init__(self) -> None:
        super().__init__()
        self.trace: list[bool] = []

    def _note(self) -> None:
        network = OFFICE.network
        out = (p for p in self.spd.values() if p.direction is model.Direction.OUT)
        assert network is not None
        self.trace.append(any(network.subnet_of(p.selector.dst) for p in out))  # type: ignore[arg-type]

    async def add_policy(self, policy: model.Policy) -> None:
        await super().add_policy(policy)
        self._note()

    async def delete_policy(self, policy: model.Policy) -> None:
        await super().delete_policy(policy)
        self._note()


@pytest.mark.parametrize(
    "change",
    [
        replace(OFFICE, dst=ip_address("10.77.0.3")),
        replace(OFFICE, src=ip_address("10.77.0.8")),
        replace(OFFICE, network=ip_network("10.2.0.0/16")),
        replace(OFFICE, name="another"),
    ],
    ids=["peer", "source", "network", "name"],
)
@pytest.mark.parametrize("killed", [False, True])
async def test_a_changed_connection_is_protected_at_every_moment_of_the_change(
    change: Connection, killed: bool
) -> None:
    up(OFFICE)
    plane = Traced()
    host = Host(plane)
    await host.served.update()
    if killed:
        host = await host.killed()
    folder.forget("office")
    up(change)
    plane.trace.clear()
    await host.served.update()
    assert all(plane.trace)
    (entry,) = host.entries()
    assert entry == _as(change.policy(change.src or HERE), entry.protections[0].reqid)
    assert len(plane.spd) == 3
    await host.served.clear()
    assert not plane.spd


async def test_a_connection_with_another_name_keeps_its_sas() -> None:
    up(OFFICE)
    host = Host()
    await host.served.update()
    folder.forget("office")
    up(replace(OFFICE, name="another"))
    await host.served.update()
    assert host.told == []


async def test_a_change_that_the_data_plane_refuses_leaves_the_traffic_protected_as_before() -> (
    None
):
    class Full(Plane):
        full = False

        async def add_policy(self, policy: model.Policy) -> None:
            if self.full and policy.direction is model.Direction.OUT:
                raise dataplane.XfrmError("no memory")
            await super().add_policy(policy)

    up(OFFICE)
    plane = Full()
    host = Host(plane)
    await host.served.update()
    before = host.entries()
    folder.save(replace(OFFICE, dst=ip_address("10.77.0.3")))
    plane.full = True
    await host.served.update()
    assert host.entries() == before
    assert len(plane.spd) == 3
    assert host.told == []
    assert folder.problem_of("office") is not None
    plane.full = False
    await host.served.update()
    assert [str(entry.remote) for entry in host.entries()] == ["10.77.0.3"]
    assert [type(event) for event in host.told] == [DeletePolicySas, DeleteIsakmp]


async def test_after_a_kill_the_policies_of_connections_are_used_again_as_they_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    up(OFFICE, SHOP)
    before = Host()
    await before.served.update()
    spd = dict(before.plane.spd)
    folder.forget("office")
    up(replace(OFFICE, name="zoo"))  # under another name
    after = await before.killed()
    assert after.plane.spd == spd
    await after.served.update()
    assert after.plane.spd == spd
    assert [record.message for record in caplog.records if "earlier" in record.message] == [
        "an earlier daemon was killed: its policies (2) are kept, its SAs (0) "
        "are deleted, as they cannot be renewed"
    ]
    await after.served.clear()
    assert not after.plane.spd


async def test_nothing_left_is_nothing_to_say(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await Host().killed()
    assert not caplog.records


async def test_what_was_stopped_or_changed_while_no_daemon_ran_goes_at_the_next_start() -> None:
    up(OFFICE, SHOP)
    before = Host()
    await before.served.update()
    folder.set_started("shop", False)
    folder.save(replace(OFFICE, protocol=6))
    after = await before.killed()
    await after.served.update()
    (entry,) = after.entries()
    assert (entry.selector.remote, entry.selector.protocol) == (OFFICE.network, 6)
    assert len(after.plane.spd) == 3


async def test_policies_of_peers_and_of_others_stay() -> None:
    plane = Plane()
    host = Host(plane)
    made = OFFICE.policy(HERE)
    of_peer = replace(made, protections=(replace(made.protections[0], reqid=GENERATED[0]),))
    of_others = SHOP.policy(HERE)
    for entry in (of_peer, of_others):
        for policy in policies_of(entry):
            await plane.add_policy(policy)
    spd = dict(plane.spd)
    after = await host.killed()
    await after.served.update()
    await after.served.clear()
    assert plane.spd == spd


def into_folder(path: Path) -> None:
    """Something that opens for nobody."""
    path.unlink(missing_ok=True)
    path.mkdir()


@pytest.mark.parametrize("damage", ["unreadable", "nonsense", "state"])
async def test_a_file_that_cannot_be_read_takes_no_protection_away(
    damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    up(OFFICE, SHOP)
    host = Host()
    await host.served.update()
    spd = dict(host.plane.spd)
    path = folder.path_of("shop")
    if damage == "nonsense":
        path.write_bytes(b"TYPE=IPSEC\nDST=\xff\n")
    else:
        into_folder(path if damage == "unreadable" else under_root("/run/mgu/ipsec/shop"))
    await host.served.update()
    assert host.plane.spd == spd
    assert not host.told
    assert any(record.message.startswith("connection shop: ") for record in caplog.records)
    after = await host.killed()
    await after.served.update()
    assert after.plane.spd == spd
    folder.forget("shop") if damage == "nonsense" else path.rename(path.with_name("away"))
    await after.served.update()
    assert [entry.selector.remote for entry in after.entries()] == [OFFICE.network]


async def test_a_data_plane_that_refuses_is_reported_and_the_rest_is_served() -> None:
    class Full(Plane):
        async def add_policy(self, policy: model.Policy) -> None:
            if policy.selector.src == SHOP.network or policy.selector.dst == SHOP.network:
                raise dataplane.XfrmError("no memory")
            await super().add_policy(policy)

    up(OFFICE, SHOP)
    host = Host(Full())
    await host.served.update()
    assert [entry.selector.remote for entry in host.entries()] == [OFFICE.network]
    assert folder.problem_of("shop") == f"cannot install the policy {_selector(SHOP)}: no memory"
    assert folder.problem_of("office") is None


def _selector(connection: Connection) -> str:
    return str(connection.policy(HERE).selector)


async def test_a_data_plane_that_cannot_be_looked_at_at_the_start_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = Host(Plane(refusal=dataplane.XfrmError("the kernel does not answer")))
    await host.served.take_over()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_policy_that_the_data_plane_does_not_give_back_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Sticky(Plane):
        async def delete_policy(self, policy: model.Policy) -> None:
            raise dataplane.XfrmError(f"{policy.direction.name} is in use")

    up(OFFICE)
    host = Host(Sticky())
    await host.served.update()
    after = await host.killed()
    folder.forget("office")
    await after.served.update()
    await host.served.clear()
    said = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 2
    assert all("cannot remove the policy" in text and "IN is in use" in text for text in said)

"""The policies of connections, as the files say: nothing that is not understood opens a hole."""

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ike.backend import BackendError
from ike.events import DeletePolicySas, Event
from ike.values import PolicyEntry
from mgu.connections import folder
from mgu.connections.served import Served


class Policies:
    """A data plane that is a list; the backend's other calls are not made here."""

    def __init__(self) -> None:
        self.held: list[PolicyEntry] = []
        self.refusal: BackendError | None = None

    async def add_policy(self, policy: PolicyEntry) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.held.append(policy)

    async def remove_policy(self, policy: PolicyEntry) -> None:
        self.held.remove(policy)

    @property
    def peers(self) -> list[str]:
        return [str(policy.remote) for policy in self.held]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Writes the ifcfg file of a connection to a peer."""
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    place = tmp_path / "etc/sysconf/network-scripts"
    place.mkdir(parents=True)

    def write(name: str, peer: str) -> None:
        text = f"TYPE=IPSEC\nDST={peer}\nSRC=192.0.2.9\nIKE_METHOD=PSK\nONBOOT=yes\n"
        (place / f"ifcfg-{name}").write_text(text)

    return write


async def test_a_start_leaves_no_thread_that_would_keep_privileges(
    files: Callable[[str, str], None], plane: Policies, told: list[Event]
) -> None:
    files("office", "10.0.0.2")
    before = threading.active_count()
    await Served(plane, told.append).start()  # type: ignore[arg-type]
    assert plane.peers == ["10.0.0.2"]
    assert threading.active_count() == before


@pytest.fixture
def plane() -> Policies:
    return Policies()


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def served(plane: Policies, told: list[Event]) -> Served:
    return Served(plane, told.append)  # type: ignore[arg-type]


async def test_policies_are_those_of_the_files(
    served: Served, plane: Policies, files: Callable[[str, str], None], told: list[Event]
) -> None:
    files("node", "192.0.2.1")
    await served.update()
    assert plane.peers == ["192.0.2.1"]
    files("node", "192.0.2.2")
    await served.update()
    assert plane.peers == ["192.0.2.2"]
    assert [type(event) for event in told][:1] == [DeletePolicySas]
    folder.forget("node")
    await served.update()
    assert plane.peers == []


async def test_a_connection_whose_file_is_broken_stays_protected_as_it_was(
    served: Served, plane: Policies, files: Callable[[str, str], None]
) -> None:
    files("node", "192.0.2.1")
    await served.update()
    files("node", "soon")
    await served.update()
    assert plane.peers == ["192.0.2.1"]
    assert "soon" in (folder.problem_of("node") or "")
    files("node", "192.0.2.2")
    await served.update()
    assert plane.peers == ["192.0.2.2"]
    assert folder.problem_of("node") is None


async def test_a_status_file_that_cannot_be_written_costs_only_itself(
    served: Served,
    plane: Policies,
    files: Callable[[str, str], None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "run/mgu").mkdir(parents=True)
    (tmp_path / "run/mgu/racoon").write_text("no folder")
    files("node", "192.0.2.1")
    await served.update()
    assert plane.peers == ["192.0.2.1"]
    assert "'ipsec --list' may show old problems" in caplog.text


@pytest.mark.parametrize(("state", "up"), [("started\n", True), ("stopped\n", False), ("", True)])
async def test_a_damaged_note_of_what_was_started_counts_as_none(
    served: Served,
    plane: Policies,
    files: Callable[[str, str], None],
    tmp_path: Path,
    state: str,
    up: bool,
) -> None:
    files("node", "192.0.2.1")
    (tmp_path / "run/mgu/ipsec").mkdir(parents=True)
    (tmp_path / "run/mgu/ipsec/node").write_text(state)
    await served.update()
    assert bool(plane.held) is up


async def test_a_policy_that_the_kernel_refuses_is_a_problem_that_ipsec_shows(
    served: Served, plane: Policies, files: Callable[[str, str], None]
) -> None:
    files("node", "192.0.2.1")
    plane.refusal = BackendError(f"cannot install it: {errno.errorcode[errno.EPERM]}")
    await served.update()
    assert folder.problem_of("node") == "cannot install it: EPERM"
    plane.refusal = None
    await served.update()
    assert plane.peers == ["192.0.2.1"]

"""Every daemon, and its supervisor, where the disk is full, cannot be written to, memory is short.

No traceback; what protects stays, so that nothing leaves in clear; and when the fault is over all
is up again without hands.
"""

import contextlib
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from lab.branch import NAMES, Branch, branch_office
from lab.disk import Disk, private_mounts
from mgu.demo.host import PYTHON
from mgu.demo.office import Office

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]

PAGE: Final = resource.getpagesize()
ROOM: Final = 1 << 20  # octets that a daemon may still take
Fault = tuple[Callable[[dict[str, Disk]], None], Callable[[dict[str, Disk]], None]]


def full(disks: dict[str, Disk]) -> None:
    for name in ("etc", "var", "run"):
        disks[name].fill()


def freed(disks: dict[str, Disk]) -> None:
    for name in ("etc", "var", "run"):
        disks[name].free()


def full_with_logs(disks: dict[str, Disk]) -> None:
    full(disks)
    disks["var/log"].fill()


def freed_with_logs(disks: dict[str, Disk]) -> None:
    freed(disks)
    disks["var/log"].free()


def read_only(disks: dict[str, Disk]) -> None:
    for name in ("etc", "var", "run"):
        disks[name].read_only()


def writable(disks: dict[str, Disk]) -> None:
    for name in ("etc", "var", "run"):
        disks[name].read_only(False)


FAULTS: Final[dict[str, Fault]] = {
    "full": (full, freed),
    "full, with the logs": (full_with_logs, freed_with_logs),
    "read-only": (read_only, writable),
}


@pytest.fixture
def disks() -> dict[str, Disk]:
    """Those of the gateway, by their folder."""
    return {}


@pytest.fixture
def branch(tmp_path: Path, disks: dict[str, Disk]) -> Iterator[Branch]:
    def mount(office: Office) -> None:
        root = office.gateway.root
        for name in ("etc", "var", "run", "var/log"):
            disks[name] = Disk(root / name, "1m")
        (root / "var/run").symlink_to("../run")

    with private_mounts(), branch_office(tmp_path, mount) as running:
        yield running


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_daemons_on_a_faulty_disk_protect_and_all_comes_back(
    branch: Branch, disks: dict[str, Disk], fault: str
) -> None:
    begins, ends = FAULTS[fault]
    begins(disks)
    for number in (signal.SIGHUP, signal.SIGKILL):
        for name in NAMES:
            branch.signal(name, number)
        branch.pings(5.0)
    ends(disks)
    branch.comes_back()
    branch.pings(1.0)
    assert branch.has_sent_nothing_in_clear()
    assert branch.has_no_traceback()
    assert branch.gateway.quiet("mgu", "down")
    assert [name for name in NAMES if branch.process(name)] == []


@pytest.mark.long
def test_a_boot_without_run_makes_what_it_needs_there(branch: Branch) -> None:
    assert branch.gateway.quiet("mgu", "down")
    run = branch.gateway.root / "run"
    subprocess.run(["umount", "--lazy", str(run)], check=True)
    run.rmdir()
    assert branch.gateway.quiet("mgu", "up")
    branch.comes_back()
    assert branch.has_no_traceback()
    assert branch.has_sent_nothing_in_clear()


@pytest.mark.long
@pytest.mark.parametrize("mebioctets", [24, 40, 64, 100, 140])
def test_a_start_with_too_little_memory_says_so_and_the_next_one_brings_all_up(
    branch: Branch, mebioctets: int
) -> None:
    assert branch.gateway.quiet("mgu", "down")
    for words in (("up", "--wait", "5"), ("up", "--status"), ("down",)):
        argv = ["prlimit", f"--as={mebioctets << 20}", *PYTHON, "mgu.main", *words]
        done = branch.gateway.namespace.call(
            subprocess.run,
            argv,
            env=branch.gateway.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=90,
        )
        print(f"{words}: {done.returncode}\n{done.stdout}")
        assert "Traceback" not in done.stdout
        assert done.returncode in (0, 1, 3, 4)
    branch.gateway.quiet("mgu", "up")
    branch.comes_back()
    assert branch.has_no_traceback()
    assert branch.has_sent_nothing_in_clear()


@pytest.mark.long
def test_daemons_that_get_no_more_memory_go_on_or_are_started_again(branch: Branch) -> None:
    """What they have is all they get; each is asked for more than that."""
    limited = []
    for name in NAMES:
        process = branch.process(name)
        assert process is not None
        statm = Path(f"/proc/{process.pid}/statm").read_text().split()
        limit(process.pid, int(statm[0]) * PAGE + ROOM)
        limited.append(process.pid)
    for _ in range(5):
        for name in NAMES:
            branch.signal(name, signal.SIGHUP)
        for words in (
            ("wpa_cli", "reassociate"),
            ("racoonctl", "show-sa", "ipsec"),
            ("racoonctl", "status"),
            ("localNTP", "-s"),
        ):
            branch.gateway.quiet(*words)
        branch.pings(2.0)
    for pid in limited:
        limit(pid, resource.RLIM_INFINITY)
    branch.comes_back()
    assert branch.has_sent_nothing_in_clear()
    assert branch.has_no_traceback()


def limit(pid: int, octets: int) -> None:
    """How much address space it may have; no matter if it has ended."""
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_AS, (octets, resource.RLIM_INFINITY))

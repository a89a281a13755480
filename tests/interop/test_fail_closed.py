"""The keying daemon on a full disk, killed, and stopped: what protects stays; nothing leaves in
clear."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from lab.disk import Disk, private_mounts
from lab.keying import Keying, until
from lab.netns import Veth

pytestmark = pytest.mark.interop

SECRET: Final = "--dst-preshared-key=shared by both"


@pytest.fixture
def mounts() -> Iterator[None]:
    with private_mounts():
        yield


@pytest.fixture
def ends(wire: Veth, tmp_path: Path, mounts: None) -> tuple[Keying, Keying]:
    """Two hosts that protect all between them; /run of the left one is a small disk."""
    (left, _), (right, _) = wire.left, wire.right
    near = Keying(left, tmp_path / "left", {"MGU_DATAPLANE": "userspace"})
    far = Keying(right, tmp_path / "right", {"MGU_DATAPLANE": "userspace"})
    left.add_address("lo", "10.1.0.1/24")
    right.add_address("lo", "10.2.0.1/24")
    near.ipsec("--create", "--name=t", "--dst-address=10.77.0.2", SECRET,
               "--src-network=10.1.0.0/24", "--dst-network=10.2.0.0/24")  # fmt: skip
    far.ipsec("--create", "--name=t", "--dst-address=10.77.0.1", SECRET,
              "--src-network=10.2.0.0/24", "--dst-network=10.1.0.0/24")  # fmt: skip
    return near, far


def ping(end: Keying) -> bool:
    return end.ping("10.2.0.1", 3, source="10.1.0.1")


def test_a_full_disk_and_a_reload_end_no_tunnel(ends: tuple[Keying, Keying]) -> None:
    near, far = ends
    disk = Disk(near.root / "run")
    with far.iked(), near.iked() as daemon:
        assert ping(near)
        disk.fill()
        daemon.signal(signal.SIGHUP)
        daemon.wait_line("INFO: configuration read again")
        assert daemon.running
        assert ping(near)
        assert "Traceback" not in daemon.text


def test_a_daemon_that_was_killed_leaves_nothing_open(ends: tuple[Keying, Keying]) -> None:
    near, far = ends
    with far.iked():
        with near.iked() as daemon:
            assert ping(near)
            daemon.signal(signal.SIGKILL)
            until(lambda: not daemon.running)
        assert near.namespace.run("ip", "route", "get", "10.2.0.1", check=False).returncode != 0
        with near.iked():
            until(lambda: ping(near))
        assert near.namespace.run("ip", "rule", "list", "priority", "450").stdout == ""


def test_a_daemon_whose_device_is_taken_away_leaves_nothing_open(
    ends: tuple[Keying, Keying],
) -> None:
    near, far = ends
    with far.iked():
        with near.iked() as daemon:
            assert ping(near)
            near.namespace.run("ip", "link", "del", "mgu0")
            until(lambda: not daemon.running)
            daemon.wait_line("ERROR: the data plane has ended: the daemon cannot continue and ends")
            assert daemon.exit_code == 1
        assert near.namespace.run("ip", "route", "get", "10.2.0.1", check=False).returncode != 0
        with near.iked():
            until(lambda: ping(near))

"""mgu timed against chronyd, over a cable that can be cut; the gateway's clock is simulated."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.netns import Veth
from lab.peers.chronyd import chronyd, nts
from lab.process import Ended, Process
from ntp.timestamp import SECOND

pytestmark = pytest.mark.interop

SERVER = "10.77.0.2"
SYS_TIME = 1 << 25  # linux/capability.h


class Gateway:
    def __init__(self, root: Path, wire: Veth, servers: tuple[str, ...] = (SERVER,)) -> None:
        self.root, self.wire = root, wire
        self.clock = root / "clock"
        self.clock.write_text(f"{-time.time_ns()}\n")  # it is 1970
        (root / "etc").mkdir()
        lines = "".join(f"server {server}\n" for server in servers)
        (root / "etc/localntp.conf").write_text(lines)

    def timed(self) -> Process:
        environment = {**os.environ, "MGU_ROOT": str(self.root), "MGU_CLOCK": str(self.clock)}
        argv = [sys.executable, "-m", "mgu.main", "timed", "-d"]
        return Process(argv, namespace=self.wire.left[0], env=environment, name="timed")

    @property
    def wrong_by(self) -> int:
        """ns"""
        return abs(int(self.clock.read_text()))


@pytest.fixture
def gateway(wire: Veth, tmp_path: Path) -> Iterator[Gateway]:
    with chronyd(tmp_path / "chronyd", namespace=wire.right[0]):
        yield Gateway(tmp_path, wire)


def test_the_service_sets_the_clock_saves_the_date_and_keeps_one_capability(
    gateway: Gateway,
) -> None:
    gateway.wire.right[0].add_address("eth0", "10.77.0.3/24")
    (gateway.root / "etc/localntp.conf").write_text("server 10.77.0.2\nserver 10.77.0.3\n")
    with gateway.timed() as service:
        service.wait_line("stepped")
        status = Path(f"/proc/{service.pid}/status").read_text()
        stopped_at = time.time_ns()
        assert service.stop() == 0
    held = {
        line.split()[0]: int(line.split()[1], 16) for line in status.splitlines() if "Cap" in line
    }
    assert held["CapEff:"] == held["CapPrm:"] == held["CapBnd:"] == SYS_TIME
    assert gateway.wrong_by < SECOND // 10
    saved = int((gateway.root / "var/lib/mgu/localntp/time").read_text())
    assert abs(saved - stopped_at) < SECOND
    assert (gateway.root / "run/mgu/localntp/synchronized").exists()


def test_a_cable_that_is_plugged_in_late_is_noticed_at_once(gateway: Gateway) -> None:
    gateway.wire.cut()
    with gateway.timed() as service:
        service.wait_line("asking")
        gateway.wire.restore()
        service.wait_line("asking", within=3.0)
        service.wait_line("stepped", within=3.0)
    assert gateway.wrong_by < SECOND // 10


def test_a_server_that_comes_up_late_is_found(wire: Veth, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, wire)
    with gateway.timed() as service:
        service.wait_line("asking")
        with chronyd(tmp_path / "chronyd", namespace=wire.right[0]):
            service.wait_line("stepped", within=15.0)


def test_one_dead_server_of_three_does_not_matter(gateway: Gateway, tmp_path: Path) -> None:
    gateway.wire.right[0].add_address("eth0", "10.77.0.3/24")
    lines = "".join(f"server 10.77.0.{n}\n" for n in (2, 3, 4))
    (gateway.root / "etc/localntp.conf").write_text(lines)
    with gateway.timed() as service:
        service.wait_line(r"\(agreed\); stepped", within=5.0)


def test_the_service_starts_by_nts_and_goes_on_under_the_same_keys(
    wire: Veth, tmp_path: Path
) -> None:
    lines, ca = nts(tmp_path, SERVER)
    gateway = Gateway(tmp_path, wire)
    copy = gateway.root / "etc/ca.pem"
    copy.write_bytes(ca.read_bytes())
    (gateway.root / "etc/localntp.conf").write_text(f"server {SERVER} nts\nca /etc/ca.pem\n")
    served = chronyd(tmp_path / "chronyd", namespace=wire.right[0], lines=lines)
    with served, gateway.timed() as service:
        service.wait_line(r"\(authenticated\); stepped")
    assert gateway.wrong_by < SECOND // 10


def test_a_configuration_without_a_server_is_said(wire: Veth, tmp_path: Path) -> None:
    with Gateway(tmp_path, wire, servers=()).timed() as service, pytest.raises(Ended) as ended:
        service.wait_line("asking")
    assert "names no server; run: localNTP -a -n ADDRESS" in str(ended.value)
    assert service.exit_code == 64

"""Setting a real clock: a guest's own. The server's date comes from its monotonic clock."""

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.process import Process
from ntp.aio.clock import STA_UNSYNC, KernelClock, Timex
from ntp.timestamp import SECOND

pytestmark = pytest.mark.kernel

HERE = "127.0.0.1"
PORT = "123"
YEAR = 31_556_952 * SECOND
TRUTH = datetime(2026, 12, 24, 12, 0, tzinfo=UTC)  # what the server shows when it starts
MICROSECOND = 1000
AT_1970 = datetime(1970, 1, 2, tzinfo=UTC)


def set_to(date: datetime) -> None:
    time.clock_settime_ns(time.CLOCK_REALTIME, round(date.timestamp()) * SECOND)


def gap() -> int:
    """CLOCK_REALTIME less CLOCK_MONOTONIC_RAW, ns, from the closest of many readings."""
    closest = min(
        (
            (
                time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW),
                time.time_ns(),
                time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW),
            )
            for _ in range(400)
        ),
        key=lambda reading: reading[2] - reading[0],
    )
    return closest[1] - (closest[0] + closest[2]) // 2


class Gateway:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {**os.environ, "MGU_ROOT": str(root)}

    def local_ntp(
        self, *arguments: str, prefix: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        argv = [*prefix, sys.executable, "-m", "mgu.main", "localNTP", *arguments]
        return subprocess.run(
            argv, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    def timed(self) -> Process:
        argv = [sys.executable, "-m", "mgu.main", "timed", "-d"]
        return Process(argv, env=self.environment, name="timed")

    def configure(self) -> None:
        (self.root / "etc").mkdir(parents=True)
        (self.root / "etc/localntp.conf").write_text(f"server {HERE}\n")


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


class TimeServer:
    """Our own, with TRUTH as its date; started once for the module."""

    def __init__(self) -> None:
        self.begun = time.monotonic_ns()
        date = TRUTH.strftime("%Y-%m-%dT%H:%M:%S")
        argv = [sys.executable, "-m", "ntp.aio.server", "-b", HERE, "--date", date]
        self.process = Process(argv, name="server")

    def error(self) -> int:
        """By how much the guest's clock is ahead of the server's, ns; the start-up of the server's
        interpreter makes it uncertain by some seconds."""
        truth = round(TRUTH.timestamp()) * SECOND + time.monotonic_ns() - self.begun
        return time.time_ns() - truth


@pytest.fixture(scope="module")
def time_server() -> Iterator[TimeServer]:
    server = TimeServer()
    with server.process:
        yield server


@pytest.mark.parametrize("offset", [50 * YEAR, -12 * YEAR, 50 * YEAR + 123_456_789])
def test_a_step_of_decades_is_exact_to_5_us(offset: int) -> None:
    set_to(datetime(1990, 1, 1, tzinfo=UTC))
    clock = KernelClock()
    residues = []
    for _ in range(3):
        before = gap()
        clock.step(offset)
        residues.append(abs(gap() - before - offset))
        clock.step(-offset)
    assert min(residues) <= 5 * MICROSECOND


@pytest.mark.parametrize("boot", [AT_1970, datetime(2040, 6, 1, tzinfo=UTC)])
def test_a_gateway_that_boots_at_a_wrong_date_is_set_right(
    gateway: Gateway, time_server: TimeServer, boot: datetime
) -> None:
    set_to(boot)
    result = gateway.local_ntp("-n", HERE, "--json")
    assert result.returncode == 0, result.stderr
    assert '"action": "stepped"' in result.stdout
    assert abs(time_server.error()) < 10 * SECOND
    again = json.loads(gateway.local_ntp("-n", HERE, "--dry-run", "--json").stdout)
    assert abs(again["offset_ns"]) < SECOND // 10  # a busy machine stalls its guests


def test_other_programs_see_a_synchronised_clock(gateway: Gateway, time_server: TimeServer) -> None:
    set_to(datetime(1980, 1, 1, tzinfo=UTC))
    timex = Timex()
    libc = ctypes.CDLL(None)
    libc.adjtimex(ctypes.byref(timex))
    assert timex.status & STA_UNSYNC
    assert gateway.local_ntp("-n", HERE).returncode == 0
    timex = Timex()
    libc.adjtimex(ctypes.byref(timex))
    assert not timex.status & STA_UNSYNC
    assert timex.maxerror < 1_000_000  # us


def test_a_restart_keeps_the_floor(gateway: Gateway, time_server: TimeServer) -> None:
    gateway.configure()
    set_to(AT_1970)
    with gateway.timed() as service:
        service.wait_line("stepped")
    saved = int((gateway.root / "var/lib/mgu/localntp/time").read_text())
    assert saved > round(TRUTH.timestamp()) * SECOND
    set_to(AT_1970)
    (gateway.root / "etc/localntp.conf").write_text("server 127.0.0.9\n")
    with gateway.timed() as service:
        service.wait_line("the clock was before")
        assert time.time_ns() >= saved


def test_a_hand_on_the_clock_is_noticed_and_put_right(
    gateway: Gateway, time_server: TimeServer
) -> None:
    gateway.configure()
    set_to(AT_1970)
    with gateway.timed() as service:
        service.wait_line("stepped")
        for year in (2045, 2030):
            set_to(datetime(year, 1, 1, tzinfo=UTC))
            service.wait_line("was set by another program", within=2.0)
            service.wait_line("stepped", within=30.0)
            assert abs(time_server.error()) < 10 * SECOND


def test_without_the_capability_the_command_says_so(
    gateway: Gateway, time_server: TimeServer
) -> None:
    set_to(datetime(2027, 1, 1, tzinfo=UTC))
    bounded = ("setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time", "--")
    result = gateway.local_ntp("-n", HERE, prefix=bounded)
    assert result.returncode == 4
    assert "CAP_SYS_TIME" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_small_offset_is_slewed_without_a_jump() -> None:
    clock = KernelClock()
    before = gap()
    clock.slew(20_000_000, 1_000_000)
    earlier, moved = before, 0
    limit = time.monotonic() + 4
    while time.monotonic() < limit and moved < 500_000:
        current = gap()
        assert abs(current - earlier) < 5_000_000  # ns: no jump
        earlier, moved = current, current - before
    clock.slew(0, 1_000_000)
    assert moved >= 500_000

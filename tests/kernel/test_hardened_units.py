"""The gateway under a real systemd and its hardened units: a boot from a wrong date, and a tunnel
with strongSwan over renewals and reloads.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from lab.netns import Namespace
from lab.peers.strongswan import StrongSwan, Tunnel, strongswan
from lab.process import Process, until
from lab.systemd import Systemd, systemd
from lab.units import BOOT, MAIN, PYTHON, install, ip, make_boot_target, readable_by_all, switch
from mgu.demo.papers import Papers, issue
from mgu.timekeeping import RELEASED

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.long,
    pytest.mark.timeout(400),
]  # many processes, on a slow kernel

GATEWAY: Final = "10.79.0.1"
FAR: Final = "10.79.0.2"
SECRET: Final = "known to both ends"
QUIET: Final = 15.0  # seconds: the authenticator's quietPeriod
AT_ONCE: Final = 2.0  # seconds
LOADS: Final = (
    8.0  # seconds that Python takes at most to load a daemon, in a guest beside many others
)
LIFE: Final = 10  # seconds of an IPsec SA


class Dates:
    """The right date, carried on by the monotonic clock while the guest's own is moved."""

    def __init__(self) -> None:
        self._ahead = time.time() - time.monotonic()

    @property
    def right(self) -> float:
        return self._ahead + time.monotonic()

    @property
    def is_right(self) -> bool:
        return abs(time.time() - self.right) < 5

    def set_to(self, date: float) -> None:
        assert os.environ.get("UML") == "1", "only a guest's clock is ours to set"
        time.clock_settime(time.CLOCK_REALTIME, date)

    @contextmanager
    def served(self) -> Iterator[None]:
        """By a time server on this machine."""
        date = datetime.fromtimestamp(self.right, UTC).isoformat()
        argv = [*PYTHON, "ntp.aio.server", "-b", "127.0.0.1", "--date", date]
        with Process(argv, name="time-server") as server:
            server.wait_line("serving on", 30)
            yield


@pytest.fixture(scope="module")
def dates() -> Dates:
    return Dates()


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """Valid since yesterday, weeks after the release."""
    return issue(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def far() -> Iterator[Namespace]:
    """What is at the other end of eth0."""
    with Namespace("far") as host:
        ip(
            f"link add eth0 type veth peer name eth0 netns {host.name}",
            f"addr add {GATEWAY}/24 dev eth0",
            "link set eth0 up",
        )
        host.add_address("eth0", f"{FAR}/24")
        host.run("ip", "link", "set", "eth0", "up")
        yield host


@pytest.fixture(scope="module")
def port(far: Namespace, papers: Papers) -> Iterator[Process]:
    with switch(papers, "eth0", "--quiet", str(QUIET), namespace=far) as running:
        yield running


@pytest.fixture(scope="module")
def init(port: Process, papers: Papers) -> Iterator[Systemd]:
    """With everything configured, and enabled for a boot."""
    readable_by_all()
    with systemd() as running:
        running.run(*MAIN, "localNTP", "-a", "-n", "127.0.0.1", "--timeout", "0.1", check=False)
        install(running, papers)
        key = (f"--dst-preshared-key={SECRET}", f"--dst-address={FAR}")
        running.run(*MAIN, "ipsec", "--create", "--name=node", *key)
        running.run(*MAIN, "down")
        make_boot_target(running)
        yield running


@pytest.fixture
def off(init: Systemd, dates: Dates) -> Iterator[Systemd]:
    """Everything is down, the battery empty: the date is that of the release at the latest."""
    init.run("systemctl", "stop", "time-sync.target", "localntp-wait")
    Path("/var/lib/mgu/localntp/time").unlink(missing_ok=True)
    dates.set_to(86_400.0)
    yield init
    init.run("systemctl", "stop", BOOT)
    init.run(*MAIN, "down")
    dates.set_to(dates.right)


def start(init: Systemd) -> None:
    init.run("systemctl", "start", "--no-block", BOOT)


def when_right(dates: Dates) -> float:
    until(lambda: dates.is_right)
    return time.monotonic()


@pytest.mark.parametrize(
    ("silent", "limit"), [(0.0, AT_ONCE + LOADS), (4.0, AT_ONCE)], ids=["at once", "later"]
)
def test_the_port_opens_at_once_when_the_date_is_right_where_no_try_was_made_before(
    off: Systemd, dates: Dates, port: Process, silent: float, limit: float
) -> None:
    """The first time server answers before the supplicant is loaded."""
    assert dates.right - 2 * 86_400 > RELEASED / 1e9  # the certificates are newer than the floor
    if silent:
        start(off)
        until(lambda: off.show("wpa_supplicant", "ActiveState") == "activating")
        time.sleep(silent)
    with dates.served():
        if not silent:
            start(off)
        right = when_right(dates)
        port.wait_line("^authorized")
        took = time.monotonic() - right
        print(f"the port was open {took:.2f} s after the date was right")
        until(lambda: off.show("racoon", "ActiveState") == "active")
    assert took < limit


def test_the_port_opens_at_once_after_the_quiet_period_of_a_try_at_a_wrong_date(
    off: Systemd, dates: Dates, port: Process
) -> None:
    """The time server is silent for half a minute: the port begins all the same, and is refused."""
    start(off)
    until(lambda: off.show("localntp", "ActiveState") == "active")
    port.wait_line("rejected|failed|refused", within=60)
    refused = time.monotonic()
    assert time.time() < RELEASED / 1e9 + 3600  # at the floor
    with dates.served():
        right = when_right(dates)
        port.wait_line("^authorized", within=60)
        took = time.monotonic() - max(refused + QUIET, right)
        print(f"right {right - refused:.2f} s after the refusal, open {took:.2f} s after it could")
        until(lambda: off.show("racoon", "ActiveState") == "active")
    assert took < AT_ONCE


@pytest.fixture
def peer(far: Namespace, tmp_path: Path) -> Iterator[StrongSwan]:
    (tmp_path / "strongswan").mkdir()
    tunnel = Tunnel(local=FAR, remote=GATEWAY, secret=SECRET)
    with strongswan(far, tmp_path / "strongswan", tunnel) as running:
        yield running


def spis() -> set[str]:
    shown = subprocess.run(["ip", "xfrm", "state"], capture_output=True, text=True, check=True)
    return set(re.findall(r"spi (0x\w+)", shown.stdout))


def pings(count: int) -> bool:
    """Whether each echo request was answered; 20 a second."""
    words = ["ping", "-c", str(count), "-i", "0.05", "-w", str(5 + count // 15), FAR]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return ", 0% packet loss" in done.stdout


def test_sas_with_strongswan_are_renewed_by_both_and_over_reloads_and_no_packet_is_lost(
    init: Systemd, dates: Dates, peer: StrongSwan
) -> None:
    conf = Path("/etc/racoon.conf")
    text = conf.read_text()
    assert "lifetime time 1 hour" in text
    conf.write_text(text.replace("lifetime time 1 hour", f"lifetime time {LIFE} sec"))
    with dates.served():
        init.run(*MAIN, "up")
    until(lambda: pings(1))
    seen = spis()
    assert len(seen) == 2
    for _ in range(3):
        assert pings(20 * LIFE)
        assert not seen & spis(), "nobody renewed"
        seen = spis()
        assert "INSTALLED" in peer.sas()
        init.run(*MAIN, "racoonctl", "reload-config")
        assert pings(5)
    peer.swanctl("--rekey", "--child", "child")
    until(lambda: not seen & spis())
    assert pings(20)
    status = init.run("cat", f"/proc/{init.show('racoon', 'MainPID')}/status")
    assert "NoNewPrivs:\t1" in status
    assert not re.search(r"^Uid:\t0", status, re.MULTILINE)
    assert init.show("racoon", "NRestarts") == "0"
    init.run(*MAIN, "down")
    assert spis() == set()

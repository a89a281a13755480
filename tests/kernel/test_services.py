"""The gateway under a SysV init and under systemd, by what `mgu up` and the init systems do."""

import pwd
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.process import Process, until
from lab.systemd import Systemd, systemd
from lab.units import BOOT, MAIN, PYTHON, install, ip, make_boot_target, readable_by_all, switch
from mgu import services
from mgu.demo.papers import IDENTITY, Papers, issue

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(400)]  # many processes, on a slow kernel

PEER = "10.79.0.2"
UNITS = ("localntp-wait",)


def mgu(*words: str, cwd: Path | None = None) -> str:
    result = subprocess.run(
        [*PYTHON, "mgu.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=cwd,
        timeout=90,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return issue(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    readable_by_all()


@pytest.fixture(scope="module", autouse=True)
def neighbours(papers: Papers) -> Iterator[None]:
    """eth0 with a switch at its other end, and a time server."""
    ip(
        "link add eth0 type veth peer name sw0",
        "addr add 10.79.0.1/24 dev eth0",
        "link set eth0 up",
        "link set sw0 up",
    )
    with (
        Process([*PYTHON, "ntp.aio.server", "-b", "127.0.0.1"], name="time-server") as clock,
        switch(papers, "sw0"),
    ):
        clock.wait_line("serving on", 30)
        yield


def user_of(status: str) -> str:
    """Of a process, from its /proc/PID/status: real, effective, saved and for files the same."""
    ids = re.search(r"^Uid:\s+(.*)$", status, re.MULTILINE)
    assert ids is not None
    (only,) = set(ids[1].split())
    return pwd.getpwuid(int(only)).pw_name


def configure(papers: Papers) -> None:
    """As an administrator does it; all three services are enabled then."""
    mgu("localNTP", "-a", "-n", "127.0.0.1")
    given = ("-l", "client.pem", "-c", "ca.pem", "-i", IDENTITY, "-p", "key.pem", "-a")
    mgu("net8021x", *given, cwd=papers.client)
    mgu("ipsec", "--create", "--name=node", f"--dst-address={PEER}", "--dst-preshared-key=secret")


@pytest.mark.long
def test_sysv_init_scripts_start_tell_and_stop(papers: Papers) -> None:
    assert services.backend().name == "SysV"
    configure(papers)
    for each in services.SERVICES:
        script = f"/etc/init.d/{each.name}"
        for word, expected in (("start", 0), ("status", 0), ("stop", 0), ("status", 3)):
            result = subprocess.run(
                [script, word], capture_output=True, text=True, check=False, timeout=90
            )
            assert result.returncode == expected, (script, word, result.stdout, result.stderr)
            if (word, expected) == ("start", 0):
                pid = Path(f"/run/mgu/{each.name}.pid").read_text().split()[0]
                assert user_of(Path(f"/proc/{pid}/status").read_text()) == "mgu"
    starts = [path.name for path in sorted(Path("/etc/rc2.d").glob("S2?*"))]
    ours = [name for name in starts if name[3:] in {each.name for each in services.SERVICES}]
    assert ours == ["S20localntp", "S21wpa_supplicant", "S22racoon"]


@pytest.fixture(scope="module")
def init(neighbours: None) -> Iterator[Systemd]:
    with systemd() as running:
        yield running


@pytest.fixture(scope="module")
def configured(init: Systemd, papers: Papers) -> Systemd:
    """As an administrator does it under systemd."""
    for path in (each.name for each in services.SERVICES):
        Path("/etc/init.d", path).unlink(missing_ok=True)
    init.run(*MAIN, "localNTP", "-a", "-n", "127.0.0.1")
    install(init, papers)
    key = ("--dst-preshared-key=secret", f"--dst-address={PEER}")
    init.run(*MAIN, "ipsec", "--create", "--name=node", *key)
    return init


@pytest.mark.long
def test_systemd_starts_bounds_and_stops_the_units(configured: Systemd) -> None:
    init, main = configured, MAIN
    assert services.backend().name == "systemd"
    output = init.run(*main, "up")
    assert "synchronized" in output
    assert "eth0 authorized" in output
    assert "ready, 1 connection" in output
    for unit in ("localntp-wait.service", "time-sync.target"):
        assert init.show(unit, "ActiveState") == "active"
    for each in services.SERVICES:
        assert init.show(each.name, "ActiveState") == "active"
        assert init.show(each.name, "UnitFileState") == "enabled"
        status = init.run("cat", f"/proc/{init.show(each.name, 'MainPID')}/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines())
        assert fields["NoNewPrivs"] == "1"
        assert int(fields["CapEff"], 16) & ~int(fields["CapBnd"], 16) == 0
        assert bin(int(fields["CapEff"], 16)).count("1") <= 3
        assert user_of(status) == "mgu"
    for unit in (*(each.name for each in services.SERVICES), *UNITS):
        told = init.run("systemd-analyze", "security", "--no-pager", unit).splitlines()[-1]
        exposure = re.search(r"exposure level for .*: (\d+\.\d)", told)
        assert exposure is not None, told
        print(unit, exposure[1])
        assert float(exposure[1]) < 3.0, told
    init.run(*main, "down")
    for each in services.SERVICES:
        assert init.show(each.name, "ActiveState") == "inactive"
        assert init.show(each.name, "Result") == "success"


def test_a_boot_raises_the_floor_then_time_then_port_then_tunnel(configured: Systemd) -> None:
    init = configured
    make_boot_target(init)
    init.run("systemctl", "stop", "time-sync.target")
    init.run("systemctl", "start", BOOT)
    entered = [
        int(init.show(unit, name))
        for unit, name in (
            ("localntp", "ExecMainStartTimestampMonotonic"),
            ("localntp", "ActiveEnterTimestampMonotonic"),
            ("wpa_supplicant", "ExecMainStartTimestampMonotonic"),
            ("wpa_supplicant", "ActiveEnterTimestampMonotonic"),
            ("racoon", "ExecMainStartTimestampMonotonic"),
        )
    ]
    assert entered == sorted(entered)
    floor = re.search(r"up floor .* status=(\d)", init.show("localntp", "ExecStartPre"))
    assert floor is not None
    assert floor[1] == "0"
    init.run(*MAIN, "down")


@pytest.mark.long
def test_what_changes_reaches_the_daemons_that_are_not_root(
    configured: Systemd, papers: Papers
) -> None:
    """Key files are root's alone; a reload, a renewed certificate and a new key are read."""
    init = configured
    init.run(*MAIN, "up")
    assert Path("/etc/racoon/psk.txt").stat().st_mode & 0o777 == 0o600
    key = ("--dst-preshared-key=another", "--dst-address=10.79.0.3")
    init.run(*MAIN, "ipsec", "--create", "--name=more", *key)
    init.run(*MAIN, "ipsec", "--start", "--name=more")
    init.run(*MAIN, "racoonctl", "reload-config")
    assert "10.79.0.3" in init.run("ip", "xfrm", "policy")
    assert init.run(*MAIN, "wpa_cli", "reconfigure").endswith("OK\n")
    install(init, papers)
    until(lambda: "suppPortStatus=Authorized" in init.run(*MAIN, "wpa_cli", "status"), within=30)
    init.run(*MAIN, "ipsec", "--remove", "--name=more")


@pytest.mark.long
def test_a_daemon_that_is_killed_comes_back_and_what_protects_stays(configured: Systemd) -> None:
    init = configured
    init.run(*MAIN, "up")
    for each in services.SERVICES:
        before = init.show(each.name, "MainPID")
        init.run("kill", "-9", before)
        assert PEER in init.run("ip", "xfrm", "policy")
        until(lambda: init.show(each.name, "ActiveState") == "active")  # noqa: B023
        assert init.show(each.name, "MainPID") != before
    assert "ready, 1 connection" in init.run(*PYTHON, "mgu.main", "up")
    assert init.run("ip", "xfrm", "policy").count(f"dst {PEER}/32") == 1
    init.run(*PYTHON, "mgu.main", "down")
    assert init.run("ip", "xfrm", "policy").strip() == ""


@pytest.mark.long
def test_a_silent_time_server_fails_no_unit_and_keeps_the_port_shut_for_30_s(
    configured: Systemd,
) -> None:
    init = configured
    conf = Path("/etc/localntp.conf")
    right = conf.read_text()
    conf.write_text("server 127.0.0.9\n")
    init.run("systemctl", "stop", "time-sync.target")  # as at a boot
    try:
        begun = time.monotonic()
        init.run("systemctl", "start", "localntp", "wpa_supplicant")
        assert 25 < time.monotonic() - begun < 60
        assert init.show("localntp", "ActiveState") == "active"
        assert init.show("wpa_supplicant", "ActiveState") == "active"
        assert init.show("localntp-wait", "ActiveState") == "activating"
        assert init.show("time-sync.target", "ActiveState") == "inactive"
        assert not init.run("systemctl", "--failed", "--no-legend").strip()
    finally:
        conf.write_text(right)
    init.run("systemctl", "restart", "localntp")
    limit = time.monotonic() + 30
    while init.show("time-sync.target", "ActiveState") != "active":
        assert time.monotonic() < limit
        time.sleep(0.5)
    init.run(*PYTHON, "mgu.main", "down")

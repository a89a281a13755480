"""What `mgu up` makes of a stage whose service runs, ends, or is late: a process stands for it."""

import itertools
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mgu import boot, services
from mgu.boot import PORT, STAGES, TIME, TUNNEL, Look, Report, Stage
from mgu.services.process import Process
from wire.record import replace


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    monkeypatch.setenv("MGU_CLOCK", str(tmp_path / "clock"))
    return tmp_path


@pytest.fixture
def run(root: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Have a process be the daemon of a service, and its supervisor."""
    started = []

    def begin(name: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(["sleep", "60"])
        started.append(child)
        for suffix in ("", ".supervisor"):
            file = root / f"run/mgu/{name}{suffix}.pid"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{Process.of(child.pid)}\n")
        services.enable(name)
        return child

    yield begin
    for child in started:
        child.kill()
        child.wait()


Run = Callable[[str], subprocess.Popen[bytes]]


def stage(*looks: Look, service: str = "racoon") -> Stage:
    """Looks so, and then as the last time for ever."""
    each = itertools.chain(looks, itertools.repeat(looks[-1]))
    return replace(TUNNEL, name="stage", service=service, remedy="look", look=lambda: next(each))


def test_a_stage_is_up_once_its_work_is_done(run: Run) -> None:
    run("racoon")
    late = stage(Look(False), Look(False, "half"), Look(True, "there"))
    assert boot.bring_up(late) == Report("stage", "there")
    assert str(boot.look_at(late)) == "stage   there"


def test_one_that_is_late_is_left_at_work(run: Run) -> None:
    child = run("racoon")
    assert boot.bring_up(stage(Look(False, "half")), 0.05) == Report(
        "stage", "not yet (half); it keeps trying: look", failed=True
    )
    assert boot.bring_up(stage(Look(False)), 0) == Report(
        "stage", "not yet; it keeps trying: look", failed=True
    )
    assert boot.look_at(stage(Look(False))) == Report("stage", "not yet: look", failed=True)
    assert child.poll() is None


def test_the_limit_of_a_stage_is_its_own_unless_one_is_given(run: Run) -> None:
    run("racoon")
    short = replace(stage(Look(False)), limit=0.0)
    assert boot.bring_up(short).failed
    assert not boot.bring_up(replace(stage(Look(False), Look(True)), limit=0.0), 5).failed


def test_one_that_ends_meanwhile_is_not_waited_for(run: Run) -> None:
    child = run("racoon")

    def look() -> Look:
        child.kill()
        child.wait()
        return Look(False)

    ending = replace(stage(Look(False)), look=look)
    assert boot.bring_up(ending) == Report("stage", "racoon ended: look", failed=True)


def test_what_runs_is_stopped_and_nothing_else(run: Run) -> None:
    child = run("racoon")
    assert boot.take_down(stage(Look(True))) == Report("stage", "stopped")
    assert Process.of(child.pid) is None
    assert boot.take_down(stage(Look(True))) == Report("stage", "was not running")


def test_whoever_takes_the_clock_down_takes_the_mark_that_it_is_right(root: Path, run: Run) -> None:
    mark = root / "run/mgu/localntp/synchronized"
    mark.parent.mkdir(parents=True)
    mark.write_text("{}")
    boot.take_down(replace(stage(Look(True), service="localntp")))
    assert mark.exists()  # another stage is none of its business
    run("localntp")
    boot.take_down(TIME)
    assert not mark.exists()


def test_a_mark_that_a_killed_keeper_left_is_not_believed(root: Path, run: Run) -> None:
    mark = root / "run/mgu/localntp/synchronized"
    mark.parent.mkdir(parents=True)
    mark.write_text("{}")
    run("localntp")
    boot.bring_up(TIME, 0)
    assert mark.exists()  # its keeper runs


def test_the_tunnel_is_up_when_the_daemon_serves(root: Path) -> None:
    def text() -> str:
        now = TUNNEL.look()
        assert now.done
        return now.text

    assert text() == "ready, 0 connections; keys are negotiated with the first packet"
    scripts = root / "etc/sysconf/network-scripts"
    scripts.mkdir(parents=True)
    (scripts / "ifcfg-a").write_text("TYPE=IPSEC\nDST=10.0.0.2\n")
    assert text() == "ready, 1 connection; keys are negotiated with the first packet"
    (scripts / "ifcfg-b").write_text("TYPE=IPSEC\nDST=10.0.0.3\n")
    assert text() == "ready, 2 connections; keys are negotiated with the first packet"


@pytest.mark.parametrize(
    ("status", "look"),
    [
        (
            "suppPortStatus=Authorized\nselectedMethod=13 (EAP-TLS)\n",
            Look(True, "eth0 authorized, 13 (EAP-TLS)"),
        ),
        (
            "suppPortStatus=Authorized\n",
            Look(True, "eth0 authorized, no authentication required"),
        ),
        (
            "suppPortStatus=Unauthorized\nSupplicant PAE state=HELD\n",
            Look(False, "HELD"),
        ),
    ],
)
def test_the_port_is_up_when_it_is_authorized(root: Path, status: str, look: Look) -> None:
    control = root / "var/run/wpa_supplicant/eth0"
    control.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supplicant:
        supplicant.bind(str(control))

        def answer() -> None:
            _, sender = supplicant.recvfrom(100)
            supplicant.sendto(status.encode(), sender)

        thread = threading.Thread(target=answer)
        thread.start()
        assert PORT.look() == look
        thread.join()


def test_the_stages_are_time_port_and_tunnel() -> None:
    assert [(each.name, each.service, each.limit, each.configure) for each in STAGES] == [
        ("time", "localntp", 30.0, "localNTP -a -n ADDRESS"),
        ("port", "wpa_supplicant", 30.0, "net8021x"),
        ("tunnel", "racoon", 15.0, "ipsec --create"),
    ]
    assert [each.remedy for each in STAGES] == [
        "'localNTP -s' shows what the servers answer",
        "'wpa_cli status' and the supplicant's log say why",
        "racoon's log says why",
    ]

"""Services: the plain backend with real processes, the texts of the other two."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.process import until
from mgu import services
from mgu.daemons import iked, supplicant, timed
from mgu.services.plain import Plain, log_file
from mgu.services.process import Process, recorded
from mgu.services.supervise import rotate
from mgu.services.systemd import unit_text, wait_text
from mgu.services.sysv import SysV, script_text
from mgu.services.table import Service, ServiceError

READY = """
import signal, sys
from mgu import daemon
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("serving", flush=True)
daemon.ready()
signal.sigwait({signal.SIGTERM})
print("stopped", flush=True)
"""


def daemon_of(script: str) -> Service:
    return Service(
        name="example",
        stage="example",
        summary="an example",
        command=(),
        capabilities=frozenset(),
        program=(sys.executable, "-c", script),
    )


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    yield tmp_path
    Plain().stop(daemon_of(READY))


def process_of(root: Path, suffix: str = "") -> Process:
    """The living process that a pid file names."""
    found = recorded(root / f"run/mgu/example{suffix}.pid")
    assert found is not None
    assert found.alive
    return found


def kill(process: Process) -> None:
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not process.alive)


def test_a_daemon_is_started_once_and_stopped_once() -> None:
    plain, example = Plain(), daemon_of(READY)
    plain.start(example, 10.0)
    plain.start(example, 10.0)
    assert plain.running(example)
    plain.stop(example)
    plain.stop(example)
    assert not plain.running(example)
    assert log_file(example).read_text() == "serving\nstopped\n"
    assert list(log_file(example).parent.parent.parent.glob("run/mgu/*.pid")) == []


def test_a_daemon_has_a_session_of_its_own_and_no_input(root: Path) -> None:
    """No terminal that is closed ends it."""
    plain, example = Plain(), daemon_of(READY)
    plain.start(example, 10.0)
    supervisor, daemon = process_of(root, ".supervisor").pid, process_of(root).pid
    assert os.getsid(supervisor) == supervisor
    assert os.getsid(daemon) != os.getsid(0)
    for pid in (supervisor, daemon):
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    log = log_file(example)
    assert {os.readlink(f"/proc/{daemon}/fd/{number}") for number in (1, 2)} == {str(log)}
    assert log.stat().st_mode & 0o777 == 0o640


def test_a_daemon_that_is_killed_is_started_again_with_one_line_in_its_log(root: Path) -> None:
    plain, example = Plain(), daemon_of(READY)
    plain.start(example, 10.0)
    first = process_of(root)
    kill(first)
    until(lambda: plain.running(example))
    assert process_of(root) != first
    until(lambda: log_file(example).read_text().count("serving") == 2)
    plain.stop(example)
    lines = log_file(example).read_text().splitlines()
    assert [lines[0], *lines[2:]] == ["serving", "serving", "stopped"]
    assert re.search(
        r"WARNING: example was killed by signal 9 after \d s; it is restarted", lines[1]
    )


def test_a_daemon_whose_supervisor_was_killed_goes_on_and_gets_another(root: Path) -> None:
    plain, example = Plain(), daemon_of(READY)
    plain.start(example, 10.0)
    served = process_of(root)
    kill(process_of(root, ".supervisor"))
    assert plain.running(example)
    plain.start(example, 10.0)
    assert process_of(root) == served
    kill(served)
    until(lambda: plain.running(example))
    plain.stop(example)
    assert not plain.running(example)


def test_a_daemon_without_a_supervisor_is_stopped_all_the_same(root: Path) -> None:
    plain, example = Plain(), daemon_of(READY)
    plain.start(example, 10.0)
    kill(process_of(root, ".supervisor"))
    plain.stop(example)
    assert not plain.running(example)
    assert log_file(example).read_text().endswith("stopped\n")


def test_a_daemon_that_waits_for_its_next_start_is_started_at_once_when_asked_for(
    root: Path,
) -> None:
    (root / "missing").touch()
    broken = daemon_of(f"import os; os.path.exists({str(root / 'missing')!r}) and exit(1)\n{READY}")
    for _ in range(3):
        with pytest.raises(ServiceError, match="ended with exit code 1"):
            Plain().start(broken, 10.0)
    (root / "missing").unlink()
    Plain().start(broken, 10.0)
    assert Plain().running(broken)


def test_a_log_that_grows_too_large_is_begun_anew_and_the_old_one_kept(tmp_path: Path) -> None:
    log = tmp_path / "racoon.log"
    with log.open("ab", buffering=0) as daemon:
        daemon.write(b"x" * 2000 + b"last\n")
        rotate(log, largest=3000)
        assert log.stat().st_size == 2005
        rotate(log, largest=1000)
        daemon.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    old = tmp_path / "racoon.log.1"
    assert old.read_bytes() == b"x" * 995 + b"last\n"
    assert old.stat().st_mode & 0o777 == 0o640
    rotate(tmp_path / "nothing.log")


def test_a_log_may_have_a_mebioctet(tmp_path: Path) -> None:
    log = tmp_path / "racoon.log"
    log.write_bytes(bytes(1 << 20))
    rotate(log)
    assert log.stat().st_size == 1 << 20
    log.write_bytes(bytes((1 << 20) + 1))
    rotate(log)
    assert log.stat().st_size == 0
    assert (tmp_path / "racoon.log.1").stat().st_size == 1 << 20


def test_two_that_start_a_daemon_at_the_same_moment_start_one() -> None:
    example = daemon_of(READY)
    with ThreadPoolExecutor(4) as people:
        list(people.map(lambda _: Plain().start(example, 10.0), range(4)))
    Plain().stop(example)
    assert log_file(example).read_text() == "serving\nstopped\n"


def test_a_daemon_that_ends_at_once_is_a_failure_with_its_last_words() -> None:
    plain, example = Plain(), daemon_of("import sys; sys.exit('no such interface')")
    with pytest.raises(ServiceError, match=r"(?s)ended with exit code 1; .*no such interface"):
        plain.start(example, 10.0)
    assert not plain.running(example)


def test_a_daemon_that_is_never_ready_is_stopped() -> None:
    plain, example = Plain(), daemon_of("import signal; signal.pause()")
    with pytest.raises(ServiceError, match=r"not ready within 0\.5 s"):
        plain.start(example, 0.5)
    assert not plain.running(example)


def test_a_process_that_took_the_number_of_our_daemon_is_left_alone(root: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        try:
            process = Process.of(stranger.pid)
            assert process is not None
            pid_file = root / "run/mgu/example.pid"
            pid_file.parent.mkdir(parents=True)
            pid_file.write_text(f"{process.pid} {process.started - 1}\n")
            example = daemon_of(READY)
            assert not Plain().running(example)
            Plain().stop(example)
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.parametrize("content", ["", "x", "1 2 3", "\xff"])
def test_a_damaged_pid_file_counts_as_not_running(root: Path, content: str) -> None:
    pid_file = root / "run/mgu/example.pid"
    pid_file.parent.mkdir(parents=True)
    pid_file.write_text(content, encoding="latin-1")
    assert not Plain().running(daemon_of(READY))


def test_below_another_root_the_plain_backend_marks_what_starts_at_boot(root: Path) -> None:
    assert services.backend().name == "plain"
    assert not services.enabled("racoon")
    services.enable("racoon")
    services.enable("racoon")
    assert services.enabled("racoon")
    services.disable("racoon")
    services.disable("racoon")
    assert not services.enabled("racoon")


def test_an_unknown_service_is_named_with_the_known_ones() -> None:
    with pytest.raises(ServiceError, match=r"no service 'raccoon'.*localntp.*racoon"):
        services.enable("raccoon")


def test_paths_of_a_service_hang_below_the_root(root: Path) -> None:
    assert services.service("racoon").argv[-1] == str(root / "etc/racoon.conf")


@pytest.mark.parametrize("each", services.SERVICES, ids=lambda each: each.name)
def test_a_unit_is_notified_ordered_and_bounded(each: Service) -> None:
    text = unit_text(each)
    assert "Type=notify" in text
    assert f"CapabilityBoundingSet={' '.join(sorted(each.capabilities))}\n" in text
    after = next(line for line in text.splitlines() if line.startswith("After="))
    assert all(f"{name}.service" in after for name in each.after)


def test_time_sync_waits_for_the_date_and_port_and_tunnel_for_30_s_at_most() -> None:
    clock, port, tunnel = map(unit_text, services.SERVICES)
    assert "Before=time-sync.target\nWants=time-sync.target" in wait_text()
    assert "localNTP --wait infinity\n" in wait_text()
    assert "Wants=localntp-wait.service\n" in clock
    for text in (clock, port, tunnel):
        assert "time-sync" not in text
        command = next(line for line in text.splitlines() if line.startswith("ExecStart="))
        assert command.endswith(" --wait-date 30") is (text != clock)


def test_a_date_that_is_late_fails_no_unit() -> None:
    assert "\nExecStart=-" in wait_text()
    assert "\nTimeoutStartSec=infinity\n" in wait_text()
    assert "\nPartOf=localntp.service\n" in wait_text()


@pytest.mark.parametrize("each", services.SERVICES, ids=lambda each: each.name)
def test_an_init_script_is_a_shell_script_that_parses(each: Service) -> None:
    subprocess.run(["sh", "-n"], input=script_text(each), text=True, check=True)


def test_sysv_links_are_made_and_removed(tmp_path: Path) -> None:
    sysv = SysV(tmp_path)
    for each in services.SERVICES:
        sysv.enable(each)
        sysv.enable(each)
        assert sysv.enabled(each)
    starts = sorted(link.name for link in (tmp_path / "rc2.d").iterdir())
    assert starts == ["S20localntp", "S21wpa_supplicant", "S22racoon"]
    assert os.access(tmp_path / "rc2.d/S22racoon", os.X_OK)
    sysv.disable(services.SERVICES[0])
    assert not sysv.enabled(services.SERVICES[0])


def test_a_script_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    script = tmp_path / "init.d/racoon"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n# Debian's\n")
    with pytest.raises(ServiceError, match="not written by mgusec"):
        SysV(tmp_path).enable(services.service("racoon"))
    assert script.read_text() == "#!/bin/sh\n# Debian's\n"


@pytest.mark.parametrize(
    ("name", "kept"),
    [("localntp", timed.KEEP), ("wpa_supplicant", supplicant.KEEP), ("racoon", iked.KEEP)],
)
def test_a_service_has_what_its_daemon_keeps(name: str, kept: frozenset[str]) -> None:
    assert kept <= services.service(name).capabilities

"""Services: the plain backend with real processes, the texts of the other two."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mgu import services
from mgu.daemons import iked, supplicant, timed
from mgu.services.plain import Plain, log_file
from mgu.services.process import Process
from mgu.services.systemd import unit_text, wait_units
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
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    return tmp_path


def test_a_daemon_is_started_once_and_stopped_once() -> None:
    plain, example = Plain(), daemon_of(READY)
    plain.start(example, 10.0)
    plain.start(example, 10.0)
    assert plain.running(example)
    plain.stop(example)
    plain.stop(example)
    assert not plain.running(example)
    assert log_file(example).read_text() == "serving\nstopped\n"


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


def test_time_sync_waits_for_the_date_and_the_port_for_30_s_at_most() -> None:
    units = wait_units()
    assert "Before=time-sync.target\nWants=time-sync.target" in units["localntp-wait.service"]
    assert "localNTP --wait infinity\n" in units["localntp-wait.service"]
    assert "time-sync" not in units["localntp-grace.service"]
    assert "localNTP --wait 30\n" in units["localntp-grace.service"]
    clock, port, tunnel = map(unit_text, services.SERVICES)
    assert "Wants=localntp-wait.service localntp-grace.service\n" in clock
    assert "time-sync" not in clock
    for text in (port, tunnel):
        after = next(line for line in text.splitlines() if line.startswith("After="))
        assert "localntp-grace.service" in after


@pytest.mark.parametrize("name", ["localntp-wait.service", "localntp-grace.service"])
def test_a_date_that_is_late_fails_no_unit(name: str) -> None:
    text = wait_units()[name]
    assert "\nExecStart=-" in text
    assert "\nTimeoutStartSec=infinity\n" in text
    assert "\nPartOf=localntp.service\n" in text


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
    with pytest.raises(ServiceError, match="not ours"):
        SysV(tmp_path).enable(services.service("racoon"))
    assert script.read_text() == "#!/bin/sh\n# Debian's\n"


@pytest.mark.parametrize(
    ("name", "kept"),
    [("localntp", timed.KEEP), ("wpa_supplicant", supplicant.KEEP), ("racoon", iked.KEEP)],
)
def test_a_service_has_what_its_daemon_keeps(name: str, kept: frozenset[str]) -> None:
    assert kept <= services.service(name).capabilities

"""`mgu up` and `mgu down` where nothing, or the wrong thing, is configured; the demo has more."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mgu import boot, services
from mgu.commands import down, up


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    monkeypatch.setenv("MGU_CLOCK", str(tmp_path / "clock"))
    return tmp_path


def set_date_back(root: Path, years: int) -> None:
    (root / "clock").write_text(str(-years * 365 * 86400 * 10**9))


def test_without_configuration_only_the_date_is_raised(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_date_back(root, 50)
    assert up.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["floor", "time", "port", "tunnel"]
    assert lines[0].endswith("UTC, raised to the floor")
    assert "localNTP -a -n ADDRESS" in lines[1]
    assert up.main(["floor"]) == 0
    assert capsys.readouterr().out.endswith("UTC, not before the floor\n")


def test_a_stage_that_fails_is_reported_and_the_next_is_begun(
    capsys: pytest.CaptureFixture[str],
) -> None:
    services.enable("localntp")  # but there is no configuration
    assert up.main([]) == 1
    output = capsys.readouterr().out
    assert "time    failed: localntp ended with exit code" in output
    assert "tunnel  not configured" in output


def test_what_is_not_running_is_taken_down_without_complaint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert down.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["tunnel", "port", "time"]
    assert down.main(["tunnel"]) == 0
    assert capsys.readouterr().out == "tunnel  was not running\n"


def test_the_status_changes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    services.enable("racoon")
    before = sorted(root.rglob("*"))
    assert up.main(["--status"]) == 3
    assert capsys.readouterr().out.splitlines() == [
        "time    not configured",
        "port    not configured",
        "tunnel  stopped",
    ]
    assert sorted(root.rglob("*")) == before


def test_what_nobody_configured_is_missed_only_by_who_asks_for_it() -> None:
    assert up.main(["--status"]) == 0
    assert up.main(["--status", "tunnel"]) == 3


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "soon"])
def test_a_wait_that_would_never_end_is_wrong_usage(
    seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        up.main(["--wait", seconds])
    assert exit_.value.code == 64
    assert f"must be a number of seconds, not '{seconds}'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [up.main, down.main])
def test_an_unknown_stage_is_a_usage_error(
    command: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(command)
    with pytest.raises(SystemExit) as exit_:
        command(["tunel"])
    assert exit_.value.code == 64
    assert "no stage 'tunel'" in capsys.readouterr().err


def test_the_port_is_asked_on_the_supplicants_control_socket(root: Path) -> None:
    control = root / "control"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supplicant:
        supplicant.bind(str(control))

        def answer() -> None:
            request, sender = supplicant.recvfrom(100)
            supplicant.sendto(b"suppPortStatus=Authorized\nquestion=" + request + b"\n", sender)

        thread = threading.Thread(target=answer)
        thread.start()
        status = boot.port_status(control)
        thread.join()
    assert status == {"suppPortStatus": "Authorized", "question": "STATUS-VERBOSE"}
    os.unlink(control)
    assert boot.port_status(control) == {}


def test_a_port_that_is_not_open_yet_says_what_is_known(root: Path) -> None:
    control = root / "var/run/wpa_supplicant/eth0"
    control.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supplicant:
        supplicant.bind(str(control))

        def answer() -> None:
            _, sender = supplicant.recvfrom(100)
            supplicant.sendto(b"suppPortStatus=Unauthorized\nlast_failure=no answer\n", sender)

        thread = threading.Thread(target=answer)
        thread.start()
        now = boot.PORT.look()
        thread.join()
    assert now == boot.Look(False, "no answer")


def test_a_port_whose_supplicant_says_nothing_is_not_open_and_nothing_is_known() -> None:
    assert boot.PORT.look() == boot.Look(False, "")


def test_a_look_at_the_stages_imports_nothing_that_is_slow_to_import() -> None:
    program = (
        "import sys; from mgu.commands import up\n"
        "assert up.main(['--status']) == 0\n"
        "heavy = {'asyncio', 'cryptography', 'dataclasses', 'typing', 'logging', 'tempfile'}\n"
        "sys.exit(sorted(heavy & set(sys.modules)) or 0)"
    )
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

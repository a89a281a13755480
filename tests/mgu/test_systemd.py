"""Services under systemd: what is written, what systemctl is asked. Real ones: tests/kernel."""

import os
import stat
from pathlib import Path

import pytest

from mgu.services import SERVICES, ServiceError, service
from mgu.services.systemd import Systemd, unit_text, wait_text

RACOON = service("racoon")
CLOCK = service("localntp")
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$SAID"
case "$1" in
  --quiet) grep -qx "$2" "$IS" ;;
  "$FAILS") echo "Failed to $1: it is masked." >&2; echo "more" >&2; exit 1 ;;
  "$HANGS") exec sleep 60 ;;
esac
"""
JOURNALCTL = """#!/bin/sh
echo "journalctl $@" >> "$SAID"
echo first; echo last
"""


class Manager:
    """Stands for systemctl and journalctl: writes down what it is asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._said, self._is = folder / "said", folder / "is"
        for file in (self._said, self._is):
            file.write_text("")
        for name, text in (("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        self.environment = monkeypatch.setenv
        for name, value in {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "SAID": str(self._said),
            "IS": str(self._is),
            "FAILS": "-",
            "HANGS": "-",
        }.items():
            monkeypatch.setenv(name, value)

    def say(self, *words: str) -> None:
        """What a unit is from now on: is-enabled, is-active."""
        self._is.write_text("".join(f"{word}\n" for word in words))

    @property
    def asked(self) -> list[str]:
        """Since the last time."""
        lines = self._said.read_text().splitlines()
        self._said.write_text("")
        return lines


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manager:
    (tmp_path / "bin").mkdir()
    return Manager(tmp_path / "bin", monkeypatch)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    (tmp_path / "units").mkdir()
    return tmp_path / "units"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_service_is_written_read_and_enabled(manager: Manager, units: Path) -> None:
    Systemd(units).enable(RACOON)
    assert manager.asked == ["daemon-reload", "enable racoon.service"]
    assert names(units) == ["racoon.service"]
    assert (units / "racoon.service").read_text() == unit_text(RACOON)
    Systemd(units).enable(RACOON)
    assert manager.asked == ["enable racoon.service"]  # nothing is new


def test_the_clock_brings_the_unit_that_waits_for_the_date(manager: Manager, units: Path) -> None:
    Systemd(units).enable(CLOCK)
    assert names(units) == ["localntp-wait.service", "localntp.service"]
    assert (units / "localntp-wait.service").read_text() == wait_text()
    (units / "localntp-wait.service").unlink()
    manager.asked  # noqa: B018 - forget
    Systemd(units).enable(CLOCK)
    assert manager.asked == ["daemon-reload", "enable localntp.service"]


def test_a_unit_of_an_earlier_version_is_written_anew_and_anothers_is_not(
    manager: Manager, units: Path
) -> None:
    path = units / "racoon.service"
    path.write_text("# Written by mgusec.\nold\n")
    Systemd(units).enable(RACOON)
    assert path.read_text() == unit_text(RACOON)
    path.write_text("[Unit]\n")
    manager.asked  # noqa: B018 - forget
    with pytest.raises(
        ServiceError, match=r"racoon\.service was not written by mgusec; move it away"
    ):
        Systemd(units).start(RACOON, 5)
    assert path.read_text() == "[Unit]\n"
    assert manager.asked == []


def test_what_was_never_written_is_not_disabled(manager: Manager, units: Path) -> None:
    Systemd(units).disable(RACOON)
    assert manager.asked == []
    (units / "racoon.service").write_text("")
    Systemd(units).disable(RACOON)
    assert manager.asked == ["disable racoon.service"]


def test_what_systemd_says_of_a_unit_is_what_we_say(manager: Manager, units: Path) -> None:
    systemd = Systemd(units)
    assert (systemd.enabled(RACOON), systemd.running(RACOON)) == (False, False)
    manager.say("is-enabled")
    assert (systemd.enabled(RACOON), systemd.running(RACOON)) == (True, False)
    manager.say("is-active")
    assert (systemd.enabled(RACOON), systemd.running(RACOON)) == (False, True)
    assert manager.asked[-1] == "--quiet is-active racoon.service"


def test_only_what_runs_is_stopped(manager: Manager, units: Path) -> None:
    Systemd(units).stop(RACOON)
    assert manager.asked == ["--quiet is-active racoon.service"]
    manager.say("is-active")
    Systemd(units).stop(RACOON)
    assert manager.asked == ["--quiet is-active racoon.service", "stop racoon.service"]


def test_a_start_writes_the_unit_first(manager: Manager, units: Path) -> None:
    Systemd(units).start(RACOON, 5)
    assert manager.asked == ["daemon-reload", "start racoon.service"]


JOURNAL = "journalctl --no-pager -o cat -n 5 -u racoon.service"


def test_a_start_that_fails_is_told_with_the_daemons_last_words(
    manager: Manager, units: Path
) -> None:
    manager.environment("FAILS", "start")
    with pytest.raises(ServiceError) as refused:
        Systemd(units).start(RACOON, 5)
    told = "systemctl start racoon.service: Failed to start: it is masked.\n  first\n  last"
    assert str(refused.value) == told
    assert manager.asked[-1] == JOURNAL
    manager.environment("FAILS", "enable")
    with pytest.raises(ServiceError, match=r"^systemctl enable racoon\.service: Failed to enable"):
        Systemd(units).enable(RACOON)


def test_a_start_that_takes_too_long_is_told_with_the_daemons_last_words(
    manager: Manager, units: Path
) -> None:
    manager.environment("HANGS", "start")
    with pytest.raises(ServiceError) as refused:
        Systemd(units).start(RACOON, 0.2)
    assert str(refused.value) == "racoon was not ready within 0.2 s\n  first\n  last"


@pytest.mark.parametrize("each", SERVICES, ids=lambda each: each.name)
def test_a_unit_begins_with_whose_it_is_and_restarts_what_may_come_up(each: object) -> None:
    (one,) = [one for one in SERVICES if one is each]
    lines = unit_text(one).splitlines()
    assert lines[:3] == ["# Written by mgusec.", "[Unit]", f"Description=mgusec: {one.summary}"]
    waits = "" if one is CLOCK else " --wait-date 30"
    assert f"ExecStart={' '.join(one.argv)}{waits}" in lines
    assert "RestartPreventExitStatus=4 64" in lines
    floor = [line for line in lines if line.startswith("ExecStartPre=")]
    assert [line.endswith("-P -m mgu.main up floor") for line in floor] == [True] * (one is CLOCK)
    assert all(line.startswith("ExecStartPre=+") for line in floor)


def test_the_services_are_the_manuals_in_the_order_of_the_boot() -> None:
    rows = [(one.name, one.stage, one.after, one.folders) for one in SERVICES]
    assert rows == [
        ("localntp", "time", (), ("/run/mgu/localntp", "/var/lib/mgu/localntp")),
        ("wpa_supplicant", "port", ("localntp",), ("/run/wpa_supplicant",)),
        ("racoon", "tunnel", ("localntp", "wpa_supplicant"), ("/run/mgu/racoon", "/run/racoon")),
    ]
    assert [" ".join(one.command) for one in SERVICES] == [
        "timed",
        "supplicant -D wired -i eth0 -c /etc/wpa_supplicant.conf",
        "iked -F -f /etc/racoon.conf",
    ]
    assert [" ".join(sorted(one.capabilities)) for one in SERVICES] == [
        "CAP_DAC_READ_SEARCH CAP_SYS_TIME",
        "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_NET_ADMIN CAP_NET_RAW",
        "CAP_DAC_READ_SEARCH CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_NET_RAW",
    ]


def test_unit_files_are_for_everybody_to_read(manager: Manager, units: Path) -> None:
    Systemd(units).enable(RACOON)
    assert stat.S_IMODE((units / "racoon.service").stat().st_mode) == 0o644

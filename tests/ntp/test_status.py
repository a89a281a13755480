"""localNTP -s: what it says of a service that did this and that; the truth of now."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.ntp_memory import DATE, FLOOR, Network, honest, peer, server
from mgu import boot, timekeeping, timestatus
from mgu.commands import localntp
from ntp.jump import Jump
from ntp.messages import Outcome
from ntp.service import State
from ntp.timestamp import SECOND
from ntp.trust import Floor, Level, Trust

A, B = "10.0.0.1", "10.0.0.2"
TRUST = Trust(level=Level.AGREED, by=(A, B), since=DATE, error=5_000_000)
JUMP = Jump(offset=3600 * SECOND, since=90.0, waits_for="a second round with the same result")


@pytest.fixture(autouse=True)
def root(tmp_path: Path) -> Iterator[Path]:
    """A gateway of its own, its service marked as running and to be started at boot."""
    before = dict(os.environ)
    os.environ |= {"MGU_ROOT": str(tmp_path), "MGU_CLOCK": str(tmp_path / "clock")}
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/localntp.conf").write_text(f"server {A}\nserver {B}\n")
    (tmp_path / "run/mgu").mkdir(parents=True)
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    (tmp_path / "run/mgu/localntp.pid").write_text(f"{os.getpid()} {started}\n")
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


def state(jump: Jump | None = None, heard: float | None = 88.0, due: float | None = 150.0) -> State:
    floor = Floor(released=FLOOR)
    return State(trust=TRUST, heard=heard, next_round=due, poll=6, jump=jump, floor=floor)


def agreed(*silent: str) -> Outcome:
    hosts = [host for host in (A, B) if host not in silent]
    return Network({host: honest(server()) for host in hosts}).run([peer(A), peer(B)])


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert localntp.main(["-s", "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def text(capsys: pytest.CaptureFixture[str]) -> str:
    assert localntp.main(["-s"]) == 0
    return capsys.readouterr().out


def test_a_date_that_is_right_is_said_with_its_trust_and_its_rounds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    timekeeping.mark_right(TRUST)
    timestatus.write(state(), agreed(), "slewed", 100.0)
    said = text(capsys)
    assert f"synchronized  yes, agreed by {A}, {B}, since 2026-11-24" in said
    assert "rounds        last successful one 12 s ago, next one in 50 s, every 64 s\n" in said
    assert "; slewed\n" in said
    assert f"  {A}: reach 001, stratum 1, leap 0, offset +0.000" in said
    document = shown(capsys)
    assert document["synchronized"] is True
    assert document["trust"]["level"] == "agreed"
    assert document["trust"]["by"] == [A, B]
    assert 12 <= document["heard_ago_s"] < 40
    assert 20 < document["next_round_in_s"] <= 50
    assert document["poll_s"] == 64
    assert document["last"]["action"] == "slewed"
    assert document["last"]["verdict"] == "agreed"
    assert document["held_jump"] is None
    assert document["kernel"] is None  # a simulated clock has none


def test_a_held_jump_is_named_with_what_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    timestatus.write(state(JUMP), agreed(), "none", 100.0)
    said = text(capsys)
    assert "held jump     +3600.000000000 s, seen for 10 s; waits for a second round" in said
    assert shown(capsys)["held_jump"]["offset_ns"] == 3600 * SECOND
    assert boot.TIME.look() == boot.Look(
        False, "a jump of the clock is held back; it waits for a second round with the same result"
    )


def test_servers_that_fell_silent_show_in_age_and_reach(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = [peer(A), peer(B)]
    network = Network({host: honest(server()) for host in (A, B)})
    outcome = network.run(asked)
    network.servers.clear()
    for _ in range(2):
        outcome = network.run(asked)
    timestatus.write(state(heard=-3500.0), outcome, "none", 100.0)
    said = text(capsys)
    assert "synchronized  no\n" in said
    assert "last successful one 3600 s ago" in said
    assert "last answer   10.0.0.1: no answer" in said
    assert f"  {A}: reach 004 (no answer" in said
    assert shown(capsys)["last"]["verdict"] == "no answer"


def test_a_service_that_asks_for_the_first_time_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    timestatus.write(state(heard=None, due=None), None, "none", 100.0)
    assert "last successful one never, next one now, every 64 s" in text(capsys)
    assert boot.TIME.look() == boot.Look(False, "no answer yet")


def test_what_a_service_said_that_is_stopped_is_not_shown_as_now(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timestatus.write(state(JUMP), agreed(), "none", 100.0)
    (root / "run/mgu/localntp.pid").unlink()
    said = text(capsys)
    assert "service       stopped, not started at boot" in said
    assert "rounds" not in said
    assert "held jump" not in said


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"boottime": "x"}', '{"boottime": 1e18, "heard_ago_s": 1}', "\0" * 100],
)
def test_a_damaged_status_says_nothing(
    root: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = root / "run/mgu/localntp/status.json"
    file.parent.mkdir()
    file.write_text(content)
    assert shown(capsys)["last"] is None
    assert boot.TIME.look() == boot.Look(False)


def test_passing_times_go_on_after_the_writing(root: Path) -> None:
    timestatus.write(state(JUMP), agreed(), "none", 100.0)
    file = root / "run/mgu/localntp/status.json"
    document = json.loads(file.read_text())
    document["boottime"] = time.clock_gettime(time.CLOCK_BOOTTIME) - 30
    file.write_text(json.dumps(document))
    now = timestatus.read_now()
    assert 42 <= now["heard_ago_s"] < 60
    assert 0 < now["next_round_in_s"] <= 20
    assert 40 <= now["held_jump"]["seen_for_s"] < 60


def test_who_is_up_sees_the_trust(capsys: pytest.CaptureFixture[str]) -> None:
    timekeeping.mark_right(TRUST)
    look = boot.TIME.look()
    assert look.done
    assert look.text.endswith(f"UTC, synchronized, agreed by {A}, {B}")
    assert localntp.main(["--wait", "0"]) == 0
    timekeeping.unmark_right()
    assert localntp.main(["--wait", "0"]) == 1
    assert "the date is not right after 0 s" in capsys.readouterr().err


def test_a_key_for_md5_in_a_file_that_was_written_by_hand_is_not_taken_unasked(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = root / "etc/localntp.keys"
    keys.write_text("1 MD5 secret\n")
    keys.chmod(0o600)
    conf = root / "etc/localntp.conf"
    conf.write_text("server 127.0.0.1 port 1 key 1\nkeys /etc/localntp.keys\n")
    assert localntp.main(["--dry-run", "--timeout", "0.1"]) == 64
    assert "in the file a line 'allow-md5'" in capsys.readouterr().err
    conf.write_text("server 127.0.0.1 port 1 key 1\nkeys /etc/localntp.keys\nallow-md5\n")
    assert localntp.main(["--dry-run", "--timeout", "0.1"]) != 64

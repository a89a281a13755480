"""The floor, the saved date, and who else sets the clock."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mgu import timekeeping
from ntp.timestamp import SECOND

CODE = "from mgu import timekeeping as t; import sys; print(eval(sys.argv[1], {'t': t}))"


def ask(root: Path, what: str, *, clock: bool = True) -> str:
    environment = {**os.environ, "MGU_ROOT": str(root)}
    if clock:
        environment["MGU_CLOCK"] = str(root / "clock")
    argv = [sys.executable, "-c", CODE, what]
    return subprocess.run(
        argv, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_floor_is_the_latest_of_release_image_and_saved_date(tmp_path: Path) -> None:
    assert int(ask(tmp_path, "t.floor()")) == timekeeping.RELEASED
    image = tmp_path / "usr/lib/clock-epoch"
    image.parent.mkdir(parents=True)
    image.touch()
    later = timekeeping.RELEASED + 1000 * SECOND
    os.utime(image, ns=(later, later))
    assert int(ask(tmp_path, "t.floor()")) == later
    ask(tmp_path, f"t.save({later + 5})")
    assert int(ask(tmp_path, "t.floor()")) == later + 5


def test_the_saved_date_never_goes_back(tmp_path: Path) -> None:
    ask(tmp_path, "t.save(2000)")
    ask(tmp_path, "t.save(1000)")
    assert ask(tmp_path, "t.saved()") == "2000"


@pytest.mark.parametrize("content", [b"", b"yesterday", b"\xff\xfe", b"12 13"])
def test_a_broken_file_counts_as_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "var/lib/mgu/localntp/time"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    assert ask(tmp_path, "t.saved()") == "0"


def test_a_clock_below_the_floor_is_raised_and_one_above_it_left_alone(tmp_path: Path) -> None:
    (tmp_path / "clock").write_text(f"{-(10**18)}")
    assert ask(tmp_path, "t.raise_to_floor(t.gateway_clock())") == "True"
    assert ask(tmp_path, "t.raise_to_floor(t.gateway_clock())") == "False"
    assert abs(int(ask(tmp_path, "t.gateway_clock().now() - t.RELEASED"))) < 10 * SECOND


def test_other_programs_that_set_the_clock_are_named_with_the_way_to_stop_them(
    tmp_path: Path,
) -> None:
    for number, name in ((1, "systemd"), (7, "systemd-timesyn"), (9, "chronyd")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "comm").write_text(f"{name}\n")
    (tmp_path / "8").mkdir()  # one that ended just now
    said = ask(Path("/"), f"'\\n'.join(t.rivals({str(tmp_path)!r}))", clock=False).splitlines()
    assert len(said) == 2
    assert said[0].endswith("systemctl disable --now systemd-timesyncd")
    assert ask(tmp_path, f"t.rivals({str(tmp_path)!r})") == "[]"

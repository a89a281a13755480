"""The floor, the saved date, and who else sets the clock."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.ntp_memory import DATE
from mgu import timekeeping
from ntp.messages import Outcome, Verdict
from ntp.system.clock import Discipline
from ntp.timestamp import SECOND
from ntp.trust import Level, Trust

CODE = "from mgu import timekeeping as t; import sys; print(eval(sys.argv[1], {'t': t}))"


def run(root: Path, what: str, *, clock: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MGU_ROOT": str(root)}
    if clock:
        environment["MGU_CLOCK"] = str(root / "clock")
    argv = [sys.executable, "-c", CODE, what]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)


def ask(root: Path, what: str, *, clock: bool = True) -> str:
    return run(root, what, clock=clock).stdout.strip()


def errors_of(root: Path, what: str) -> str:
    return run(root, what).stderr


def test_the_floor_is_the_latest_of_release_image_and_saved_date(tmp_path: Path) -> None:
    assert int(ask(tmp_path, "t.floor().latest")) == timekeeping.RELEASED
    image = tmp_path / "usr/lib/clock-epoch"
    image.parent.mkdir(parents=True)
    image.touch()
    later = timekeeping.RELEASED + 1000 * SECOND
    os.utime(image, ns=(later, later))
    assert int(ask(tmp_path, "t.floor().released")) == later
    ask(tmp_path, f"t.save({later + 5})")
    assert int(ask(tmp_path, "t.floor().latest")) == later + 5
    assert int(ask(tmp_path, "t.floor().released")) == later


def test_what_is_saved_is_what_was_told_last(tmp_path: Path) -> None:
    """A majority may take a floor back that was wrong."""
    ask(tmp_path, "t.save(2000)")
    ask(tmp_path, "t.save(1000)")
    assert ask(tmp_path, "t.saved()") == "1000"


DAMAGED = {
    "nothing": b"",
    "a word": b"yesterday",
    "no text": b"\xff\xfe",
    "two numbers": b"12 13",
    "a number of 5000 digits": b"1" * 5000,
    "more than a clock can show": b"99999999999999999999",
    "the year 2200": b"7258118400000000000",
    "a date before 1970": b"-5",
    "zeros, as after a power cut": bytes(20),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_date_is_named_and_gone_on_without(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "var/lib/mgu/localntp/time"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    assert ask(tmp_path, "t.saved()") == "0"
    assert f"{file} holds no date and is ignored" in errors_of(tmp_path, "t.saved()")
    assert ask(tmp_path, "t.raise_to_floor(t.gateway_clock())") in ("True", "False")


TRUST = "t.Trust(level=t.Level.AGREED, by=('a', 'b'), since=5, error=1000)"


def test_how_far_the_date_may_be_trusted_is_known_to_all_and_its_error_grows(
    tmp_path: Path,
) -> None:
    assert ask(tmp_path, "t.trust()") == "None"
    ask(tmp_path, f"t.mark_right({TRUST})")
    assert ask(tmp_path, "str(t.trust())") == "agreed by a, b"
    assert ask(tmp_path, "t.trust().since") == "5"
    assert 1000 < int(ask(tmp_path, "t.trust().error")) < 10**8
    ask(tmp_path, "t.unmark_right()")
    ask(tmp_path, "t.unmark_right()")
    assert ask(tmp_path, "t.trust()") == "None"


def test_a_date_that_may_be_16_s_off_is_not_right(tmp_path: Path) -> None:
    ask(tmp_path, f"t.mark_right({TRUST.replace('1000', '15_999_000_000')})")
    assert ask(tmp_path, "t.trust() is None") == "False"
    ask(tmp_path, f"t.mark_right({TRUST.replace('1000', '16_000_000_000')})")
    assert ask(tmp_path, "t.trust()") == "None"


@pytest.mark.parametrize("content", ["", "{}", "[]", "2026-11-24 07:05:27 UTC", '{"level": 3}'])
def test_a_mark_that_cannot_be_read_says_nothing(tmp_path: Path, content: str) -> None:
    mark = tmp_path / "run/mgu/localntp/synchronized"
    mark.parent.mkdir(parents=True)
    mark.write_text(content)
    assert ask(tmp_path, "t.trust()") == "None"


class Kernel:
    """A clock whose frequency is known and can be set."""

    shift = 0

    def __init__(self, frequency: float = 0.0, *, synchronized: bool = True) -> None:
        self.frequency, self.is_synchronized = frequency, synchronized
        self.told: list[tuple[str, int, int]] = []  # what, error, leap
        self.date = DATE

    def now(self) -> int:
        return self.date

    def step(self, offset: int) -> None:
        self.date += offset

    def slew(self, offset: int, error: int, poll: int = 6, leap: int = 0) -> None:
        self.told.append((f"slew {offset} {poll}", error, leap))

    def synchronized(self, error: int, leap: int = 0) -> None:
        self.told.append(("synchronized", error, leap))

    def discipline(self) -> Discipline:
        return Discipline(
            synchronized=self.is_synchronized, error=0, frequency=self.frequency, leap=0
        )

    def set_frequency(self, ppm: float) -> None:
        self.frequency = ppm


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    before = os.environ.get("MGU_ROOT")
    os.environ["MGU_ROOT"] = str(tmp_path)
    yield tmp_path
    del os.environ["MGU_ROOT"]
    if before is not None:
        os.environ["MGU_ROOT"] = before


def test_the_learned_frequency_outlives_a_reboot(root: Path) -> None:
    timekeeping.save_frequency(Kernel(-12.3456))
    booted = Kernel()
    timekeeping.restore_frequency(booted)
    assert booted.frequency == -12.346
    timekeeping.save_frequency(Kernel(99.0, synchronized=False))  # nothing was learned
    running = Kernel(7.0)
    timekeeping.restore_frequency(running)
    assert running.frequency == 7.0  # it knows better by now


@pytest.mark.parametrize("content", ["", "fast", "nan", "501", "-1e9"])
def test_a_damaged_frequency_is_gone_on_without(root: Path, content: str) -> None:
    file = root / "var/lib/mgu/localntp/drift"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    booted = Kernel()
    timekeeping.restore_frequency(booted)
    assert booted.frequency == 0.0


def outcome(date: int, leap: int, offset: int = 0) -> Outcome:
    return Outcome(
        verdict=Verdict.AGREED, why="", servers=(), date=date, leap=leap, offset=offset, error=9
    )


def trust_of(level: Level) -> Trust:
    return Trust(level=level, by=("a",), since=0, error=77)


LAST_DAY = 1_798_675_200 * SECOND  # 2026-12-31


@pytest.mark.parametrize(
    ("date", "level", "leap", "armed"),
    [
        (LAST_DAY, Level.AGREED, 1, 1),
        (LAST_DAY + 86_399 * SECOND, Level.AUTHENTICATED, 2, 2),
        (LAST_DAY, Level.UNCONFIRMED, 1, 0),
        (LAST_DAY - 1, Level.AGREED, 1, 0),
        (LAST_DAY + 86_400 * SECOND, Level.AGREED, 1, 0),
        (LAST_DAY, Level.AGREED, 0, 0),
    ],
)
def test_the_kernel_is_armed_on_the_last_day_of_a_month_by_a_majority(
    date: int, level: Level, leap: int, armed: int
) -> None:
    kernel = Kernel()
    trust = trust_of(level)
    assert timekeeping.set_clock(kernel, outcome(date, leap, 5), trust, step=False, poll=9) == (
        "slewed"
    )
    assert timekeeping.set_clock(kernel, outcome(date, leap, 5), trust, step=True) == "stepped"
    assert kernel.told == [("slew 5 9", 77, armed), ("synchronized", 77, armed)]
    assert kernel.date == DATE + 5


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

"""Whole files, or none."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mgu.files import PRIVATE, locked, write_whole


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "etc" / "psk.txt"
    write_whole(target, b"old")
    write_whole(target, b"new", PRIVATE)
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == PRIVATE
    assert [entry.name for entry in target.parent.iterdir()] == ["psk.txt"]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "name"
    target.mkdir()
    (target / "content").touch()
    with pytest.raises(OSError):
        write_whole(target, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["name"]


def test_an_error_names_the_file_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file/below") as refusal:
        write_whole(tmp_path / "file/below", b"")
    assert refusal.value.filename == str(tmp_path / "file/below")


def test_a_disk_that_fills_up_is_told_with_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "psk.txt"
    target.write_text("old")
    script = """
import resource, sys
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from mgu.files import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    write_whole(Path(sys.argv[1]), bytes(100))
except OSError as error:
    print(error.filename)
"""
    argv = [sys.executable, "-B", "-c", script, str(target)]
    child = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
    assert child.stdout == f"{target}\n"
    assert target.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["psk.txt"]


def test_a_lock_is_for_one_at_a_time_and_for_its_owner_only(tmp_path: Path) -> None:
    path, inside = tmp_path / "run" / "lock", []

    def enter(number: int) -> None:
        with locked(path):
            inside.append(number)
            os.sched_yield()
            inside.append(number)

    with ThreadPoolExecutor(4) as people:
        list(people.map(enter, range(40)))
    assert inside[::2] == inside[1::2]
    assert path.stat().st_mode & 0o777 == PRIVATE

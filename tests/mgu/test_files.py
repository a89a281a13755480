"""Whole files, or none."""

from pathlib import Path

import pytest

from mgu.files import PRIVATE, write_whole


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

"""Several files written as one: also where the way back is itself in the way."""

import contextlib
import os
from pathlib import Path

import pytest

from mgu.installation import RESTORED, Installation


class Broke(Exception):
    """A later step."""


def test_what_was_written_is_taken_back_with_owner_and_mode(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"before")
    old.chmod(0o604)
    inode = old.stat().st_ino
    broke = Broke()
    with contextlib.suppress(Broke), Installation() as installation:
        installation.write(old, b"after", 0o600)
        installation.write(new, b"after")
        assert (old.read_bytes(), new.read_bytes()) == (b"after", b"after")
        raise broke
    assert broke.__notes__ == [RESTORED]
    assert (old.read_bytes(), old.stat().st_mode & 0o777) == (b"before", 0o604)
    assert old.stat().st_ino == inode  # the old file itself
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_at_the_end_nothing_but_the_files_is_left(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_bytes(b"before")
    with Installation() as installation:
        installation.write(old, b"after", 0o600)
        installation.write(old, b"again", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (old.read_bytes(), old.stat().st_mode & 0o777) == (b"again", 0o600)


def test_a_file_that_is_what_is_wanted_stays_untouched(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"same")
    path.chmod(0o600)
    before = path.stat()
    with Installation() as installation:
        installation.write(path, b"same", 0o600)
        assert path.stat() == before
        installation.write(path, b"same", 0o644)  # for others to read from now on
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_step_that_fails_leaves_nothing_of_itself(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError), Installation() as installation:
        installation.write(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_cannot_be_taken_back_is_named_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new, fine = (tmp_path / name for name in ("old", "new", "fine"))
    old.write_bytes(b"before")
    fine.write_bytes(b"before")
    broke = Broke()
    with contextlib.suppress(Broke), Installation() as installation:
        installation.write(fine, b"after")
        installation.write(old, b"after")
        installation.write(new, b"after")
        for path in (old, new):  # somebody else puts a folder there
            path.unlink()
            path.mkdir()
            (path / "theirs").touch()
        raise broke
    assert not hasattr(broke, "__notes__")
    assert fine.read_bytes() == b"before"
    of_new, of_old = capsys.readouterr().err.splitlines()
    assert of_new.startswith(f"{new} ")
    assert of_new.endswith(": Is a directory; remove it")
    (kept,) = (path for path in tmp_path.iterdir() if path.name.startswith("."))
    assert of_old.startswith(f"{old} ")
    assert of_old.endswith(f": Is a directory; the old file is kept as {kept}")
    assert kept.read_bytes() == b"before"
    assert os.path.samefile(kept.parent, tmp_path)

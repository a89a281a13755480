"""`net8021x` on a disk that fills up: all of it, or nothing and a sentence."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import require
from lab.disk import Disk, private_mounts
from lab.pki import Files, Usage, site, write

pytestmark = pytest.mark.interop

PAGE = 4096
BALLAST = ".ballast"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    require.root()
    with private_mounts():
        yield Disk(tmp_path / "root")


def net8021x(root: Path, files: Files) -> subprocess.CompletedProcess[str]:
    named = ["-l", files.certificate, "-c", files.ca, "-p", files.key, "-i", "test@test.se"]
    command = [sys.executable, "-m", "mgu.main", "net8021x", *map(str, named)]
    environment = {**os.environ, "MGU_ROOT": str(root)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def state(root: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(root)): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        for path in root.rglob("*")
        if path.is_file() and path.name != BALLAST
    }


def leave(disk: Disk, pages: int) -> None:
    """So much room, and no more."""
    disk.fill()
    ballast = disk.path / BALLAST
    os.truncate(ballast, ballast.stat().st_size - pages * PAGE)


def test_a_full_disk_leaves_everything_as_it_was_and_says_so(disk: Disk, tmp_path: Path) -> None:
    """Wherever it is full: before the first file, in between, at the last one."""
    here, folders = site(), [tmp_path / "old", tmp_path / "new"]
    for folder in folders:
        folder.mkdir()
    old = write(folders[0], "client", here.client, here.root)
    new = write(folders[1], "client", here.leaf(Usage.CLIENT), here.root)
    for first in (True, False):
        if not first:
            assert net8021x(disk.path, old).returncode == 0
        before, outcomes = state(disk.path), set()
        for pages in range(16):
            leave(disk, pages)
            done = net8021x(disk.path, new)
            disk.free()
            outcomes.add(done.returncode)
            if done.returncode == 0:
                assert state(disk.path) != before
                break
            assert state(disk.path) == before, pages
            assert done.returncode == 1
            assert done.stderr.endswith(": No space left on device; nothing was changed\n")
            assert done.stderr.count("\n") == 1
        assert outcomes == {0, 1}


def test_a_read_only_disk_is_named(disk: Disk, tmp_path: Path) -> None:
    files = write(tmp_path, "client", site().client, site().root)
    disk.read_only()
    done = net8021x(disk.path, files)
    assert done.returncode == 1
    assert done.stderr.endswith(": Read-only file system; nothing was changed\n")

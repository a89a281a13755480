"""Disks that are full, or cannot be written to: file systems in a mount namespace of its own.

What the test starts inside `private_mounts` sees them, and nobody else does.
"""

import ctypes
import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_CLONE_FS: Final = 0x00000200
_CLONE_NEWNS: Final = 0x00020000
_PIECE: Final = bytes(4096)
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def private_mounts() -> Iterator[None]:
    """What is mounted in the block goes with it. For root, in the main thread."""
    folder = Path.cwd()
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.unshare(_CLONE_NEWNS))
        try:
            _mount("--make-rprivate", "/")
            yield
        finally:
            _check(_libc.unshare(_CLONE_FS))  # the threads that were started meanwhile stay there
            _check(_libc.setns(before, _CLONE_NEWNS))
            os.chdir(folder)
    finally:
        os.close(before)


class Disk:
    """A small file system of memory at `path`."""

    def __init__(self, path: Path, size: str = "256k") -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        _mount("-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(path))

    def fill(self) -> None:
        """Until not one octet more can be written."""
        with (self.path / ".ballast").open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(_PIECE)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        (self.path / ".ballast").unlink()

    def read_only(self, value: bool = True) -> None:
        """For all that is opened from now on."""
        if value:
            _mount("--rbind", str(self.path), str(self.path))
            _mount("-o", "remount,bind,ro", str(self.path))
        else:
            subprocess.run(["umount", "--lazy", str(self.path)], check=True)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def _check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

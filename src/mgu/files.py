"""Files are written whole: a power cut leaves the old file or the new one."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PUBLIC = 0o644
PRIVATE = 0o600

Write = Callable[[Path, bytes, int], object]
"""`write_whole`, or what stands in for it: path, content, mode."""


def write_whole(path: Path, content: bytes, mode: int = PUBLIC) -> None:
    """Replace `path` by `content`: temporary file beside it, fsync, rename, fsync of the folder.

    The folder is made if it is missing. The mode is set before the first octet is written.
    Raises: OSError, which names `path`.
    """
    try:
        _write_whole(path, content, mode)
    except OSError as error:  # of the temporary file, or of no file at all
        raise OSError(error.errno, error.strerror, str(path)) from None


def _write_whole(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        name.replace(path)
    except BaseException:
        name.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; the others wait. The file `path` is private: whoever can open it can
    hold up everybody."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        os.fchmod(file, PRIVATE)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)

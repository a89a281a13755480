"""Files of the appliance: written whole (see wire.files), and locks on them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wire.files import PRIVATE, PUBLIC, Write, write_whole

__all__ = ["PRIVATE", "PUBLIC", "Write", "locked", "write_whole"]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; the others wait. The file `path` is private: whoever can open it can
    block everybody.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    try:
        os.fchmod(file, PRIVATE)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)

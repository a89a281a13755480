"""Files are written whole: a power cut leaves the old file or the new one."""

import os
import tempfile
from collections.abc import Callable
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
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

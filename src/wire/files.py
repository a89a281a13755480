"""Files that others name, read with bounds; files of ours, written whole.

A name from a person or a configuration may be a FIFO, /dev/zero, a log of gigabytes or no name at
all. `read` ends soon with octets or with an OSError that names the file and says what it is.
`write_whole` leaves the old file or the new one, through a power cut and on a full disk.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator

from wire.lean import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

LARGEST: Final = 1 << 20
"""Octets: far more than a configuration of 1,000 peers, a bundle of certificates or keys has."""

PUBLIC: Final = 0o644
PRIVATE: Final = 0o600
_FOLDER: Final = 0o700

Write = Callable[["Path", bytes, int], object]
"""`write_whole`, or what stands in for it: path, content, mode."""

_KINDS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_WORDS: Final = {
    errno.ELOOP: "it is a symbolic link, and symbolic links are not followed",
    errno.ENXIO: "it is a socket or a pipe, not a regular file",
}


@contextlib.contextmanager
def naming(path: "Path | str", *, link: bool = False) -> Iterator[None]:
    """An OSError of the block names `path`, also where reading or writing failed half way.

    `link`: symbolic links are followed.
    """
    try:
        yield
    except OSError as error:
        words = _WORDS.get(error.errno or 0, error.strerror)
        if link and error.errno == errno.ELOOP:
            words = "its symbolic links lead back to themselves"
        raise OSError(error.errno, words, str(path)) from None


# Reading


def read(
    path: "Path | str", largest: int = LARGEST, *, pipe: bool = False, link: bool = True
) -> bytes:
    """The octets of a regular file. Never waits.

    Args: `largest`: octets; `pipe`: take a pipe, too, as a shell's <(command) is, and wait for its
    end: for commands that a person runs; `link`: follow one that is the last part of the name.
    Raises: OSError, which names `path` and says what is wrong with it.
    """
    return read_with_status(path, largest, pipe=pipe, link=link)[0]


def read_with_status(
    path: "Path | str", largest: int = LARGEST, *, pipe: bool = False, link: bool = True
) -> tuple[bytes, os.stat_result]:
    """As `read`, and the status of that very file: its owner, mode, time."""
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "a file name cannot hold a zero octet", repr(str(path)))
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with naming(path, link=link):
        handle = os.open(path, flags if link else flags | os.O_NOFOLLOW)
        try:
            status = os.fstat(handle)
            _check_kind(status, pipe)
            os.set_blocking(handle, pipe)
            return _bounded(handle, largest), status
        finally:
            os.close(handle)


def _check_kind(status: os.stat_result, pipe: bool) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG or (pipe and kind == stat.S_IFIFO):
        return
    number = errno.EISDIR if kind == stat.S_IFDIR else errno.EINVAL
    raise OSError(number, f"it is {_KINDS.get(kind, 'of another kind')}, not a regular file")


def _bounded(handle: int, largest: int) -> bytes:
    octets = bytearray()
    while part := os.read(handle, min(1 << 16, largest + 1 - len(octets))):
        octets += part
        if len(octets) > largest:
            raise OSError(errno.EFBIG, f"it is larger than the limit of {largest} octets")
    return bytes(octets)


def _check_own(status: os.stat_result) -> None:
    """What secrets may be written to: a file that is ours, under one name."""
    _check_kind(status, pipe=False)
    if status.st_uid != os.geteuid():
        owner = f"it belongs to the user {status.st_uid}"
        raise OSError(errno.EEXIST, f"{owner}; keys are not written there")
    if status.st_nlink > 1:
        raise OSError(errno.EEXIST, "it has a second hard link; keys are not written there")


def doubt(path: "Path | str", status: os.stat_result) -> str | None:
    """Why a file of secrets is not safe, with the remedy; None if it is root's (or ours) alone."""
    if status.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to another user: 'chown root {path}' makes it usable"
    if stat.S_IMODE(status.st_mode) & 0o077:
        return f"{path} is open to other users: 'chmod 600 {path}' closes it"
    return None


# Writing


def write_whole(path: "Path", content: bytes, mode: int = PUBLIC) -> None:
    """Replace `path` by `content`: temporary file beside it, fsync, rename, fsync of the folder.

    The folder is made if it is missing. The mode is set before the first octet is written.
    Raises: OSError, which names `path`.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        name = beside(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(name, flags, PRIVATE)
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
        sync_folder(path.parent)


def beside(path: "Path") -> "Path":
    """A new hidden name in the folder of `path`."""
    return path.with_name(f".{path.name}.{os.urandom(8).hex()}")


def sync_folder(path: "Path") -> None:
    """Make what was renamed in the folder last. Raises: OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class PrivateLog:
    """A file of secrets that grows by whole lines. A failure is logged, and does not end the
    program.
    """

    def __init__(self, path: "Path", tell: Callable[[str], None]) -> None:
        """Open or make `path`, mode 0600; a folder that is missing is made, mode 0700.

        Raises: OSError, also for a link, another user's file, and what is not a regular file.
        """
        self._path, self._tell = path, tell
        self._failing = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        with naming(path):
            path.parent.mkdir(_FOLDER, parents=True, exist_ok=True)
            self._file = os.open(path, flags | os.O_CLOEXEC, PRIVATE)
            try:
                _check_own(os.fstat(self._file))
                os.fchmod(self._file, PRIVATE)
            except BaseException:
                os.close(self._file)
                raise

    def write(self, line: bytes) -> None:
        """Add `line` and its end, whole or not at all. A failure is logged once."""
        size = os.fstat(self._file).st_size
        octets = line + b"\n"
        try:
            if os.write(self._file, octets) < len(octets):
                os.ftruncate(self._file, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            if not self._failing:
                self._tell(f"cannot write to {self._path}, keys are missing: {error.strerror}")
            self._failing = True
        else:
            self._failing = False

    def close(self) -> None:
        os.close(self._file)

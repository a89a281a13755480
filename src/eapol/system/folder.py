"""The directory of the control sockets, and a socket in it, where others may be hostile.

Whoever may write to a directory can put a link where a socket is about to be, so only root may: the
folder is root's or ours, and closed for writing to all others. It is opened once, without following
a link, and everything happens in what was opened. The socket has its mode and its group from the
moment it exists: the mode by the umask, the group by the folder's setgid bit.
"""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from eapol.errors import EapolError

SOCKET: Final = 0o770
"""As wpa_supplicant's: for root and the group."""

_FOLDER: Final = 0o750
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH


class ControlError(EapolError):
    """The control socket cannot be made; the text says why and what to do."""


def bind(made: socket.socket, path: Path, group: int | None, *, in_place: bool = False) -> None:
    """Bind `made` to `path`, whose folder is made if it is missing.

    `in_place`: it takes the place of our own socket there, which stays if this fails.
    Raises: ControlError.
    """
    try:
        with _opened(path.parent, group) as folder:
            if in_place:
                fresh = f".{path.name}.{os.getpid()}"
                _bind(made, folder, fresh)
                os.rename(fresh, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            else:
                _make_way(folder, path)
                _bind(made, folder, path.name)
    except OSError as error:
        what = f"{path}: the control socket cannot be made ({error.strerror})"
        raise ControlError(f"{what}; run as root, or change ctrl_interface") from error


def _bind(made: socket.socket, folder: int, name: str) -> None:
    mask = os.umask(0o777 & ~SOCKET)
    try:
        made.bind(f"/proc/self/fd/{folder}/{name}")
    finally:
        os.umask(mask)


@contextlib.contextmanager
def _opened(path: Path, group: int | None) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=_FOLDER)
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:  # a link is none either
        what = f"{path}: the path of the control socket is a symbolic link, or not a directory"
        raise ControlError(f"{what}; remove it, or change ctrl_interface") from None
    try:
        _secure(folder, path, group)
        yield folder
    finally:
        os.close(folder)


def _secure(folder: int, path: Path, group: int | None) -> None:
    """Ours or root's, not writable for others. Write permission of the group is removed."""
    found = os.fstat(folder)
    ours = found.st_uid == os.geteuid()
    if found.st_mode & stat.S_IWOTH or not (ours or found.st_uid == 0):
        raise ControlError(
            f"{path}: other users can write to this directory and replace the control socket; set"
            " ctrl_interface to a directory that only root can write"
        )
    wanted = stat.S_IMODE(found.st_mode) & ~_WRITABLE
    if group is not None:
        wanted |= stat.S_ISGID | stat.S_IRGRP | stat.S_IXGRP
        if found.st_gid != group:
            os.fchown(folder, -1, group)
    if wanted != stat.S_IMODE(found.st_mode):
        os.fchmod(folder, wanted)


def _make_way(folder: int, path: Path) -> None:
    """Remove the socket of a supplicant that died; one that answers is left alone."""
    try:
        found = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        what = f"{path}: exists and is not a socket"
        raise ControlError(f"{what}; remove it, or change ctrl_interface")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(f"/proc/self/fd/{folder}/{path.name}")
        except ConnectionRefusedError:
            os.unlink(path.name, dir_fd=folder)
            return
    raise ControlError(
        f"{path}: another supplicant serves this interface; stop it with"
        f" 'wpa_cli -p {path.parent} -i {path.name} terminate'"
    )

"""The socket of the control interface: UNIX datagrams at DIRECTORY/INTERFACE.

Nothing here waits for a client: a reply or an event that does not fit is lost, and a listener to
whom that happens too often is forgotten. One trap: what a client does not read is charged to the
send buffer of *our* socket, which all clients share, and the kernel does not say which of them it
is. So one stopped `wpa_cli` could silence the interface for everybody. When unread events fill
half of the buffer, the socket is made anew: the live clients see the old one gone and come back.
"""

import asyncio
import contextlib
import errno
import fcntl
import grp
import logging
import os
import socket
import stat
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from eapol.aio.link import ip_address_of
from eapol.control import LONGEST, Interpreter, Supervised
from eapol.errors import EapolError
from eapol.listeners import datagram
from eapol.notices import Notice
from wire.buffers import enlarge
from wire.unix import short_name

BATCH: Final = 16
"""Commands served before the other tasks have their turn."""

SEND_BUFFER: Final = 1 << 20
"""Octets, as the kernel counts them: about 800 for a short event."""

_MODE: Final = 0o770
_GONE: Final = frozenset({errno.ENOENT, errno.ECONNREFUSED, errno.EPERM, errno.EACCES})
_log = logging.getLogger("eapol")


class ControlError(EapolError):
    """The control socket cannot be made; the text says why and what to do."""


class Control:
    """`async with Control(path, supervised):` serves the socket `path` during the block.

    The socket is made by the constructor, which may need root: privileges may be dropped after.
    `path` is DIRECTORY/INTERFACE; the directory is made if it is missing, for root and `group`.
    Raises: ControlError.
    """

    def __init__(self, path: Path, supervised: Supervised, *, group: str | None = None) -> None:
        self._path = path
        self._supervised = supervised
        self._interpreter = Interpreter(supervised, lambda: ip_address_of(supervised.interface))
        self._group = _group_id(group, path)
        self._socket = _bound(path, self._group)
        self._stop_listening: Callable[[], None] | None = None

    async def __aenter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._socket, self._serve)
        self._stop_listening = self._supervised.listen(self._tell)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the socket. Can be repeated."""
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
            asyncio.get_running_loop().remove_reader(self._socket)
        if self._socket.fileno() >= 0:
            self._socket.close()
            self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        for _ in range(BATCH):
            try:
                command, sender = self._socket.recvfrom(LONGEST + 1)
            except BlockingIOError:
                return
            except OSError as error:
                _log.warning("control socket %s: %s", self._path, error.strerror)
                return
            if not sender:  # nobody can be answered
                continue
            reply = self._interpreter.answer(command, sender)
            if reply is not None:
                with contextlib.suppress(OSError):  # the client gave up
                    self._socket.sendto(reply, sender)

    def _tell(self, notice: Notice) -> None:
        if _unread(self._socket) > _send_buffer(self._socket) // 2:
            self._renew()
        listeners = self._interpreter.listeners
        for address in listeners.of(notice):
            try:
                self._socket.sendto(datagram(notice), address)
            except OSError as error:
                listeners.missed(address, gone=error.errno in _GONE)
            else:
                listeners.told(address)

    def _renew(self) -> None:
        """Leave the socket whose buffer a deaf listener filled."""
        _log.warning("control socket %s: a listener does not read; made anew", self._path)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        self._socket.close()
        self._interpreter.listeners.clear()
        self._socket = _bound(self._path, self._group)
        loop.add_reader(self._socket, self._serve)


def _send_buffer(made: socket.socket) -> int:
    return made.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


def _unread(sender: socket.socket) -> int:
    """Octets that were sent and not received yet, as the kernel counts them."""
    answer = fcntl.ioctl(sender.fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


def _group_id(group: str | None, path: Path) -> int | None:
    if group is None:
        return None
    try:
        return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        what = f"{path}: there is no group '{group}' for the control socket"
        raise ControlError(f"{what}; correct ctrl_interface_group") from None


def _bound(path: Path, group: int | None) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        enlarge(made, socket.SO_SNDBUF, SEND_BUFFER // 2)
        _make_folder(path.parent, group)
        with short_name(path) as name:
            _remove_stale(path, name)
            made.bind(name)
        path.chmod(_MODE)
        _give(path, group)
    except OSError as error:
        made.close()
        what = f"{path}: the control socket cannot be made ({error.strerror})"
        raise ControlError(f"{what}; run as root, or change ctrl_interface") from error
    except ControlError:
        made.close()
        raise
    return made


def _make_folder(folder: Path, group: int | None) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=_MODE)
        folder.chmod(_MODE)  # whatever the umask said
    if group is not None:
        _give(folder, group)
        folder.chmod(folder.stat().st_mode | stat.S_ISGID)  # what is made in it has its group


def _give(path: Path, group: int | None) -> None:
    """To the group, unless it is: a socket made anew is made without root's capabilities."""
    if group is not None and path.stat().st_gid != group:
        os.chown(path, -1, group)


def _remove_stale(path: Path, name: str) -> None:
    """Remove the socket of a supplicant that died; one that answers is left alone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(name)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ControlError(
        f"{path}: another supplicant serves this interface; stop it with"
        f" 'wpa_cli -p {path.parent} -i {path.name} terminate'"
    )

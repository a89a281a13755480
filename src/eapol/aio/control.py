"""The socket of the control interface: UNIX datagrams at DIRECTORY/INTERFACE.

Nothing here waits for a client: a reply or an event that does not fit is lost, and a listener to
whom that happens too often is forgotten. One command is served in a turn of the loop, so that a
client that asks without end delays no frame by more than that. One trap: what a client does not
read is charged to the send buffer of *our* socket, which all clients share, and the kernel does not
say which of them it is. So one stopped `wpa_cli` could block the interface for all clients. When
unread datagrams fill half of the buffer, the socket is created again: the live clients see the old
one gone and come back.
"""

import asyncio
import contextlib
import errno
import fcntl
import grp
import logging
import socket
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from eapol.control import FAIL, LONGEST, Interpreter, Supervised, name_of
from eapol.listeners import Address, datagram
from eapol.notices import Notice
from eapol.system import folder
from eapol.system.folder import ControlError
from eapol.system.link import ip_address_of
from wire.buffers import enlarge

SEND_BUFFER: Final = 1 << 20
"""Octets, as the kernel counts them: about 800 for a short event."""

_GONE: Final = frozenset({errno.ENOENT, errno.ECONNREFUSED, errno.EPERM, errno.EACCES})
_log = logging.getLogger("eapol")


class Control:
    """`async with Control(path, supervised):` serves the socket `path` during the block.

    The socket is made by the constructor, which may need root: privileges may be dropped after.
    `path` is DIRECTORY/INTERFACE; the directory is made if it is missing, for root and `group`, and
    only root may write to it.
    Raises: ControlError.
    """

    def __init__(self, path: Path, supervised: Supervised, *, group: str | None = None) -> None:
        self._path = path
        self._supervised = supervised
        self._interpreter = Interpreter(supervised, lambda: ip_address_of(supervised.interface))
        self._group = _group_id(group, path)
        self._socket = _bound(path, self._group)
        self._inode = path.lstat().st_ino
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
            with contextlib.suppress(OSError):
                if self._path.lstat().st_ino == self._inode:  # and nobody else's by now
                    self._path.unlink()

    def _serve(self) -> None:
        self._make_room()
        try:
            command, sender = self._socket.recvfrom(LONGEST + 1)
        except BlockingIOError:
            return
        except OSError as error:
            _log.warning("control socket %s: %s", self._path, error.strerror)
            return
        reply = self._answer(command, sender) if sender else None  # or no client gets an answer
        if reply is not None:
            with contextlib.suppress(OSError):  # the client gave up
                self._socket.sendto(reply, sender)

    def _answer(self, command: bytes, sender: Address) -> bytes | None:
        try:
            return self._interpreter.answer(command, sender)
        except Exception:  # noqa: BLE001 - a client must not be able to end the daemon
            _log.exception("internal error in the command %s", name_of(command))
            return FAIL.encode()

    def _tell(self, notice: Notice) -> None:
        listeners = self._interpreter.listeners
        if not listeners:
            return
        self._make_room()
        for address in listeners.of(notice):
            try:
                self._socket.sendto(datagram(notice), address)
            except OSError as error:
                listeners.missed(address, gone=error.errno in _GONE)
            else:
                listeners.told(address)

    def _make_room(self) -> None:
        """Leave a socket whose buffer was filled by a client that does not read."""
        if _unread(self._socket) <= _send_buffer(self._socket) // 2:
            return
        self._interpreter.listeners.clear()
        try:
            made = _bound(self._path, self._group, in_place=True)
        except ControlError as error:
            _log.warning(
                "control socket %s: a client does not read its replies; %s", self._path, error
            )
            return
        _log.warning(
            "control socket %s: a client does not read its replies; the socket is created again",
            self._path,
        )
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        self._socket.close()
        self._socket, self._inode = made, self._path.lstat().st_ino
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


def _bound(path: Path, group: int | None, *, in_place: bool = False) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        enlarge(made, socket.SO_SNDBUF, SEND_BUFFER // 2)
        folder.bind(made, path, group, in_place=in_place)
    except BaseException:
        made.close()
        raise
    return made

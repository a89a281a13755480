"""Another program that speaks EAPOL on the interface: two supplicants on one port both fail."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from eapol.errors import PortError
from eapol.frame import ETHERTYPE
from wire.holder import holder

_TABLE: Final = Path("/proc/thread-self/net/packet")
_COLUMNS: Final = 9  # sk RefCnt Type Proto Iface R Rmem User Inode


def refuse(interface: str, index: int, ours: socket.socket) -> None:
    """Raise PortError, with the name of the other program, if there is one."""
    mine = os.fstat(ours.fileno()).st_ino
    for inode in _listeners(index):
        if inode == mine:
            continue
        program, pid = _owner(inode)
        if pid == os.getpid():
            continue
        if pid is None:
            raise PortError(
                f"{interface}: another program speaks EAPOL on this interface; stop it first"
            )
        raise PortError(
            f"{interface}: {program} (process {pid}) already speaks EAPOL on this interface; stop"
            f" it first: kill {pid}"
        )


def _listeners(index: int) -> Iterator[int]:
    """Inodes of the packet sockets that get EAPOL frames of the interface `index`."""
    try:
        lines = _TABLE.read_text(encoding="ascii").splitlines()[1:]
    except OSError:  # no /proc, no check
        return
    for line in lines:
        columns = line.split()
        if len(columns) < _COLUMNS:
            continue
        if int(columns[3], 16) == ETHERTYPE and int(columns[4]) == index:
            yield int(columns[8])


def _owner(inode: int) -> tuple[str, int | None]:
    """Name and process id of the program that holds the socket `inode`."""
    process = holder([inode])
    with suppress(OSError):  # it ended
        if process is not None:
            return (process / "comm").read_text().strip(), int(process.name)
    return "", None

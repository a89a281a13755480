"""Follows the host's links, addresses, routes and rules by rtnetlink's multicast groups.

`Feed` is the socket, `HostWatch` what an asyncio program uses: a table that is full from the start,
and a call for each change. Nothing is changed here, so no capability is needed.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterable
from typing import Final

from wire.cursor import DecodeError
from wire.rtnetlink import Change, DumpEnd, Item, Table, Told, groups, parse, request

_LARGEST: Final = 65536  # octets
_TRIES: Final = 5  # of a dump, while what it lists keeps changing


class Feed:
    """The notifications of some kinds, read without waiting. Raises: OSError."""

    def __init__(self, kinds: Iterable[type[Item]]) -> None:
        self.kinds = tuple(kinds)
        self._socket = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
            socket.NETLINK_ROUTE,
        )
        try:
            self._socket.bind((0, groups(self.kinds)))
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def ask(self, kind: type[Item]) -> None:
        """Have all of a kind told, and a DumpEnd after them."""
        self.send(request(kind))

    def send(self, message: bytes) -> None:
        self._socket.sendto(message, (0, 0))

    def read(self) -> tuple[list[Told | DumpEnd], bool]:
        """What one datagram tells, and whether any was lost.

        Raises: BlockingIOError if there is none.
        """
        try:
            octets, (sender, _) = self._socket.recvfrom(_LARGEST)
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                return [], True
            raise
        if sender != 0:  # not the kernel
            return [], False
        try:
            return list(parse(octets)), False
        except DecodeError:  # it may have told anything
            return [], True

    def drain(self) -> tuple[list[Told], bool]:
        """The changes since the last call, and whether some were lost."""
        told: list[Told] = []
        lost = False
        while True:
            try:
                found, gap = self.read()
            except BlockingIOError:
                return told, lost
            told += [each for each in found if isinstance(each, Told)]
            lost |= gap


class HostWatch:
    """Calls `changed(changes)` with what is different, at once or a few together.

    `table` holds all there is when this object is made; that itself is no change.
    """

    def __init__(
        self, kinds: Iterable[type[Item]], changed: Callable[[list[Change]], object]
    ) -> None:
        """Raises: OSError."""
        self._feed = Feed(kinds)
        self._changed = changed
        self._loop: asyncio.AbstractEventLoop | None = None
        self.table = Table()
        try:
            self._look()
        except BaseException:
            self._feed.close()
            raise

    def start(self) -> None:
        """Tell changes from now on, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._feed.fileno(), self._read)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._feed.fileno())
            self._loop = None
        self._feed.close()

    def _read(self) -> None:
        told, lost = self._feed.drain()
        changes = [change for each in told if (change := self.table.take(each))]
        if lost:
            changes += self._look()
        if changes:
            self._changed(changes)

    def _look(self) -> list[Change]:
        """Ask for everything: the kernel answers a dump while it is read, so nothing waits."""
        changes: list[Change] = []
        for kind in self._feed.kinds:
            for _ in range(_TRIES):
                if self._dump(kind, changes):
                    break
        return changes

    def _dump(self, kind: type[Item], changes: list[Change]) -> bool:
        """False if it has to be done again: some of it was lost, or changed meanwhile."""
        self.table.doubt(kind)
        self._feed.ask(kind)
        whole = True
        while True:
            found, lost = self._feed.read()
            whole &= not lost
            for each in found:
                if not isinstance(each, DumpEnd):
                    change = self.table.take(each)
                    changes += [change] if change else []
                    continue
                if each.error:
                    raise OSError(
                        each.error, "the kernel does not list its links, addresses and routes"
                    )
                if whole and each.sound:
                    changes += self.table.settle()
                return whole and each.sound

"""racoon's admin socket, the daemon's side: requests in, replies out, and events."""

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ike.admin.errors import AdminError
from ike.admin.framing import HEADER, Command, Reply, Request, request_length
from ike.admin.records import EventRecord
from ike.rate import RateLimiter
from wire.unix import short_name

logger = logging.getLogger("ike")

PATIENCE: Final = 10.0
_FAREWELL: Final = 0.5  # seconds for clients to take their last events
_CLIENTS: Final = 32
_EVENTS: Final = 256  # kept for a client that reads slowly; then it is cut off
_COMPLAINTS: Final = 1.0  # a second, in the log

Wanted = Callable[[EventRecord], bool]


class AdminSocketInUse(Exception):
    """Another daemon answers on the path."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply; with `events` the connection stays, and the events it holds for follow."""

    reply: Reply
    events: Wanted | None = None


Answering = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, eq=False)
class _Watcher:
    """A client that events are kept for until it takes them."""

    wanted: Wanted
    writer: asyncio.StreamWriter
    events: asyncio.Queue[EventRecord | None]


class AdminServer:
    """Serves one path until `close`. Only who can open the socket (root, mode 0600) is heard."""

    def __init__(
        self, path: Path, listener: socket.socket, answer: Answering, patience: float = PATIENCE
    ) -> None:
        """`patience`: seconds for a client to say what it wants, and to take the answer."""
        self._path = path
        self._patience = patience
        self._listener = listener
        self._answer = answer
        self._inode = path.lstat().st_ino
        self._watching: set[_Watcher] = set()
        self._clients: set[asyncio.Task[None]] = set()
        self._complaints = RateLimiter(_COMPLAINTS)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listener, self._accept)

    @classmethod
    async def open(
        cls,
        path: Path,
        answer: Answering,
        *,
        mode: int = 0o600,
        owner: int = -1,
        group: int = -1,
        patience: float = PATIENCE,
    ) -> Self:
        """Raises: AdminSocketInUse, OSError."""
        listener = _listener(path, mode)
        try:
            if owner != -1 or group != -1:
                _give(path, owner, group)
            return cls(path, listener, answer, patience)
        except BaseException:
            listener.close()
            raise

    @property
    def watched(self) -> bool:
        """Whether a client waits for events."""
        return bool(self._watching)

    @property
    def clients(self) -> int:
        """Connections that are open."""
        return len(self._clients)

    def publish(self, event: EventRecord) -> None:
        """Tell everyone who waits for it. Who does not read is cut off: no event is left out of
        those that a client gets.
        """
        for watcher in [watcher for watcher in self._watching if watcher.wanted(event)]:
            if watcher.events.qsize() < _EVENTS:
                watcher.events.put_nowait(event)
                continue
            self._watching.discard(watcher)
            watcher.writer.transport.abort()
            self._complain(f"a client that did not read {_EVENTS} events was disconnected")

    async def close(self) -> None:
        """Stop listening; who watches still gets what was published."""
        self._loop.remove_reader(self._listener)
        self._listener.close()
        with contextlib.suppress(OSError):  # gone already, or in a folder that is not ours any more
            if self._path.lstat().st_ino == self._inode:  # and nobody else's by now
                self._path.unlink()
        for watcher in self._watching:
            watcher.events.put_nowait(None)
        if self._clients:
            _, late = await asyncio.wait(self._clients, timeout=_FAREWELL)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it went away before we came to it
            return
        if len(self._clients) >= _CLIENTS:
            self._complain(f"more than {_CLIENTS} clients at once: one was refused")
            connection.close()
            return
        connection.setblocking(False)
        client = asyncio.create_task(self._serve(connection))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        watcher = None
        try:
            async with asyncio.timeout(self._patience):
                request = await _read_request(reader)
            answer = await self._answer(request)
            if answer.events is not None:
                watcher = _Watcher(answer.events, writer, asyncio.Queue())
                self._watching.add(watcher)
            writer.write(bytes(answer.reply))
            async with asyncio.timeout(self._patience):
                await writer.drain()
            if watcher is not None:
                await _push(watcher, reader)
        except AdminError as error:
            self._complain(str(error))
        except TimeoutError:
            writer.transport.abort()  # what it does not take is not kept for it
        except (EOFError, ConnectionError):
            pass  # the client went away
        finally:
            if watcher is not None:
                self._watching.discard(watcher)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _complain(self, text: str) -> None:
        if self._complaints.allow(self._loop.time()):
            logger.warning("%s: %s", self._path, text)


async def _push(watcher: _Watcher, reader: asyncio.StreamReader) -> None:
    """Send events until the client goes away, or until None comes out of the queue."""
    gone = asyncio.ensure_future(reader.read(1))
    gone.add_done_callback(lambda _: watcher.events.put_nowait(None))
    try:
        while (event := await watcher.events.get()) is not None:
            watcher.writer.write(bytes(Reply(command=Command.SHOW_EVENT, body=bytes(event))))
            await watcher.writer.drain()
    finally:
        gone.cancel()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    header = await reader.readexactly(HEADER.size)
    return Request.parse(header + await reader.readexactly(request_length(header) - HEADER.size))


def _listener(path: Path, mode: int) -> socket.socket:
    """A listening socket at `path`; one that a dead daemon left behind is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _make_way(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.setblocking(False)
    mask = os.umask(0o777 & ~mode)
    try:
        with short_name(path) as name:
            listener.bind(name)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(mask)
    listener.listen(_CLIENTS)
    return listener


def _make_way(path: Path) -> None:
    """Remove the socket of a dead daemon, and nothing else.

    Raises: AdminSocketInUse; OSError where something else has the name.
    """
    try:
        _check_socket(path, path.lstat())
        with socket.socket(socket.AF_UNIX) as probe, short_name(path) as name:
            probe.setblocking(False)
            probe.connect(name)
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink()
        return
    except BlockingIOError:
        pass  # more wait there already than it takes
    except OSError as error:
        if error.errno != errno.EPROTOTYPE:
            raise
        raise AdminSocketInUse(f"{path} is the socket of another program") from None
    raise AdminSocketInUse(f"another racoon answers on {path}: stop it first")


def _check_socket(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISSOCK(status.st_mode):
        text = "this is not a socket: remove it, or set another path with adminsock"
        raise FileExistsError(errno.EEXIST, text, str(path))


def _give(path: Path, owner: int, group: int) -> None:
    """Change the owner of the socket itself, even if others can write to its directory."""
    handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_socket(path, os.fstat(handle))
        os.chown(f"/proc/self/fd/{handle}", owner, group)
    finally:
        os.close(handle)

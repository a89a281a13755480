"""racoon's admin socket, the daemon's side: requests in, replies out, events to who watches."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ike.admin.errors import AdminError
from ike.admin.framing import HEADER, Command, Reply, Request, request_length
from ike.admin.records import EventRecord
from wire.unix import short_name

logger = logging.getLogger("ike")

PATIENCE: Final = 10.0  # seconds for a client to say what it wants
_FAREWELL: Final = 0.5  # seconds for clients to take their last events
_CLIENTS: Final = 32
_EVENTS: Final = 256  # kept for a client that reads slowly; then it is cut off

Wanted = Callable[[EventRecord], bool]


class AdminSocketInUse(Exception):
    """Another daemon answers on the path."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply; with `events` the connection stays, and the events it holds for follow."""

    reply: Reply
    events: Wanted | None = None


Answering = Callable[[Request], Awaitable[Answer]]


class AdminServer:
    """Serves one path until `close`. Only who can open the socket (root, mode 0600) is heard."""

    def __init__(self, path: Path, listener: socket.socket, answer: Answering) -> None:
        self._path = path
        self._listener = listener
        self._answer = answer
        self._watching: dict[asyncio.Queue[EventRecord | None], Wanted] = {}
        self._clients: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listener, self._accept)

    @classmethod
    async def open(
        cls, path: Path, answer: Answering, *, mode: int = 0o600, owner: int = -1, group: int = -1
    ) -> Self:
        """Raises: AdminSocketInUse, OSError."""
        listener = _listener(path, mode)
        if owner != -1 or group != -1:
            os.chown(path, owner, group)
        return cls(path, listener, answer)

    def publish(self, event: EventRecord) -> None:
        """Tell everyone who waits for it."""
        for queue, wanted in self._watching.items():
            if wanted(event) and queue.qsize() < _EVENTS:
                queue.put_nowait(event)

    async def close(self) -> None:
        """Stop listening; who watches still gets what was published."""
        self._loop.remove_reader(self._listener)
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        for queue in self._watching:
            queue.put_nowait(None)
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
            logger.warning("more than %d clients on %s", _CLIENTS, self._path)
            connection.close()
            return
        connection.setblocking(False)
        client = asyncio.create_task(self._serve(connection))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        try:
            async with asyncio.timeout(PATIENCE):
                request = await _read_request(reader)
            answer = await self._answer(request)
            queue: asyncio.Queue[EventRecord | None] = asyncio.Queue()
            if answer.events is not None:
                self._watching[queue] = answer.events
            writer.write(bytes(answer.reply))
            await writer.drain()
            if answer.events is not None:
                await self._push(queue, reader, writer)
        except AdminError as error:
            logger.warning("%s", error)
        except (TimeoutError, EOFError, ConnectionError):
            pass  # the client went away
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _push(
        self,
        queue: asyncio.Queue[EventRecord | None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Send events until the client goes away, or until None comes out of the queue."""
        gone = asyncio.ensure_future(reader.read(1))
        gone.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                writer.write(bytes(Reply(command=Command.SHOW_EVENT, body=bytes(event))))
                await writer.drain()
        finally:
            self._watching.pop(queue, None)
            gone.cancel()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    header = await reader.readexactly(HEADER.size)
    return Request.parse(header + await reader.readexactly(request_length(header) - HEADER.size))


def _listener(path: Path, mode: int) -> socket.socket:
    """A listening socket at `path`; one that a dead daemon left behind is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as probe, short_name(path) as name:
        try:
            probe.connect(name)
        except FileNotFoundError:
            pass
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise AdminSocketInUse(f"another racoon answers on {path}: stop it first")
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

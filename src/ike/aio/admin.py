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

logger = logging.getLogger("ike")

PATIENCE: Final = 10.0  # seconds for a client to say what it wants
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

    def __init__(self, path: Path, server: asyncio.Server) -> None:
        self._path = path
        self._server = server
        self._watching: dict[asyncio.Queue[EventRecord], Wanted] = {}

    @classmethod
    async def open(
        cls, path: Path, answer: Answering, *, mode: int = 0o600, owner: int = -1, group: int = -1
    ) -> Self:
        """Raises: AdminSocketInUse, OSError."""
        listener = _listener(path, mode)
        if owner != -1 or group != -1:
            os.chown(path, owner, group)
        clients = asyncio.Semaphore(_CLIENTS)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async with clients:
                await made._serve(reader, writer, answer)

        made = cls(path, await asyncio.start_unix_server(serve, sock=listener))
        return made

    def publish(self, event: EventRecord) -> None:
        """Tell everyone who waits for it."""
        for queue, wanted in self._watching.items():
            if wanted(event) and queue.qsize() < _EVENTS:
                queue.put_nowait(event)

    async def close(self) -> None:
        """Stop listening; what was published is still delivered to who reads at once."""
        self._server.close()
        await asyncio.sleep(0)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answering
    ) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                request = await _read_request(reader)
            queue: asyncio.Queue[EventRecord] = asyncio.Queue()
            reply = await answer(request)
            if reply.events is not None:
                self._watching[queue] = reply.events
            writer.write(bytes(reply.reply))
            await writer.drain()
            if reply.events is not None:
                await self._push(queue, reader, writer)
        except AdminError as error:
            logger.warning("%s", error)
        except (TimeoutError, EOFError, ConnectionError):
            pass  # the client went away
        finally:
            writer.close()

    async def _push(
        self,
        queue: asyncio.Queue[EventRecord],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        gone = asyncio.ensure_future(reader.read(1))
        try:
            while not gone.done():
                following = asyncio.ensure_future(queue.get())
                await asyncio.wait({gone, following}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    following.cancel()
                    break
                event = following.result()
                writer.write(bytes(Reply(command=Command.SHOW_EVENT, body=bytes(event))))
                await writer.drain()
        finally:
            gone.cancel()
            self._watching.pop(queue, None)


async def _read_request(reader: asyncio.StreamReader) -> Request:
    header = await reader.readexactly(HEADER.size)
    return Request.parse(header + await reader.readexactly(request_length(header) - HEADER.size))


def _listener(path: Path, mode: int) -> socket.socket:
    """A listening socket at `path`; one that a dead daemon left behind is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
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
        listener.bind(str(path))
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(mask)
    listener.listen(_CLIENTS)
    return listener

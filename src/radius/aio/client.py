"""A RADIUS client on sockets: the core, datagrams by asyncio-dgram, streams by asyncio's TLS.

async with RadiusClient([server]) as client:
    answer = await client.ask(attributes)
"""

import asyncio
import os
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, Protocol, Self

import asyncio_dgram
from asyncio_dgram.aio import DatagramClient

from radius.client import Client
from radius.errors import Malformed
from radius.events import (
    Answered,
    Ask,
    ClosePort,
    Command,
    Event,
    Failed,
    Forget,
    OpenPort,
    PortFailed,
    PortOpened,
    Received,
    Send,
    Server,
    Transport,
)
from radius.numbers import LONGEST_PACKET, Code
from radius.packet import Attributes
from radius.ports import IDENTIFIERS
from radius.settings import Timers
from radius.stream import Stream
from wire.timer import TimerFired

Address = IPv4Address | IPv6Address
End = tuple[str, int]
Tap = Callable[[bytes, End, End], None]
"""Sees each packet with source and destination: for captures."""

Told = Callable[[Answered | Failed], None]

_UNREAD: Final = IDENTIFIERS * LONGEST_PACKET
"""Octets that wait for a server over TLS: more than all requests of one connection can have."""

_ICMP: Final = 0.1
_SELDOM: Final = 5.0
"""Seconds after a datagram until an ICMP refusal is looked for; doubled each time, up to this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """From where: an address, an interface, and for TLS (RFC 6614) who we are and whom we trust.

    `name` is what the server's certificate must have; None: the address.
    """

    address: Address | None = None
    interface: str | None = None
    tls: ssl.SSLContext | None = None
    name: str | None = None


class _Port(Protocol):
    async def send(self, octets: bytes) -> None: ...
    async def receive(self) -> bytes: ...
    def close(self) -> None: ...
    @property
    def ends(self) -> tuple[End, End]:
        """Our address and port, and the server's."""
        ...


class RadiusClient:
    """Raises nothing that a server can cause: `ask` returns `Failed`."""

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        source: Source | None = None,
        timers: Timers | None = None,
        tap: Tap | None = None,
    ) -> None:
        self.core = Client(servers, entropy=os.urandom, timers=timers)
        self._source = source or Source()
        self._tap = tap
        self._ports: dict[int, _Port] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: dict[int, Told] = {}
        self._events: deque[Event | TimerFired] = deque()
        self._draining = False
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._at: float | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for port in self._ports.values():
            port.close()

    async def ask(
        self,
        attributes: Attributes,
        *,
        server: int | None = None,
        until: float | None = None,
        code: Code = Code.ACCESS_REQUEST,
    ) -> Answered | Failed:
        """The proved answer, or why there is none; at the loop's time `until` at the latest."""
        future: asyncio.Future[Answered | Failed] = self._loop.create_future()
        number = self.submit(attributes, _settle(future), server=server, until=until, code=code)
        try:
            await self._drain()
            return await future
        finally:
            if self._told.pop(number, None) is not None:
                self._events.append(Forget(ask=number))
                await self._drain()

    def submit(
        self,
        attributes: Attributes,
        told: Told,
        *,
        server: int | None = None,
        until: float | None = None,
        code: Code = Code.ACCESS_REQUEST,
    ) -> int:
        """As `ask`, with a call instead of a wait; `told` must not raise. From within another
        `told` it is sent at once, otherwise by `flush`. Returns its number."""
        self._number += 1
        self._told[self._number] = told
        self._events.append(
            Ask(ask=self._number, attributes=attributes, code=code, server=server, until=until)
        )
        return self._number

    async def flush(self) -> None:
        """Send what was submitted."""
        await self._drain()

    # Inside

    async def _feed(self, event: Event | TimerFired) -> None:
        self._events.append(event)
        await self._drain()

    async def _drain(self) -> None:
        """Give the core its events, one after the other, even if a command has to wait."""
        if self._draining:
            return
        self._draining = True
        try:
            while self._events:
                event = self._events.popleft()
                for command in self.core.handle(event, self._loop.time()):
                    await self._perform(command)
        finally:
            self._draining = False
        self._set_timer(self.core.deadline)

    async def _perform(self, command: Command) -> None:
        match command:
            case Send(port=number, octets=octets):
                await self._send(number, octets)
            case OpenPort(port=number, server=server):
                self._start(self._serve(number, server))
            case ClosePort(port=number):
                port = self._ports.pop(number, None)
                if port is not None:
                    port.close()
            case Answered(ask=ask) | Failed(ask=ask):
                told = self._told.pop(ask, None)
                if told is not None:
                    told(command)

    async def _send(self, number: int, octets: bytes) -> None:
        port = self._ports.get(number)
        if port is None:
            return
        if self._tap is not None:
            ours, theirs = port.ends
            self._tap(octets, ours, theirs)
        try:
            await port.send(octets)
        except OSError as error:
            # not at once: the core is amid its commands
            self._start(self._feed(_failure(number, error)))

    async def _serve(self, number: int, server: Server) -> None:
        """Open a port, and read it until it breaks."""
        try:
            self._ports[number] = port = await self._open(server)
        except (OSError, ssl.SSLError) as error:
            await self._feed(_failure(number, error))
            return
        await self._feed(PortOpened(port=number))
        while number in self._ports:
            try:
                octets = await port.receive()
            except ConnectionRefusedError as error:
                await self._feed(_failure(number, error))
                continue
            except (OSError, EOFError, Malformed, asyncio_dgram.TransportClosed) as error:
                await self._feed(PortFailed(port=number, reason=str(error) or "it was closed"))
                return
            if self._tap is not None:
                ours, theirs = port.ends
                self._tap(octets, theirs, ours)
            await self._feed(Received(port=number, octets=octets))

    async def _open(self, server: Server) -> _Port:
        if server.transport is Transport.TLS:
            return await _StreamPort.open(server, self._source)
        return await _DatagramPort.open(server, self._source)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _set_timer(self, at: float | None) -> None:
        """A timer that comes too early does no harm, and nearly every answer moves the deadline."""
        if at is None or (self._at is not None and self._at <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = self._loop.call_at(at, self._fire)

    def _fire(self) -> None:
        self._at = None
        self._start(self._feed(TimerFired()))


def _settle(future: "asyncio.Future[Answered | Failed]") -> Told:
    def told(answer: Answered | Failed) -> None:
        if not future.done():
            future.set_result(answer)

    return told


def _failure(number: int, error: Exception) -> PortFailed:
    refused = isinstance(error, ConnectionRefusedError)
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return PortFailed(port=number, reason=reason, refused=refused)


class _DatagramPort:
    """asyncio-dgram: a `recv` that waits does not hear of an ICMP refusal, so it is looked for."""

    def __init__(self, stream: DatagramClient) -> None:
        self._stream = stream
        self._heard = False
        self._wait = _ICMP
        self.ends = _end(stream.sockname), _end(stream.peername)

    @classmethod
    async def open(cls, server: Server, source: Source) -> Self:
        made = _socket(server, source)
        try:
            made.connect((str(server.address), server.port))
            stream = await asyncio_dgram.from_socket(made)
        except BaseException:
            made.close()
            raise
        assert isinstance(stream, DatagramClient)
        return cls(stream)

    async def send(self, octets: bytes) -> None:
        self._wait = _ICMP
        await self._stream.send(octets)

    async def receive(self) -> bytes:
        while not self._heard:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._wait):
                    octets, _ = await self._stream.recv()
                    self._heard = True
                    return bytes(octets)
            self._wait = min(2 * self._wait, _SELDOM)
            _ = self._stream.exception
        octets, _ = await self._stream.recv()
        return bytes(octets)

    def close(self) -> None:
        self._stream.close()


class _StreamPort:
    """RADIUS over TLS (RFC 6614)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._stream = Stream()
        self._packets: list[bytes] = []
        self.ends = _end(writer.get_extra_info("sockname")), _end(writer.get_extra_info("peername"))

    @classmethod
    async def open(cls, server: Server, source: Source) -> Self:
        made = _socket(server, source)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(made, (str(server.address), server.port))
            reader, writer = await asyncio.open_connection(
                sock=made,
                ssl=source.tls or ssl.create_default_context(),
                server_hostname=source.name or str(server.address),
            )
        except BaseException:
            made.close()
            raise
        return cls(reader, writer)

    async def send(self, octets: bytes) -> None:
        """Never waits: a server that does not read must not stop the others. Raises: OSError."""
        if self._writer.transport.get_write_buffer_size() > _UNREAD:
            raise OSError("the server does not read what it is sent")
        self._writer.write(octets)

    async def receive(self) -> bytes:
        while not self._packets:
            octets = await self._reader.read(LONGEST_PACKET)
            if not octets:
                raise EOFError("the server closed the connection")
            self._packets += self._stream.feed(octets)
        return self._packets.pop(0)

    def close(self) -> None:
        self._writer.close()


def _socket(server: Server, source: Source) -> socket.socket:
    """Raises: OSError."""
    family = socket.AF_INET if server.address.version == 4 else socket.AF_INET6
    tls = server.transport is Transport.TLS
    made = socket.socket(family, socket.SOCK_STREAM if tls else socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        if source.interface is not None:
            name = source.interface.encode()
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
        if source.address is not None:
            made.bind((str(source.address), 0))
    except BaseException:
        made.close()
        raise
    return made


def _end(name: tuple[Any, ...]) -> End:
    return str(ip_address(name[0].partition("%")[0])), int(name[1])

"""The daemon's side of the admin socket, with clients that behave and clients that do not."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ike.admin.framing import HEADER, Command, Reply, Request
from ike.admin.records import Endpoint, EventRecord, EventType
from ike.aio.admin import AdminServer, AdminSocketInUse, Answer
from wire.unix import short_name

QUIT = EventRecord(type=EventType.QUIT, when=0, src=Endpoint(None), dst=Endpoint(None))


async def answer(request: Request) -> Answer:
    reply = Reply(command=request.command, body=b"here")
    watching = request.command == Command.SHOW_EVENT
    return Answer(reply, (lambda event: event.type == EventType.QUIT) if watching else None)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[AdminServer]:
    opened = await AdminServer.open(tmp_path / "racoon.sock", answer)
    yield opened
    await opened.close()


async def send(path: Path, octets: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(octets)
    return reader, writer


async def test_the_socket_is_roots_alone(server: AdminServer, tmp_path: Path) -> None:
    status = (tmp_path / "racoon.sock").stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_uid == os.geteuid()


async def test_a_request_is_answered_and_the_connection_ends(
    server: AdminServer, tmp_path: Path
) -> None:
    reader, writer = await send(tmp_path / "racoon.sock", bytes(Request(command=Command.SHOW_SA)))
    assert Reply.parse(await reader.read()).body == b"here"
    writer.close()


async def test_a_watcher_gets_the_events_it_wants(server: AdminServer, tmp_path: Path) -> None:
    request = bytes(Request(command=Command.SHOW_EVENT))
    reader, writer = await send(tmp_path / "racoon.sock", request)
    await reader.readexactly(HEADER.size + len(b"here"))
    unwanted = EventRecord(type=EventType.PHASE1_UP, when=0, src=QUIT.src, dst=QUIT.dst)
    server.publish(unwanted)
    server.publish(QUIT)
    pushed = Reply.parse(await reader.readexactly(HEADER.size + 280))
    assert EventRecord.parse(pushed.body) == QUIT
    writer.close()


@pytest.mark.parametrize(
    "octets",
    [b"\0", bytes(8), b"\xff" * 8, b"\x08\x00\x01\x81"],
    ids=["too short", "no length", "too long", "cut off"],
)
async def test_a_client_that_talks_nonsense_is_cut_off_and_others_are_served(
    server: AdminServer, tmp_path: Path, octets: bytes
) -> None:
    reader, writer = await send(tmp_path / "racoon.sock", octets)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await test_a_request_is_answered_and_the_connection_ends(server, tmp_path)


async def test_a_client_that_goes_away_while_it_watches_is_forgotten(
    server: AdminServer, tmp_path: Path
) -> None:
    request = bytes(Request(command=Command.SHOW_EVENT))
    reader, writer = await send(tmp_path / "racoon.sock", request)
    await reader.readexactly(HEADER.size + len(b"here"))
    writer.close()
    await writer.wait_closed()
    server.publish(QUIT)
    await test_a_request_is_answered_and_the_connection_ends(server, tmp_path)


async def test_the_path_may_be_longer_than_the_kernels_names(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 30) / "racoon.sock"
    server = await AdminServer.open(path, answer)
    request = bytes(Request(command=Command.SHOW_SA))
    with short_name(path) as name:
        reader, writer = await send(Path(name), request)
    assert Reply.parse(await reader.read()).body == b"here"
    writer.close()
    await server.close()
    assert not path.exists()


async def test_a_second_daemon_on_the_same_path_is_refused(
    server: AdminServer, tmp_path: Path
) -> None:
    with pytest.raises(AdminSocketInUse, match="another racoon answers"):
        await AdminServer.open(tmp_path / "racoon.sock", answer)


async def test_the_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    import socket

    path = tmp_path / "racoon.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = await AdminServer.open(path, answer)
    await test_a_request_is_answered_and_the_connection_ends(server, tmp_path)
    await server.close()
    assert not path.exists()

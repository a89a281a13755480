"""The daemon's side of the admin socket, with clients that behave and clients that do not."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from ike.admin.framing import HEADER, Command, Reply, Request
from ike.admin.records import Endpoint, EventRecord, EventType
from ike.aio.admin import AdminServer, AdminSocketInUse, Answer
from wire.record import replace
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


def regular(path: Path) -> None:
    path.write_text("precious")


def link_to_a_dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path.with_name("elsewhere")))
    path.symlink_to("elsewhere")


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [regular, link_to_a_dead_socket, pipe])
async def test_what_is_no_socket_stays_where_it_is(
    tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    path = tmp_path / "racoon.sock"
    plant(path)
    before = path.lstat()
    with pytest.raises(FileExistsError, match="this is not a socket: remove it") as refused:
        await AdminServer.open(path, answer)
    assert refused.value.filename == str(path)
    assert path.lstat() == before


async def test_a_socket_of_another_kind_is_another_programs(tmp_path: Path) -> None:
    path = tmp_path / "racoon.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        with pytest.raises(AdminSocketInUse, match="the socket of another program"):
            await AdminServer.open(path, answer)


async def test_a_daemon_too_busy_to_answer_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "racoon.sock"
    with ExitStack() as stack:
        busy = stack.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(str(path))
        busy.listen(0)
        stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
        with pytest.raises(AdminSocketInUse, match="another racoon answers"):
            await AdminServer.open(path, answer)


async def test_a_socket_that_took_our_name_stays_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "racoon.sock"
    server = await AdminServer.open(path, answer)
    path.rename(tmp_path / "moved")
    path.write_text("of somebody else")
    await server.close()
    assert path.read_text() == "of somebody else"


async def test_owner_group_and_mode_are_those_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "racoon.sock"
    owner, group = (65534, 65533) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    server = await AdminServer.open(path, answer, mode=0o660, owner=owner, group=group)
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (owner, group, 0o660)
    await server.close()


async def test_a_client_that_reads_too_slowly_is_cut_off_rather_than_misled(
    server: AdminServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    request = bytes(Request(command=Command.SHOW_EVENT))
    with socket.socket(socket.AF_UNIX) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(str(tmp_path / "racoon.sock"))
        slow.sendall(request)
        header = HEADER.size + len(b"here")
        assert len(await asyncio.to_thread(slow.recv, header, socket.MSG_WAITALL)) == header
        published = 0
        while not caplog.records:
            server.publish(replace(QUIT, when=published))
            published += 1
            await asyncio.sleep(0)  # a turn for the server
        octets = b"".join(iter(lambda: slow.recv(1 << 16), b""))
    size = HEADER.size + 280
    whole = [octets[at : at + size] for at in range(0, len(octets) - size + 1, size)]
    told = [EventRecord.parse(Reply.parse(one).body).when for one in whole]
    assert told == list(range(len(told)))  # none is left out
    assert len(told) < published
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'racoon.sock'}: a client that did not read 256 events was disconnected"
    ]
    await test_a_request_is_answered_and_the_connection_ends(server, tmp_path)


async def test_a_client_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "racoon.sock"
    server = await AdminServer.open(path, answer, patience=0.05)
    for octets in (b"", bytes(Request(command=Command.SHOW_SA, body=b"more"))[:9]):
        reader, writer = await send(path, octets)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
    await server.close()


async def test_a_client_that_does_not_take_its_answer_is_not_waited_for_for_ever(
    tmp_path: Path,
) -> None:
    path = tmp_path / "racoon.sock"

    async def at_length(request: Request) -> Answer:
        return Answer(Reply(command=request.command, body=bytes(8 << 20)))

    server = await AdminServer.open(path, at_length, patience=0.05)
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(path))
        slow.sendall(bytes(Request(command=Command.SHOW_SA)))
        async with asyncio.timeout(5):
            while server.clients == 0:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
            while server.clients:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    await server.close()


async def test_as_many_clients_as_stated_are_served_at_once(
    server: AdminServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        for _ in range(32):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(tmp_path / "racoon.sock"))
        async with asyncio.timeout(5):
            while server.clients < 32:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0)
        assert caplog.messages == []
        last = stack.enter_context(socket.socket(socket.AF_UNIX))
        last.connect(str(tmp_path / "racoon.sock"))
        assert await asyncio.to_thread(last.recv, 1) == b""


async def test_clients_by_the_hundred_are_turned_away_with_one_line(
    server: AdminServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        for _ in range(200):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(tmp_path / "racoon.sock"))
            await asyncio.sleep(0)  # a turn for the server
        last = await asyncio.to_thread(client.recv, 1)
    assert last == b""
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'racoon.sock'}: more than 32 clients at once: one was refused"
    ]


async def test_the_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "racoon.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = await AdminServer.open(path, answer)
    await test_a_request_is_answered_and_the_connection_ends(server, tmp_path)
    await server.close()
    assert not path.exists()

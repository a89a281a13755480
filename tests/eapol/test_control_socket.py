"""The control socket: who may use it, what is left behind, and that no client stalls it."""

import asyncio
import contextlib
import grp
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from eapol.aio.control import Control, ControlError
from eapol.notices import Associated, EapSuccess
from lab.port import Port
from wire.unix import short_name


class Client:
    """One that asks, and waits only as long as the loop needs."""

    def __init__(self, folder: Path, server: Path, name: str = "client") -> None:
        self.path = folder / name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        with short_name(self.path) as short:
            self.socket.bind(short)
        with short_name(server) as short:
            self.socket.connect(short)

    async def ask(self, command: bytes) -> bytes:
        self.socket.send(command)
        return await self.hear()

    async def hear(self) -> bytes:
        async with asyncio.timeout(5):
            return await asyncio.get_running_loop().sock_recv(self.socket, 4095)

    def drain(self) -> int:
        """How many datagrams were waiting."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while self.socket.recv(4095):
                count += 1
        return count

    def close(self) -> None:
        self.socket.close()
        self.path.unlink(missing_ok=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "eth0"


@pytest.fixture
def port() -> Port:
    return Port()


@pytest.fixture
async def control(path: Path, port: Port) -> AsyncIterator[Control]:
    async with Control(path, port) as served:
        yield served


@pytest.fixture
def client(tmp_path: Path, path: Path, control: Control) -> Iterator[Client]:
    made = Client(tmp_path, path)
    yield made
    made.close()


async def test_a_command_is_answered_by_one_datagram(client: Client) -> None:
    assert await client.ask(b"PING") == b"PONG\n"
    assert (await client.ask(b"STATUS")).startswith(b"bssid=01:80:c2:00:00:03\n")


async def test_an_empty_reply_is_a_datagram_too(client: Client) -> None:
    assert await client.ask(b"BSS RANGE=ALL MASK=0x2") == b""


async def test_a_listener_hears_events_until_it_detaches(client: Client, port: Port) -> None:
    assert await client.ask(b"ATTACH") == b"OK\n"
    port.tell(EapSuccess())
    heard = await client.hear()
    assert heard == b"<3>CTRL-EVENT-EAP-SUCCESS EAP authentication completed successfully"
    assert await client.ask(b"DETACH") == b"OK\n"
    port.tell(EapSuccess())
    assert await client.ask(b"PING") == b"PONG\n"


async def test_a_deaf_listener_silences_nobody_for_long(
    client: Client, port: Port, tmp_path: Path, path: Path
) -> None:
    deaf = Client(tmp_path, path, "deaf")
    assert await deaf.ask(b"ATTACH") == b"OK\n"
    for _ in range(2000):
        port.tell(Associated())
    with pytest.raises(ConnectionRefusedError):  # the socket is another one now
        await client.ask(b"PING")
    again = Client(tmp_path, path, "again")
    assert await again.ask(b"PING") == b"PONG\n"
    assert await again.ask(b"ATTACH") == b"OK\n"
    port.tell(EapSuccess())
    assert (await again.hear()).endswith(b"completed successfully")
    deaf.close()
    again.close()


async def test_a_listener_that_reads_late_misses_nothing(client: Client, port: Port) -> None:
    assert await client.ask(b"ATTACH") == b"OK\n"
    for _ in range(200):
        port.tell(Associated())
    assert client.drain() == 200


async def test_a_listener_that_vanished_is_forgotten(
    client: Client, port: Port, tmp_path: Path, path: Path
) -> None:
    gone = Client(tmp_path, path, "gone")
    assert await gone.ask(b"ATTACH") == b"OK\n"
    gone.close()
    port.tell(Associated())
    again = Client(tmp_path, path, "gone")
    assert await again.ask(b"DETACH") == b"FAIL\n"
    again.close()


async def test_a_client_without_a_name_is_not_answered_and_harms_nobody(
    client: Client, path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
        nameless.sendto(b"PING", str(path))
    assert await client.ask(b"PING") == b"PONG\n"


async def test_socket_and_folder_are_for_root_and_the_group(tmp_path: Path, port: Port) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    path = tmp_path / "run" / "eth0"
    async with Control(path, port, group=group):
        for made in (path, path.parent):
            assert stat.S_IMODE(made.stat().st_mode) & 0o777 == 0o770
            assert made.stat().st_gid == os.getgid()
    assert path.parent.exists()
    assert not path.exists()
    assert port.tellers == []


async def test_the_socket_of_a_supplicant_that_died_is_replaced(path: Path, port: Port) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(path))
    async with Control(path, port):
        client = Client(path.parent, path)
        assert await client.ask(b"PING") == b"PONG\n"
        client.close()


async def test_a_second_supplicant_is_refused_with_the_command_that_stops_the_first(
    client: Client, path: Path, port: Port
) -> None:
    with pytest.raises(ControlError, match="another supplicant serves this interface") as caught:
        Control(path, port)
    assert f"wpa_cli -p {path.parent} -i eth0 terminate" in str(caught.value)
    assert await client.ask(b"PING") == b"PONG\n"


def test_an_unknown_group_is_refused(path: Path, port: Port) -> None:
    with pytest.raises(ControlError, match="there is no group 'nobodys'"):
        Control(path, port, group="nobodys")
    assert not path.exists()


async def test_a_long_path_works_too(tmp_path: Path, port: Port) -> None:
    path = tmp_path / ("long" * 30) / "eth0"
    async with Control(path, port):
        client = Client(tmp_path, path)
        assert await client.ask(b"PING") == b"PONG\n"
        client.close()
    assert not path.exists()

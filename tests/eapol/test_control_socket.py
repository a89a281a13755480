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

from eapol.aio.control import Control
from eapol.notices import Associated, EapSuccess
from eapol.system.folder import ControlError
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
        assert stat.S_IMODE(path.stat().st_mode) == 0o770
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o2750
        assert path.stat().st_gid == path.parent.stat().st_gid == os.getgid()
    assert path.parent.exists()
    assert not path.exists()
    assert port.tellers == []


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_the_socket_has_its_mode_from_the_start_whatever_the_umask(
    path: Path, port: Port, mask: int
) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    path.parent.mkdir()
    before = os.umask(mask)
    try:
        control = Control(path, port, group=group)
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o770
    control.close()


async def test_a_folder_that_the_group_could_write_is_closed_to_it(path: Path, port: Port) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o770)  # as wpa_supplicant makes it
    async with Control(path, port):
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750


def test_a_folder_that_everybody_can_write_is_refused_and_left_as_it_is(
    path: Path, port: Port
) -> None:
    for mode in (0o777, 0o1777):
        path.parent.mkdir(exist_ok=True)
        path.parent.chmod(mode)
        with pytest.raises(ControlError, match="other users can write to this directory"):
            Control(path, port)
        assert stat.S_IMODE(path.parent.stat().st_mode) == mode
        assert list(path.parent.iterdir()) == []


def test_a_folder_that_is_a_link_is_not_followed(tmp_path: Path, port: Port) -> None:
    """Or its owner would get the mode and the group that are the socket folder's."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(private)
    with pytest.raises(ControlError, match="is a symbolic link, or not a directory; remove it"):
        Control(tmp_path / "run" / "eth0", port, group=grp.getgrgid(os.getgid()).gr_name)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert list(private.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "link", "dangling", "folder"])
def test_what_is_no_socket_stays_where_it_is_with_its_owner_and_mode(
    path: Path, port: Port, tmp_path: Path, kind: str
) -> None:
    secret = tmp_path / "shadow"
    secret.write_text("root's")
    secret.chmod(0o600)
    path.parent.mkdir()
    if kind == "file":
        path.write_text("somebody's")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(secret if kind == "link" else tmp_path / "nothing")
    with pytest.raises(ControlError, match="exists and is not a socket"):
        Control(path, port)
    assert path.is_symlink() or path.exists()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text() == "root's"


def test_the_end_removes_our_own_socket_only(path: Path, port: Port) -> None:
    control = Control(path, port)
    path.unlink()
    path.write_text("somebody else's")
    control.close()
    assert path.read_text() == "somebody else's"


async def test_a_client_that_reads_no_replies_silences_nobody_for_long(
    client: Client, tmp_path: Path, path: Path
) -> None:
    deaf = [Client(tmp_path, path, f"deaf{number}") for number in range(8)]
    for _ in range(2000):
        for each in deaf:
            with contextlib.suppress(OSError):
                each.socket.send(b"STATUS-VERBOSE")
        await asyncio.sleep(0)
    again = Client(tmp_path, path, "again")
    assert await again.ask(b"PING") == b"PONG\n"
    for each in (*deaf, again):
        each.close()


async def test_one_command_is_served_in_a_turn_of_the_loop(
    client: Client, path: Path, port: Port
) -> None:
    """So that a frame waits for one at most, however many a client sends."""
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < 8:
            client.socket.send(b"LOGON")
            sent += 1
    turns = []
    while len(port.requests) < sent:
        await asyncio.sleep(0)
        turns.append(len(port.requests))
    assert max(b - a for a, b in zip([0, *turns], turns, strict=False)) == 1


async def test_a_socket_that_cannot_be_made_anew_goes_on_without_its_listeners(
    client: Client, port: Port, tmp_path: Path, path: Path
) -> None:
    deaf = Client(tmp_path, path, "deaf")
    assert await deaf.ask(b"ATTACH") == b"OK\n"
    path.parent.chmod(0o777)  # now it is refused
    for _ in range(3000):
        port.tell(Associated())
    assert await client.ask(b"PING") == b"PONG\n"
    assert await client.ask(b"ATTACH") == b"OK\n"
    deaf.close()


async def test_anything_unforeseen_is_fail_at_once_and_in_the_log_without_its_secret(
    client: Client, port: Port, caplog: pytest.LogCaptureFixture
) -> None:
    port.fault = ZeroDivisionError("nobody thought of it")
    for command in (b"LOGON", b"RECONFIGURE", b"CTRL-RSP-PASSPHRASE-0:sesame"):
        assert await client.ask(command) == b"FAIL\n"
    assert "internal error in the command CTRL-RSP-PASSPHRASE-0" in caplog.text
    assert "sesame" not in caplog.text
    port.fault = None
    assert await client.ask(b"LOGON") == b"OK\n"


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

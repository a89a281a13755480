"""Two keying daemons on loopback: real sockets, real admin sockets, SAs in a list. No root."""

import asyncio
import errno
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from ike.admin.framing import Command, Reply, Request, StatusForm, Subject
from ike.admin.records import Endpoint as Storage
from ike.admin.records import EventRecord, EventType, Index, Phase1Status, isakmp_sas, schedule
from ike.aio.admin import AdminServer
from ike.aio.driver import Driver
from ike.aio.requests import Reloaded
from ike.aio.sockets import Listening, PortInUse, Sockets
from ike.backend import BackendError, BackendEvent
from ike.commands import AllocateSpi, SendDatagram
from ike.config import Config, PreSharedKeys, Remote, Sainfo
from ike.events import Acquire, DatagramReceived, Event, PolicyAdded
from ike.numbers.isakmp import ProtocolId
from ike.system.port_holder import remedy
from ike.values import (
    Address,
    Direction,
    Endpoint,
    IpsecSa,
    PolicyEntry,
    Protection,
    SaId,
    Selector,
)
from wire.secret import Secret

NEAR, FAR = ip_address("127.0.0.1"), ip_address("127.0.0.2")
MESSAGE_1 = bytes([1, 0x10, 2, 0]) + bytes(4) + (28).to_bytes(4)  # after the cookies


def policy(local: Address, remote: Address) -> PolicyEntry:
    selector = Selector(local=ip_network(local), remote=ip_network(remote))
    return PolicyEntry(selector=selector, local=local, remote=remote, protections=(Protection(),))


@dataclass
class ListBackend:
    """A data plane that encrypts nothing."""

    wanted: list[PolicyEntry]
    held: dict[SaId, IpsecSa] = field(default_factory=dict)
    told: asyncio.Queue[BackendEvent] = field(default_factory=asyncio.Queue)
    asking_again: list[PolicyEntry] = field(default_factory=list)
    refuses: bool = False
    next_spi: int = 0x1000

    async def allocate_spi(self, wanted: AllocateSpi) -> int:
        if self.refuses:
            raise BackendError(f"there is no SPI left for {wanted.local}")
        self.next_spi += 1
        return self.next_spi

    async def install(self, sa: IpsecSa) -> None:
        self.held[sa.id] = sa

    async def delete(self, sa: SaId) -> None:
        self.held.pop(sa, None)

    async def policies(self) -> list[PolicyEntry]:
        return self.wanted

    async def add_policy(self, policy: PolicyEntry) -> None:
        self.wanted.append(policy)

    async def remove_policy(self, policy: PolicyEntry) -> None:
        self.wanted.remove(policy)

    async def ask_again(self, policy: PolicyEntry) -> None:
        self.asking_again.append(policy)

    async def dump(self, protocol: ProtocolId) -> bytes:
        return b"%d SAs" % sum(sa.protocol == protocol for sa in self.held.values())

    async def events(self) -> AsyncIterator[BackendEvent]:
        for policy in self.wanted:
            yield PolicyAdded(policy=policy)
        while True:
            yield await self.told.get()

    def keys(self, direction: Direction) -> list[tuple[int, Secret]]:
        return [(s.spi, s.encryption_key) for s in self.held.values() if s.direction is direction]


@dataclass
class Running:
    driver: Driver
    backend: ListBackend
    path: Path
    stop: asyncio.Event
    port: int
    errors: list[Exception]
    """The last one is raised where the configuration would be read."""

    async def ask(self, command: Command, subject: int = 0, body: bytes = b"") -> Reply:
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(bytes(Request(command=command, subject=subject, body=body)))
        header = await reader.readexactly(8)
        length = int.from_bytes(header[:2], "little")
        reply = Reply.parse(header + await reader.readexactly(length - 8))
        writer.close()
        return reply

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not what():  # noqa: ASYNC110 - what the test looks at tells nobody
                await asyncio.sleep(0.01)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def daemon(
    local: Address, remote: Address, port: int, folder: Path, key: bytes = b"shared"
) -> AsyncIterator[Running]:
    peer = Remote(name=str(remote), address=remote, port=port)
    config = Config(
        remotes=(peer,),
        sainfos=(Sainfo(),),
        keys=PreSharedKeys(((str(remote), Secret(key)),)),
    )

    async def reload(apply: Callable[[Config], None]) -> Reloaded:
        raise errors[-1]

    errors: list[Exception] = [ValueError("the new configuration is refused")]
    backend = ListBackend([policy(local, remote)])
    listening = Listening(
        isakmp=(Endpoint(local, port),), natt=(Endpoint(local, port + 1),), bypass=False
    )
    sockets = Sockets(listening)
    driver = Driver(
        config, backend, sockets, date=lambda: 1_795_458_811.0, reload=reload, port=port
    )
    driver.admin = await AdminServer.open(folder / f"{local}.sock", driver.desk.answer)
    stop = asyncio.Event()
    task = asyncio.create_task(driver.run(stop))
    try:
        yield Running(driver, backend, folder / f"{local}.sock", stop, port, errors)
    finally:
        stop.set()
        await task
        await driver.admin.close()
        sockets.close()


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Running, Running]]:
    port = free_port()
    async with AsyncExitStack() as stack:
        near = await stack.enter_async_context(daemon(NEAR, FAR, port, tmp_path))
        far = await stack.enter_async_context(daemon(FAR, NEAR, port, tmp_path))
        yield near, far


async def bring_up(near: Running, far: Running) -> None:
    near.backend.told.put_nowait(Acquire(policy=policy(NEAR, FAR)))
    await near.until(lambda: len(near.backend.held) == len(far.backend.held) == 2)


async def test_an_acquire_ends_with_the_same_keys_on_both_sides(
    pair: tuple[Running, Running],
) -> None:
    near, far = pair
    await bring_up(near, far)
    assert near.backend.keys(Direction.IN) == far.backend.keys(Direction.OUT)
    assert near.backend.keys(Direction.OUT) == far.backend.keys(Direction.IN)


async def test_a_line_about_a_peer_carries_its_address(
    pair: tuple[Running, Running], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ike")
    await bring_up(*pair)
    peers = {getattr(record, "peer", None) for record in caplog.records}
    assert peers == {None, str(NEAR)}  # who said INITIAL-CONTACT


async def test_the_daemon_that_stops_takes_the_others_sas_with_it(
    pair: tuple[Running, Running],
) -> None:
    near, far = pair
    await bring_up(near, far)
    near.stop.set()
    await far.until(lambda: far.backend.held == {} and near.backend.held == {})


async def test_a_data_plane_that_refuses_is_survived(pair: tuple[Running, Running]) -> None:
    near, far = pair
    near.backend.refuses = True
    near.backend.told.put_nowait(Acquire(policy=policy(NEAR, FAR)))
    await near.until(lambda: len(near.driver.engine.isakmp_sas()) == 1)
    near.backend.refuses = False
    await bring_up(near, far)


async def test_administrators_see_what_is_there(pair: tuple[Running, Running]) -> None:
    near, far = pair
    await bring_up(near, far)
    (sa,) = isakmp_sas((await near.ask(Command.SHOW_SA, Subject.ISAKMP)).body)
    assert (sa.status, sa.phase2_count) == (Phase1Status.ESTABLISHED, 1)
    assert (sa.local.address, sa.remote.address) == (NEAR, FAR)
    assert 1_795_458_800 < sa.created <= 1_795_458_811
    assert (await near.ask(Command.SHOW_SA, Subject.ESP)).body == b"2 SAs"
    assert schedule((await near.ask(Command.SHOW_SCHEDULE)).body)
    status = json.loads((await far.ask(Command.STATUS_VERBOSE, StatusForm.JSON)).body)
    assert [phase["state"] for phase in status["phase1"] + status["phase2"]] == ["established"] * 2
    text = (await far.ask(Command.STATUS_VERBOSE, StatusForm.TEXT)).body.decode()
    assert "selector:       127.0.0.2/32 -> 127.0.0.1/32  proto=any sport=any dport=any" in text


async def test_administrators_establish_and_delete(pair: tuple[Running, Running]) -> None:
    near, far = pair
    index = bytes(Index(src=Storage(NEAR), dst=Storage(FAR), protocol=255))
    assert (await near.ask(Command.ESTABLISH_SA, Subject.ESP, index)).errno == 0
    await near.until(lambda: len(near.backend.held) == len(far.backend.held) == 2)
    assert (await near.ask(Command.DELETE_SA, Subject.ESP, index)).errno == 0
    await near.until(lambda: near.backend.held == far.backend.held == {})
    assert (await near.ask(Command.DELETE_SA, Subject.ESP, index)).errno == errno.ENOENT
    assert (await near.ask(Command.DELETE_SA, Subject.ISAKMP, index)).errno == 0
    await near.until(lambda: near.driver.engine.isakmp_sas() == [])


async def test_a_phase_1_without_a_remote_is_refused_with_the_reason(
    pair: tuple[Running, Running],
) -> None:
    nobody = bytes(Index(src=Storage(NEAR), dst=Storage(ip_address("127.0.0.9"))))
    reply = await pair[0].ask(Command.ESTABLISH_SA, Subject.ISAKMP, nobody)
    assert (reply.errno, reply.body) == (
        errno.ENOENT,
        b"racoon.conf has no remote for 127.0.0.9",
    )
    named = bytes(Index(src=Storage(NEAR), dst=Storage(FAR))) + b"office\0"
    reply = await pair[0].ask(Command.ESTABLISH_SA, Subject.ISAKMP, named)
    assert (reply.errno, reply.body) == (errno.ENOENT, b"racoon.conf has no remote 'office'")
    assert pair[0].driver.engine.isakmp_sas() == []


async def test_who_waits_for_a_phase_1_as_racoonctl_of_racoon_does_is_told_that_it_is_done(
    pair: tuple[Running, Running],
) -> None:
    near, _ = pair
    index = bytes(Index(src=Storage(NEAR), dst=Storage(FAR)))
    reader, writer = await asyncio.open_unix_connection(near.path)
    writer.write(bytes(Request(command=Command.ESTABLISH_SA, subject=Subject.ISAKMP, body=index)))
    assert Reply.parse(await reader.readexactly(8)).errno == 0
    async with asyncio.timeout(10):
        told = [
            EventRecord.parse(Reply.parse(await reader.readexactly(8 + 280)).body)
            for _ in ("up", "mode config")
        ]
    assert [event.type for event in told] == [EventType.PHASE1_UP, EventType.PHASE1_MODE_CFG]
    assert {(event.src.address, event.dst.address) for event in told} == {(NEAR, FAR)}
    writer.close()


async def test_who_waits_is_told_of_his_peer(pair: tuple[Running, Running]) -> None:
    near, _ = pair
    index = bytes(Index(src=Storage(NEAR), dst=Storage(FAR), protocol=255))
    reader, writer = await asyncio.open_unix_connection(near.path)
    request = Request(command=Command.ESTABLISH_SA, subject=Subject.ESP, body=index)
    writer.write(bytes(request))
    assert Reply.parse(await reader.readexactly(8)).errno == 0
    events: list[EventRecord] = []
    async with asyncio.timeout(10):
        while EventType.PHASE2_UP not in [event.type for event in events]:
            pushed = Reply.parse(await reader.readexactly(8 + 280))
            events.append(EventRecord.parse(pushed.body))
    assert {event.dst.address for event in events} == {FAR}
    writer.close()


@pytest.mark.parametrize(
    ("command", "subject", "number"),
    [
        (Command.RELOAD_CONFIG, 0, errno.EINVAL),
        (Command.SHOW_SA, Subject.INTERNAL, errno.ENOTSUP),
        (Command.GET_CERT, Subject.ISAKMP, errno.ENOTSUP),
        (Command(0x7777), 0, errno.ENOTSUP),
    ],
)
async def test_what_cannot_be_done_is_refused_by_number(
    pair: tuple[Running, Running], command: Command, subject: int, number: int
) -> None:
    assert (await pair[0].ask(command, subject)).errno == number


async def test_a_fault_while_the_files_are_read_ends_nothing(
    pair: tuple[Running, Running], caplog: pytest.LogCaptureFixture
) -> None:
    near, _ = pair
    near.errors.append(OSError(errno.ENOSPC, "No space left on device"))
    near.driver.reload_soon()
    await near.until(lambda: "No space left on device" in caplog.text)
    near.errors.pop()
    assert (await near.ask(Command.RELOAD_CONFIG)).errno == errno.EINVAL


async def test_a_refused_configuration_is_answered_with_what_is_wrong(
    pair: tuple[Running, Running],
) -> None:
    reply = await pair[0].ask(Command.RELOAD_CONFIG)
    assert (reply.errno, reply.body) == (errno.EINVAL, b"the new configuration is refused")


async def test_dropped_datagrams_are_counted_by_reason_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    where = Listening(
        isakmp=(Endpoint(NEAR, port),), natt=(Endpoint(NEAR, port + 1),), bypass=False
    )
    sockets = Sockets(where)  # nobody takes what it keeps
    expected = {"too many of one": 36, "by the kernel": 3}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.bind((str(FAR), 0))
        for _ in range(64 + 36):  # a sender's share of the queue, and more
            flood.sendto(bytes(range(1, 17)) + MESSAGE_1, (str(NEAR), port))
        for _ in range(3):
            flood.sendto(b"no ISAKMP", (str(NEAR), port))
        async with asyncio.timeout(10):
            while sockets.dropped() != expected:  # noqa: ASYNC110 - sockets tell nobody
                await asyncio.sleep(0.01)
    sockets.tell_drops()
    sockets.tell_drops()
    told = [line for line in caplog.messages if "were dropped" in line]
    assert told == ["UDP datagrams were dropped: too many of one: 36, by the kernel: 3"]
    sockets.close()


async def test_administrators_see_what_was_dropped(pair: tuple[Running, Running]) -> None:
    near, _ = pair
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"no ISAKMP", (str(NEAR), near.port))
    text = (await near.ask(Command.STATUS)).body.decode()
    assert text.endswith("\nDropped datagrams: by the kernel: 1\n")


@pytest.mark.parametrize(("versions", "anywhere"), [((4,), "0.0.0.0"), ((6,), "::")])
async def test_a_family_of_addresses_alone_can_be_listened_on(
    caplog: pytest.LogCaptureFixture, versions: tuple[int, ...], anywhere: str
) -> None:
    caplog.set_level("INFO", "ike")
    port = free_port()
    Sockets(
        Listening(isakmp_port=port, natt_port=port + 1, versions=versions, bypass=False)
    ).close()
    assert (Listening().isakmp_port, Listening().natt_port) == (500, 4500)
    assert [line.partition(" used")[0] for line in caplog.messages] == [
        f"{anywhere}[{port}]",
        f"{anywhere}[{port + 1}]",
        f"{anywhere}[{port + 1}]",
    ]


async def test_esp_of_port_4500_goes_to_the_data_plane_and_the_rest_does_not() -> None:
    port = free_port()
    taken: asyncio.Queue[tuple[bytes, Address, int]] = asyncio.Queue()
    sockets = Sockets(
        Listening(
            isakmp=(Endpoint(NEAR, port),),
            natt=(Endpoint(NEAR, port + 1),),
            bypass=False,
            take_esp=lambda *esp: taken.put_nowait(esp),
        )
    )
    inbox: asyncio.Queue[Event] = asyncio.Queue()
    pumping = asyncio.create_task(sockets.pump(inbox, lambda: 0.0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((str(FAR), 0))
        message = bytes(range(1, 17)) + MESSAGE_1
        for octets in (b"\xff", bytes(4) + message, b"\0\0\1\0 an SPI and ESP"):
            peer.sendto(octets, (str(NEAR), port + 1))
        source = peer.getsockname()[1]
    async with asyncio.timeout(5):
        assert await taken.get() == (b"\0\0\1\0 an SPI and ESP", FAR, source)
        event = await inbox.get()
    assert isinstance(event, DatagramReceived)
    assert event.octets == bytes(4) + message
    assert event.source == Endpoint(FAR, source)
    assert event.local == Endpoint(NEAR, port + 1)
    assert taken.empty()
    pumping.cancel()
    with pytest.raises(OSError, match="no socket for") as refused:
        sockets.sender(Endpoint(FAR, port + 1), Endpoint(NEAR, port))
    assert refused.value.errno == errno.EADDRNOTAVAIL
    sockets.close()


async def test_a_local_address_without_a_socket_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    where = Listening(
        isakmp=(Endpoint(NEAR, port),), natt=(Endpoint(NEAR, port + 1),), bypass=False
    )
    sockets = Sockets(where)
    command = SendDatagram(octets=b"", to=Endpoint(NEAR, port), local=Endpoint(FAR, port))
    for _ in range(100):
        sockets.send(command)
    told = [line for line in caplog.messages if "no socket" in line]
    assert told == [f"no socket for {FAR}[{port}]: is it among the addresses of listen?"]
    sockets.close()


@pytest.mark.parametrize(
    ("holder", "says"),
    [
        ("charon (process 7)", "'systemctl stop strongswan' stops it"),
        ("pluto (process 7)", "'systemctl stop ipsec' stops it"),
        ("mgu.main iked (process 7)", "a keying daemon runs already; 'systemctl stop racoon'"),
        ("/usr/sbin/racoon (process 7)", "a keying daemon runs already; 'systemctl stop racoon'"),
        ("nc (process 7)", "stop that program first"),
    ],
)
def test_the_holder_of_a_port_is_stopped_by_its_own_command(holder: str, says: str) -> None:
    assert says in remedy(holder)


async def test_a_port_in_use_is_named_with_its_holder(tmp_path: Path) -> None:
    port = free_port()
    where = Listening(
        isakmp=(Endpoint(NEAR, port),), natt=(Endpoint(NEAR, port + 1),), bypass=False
    )
    first = Sockets(where)
    try:
        with pytest.raises(PortInUse, match=r"127\.0\.0\.1\[\d+\] is in use by .* \(process \d+\)"):
            Sockets(where)
    finally:
        first.close()

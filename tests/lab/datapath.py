"""Two hosts with the userspace data path between them, for tests in namespaces."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from lab.esp_values import LEFT, LEFT_NET, RIGHT, RIGHT_NET, policy, sa, tunnel_policies
from lab.netns import Namespace, Veth
from wire.udp import Options, UdpEndpoint
from xfrm.dataplane import Event, PolicyAdded, PolicyGone
from xfrm.esp.reasons import Reason
from xfrm.model import Address, Direction, Mode, Policy, SecurityAssociation
from xfrm.tun.batch import SendDatagrams
from xfrm.tun.datapath import MARK, DataPath, Settings


@dataclass
class End:
    """One host: its namespace, its data path, and its address in the protected network."""

    host: Namespace
    path: DataPath
    address: str
    inner: str

    async def ping(self, to: str, *, count: int = 3, size: int = 56, source: str = "") -> bool:
        """Whether all came back, within 5 s.

        After the last request ping waits for twice the longest round trip so far, or for the
        interval if that is longer; -W counts only while nothing has come back. So all leave at
        once, and the interval is the time for the answers.
        """
        words = ["ping", "-c", str(count), "-l", str(count), "-i", "5", "-W", "5"]
        words += ["-s", str(size), "-q"]
        if source:
            words += ["-I", source]
        done = await asyncio.to_thread(self.host.run, *words, to, check=False)
        if done.returncode != 0 or " 0% packet loss" not in done.stdout:
            print(done.stdout, done.stderr, self.path.counters)
        return done.returncode == 0 and " 0% packet loss" in done.stdout

    async def usage(self, spi: int) -> tuple[int, int]:
        """Octets and packets of the SA with this SPI."""
        (found,) = [each for each in await self.path.sas() if each.spi == spi]
        return found.usage.octets, found.usage.packets

    async def counted(self, expected: Mapping[Reason, int], within: float = 5.0) -> None:
        """Wait until so many packets were refused for these reasons, and none for others."""
        async with asyncio.timeout(within):
            while self.path.counters != expected:  # noqa: ASYNC110 - nobody tells of a refusal
                await asyncio.sleep(0.01)

    async def event(self, within: float = 5.0) -> Event:
        """The next one that is not about policies."""
        async with asyncio.timeout(within):
            while True:
                event = await anext(self.path.events())
                if not isinstance(event, PolicyAdded | PolicyGone):
                    return event


@dataclass
class Pair:
    left: End
    right: End
    wire: Veth

    async def add(self, *sas: SecurityAssociation) -> None:
        """The same SAs at both ends."""
        for end in (self.left, self.right):
            for each in sas:
                await end.path.add_sa(each)

    async def add_policies(self, left: Sequence[Policy], right: Sequence[Policy]) -> None:
        for end, policies in ((self.left, left), (self.right, right)):
            for each in policies:
                await end.path.add_policy(each)

    async def transfer(self, octets: bytes, port: int = 7000) -> bytes:
        """What the right host receives when the left one sends `octets` by TCP."""
        client = self.left.host, self.left.inner
        return await transfer(client, (self.right.host, self.right.inner), octets, port)


async def transfer(
    client: tuple[Namespace, str], server: tuple[Namespace, str], octets: bytes, port: int = 7000
) -> bytes:
    """What `server` (host and address) receives when `client` sends `octets` by TCP."""
    family = socket.AF_INET6 if ":" in server[1] else socket.AF_INET
    listener = server[0].socket(family, socket.SOCK_STREAM)
    listener.bind((server[1], port))
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.set_result(await reader.read(-1))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(take, sock=listener), asyncio.timeout(60):
        sender = client[0].socket(family, socket.SOCK_STREAM)
        sender.setblocking(False)
        sender.bind((client[1], 0))
        await asyncio.get_running_loop().sock_connect(sender, (server[1], port))
        _, writer = await asyncio.open_connection(sock=sender)
        writer.write(octets)
        writer.write_eof()
        result = await received
        writer.close()
        await writer.wait_closed()
    return result


@asynccontextmanager
async def opened(
    host: Namespace | None, address: str, settings: Settings | None = None
) -> AsyncIterator[DataPath]:
    """A data path in `host` (None: here), with a socket of port 4500 on `address`."""

    def taken(octets: bytes, source: Address, port: int) -> bool:
        path.receive_udp(octets, source, port)
        return True

    def send_udp(of: SecurityAssociation) -> SendDatagrams:
        return endpoint.sender(of.dst, of.encapsulation.dst_port if of.encapsulation else 4500)

    with host.entered() if host is not None else nullcontext():
        endpoint = UdpEndpoint.open(
            ip_address(address), 4500, Options(mark=MARK, fragment=True, gro=True), taken
        )
        path = await DataPath.open(settings, send_udp=send_udp)
    try:
        yield path
    finally:
        endpoint.close()
        await path.close()


@asynccontextmanager
async def joined(
    left: Namespace, right: Namespace, *, settings: Settings | None = None,
    ends: tuple[str, str] = (LEFT, RIGHT), nets: tuple[str, str] = (LEFT_NET, RIGHT_NET),
    cable: Veth | None = None,
) -> AsyncIterator[Pair]:  # fmt: skip
    """Both ends on one cable, each with the first address of its network; no SA, no policy."""
    cable = cable or Veth((left, "eth0"), (right, "eth0"))
    prefix = "/64" if ":" in ends[0] else "/24"
    inners = []
    for host, address, net in zip((left, right), ends, nets, strict=True):
        host.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0", check=False)
        host.add_address("eth0", address + prefix)
        network, _, length = net.partition("/")
        inner = network.removesuffix("0") + "1"
        host.add_address("lo", f"{inner}/{length}")
        inners.append(inner)
    async with (
        opened(left, ends[0], settings) as left_path,
        opened(right, ends[1], settings) as right_path,
    ):
        yield Pair(
            End(left, left_path, ends[0], inners[0]),
            End(right, right_path, ends[1], inners[1]),
            cable,
        )


def sas(**fields: Any) -> tuple[SecurityAssociation, SecurityAssociation]:
    return sa(LEFT, RIGHT, 0x1001, **fields), sa(RIGHT, LEFT, 0x1002, **fields)


async def tunnel(pair: Pair, **fields: Any) -> None:
    """Policies for the two networks, and SAs."""
    only = {"protocol": fields["protocol"]} if "protocol" in fields else {}
    await pair.add_policies(
        tunnel_policies((LEFT, LEFT_NET), (RIGHT, RIGHT_NET), **only),
        tunnel_policies((RIGHT, RIGHT_NET), (LEFT, LEFT_NET), **only),
    )
    await pair.add(*sas(**fields))


async def host_to_host(pair: Pair, **fields: Any) -> None:
    """Transport mode between the two hosts themselves."""
    for end in (pair.left, pair.right):
        end.inner = end.address
    transport: dict[str, Any] = {"mode": Mode.TRANSPORT}
    if "protocol" in fields:
        transport["protocol"] = fields["protocol"]
    forth, back = (f"{LEFT}/32", f"{RIGHT}/32"), (f"{RIGHT}/32", f"{LEFT}/32")
    await pair.add_policies(
        [policy(Direction.OUT, *forth, **transport), policy(Direction.IN, *back, **transport)],
        [policy(Direction.OUT, *back, **transport), policy(Direction.IN, *forth, **transport)],
    )
    await pair.add(*sas(mode=Mode.TRANSPORT, **fields))

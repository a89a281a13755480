"""What comes in clear and should have been protected is refused (RFC 4301, 5.2, step 4)."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lab import require
from lab.datapath import Pair, host_to_host, joined, tunnel
from lab.esp_values import LEFT, LEFT_NET, RIGHT, RIGHT_NET, policy, sa, tunnel_policies
from lab.netns import Namespace, Veth
from xfrm.model import Direction, Mode, Protocol
from xfrm.tun.datapath import MARK, Settings
from xfrm.tun.guard import TABLE

pytestmark = pytest.mark.interop

MakeHost = Callable[[str], Namespace]
PORT = 9000
ENDS6 = ("2001:db8:f::1", "2001:db8:f::2")


def refused(host: Namespace) -> int:
    """Packets that the rules of `host` dropped."""
    shown = host.run(require.program("nft"), "list", "table", "inet", TABLE).stdout.split()
    return sum(int(shown[at + 2]) for at, word in enumerate(shown) if word == "counter")


class Listener:
    """A UDP port, and what is sent to it from elsewhere: in clear, past the data path, or not."""

    def __init__(self, host: Namespace, address: str, port: int = PORT) -> None:
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.at = (address, port)
        self._socket = host.socket(self.family, socket.SOCK_DGRAM)
        self._socket.bind(self.at)
        self._socket.settimeout(5)

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, sender: Namespace, source: str, mark: int) -> None:
        with sender.socket(self.family, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            sock.bind((source, 0))
            sock.sendto(b"datagram", self.at)

    async def hears(self, sender: Namespace, source: str, *, clear: bool) -> bool:
        self.send(sender, source, MARK if clear else 0)
        return await asyncio.to_thread(self._socket.recv, 100) == b"datagram"

    async def hears_nothing(self, sender: Namespace, source: str, gateway: Namespace) -> bool:
        """In clear; whether a rule of `gateway` refuses the packet."""
        before = refused(gateway)
        self.send(sender, source, MARK)
        async with asyncio.timeout(5):
            while refused(gateway) == before:  # noqa: ASYNC110 - nobody tells of a drop
                await asyncio.sleep(0.01)
        self._socket.setblocking(False)
        try:
            self._socket.recv(100)
        except BlockingIOError:
            return True
        finally:
            self._socket.settimeout(5)
        return False


@pytest.mark.parametrize(
    ("ends", "nets", "wide", "client"),
    [
        ((LEFT, RIGHT), (LEFT_NET, RIGHT_NET), "10.1.0.0/16", "10.1.5.2"),
        (ENDS6, ("2001:db8:1::/64", "2001:db8:2::/64"), "2001:db8:1::/48", "2001:db8:1:5::2"),
        (ENDS6, (LEFT_NET, RIGHT_NET), "10.1.0.0/16", "10.1.5.2"),
    ],
    ids=["ipv4", "ipv6", "ipv4-in-ipv6"],
)
async def test_a_tunnel_takes_nothing_in_clear_for_the_host_and_those_behind_it(
    make_host: MakeHost, ends: tuple[str, str], nets: tuple[str, str], wide: str, client: str
) -> None:
    left, right, behind = (make_host(name) for name in ("left", "right", "behind"))
    async with joined(left, right, ends=ends, nets=nets) as pair:
        put_behind(left, behind, client)
        here, there = (ends[0], wide), (ends[1], nets[1])
        policies = tunnel_policies(here, there), tunnel_policies(there, here)
        if ends == ENDS6 and nets[0] == LEFT_NET:
            left.add_address("eth0", f"{LEFT}/24")  # the way that clear packets take
            right.add_address("eth0", f"{RIGHT}/24")
        right.add_route(wide, LEFT if "." in wide else ends[0])
        source = pair.right.inner
        with Listener(left, pair.left.inner) as own, Listener(behind, client) as other:
            for listener in (own, other):
                assert await listener.hears(right, source, clear=True)
            await pair.add_policies(*policies)
            await pair.add(sa(*ends, 0x1001), sa(ends[1], ends[0], 0x1002))
            for listener in (own, other):
                assert await listener.hears(right, source, clear=False)
                assert await listener.hears_nothing(right, source, left)
            assert (await pair.left.usage(0x1002))[1] == 2
            for each in policies[0]:
                await pair.left.path.delete_policy(each)
            for listener in (own, other):
                assert await listener.hears(right, source, clear=True)
    assert TABLE not in left.run(require.program("nft"), "list", "tables").stdout


def put_behind(gateway: Namespace, host: Namespace, address: str) -> None:
    """`host` with `address`, a last 2, and a way through `gateway`."""
    Veth((gateway, "eth1"), (host, "eth0"))
    router = address.removesuffix("2") + "1"
    bits = 64 if ":" in address else 24
    gateway.sysctl("net.ipv4.ip_forward", "1")
    gateway.sysctl("net.ipv6.conf.all.forwarding", "1")
    for end, ifname, own in ((gateway, "eth1", router), (host, "eth0", address)):
        end.sysctl(f"net.ipv6.conf.{ifname}.accept_dad", "0")
        end.add_address(ifname, f"{own}/{bits}")
    host.add_route("::/0" if ":" in address else "default", router)


@pytest.mark.parametrize("protocol", [Protocol.ESP, Protocol.AH], ids=["esp", "ah"])
async def test_transport_mode_takes_nothing_in_clear_but_ike(
    make_host: MakeHost, protocol: Protocol
) -> None:
    settings = Settings(ike_ports=frozenset({500, 5500}))
    left, right = make_host("left"), make_host("right")
    async with joined(left, right, settings=settings) as pair:
        await host_to_host(pair, protocol=protocol)
        for port in settings.ike_ports:
            with Listener(left, LEFT, port) as ike:
                assert await ike.hears(right, RIGHT, clear=True)
        with Listener(left, LEFT) as protected:
            assert await protected.hears_nothing(right, RIGHT, left)
            assert await protected.hears(right, RIGHT, clear=False)
        assert (await pair.left.usage(0x1002))[1] == 1


@pytest.mark.parametrize("protocol", [Protocol.ESP, Protocol.AH], ids=["esp", "ah"])
async def test_fragments_of_protected_packets_pass_over_ipv6(
    make_host: MakeHost, protocol: Protocol
) -> None:
    """A rule sees them one by one. And neighbours are found."""
    async with joined(make_host("left"), make_host("right"), ends=ENDS6) as pair:
        left, right = (f"{end}/128" for end in ENDS6)
        for end, (own, peer) in ((pair.left, (left, right)), (pair.right, (right, left))):
            fields: dict[str, Any] = {"mode": Mode.TRANSPORT, "protocol": protocol}
            await end.path.add_policy(policy(Direction.OUT, own, peer, **fields))
            await end.path.add_policy(policy(Direction.IN, peer, own, **fields))
        both: dict[str, Any] = {"mode": Mode.TRANSPORT, "protocol": protocol}
        await pair.add(sa(*ENDS6, 0x1001, **both), sa(ENDS6[1], ENDS6[0], 0x1002, **both))
        assert await pair.left.ping(ENDS6[1])
        assert await pair.left.ping(ENDS6[1], size=5000)
        assert refused(pair.left.host) == refused(pair.right.host) == 0


async def test_the_first_policy_decides_over_clear_packets_too(pair: Pair) -> None:
    await tunnel(pair)
    pair.right.host.add_route(LEFT_NET, LEFT)
    bypass = policy(Direction.IN, RIGHT_NET, LEFT_NET, of_protocol=17, of_dst_port=9001)
    left, right, source = pair.left.host, pair.right.host, pair.right.inner
    with Listener(left, pair.left.inner, 9001) as open_, Listener(left, pair.left.inner) as closed:
        await pair.left.path.add_policy(replace(bypass, priority=1))  # behind the tunnel's, of 0
        assert await open_.hears_nothing(right, source, left)
        (strict,) = (each for each in await pair.left.path.policies()
                     if each.direction is Direction.IN and each.templates)  # fmt: skip
        await pair.left.path.add_policy(replace(strict, priority=2))
        assert await open_.hears(right, source, clear=True)
        assert await closed.hears_nothing(right, source, left)


async def test_a_firewall_that_flushes_everything_does_not_open_the_host(pair: Pair) -> None:
    await tunnel(pair)
    pair.right.host.add_route(LEFT_NET, LEFT)
    nft = require.program("nft")
    pair.left.host.run(nft, "flush", "ruleset")
    async with asyncio.timeout(5):
        while TABLE not in pair.left.host.run(nft, "list", "tables").stdout:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    with Listener(pair.left.host, pair.left.inner) as protected:
        assert await protected.hears(pair.right.host, pair.right.inner, clear=False)
        assert await protected.hears_nothing(pair.right.host, pair.right.inner, pair.left.host)

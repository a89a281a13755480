"""The userspace data path between two hosts: real devices, real sockets, real TCP."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import require
from lab.datapath import Pair, host_to_host, joined, opened, sas, transfer, tunnel
from lab.esp_values import (
    AES_GCM,
    LEFT,
    LEFT_NET,
    RIGHT,
    RIGHT_NET,
    policy,
    sa,
    tunnel_policies,
)
from lab.netns import Namespace, Veth, lose
from lab.process import Process
from xfrm.esp.reasons import Reason
from xfrm.model import (
    Direction,
    Encapsulation,
    Protocol,
)
from xfrm.tun.datapath import MARK

pytestmark = pytest.mark.interop

MakeHost = Callable[[str], Namespace]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"aead": AES_GCM},
        {"esn": True},
        {"encapsulation": Encapsulation()},
        {"encapsulation": Encapsulation(), "aead": AES_GCM},
        {"protocol": Protocol.AH},
    ],
    ids=["cbc", "gcm", "esn", "cbc-udp", "gcm-udp", "ah"],
)
async def test_ping_and_tcp_go_through_and_are_counted(pair: Pair, fields: dict[str, Any]) -> None:
    await tunnel(pair, **fields)
    assert await pair.left.ping(pair.right.inner)
    assert await pair.right.ping(pair.left.inner)
    assert await pair.left.usage(0x1001) == await pair.right.usage(0x1001) == (6 * 84, 6)
    octets = os.urandom(1 << 21)
    assert await pair.transfer(octets) == octets
    sent, _ = await pair.left.usage(0x1001)
    assert sent > 1 << 21
    assert not pair.left.path.counters
    assert not pair.right.path.counters


@pytest.mark.parametrize(
    "fields",
    [{}, {"aead": AES_GCM}, {"encapsulation": Encapsulation()}, {"protocol": Protocol.AH}],
    ids=["cbc", "gcm", "cbc-udp", "ah"],
)
async def test_host_to_host_in_transport_mode(pair: Pair, fields: dict[str, Any]) -> None:
    await host_to_host(pair, **fields)
    assert await pair.left.ping(RIGHT)
    assert await pair.right.ping(LEFT)
    assert await pair.left.usage(0x1001) == await pair.right.usage(0x1001) == (6 * 64, 6)
    assert await pair.left.ping(RIGHT, size=5000)
    octets = os.urandom(1 << 20)
    assert await pair.transfer(octets) == octets
    assert not pair.left.path.counters
    assert not pair.right.path.counters


async def test_what_comes_late_is_not_taken_for_lost(pair: Pair) -> None:
    """Nobody forwards while this thread waits elsewhere; ping is under way then."""
    await tunnel(pair)
    ping = asyncio.create_task(pair.left.ping(pair.right.inner))
    async with asyncio.timeout(5):
        while (await pair.left.usage(0x1002))[1] == 0:  # noqa: ASYNC110 - nobody tells of a packet
            await asyncio.sleep(0.001)
    pair.right.host.run("ping", "-c", "1", "-W", "0.5", "192.0.2.99", check=False)
    assert await ping
    assert await pair.left.usage(0x1001) == await pair.right.usage(0x1001) == (3 * 84, 3)


async def test_tcp_arrives_whole_over_a_lossy_link(pair: Pair) -> None:
    await tunnel(pair)
    lose(pair.wire, 3)
    octets = os.urandom(1 << 19)
    assert await pair.transfer(octets) == octets


async def test_packets_larger_than_the_link_are_cut_and_joined(pair: Pair) -> None:
    """Inside: what the device does not take whole. Outside: what the cable does not."""
    await tunnel(pair)
    assert await pair.left.ping(pair.right.inner, size=5000)
    for host in (pair.left.host, pair.right.host):
        host.link("eth0", mtu=600)
    assert await pair.left.ping(pair.right.inner, size=1300)
    assert await pair.left.ping(pair.right.inner, size=5000)
    octets = os.urandom(1 << 18)
    assert await pair.transfer(octets) == octets
    assert not pair.right.path.counters


async def test_ipv6_in_ipv6_and_ipv4_in_ipv6(make_host: MakeHost) -> None:
    ends = ("2001:db8:f::1", "2001:db8:f::2")
    nets = ("2001:db8:1::/64", "2001:db8:2::/64")
    inners = [net.replace("/64", "1") for net in nets]
    async with joined(make_host("left"), make_host("right"), ends=ends, nets=nets) as pair:
        pair.left.inner, pair.right.inner = inners
        await pair.add_policies(
            tunnel_policies((ends[0], nets[0]), (ends[1], nets[1])),
            tunnel_policies((ends[1], nets[1]), (ends[0], nets[0])),
        )
        for host, net in ((pair.left.host, LEFT_NET), (pair.right.host, RIGHT_NET)):
            host.add_address("lo", net.replace("0/24", "1/24"))
        await pair.add_policies(
            tunnel_policies((ends[0], LEFT_NET), (ends[1], RIGHT_NET)),
            tunnel_policies((ends[1], RIGHT_NET), (ends[0], LEFT_NET)),
        )
        await pair.add(sa(ends[0], ends[1], 0x1001), sa(ends[1], ends[0], 0x1002))
        assert await pair.left.ping(inners[1])
        assert await pair.left.ping(inners[1], size=4000)
        assert await pair.left.ping("10.2.0.1")
        octets = os.urandom(1 << 20)
        assert await pair.transfer(octets) == octets
        assert not pair.left.path.counters
        assert not pair.right.path.counters


async def test_ah_over_ipv6(make_host: MakeHost) -> None:
    ends = ("2001:db8:f::1", "2001:db8:f::2")
    async with joined(make_host("left"), make_host("right"), ends=ends) as pair:
        await pair.add_policies(
            tunnel_policies((ends[0], LEFT_NET), (ends[1], RIGHT_NET), protocol=Protocol.AH),
            tunnel_policies((ends[1], RIGHT_NET), (ends[0], LEFT_NET), protocol=Protocol.AH),
        )
        await pair.add(
            sa(ends[0], ends[1], 0x1001, protocol=Protocol.AH),
            sa(ends[1], ends[0], 0x1002, protocol=Protocol.AH),
        )
        assert await pair.left.ping(pair.right.inner)


async def test_hosts_behind_the_gateways_reach_each_other(make_host: MakeHost) -> None:
    left, right, client, server = (
        make_host(name) for name in ("left", "right", "client", "server")
    )
    async with joined(left, right, nets=("10.1.9.0/24", "10.2.9.0/24")) as pair:
        for gateway, behind, net in ((left, client, "10.1.0"), (right, server, "10.2.0")):
            Veth((gateway, "eth1"), (behind, "eth0"))
            gateway.add_address("eth1", f"{net}.254/24")
            gateway.sysctl("net.ipv4.ip_forward", "1")
            behind.add_address("eth0", f"{net}.1/24")
            behind.add_route("default", f"{net}.254")
        await tunnel(pair)
        words = ("ping", "-c", "3", "-l", "3", "-i", "2", "-W", "2", "-s", "3000", "10.2.0.1")
        await asyncio.to_thread(client.run, *words)
        octets = os.urandom(1 << 20)
        assert await transfer((client, "10.1.0.1"), (server, "10.2.0.1"), octets) == octets
        assert await transfer((server, "10.2.0.1"), (client, "10.1.0.1"), octets) == octets
        # A packet that may not be cut is told the size that fits.
        big = await asyncio.to_thread(
            client.run, "ping", "-c1", "-W2", "-M", "do", "-s", "1450", "10.2.0.1", check=False
        )
        assert "mtu" in (big.stdout + big.stderr).lower()
        assert not pair.right.path.counters


async def test_a_protected_network_may_contain_the_peer(pair: Pair) -> None:
    """Everything is protected; what carries the mark, as IKE and ESP do, is not."""
    await pair.add_policies(
        tunnel_policies((LEFT, "0.0.0.0/0"), (RIGHT, "0.0.0.0/0")),
        tunnel_policies((RIGHT, "0.0.0.0/0"), (LEFT, "0.0.0.0/0")),
    )
    await pair.add(*sas())
    assert await pair.left.ping(RIGHT)
    assert (await pair.left.usage(0x1001))[1] == 3

    listener = pair.right.host.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender = pair.left.host.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with listener, sender:
        listener.bind((RIGHT, 500))
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        sender.sendto(b"IKE", (RIGHT, 500))
        assert await asyncio.to_thread(listener.recv, 100) == b"IKE"
    assert (await pair.left.usage(0x1001))[1] == 3


def _mangle(pair: Pair, change: str) -> None:
    """Have a packet filter of the left host change the mark of all that the host sends."""
    pair.left.host.run("nft", "-f", "-", stdin=f"""
        table inet mangle {{
            chain output {{
                type route hook output priority mangle
                meta mark set {change}
            }}
        }}
    """)  # fmt: skip


async def test_other_bits_of_the_mark_are_free_for_others(pair: Pair) -> None:
    await pair.add_policies(
        tunnel_policies((LEFT, "0.0.0.0/0"), (RIGHT, "0.0.0.0/0")),
        tunnel_policies((RIGHT, "0.0.0.0/0"), (LEFT, "0.0.0.0/0")),
    )
    await pair.add(*sas())
    _mangle(pair, "meta mark | 0x010000ff")
    assert await pair.left.ping(RIGHT)
    assert (await pair.left.usage(0x1001))[1] == 3
    assert not pair.left.path.counters


async def test_our_own_packets_that_come_back_are_named_and_do_not_go_round(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    await pair.add_policies(
        tunnel_policies((LEFT, "0.0.0.0/0"), (RIGHT, "0.0.0.0/0")),
        tunnel_policies((RIGHT, "0.0.0.0/0"), (LEFT, "0.0.0.0/0")),
    )
    await pair.add(*sas())
    _mangle(pair, "1")
    assert not await pair.left.ping(RIGHT, count=1)
    assert pair.left.path.counters == {Reason.OUT_LOOP: 1}
    assert "bits 0xffff00 of the mark" in caplog.text


async def test_a_strict_reverse_path_filter_in_the_way_is_named(
    make_host: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """It drops what comes from a peer that is routed into the device."""
    async with joined(make_host("left"), make_host("right")) as pair:
        for setting, warnings in (("2", 0), ("1", 1)):
            pair.left.host.sysctl("net.ipv4.conf.all.rp_filter", setting)
            with pair.left.host.entered():
                await pair.left.path.add_policy(
                    policy(Direction.OUT, "0.0.0.0/0", "0.0.0.0/0", (LEFT, RIGHT))
                )
            assert caplog.text.count("rp_filter") == warnings


async def test_only_the_protected_port_goes_through_the_tunnel(pair: Pair) -> None:
    forth: dict[str, Any] = {"of_protocol": 6, "of_dst_port": 7000}
    back: dict[str, Any] = {"of_protocol": 6, "of_src_port": 7000}
    to_right, to_left = (LEFT_NET, RIGHT_NET, (LEFT, RIGHT)), (RIGHT_NET, LEFT_NET, (RIGHT, LEFT))
    await pair.add_policies(
        [policy(Direction.OUT, *to_right, **forth), policy(Direction.IN, *to_left, **back)],
        [policy(Direction.OUT, *to_left, **back), policy(Direction.IN, *to_right, **forth)],
    )
    await pair.add(*sas())
    pair.left.host.add_route("10.2.0.0/24", RIGHT)
    pair.right.host.add_route("10.1.0.0/24", LEFT)
    octets = os.urandom(1 << 16)
    assert await pair.transfer(octets, port=7001) == octets
    assert await pair.left.usage(0x1001) == (0, 0)
    assert await pair.transfer(octets, port=7000) == octets
    assert (await pair.left.usage(0x1001))[0] > 1 << 16


async def test_replayed_and_forged_packets_are_counted_and_dropped(pair: Pair) -> None:
    await tunnel(pair)
    spy = pair.right.host.socket(socket.AF_INET, socket.SOCK_RAW, 50)
    attacker = pair.left.host.socket(socket.AF_INET, socket.SOCK_RAW, 50)
    with spy, attacker:
        assert await pair.left.ping(pair.right.inner, count=1)
        packet = spy.recv(2000)[20:]
        before = await pair.right.usage(0x1001)
        for octets in (packet, packet, packet[:30] + b"\0" + packet[31:], b"\0\0\x99\x99" + packet):
            attacker.sendto(octets, (RIGHT, 0))
        expected = {Reason.IN_SEQUENCE: 3, Reason.IN_NO_STATES: 1}
        await pair.right.counted(expected)
        assert await pair.right.usage(0x1001) == before


async def test_the_example_of_the_documentation_runs(make_host: MakeHost) -> None:
    page = Path(__file__).parents[2] / "docs" / "datapath.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    host = make_host("host")
    far = Veth((host, "eth0"), (make_host("far"), "eth0")).right[0]
    host.add_address("eth0", f"{LEFT}/24")
    far.add_address("eth0", f"{RIGHT}/24")
    host.add_address("lo", "10.1.0.1/24")
    with Process([sys.executable, "-u", "-W", "error", "-c", example], namespace=host) as program:
        await program.line("mgu0 is up")
        with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"hello", ("10.2.0.1", 9))
        await program.line(f"keys are wanted for {LEFT} -> {RIGHT}")
        await program.line(re.escape("[(4097, 1)]"))


VICTIM = """
import asyncio
from lab.datapath import opened
from lab.esp_values import LEFT, RIGHT, tunnel_policies

async def main():
    async with opened(None, LEFT) as path:
        for network in ("10.2.0.0/24", "10.3.0.0/24"):
            for each in tunnel_policies((LEFT, "10.1.0.0/24"), (RIGHT, network)):
                await path.add_policy(each)
        print("protected", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_after_a_kill_nothing_leaves_in_clear_until_the_next_start_takes_over(
    make_host: MakeHost,
) -> None:
    host, far = make_host("left"), make_host("right")
    Veth((host, "eth0"), (far, "eth0"))
    host.add_address("eth0", f"{LEFT}/24")
    host.add_route("10.2.0.0/15", RIGHT)

    def way(to: str) -> str:
        done = host.run("ip", "route", "get", to, check=False)
        return done.stdout + done.stderr

    def refuses(network: str) -> bool:
        """What comes from there in clear."""
        address = network.partition("/")[0]
        return address in host.run(require.program("nft"), "list", "ruleset").stdout

    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    victim = [sys.executable, "-c", VICTIM]
    with Process(victim, namespace=host, env=environment) as program:
        await program.line("protected")
        assert "dev mgu0" in way("10.2.0.1")
        os.kill(program.pid, signal.SIGKILL)
    assert "No route to host" in way("10.2.0.1")
    assert "No route to host" in way("10.3.0.1")
    assert refuses("10.2.0.0/24")
    assert refuses("10.3.0.0/24")
    async with opened(host, LEFT) as path:
        assert "dev mgu0" in way("10.2.0.1")
        assert "dev mgu0" in way("10.3.0.1")
        kept = tunnel_policies((LEFT, "10.1.0.0/24"), (RIGHT, "10.2.0.0/24"))
        left = {(each.selector, each.direction): each for each in await path.policies()}
        assert len(left) == 6
        for each in kept:
            assert left.pop((each.selector, each.direction)).templates == each.templates
        for each in left.values():
            await path.delete_policy(each)
        assert f"via {RIGHT}" in way("10.3.0.1")
        assert refuses("10.2.0.0/24")
        assert not refuses("10.3.0.0/24")
    assert not refuses("10.2.0.0/24")
    assert f"via {RIGHT}" in way("10.2.0.1")
    assert not host.run("ip", "route", "show", "table", "4500", check=False).stdout

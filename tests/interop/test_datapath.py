"""The userspace data path between two hosts: real devices, real sockets, real TCP."""

import asyncio
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from lab.datapath import Pair, joined, transfer
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
from xfrm.dataplane import Acquire, Expire, Gone
from xfrm.esp.reasons import Reason
from xfrm.model import (
    Direction,
    Encapsulation,
    Lifetime,
    Mode,
    Protocol,
    SecurityAssociation,
)
from xfrm.tun.datapath import MARK, DataPath, Settings
from xfrm.tun.routes import TABLE

pytestmark = pytest.mark.interop

MakeHost = Callable[[str], Namespace]


def _sas(**fields: Any) -> tuple[SecurityAssociation, SecurityAssociation]:
    return sa(LEFT, RIGHT, 0x1001, **fields), sa(RIGHT, LEFT, 0x1002, **fields)


async def _tunnel(pair: Pair, **fields: Any) -> None:
    """Policies for the two networks, and SAs."""
    only = {"protocol": fields["protocol"]} if "protocol" in fields else {}
    await pair.add_policies(
        tunnel_policies((LEFT, LEFT_NET), (RIGHT, RIGHT_NET), **only),
        tunnel_policies((RIGHT, RIGHT_NET), (LEFT, LEFT_NET), **only),
    )
    await pair.add(*_sas(**fields))


async def _host_to_host(pair: Pair, **fields: Any) -> None:
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
    await pair.add(*_sas(mode=Mode.TRANSPORT, **fields))


@pytest.fixture(params=[True, False], ids=["large", "plain"])
async def pair(make_host: MakeHost, request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """With packets of up to 64 KB on the device, and without."""
    settings = Settings(offload=request.param)
    async with joined(make_host("left"), make_host("right"), settings=settings) as both:
        yield both


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
    await _tunnel(pair, **fields)
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
    await _host_to_host(pair, **fields)
    assert await pair.left.ping(RIGHT)
    assert await pair.right.ping(LEFT)
    assert await pair.left.usage(0x1001) == await pair.right.usage(0x1001) == (6 * 64, 6)
    assert await pair.left.ping(RIGHT, size=5000)
    octets = os.urandom(1 << 20)
    assert await pair.transfer(octets) == octets
    assert not pair.left.path.counters
    assert not pair.right.path.counters


async def test_tcp_arrives_whole_over_a_lossy_link(pair: Pair) -> None:
    await _tunnel(pair)
    lose(pair.wire, 3)
    octets = os.urandom(1 << 19)
    assert await pair.transfer(octets) == octets


async def test_packets_larger_than_the_link_are_cut_and_joined(pair: Pair) -> None:
    """Inside: what the device does not take whole. Outside: what the cable does not."""
    await _tunnel(pair)
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
        await _tunnel(pair)
        words = ("ping", "-c", "3", "-i", "0.05", "-W", "2", "-s", "3000", "10.2.0.1")
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
    await pair.add(*_sas())
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
    await pair.add(*_sas())
    pair.left.host.add_route("10.2.0.0/24", RIGHT)
    pair.right.host.add_route("10.1.0.0/24", LEFT)
    octets = os.urandom(1 << 16)
    assert await pair.transfer(octets, port=7001) == octets
    assert await pair.left.usage(0x1001) == (0, 0)
    assert await pair.transfer(octets, port=7000) == octets
    assert (await pair.left.usage(0x1001))[0] > 1 << 16


async def test_replayed_and_forged_packets_are_counted_and_dropped(pair: Pair) -> None:
    await _tunnel(pair)
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


# Life of policies and SAs


async def test_the_first_packet_asks_for_an_sa_and_waits_for_it(pair: Pair) -> None:
    await pair.add_policies(
        tunnel_policies((LEFT, LEFT_NET), (RIGHT, RIGHT_NET)),
        tunnel_policies((RIGHT, RIGHT_NET), (LEFT, LEFT_NET)),
    )
    ping = asyncio.create_task(pair.left.ping(pair.right.inner, count=1))
    acquire = await pair.left.event()
    assert isinstance(acquire, Acquire)
    assert (acquire.src, acquire.dst) == (ip_address(LEFT), ip_address(RIGHT))
    assert acquire.policy.selector.dst.with_prefixlen == RIGHT_NET
    for end in (pair.left, pair.right):
        spi = await end.path.allocate_spi(
            src=acquire.dst if end is pair.left else acquire.src,
            dst=ip_address(end.address),
            protocol=Protocol.ESP,
            mode=Mode.TUNNEL,
        )
        inbound = sa(RIGHT, LEFT, spi) if end is pair.left else sa(LEFT, RIGHT, spi)
        await end.path.update_sa(inbound)
        await (pair.right if end is pair.left else pair.left).path.add_sa(inbound)
    assert await ping


async def test_lifetimes_end_softly_then_hard(pair: Pair) -> None:
    await _tunnel(pair)
    forth, _ = _sas()
    await pair.left.path.delete_sa(forth.id)
    assert await pair.left.event() == Gone(forth.id)
    limits = Lifetime(soft_packets=2, hard_packets=3, soft_octets=10_000, hard_seconds=600)
    await pair.left.path.add_sa(replace(forth, lifetime=limits))
    assert await pair.left.ping(pair.right.inner, count=3)
    soft, hard = await pair.left.event(), await pair.left.event()
    assert isinstance(soft, Expire)
    assert isinstance(hard, Expire)
    assert (soft.hard, soft.sa.usage.packets, soft.sa.spi) == (False, 2, forth.spi)
    assert (hard.hard, hard.sa.usage.packets) == (True, 3)
    assert [each.spi for each in await pair.left.path.sas()] == [0x1002]


async def test_lifetimes_in_seconds_end_without_traffic(pair: Pair) -> None:
    forth, _ = _sas(lifetime=Lifetime(soft_seconds=1, hard_seconds=2))
    await pair.left.path.add_sa(forth)
    events = [await pair.left.event(), await pair.left.event()]
    assert [event.hard for event in events if isinstance(event, Expire)] == [False, True]
    assert await pair.left.path.sas() == []


async def test_routes_follow_the_policies_and_nothing_stays(make_host: MakeHost) -> None:
    host = make_host("host")
    host.add_address("lo", "10.1.0.1/24")
    before = [host.run("ip", *words).stdout for words in (("rule",), ("-6", "rule"), ("link",))]
    with host.entered():
        path = await DataPath.open(Settings(name="ipsec7", mtu=1300))

    def table() -> str:
        return host.run("ip", "route", "show", "table", str(TABLE), check=False).stdout

    out, inward, _ = tunnel_policies((LEFT, LEFT_NET), (RIGHT, RIGHT_NET))
    await path.add_policy(inward)
    assert table() == ""
    await path.add_policy(out)
    assert table().split()[:3] == ["10.2.0.0/24", "dev", "ipsec7"]
    assert "src 10.1.0.1" in table()
    assert "mtu 1300" in host.run("ip", "link", "show", "ipsec7").stdout
    await path.delete_policy(out)
    assert table() == ""
    await path.add_policy(out)
    await path.close()
    after = [host.run("ip", *words).stdout for words in (("rule",), ("-6", "rule"), ("link",))]
    assert after == before
    assert table() == ""


async def test_a_removed_device_is_reported_once(
    make_host: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    host = make_host("host")
    with host.entered():
        path = await DataPath.open()
    host.run("ip", "link", "delete", path.name)
    async with asyncio.timeout(5):
        while "is gone" not in caplog.text:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert caplog.text.count("is gone") == 1
    await path.close()
    assert f"lookup {TABLE}" not in host.run("ip", "rule").stdout


async def test_new_sas_take_over_under_traffic(pair: Pair) -> None:
    """Make before break, as IKE does it: nothing is lost, however often."""
    await _tunnel(pair)
    octets = os.urandom(1 << 22)
    sending = asyncio.create_task(pair.transfer(octets))
    number = 0
    while not sending.done():
        number += 1
        forth, back = sa(LEFT, RIGHT, 0x2000 + number), sa(RIGHT, LEFT, 0x3000 + number)
        for path, inbound in ((pair.right.path, forth), (pair.left.path, back)):
            await path.add_sa(inbound)
        for path, outbound in ((pair.left.path, forth), (pair.right.path, back)):
            await path.add_sa(outbound)
        await asyncio.sleep(0.02)
    assert await sending == octets
    assert number > 1
    assert not pair.left.path.counters
    assert not pair.right.path.counters


async def test_new_lifetimes_under_traffic_use_no_number_twice(pair: Pair) -> None:
    """The other end would count them as replayed; under GCM they would give the key away."""
    await _tunnel(pair, aead=AES_GCM)
    forth, _ = _sas(aead=AES_GCM)
    octets = os.urandom(1 << 22)
    sending = asyncio.create_task(pair.transfer(octets))
    seconds = 1000
    while not sending.done():
        seconds += 1
        lifetime = Lifetime(hard_seconds=seconds)
        await pair.left.path.update_sa(replace(forth, lifetime=lifetime))
        await asyncio.sleep(0)
    assert await sending == octets
    assert seconds > 1010
    assert not pair.right.path.counters
    (updated,) = [each for each in await pair.left.path.sas() if each.spi == forth.spi]
    assert updated.lifetime == lifetime
    assert updated.usage.octets > 1 << 22


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

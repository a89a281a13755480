"""The life of policies, SAs and the device itself, under traffic."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lab.datapath import End, Pair, sas, tunnel
from lab.esp_values import (
    AES_GCM,
    LEFT,
    LEFT_NET,
    RIGHT,
    RIGHT_NET,
    sa,
    tunnel_policies,
)
from lab.netns import Namespace
from xfrm.dataplane import Acquire, Expire, Gone
from xfrm.model import (
    Lifetime,
    Mode,
    Protocol,
)
from xfrm.tun.datapath import DataPath, Settings
from xfrm.tun.routes import TABLE

pytestmark = pytest.mark.interop

MakeHost = Callable[[str], Namespace]


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
    await tunnel(pair)
    forth, _ = sas()
    await pair.left.path.delete_sa(forth.id)
    assert await pair.left.event() == Gone(forth.id)
    limits = Lifetime(soft_packets=2, hard_packets=3, soft_octets=10_000, hard_seconds=600)
    await pair.left.path.add_sa(replace(forth, lifetime=limits))
    assert await pair.left.ping(pair.right.inner, count=2)
    soft = await pair.left.event()
    assert await pair.left.ping(pair.right.inner, count=1)
    hard = await pair.left.event()
    assert isinstance(soft, Expire)
    assert isinstance(hard, Expire)
    assert (soft.hard, soft.sa.usage.packets, soft.sa.spi) == (False, 2, forth.spi)
    assert (hard.hard, hard.sa.usage.packets) == (True, 3)
    assert [each.spi for each in await pair.left.path.sas()] == [0x1002]


async def test_an_address_that_comes_late_is_ours_at_once(pair: Pair) -> None:
    """A lease, for example: packets to it are the host's own, and packets from here carry it."""
    for end in (pair.left, pair.right):
        end.host.run("ip", "address", "del", f"{end.inner}/24", "dev", "lo")
    await tunnel(pair)
    for end in (pair.left, pair.right):
        end.host.add_address("lo", f"{end.inner}/24")
    assert await settled(pair, lambda shown: "src 10." in shown)
    assert await pair.left.ping(pair.right.inner)
    assert await pair.left.usage(0x1001) == await pair.right.usage(0x1001) == (3 * 84, 3)


async def test_routes_and_rules_that_somebody_takes_away_come_back(pair: Pair) -> None:
    await tunnel(pair)
    host, table = pair.left.host, str(TABLE)

    async def restored() -> bool:
        return await settled(pair, lambda shown: "450:" in shown and "dev mgu0" in shown)

    for words in (
        ("route", "flush", "table", table),
        ("rule", "del", "priority", "450"),
        ("link", "set", "mgu0", "down"),
    ):
        host.run("ip", *words)
        host.run("ip", "link", "set", "mgu0", "up")
        assert await restored()
    assert await pair.left.ping(pair.right.inner)
    assert await pair.left.usage(0x1001) == (3 * 84, 3)


async def settled(pair: Pair, wanted: Callable[[str], bool]) -> bool:
    """Whether both hosts' rules and routes become so, within 5 s."""

    def shown(end: End) -> str:
        words = (("ip", "rule"), ("ip", "route", "show", "table", str(TABLE)))
        return "".join(end.host.run(*each, check=False).stdout for each in words)

    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            while not all(wanted(shown(end)) for end in (pair.left, pair.right)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return True
    return False


async def test_lifetimes_in_seconds_end_without_traffic(pair: Pair) -> None:
    forth, _ = sas(lifetime=Lifetime(soft_seconds=1, hard_seconds=2))
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
    await tunnel(pair)
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
    await tunnel(pair, aead=AES_GCM)
    forth, _ = sas(aead=AES_GCM)
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

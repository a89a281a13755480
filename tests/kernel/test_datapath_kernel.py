"""The userspace data path on one host, Linux's own ESP on the other, with the same keys."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import pytest

from lab.datapath import End, Pair, joined, opened, transfer
from lab.esp_values import (
    AES_GCM,
    LEFT,
    LEFT_NET,
    RIGHT,
    RIGHT_NET,
    algorithm,
    policy,
    sa,
    tunnel_policies,
)
from lab.netns import Namespace, Veth
from wire.udp import Options, UdpEndpoint
from xfrm.aio.kernel import Kernel
from xfrm.algorithms import Kind
from xfrm.esp.reasons import Reason
from xfrm.model import Direction, Encapsulation, Mode, Protocol

pytestmark = pytest.mark.kernel

LEFT_INNER, RIGHT_INNER = "10.1.0.1", "10.2.0.1"


TRANSPORT: dict[str, Any] = {"mode": Mode.TRANSPORT}


@dataclass
class Mixed:
    """`ours` has the userspace data path, `theirs` the kernel's."""

    ours: End
    theirs: Namespace
    kernel: Kernel

    async def tunnel(self, **fields: Any) -> None:
        """Policies for the two networks, and SAs."""
        only = {"protocol": fields["protocol"]} if "protocol" in fields else {}
        here, there = (LEFT, LEFT_NET), (RIGHT, RIGHT_NET)
        sas = sa(LEFT, RIGHT, 0x1001, **fields), sa(RIGHT, LEFT, 0x1002, **fields)
        for plane, ends in ((self.ours.path, (here, there)), (self.kernel, (there, here))):
            for wanted in tunnel_policies(*ends, **only):
                await plane.add_policy(wanted)
            for each in sas:
                await plane.add_sa(each)

    async def host_to_host(self, **fields: Any) -> None:
        """Transport mode between the two hosts themselves."""
        only = {"protocol": fields["protocol"]} if "protocol" in fields else {}
        sas = (
            sa(LEFT, RIGHT, 0x1001, **TRANSPORT, **fields),
            sa(RIGHT, LEFT, 0x1002, **TRANSPORT, **fields),
        )
        for plane, here, there in (
            (self.ours.path, LEFT, RIGHT),
            (self.kernel, RIGHT, LEFT),
        ):
            for way, src, dst in ((Direction.OUT, here, there), (Direction.IN, there, here)):
                await plane.add_policy(policy(way, f"{src}/32", f"{dst}/32", **TRANSPORT, **only))
            for each in sas:
                await plane.add_sa(each)

    async def kernel_usage(self, spi: int) -> tuple[int, int]:
        (found,) = [each for each in await self.kernel.sas() if each.spi == spi]
        return found.usage.octets, found.usage.packets


@pytest.fixture
async def mixed(wire: Veth) -> AsyncIterator[Mixed]:
    ours, theirs = wire.left[0], wire.right[0]
    for host, address, inner in ((ours, LEFT, LEFT_INNER), (theirs, RIGHT, RIGHT_INNER)):
        host.add_address("eth0", f"{address}/24")
        host.add_address("lo", f"{inner}/24")
    theirs.run("ip", "route", "add", LEFT_NET, "via", LEFT, "src", RIGHT_INNER)
    async with AsyncExitStack() as stack:
        path = await stack.enter_async_context(opened(ours, LEFT))
        with theirs.entered():
            kernel = await stack.enter_async_context(await Kernel.open())
            options = Options(espinudp=True, bypass=True)
            endpoint = UdpEndpoint.open(ip_address(RIGHT), 4500, options)
            stack.callback(endpoint.close)
        yield Mixed(End(ours, path, LEFT, LEFT_INNER), theirs, kernel)


def _pair(encryption: str, authentication: str, bits: int = 0) -> dict[str, Any]:
    return {
        "encryption": algorithm(Kind.ENCRYPTION, encryption, bits=bits),
        "authentication": algorithm(Kind.AUTHENTICATION, authentication),
    }


CHOICES: dict[str, dict[str, Any]] = {
    "aes128-sha1": {},
    "aes256-sha256": _pair("cbc(aes)", "hmac(sha256)", 256),
    "aes192-sha512": _pair("cbc(aes)", "hmac(sha512)", 192),
    "3des-md5": _pair("cbc(des3_ede)", "hmac(md5)"),
    "null-sha1": _pair("ecb(cipher_null)", "hmac(sha1)"),
    "camellia-sha384": _pair("cbc(camellia)", "hmac(sha384)"),
    "aes128gcm16": {"aead": AES_GCM},
    "aes256gcm16-esn": {
        "aead": algorithm(Kind.AEAD, "rfc4106(gcm(aes))", bits=288, icv=128),
        "esn": True,
        "replay_window": 128,
    },
    "aes128-sha1-esn": {"esn": True, "replay_window": 1024},
    "udp-aes128-sha1": {"encapsulation": Encapsulation()},
    "udp-aes128gcm16": {"encapsulation": Encapsulation(), "aead": AES_GCM},
    "ah-sha1": {"protocol": Protocol.AH},
    "ah-sha256": {
        "protocol": Protocol.AH,
        "authentication": algorithm(Kind.AUTHENTICATION, "hmac(sha256)", icv=128),
    },
}


@pytest.mark.parametrize("name", CHOICES)
async def test_linux_opens_ours_and_we_open_linuxs(mixed: Mixed, name: str) -> None:
    await mixed.tunnel(**CHOICES[name])
    assert await mixed.ours.ping(RIGHT_INNER)
    assert await mixed.ours.ping(RIGHT_INNER, size=4000)
    octets = os.urandom(1 << 19)
    ours, theirs = (mixed.ours.host, LEFT_INNER), (mixed.theirs, RIGHT_INNER)
    assert await transfer(ours, theirs, octets) == octets
    assert await transfer(theirs, ours, octets) == octets
    assert not mixed.ours.path.counters


@pytest.mark.parametrize(
    "name", ["aes128-sha1", "aes128gcm16", "udp-aes128-sha1", "aes128-sha1-esn", "ah-sha256"]
)
async def test_transport_mode_with_linux(mixed: Mixed, name: str) -> None:
    await mixed.host_to_host(**CHOICES[name])
    assert await mixed.ours.ping(RIGHT)
    assert await mixed.ours.usage(0x1001) == await mixed.kernel_usage(0x1001) == (3 * 64, 3)
    assert await mixed.ours.ping(RIGHT, size=4000)
    octets = os.urandom(1 << 19)
    ours, theirs = (mixed.ours.host, LEFT), (mixed.theirs, RIGHT)
    assert await transfer(ours, theirs, octets) == octets
    assert await transfer(theirs, ours, octets) == octets
    assert not mixed.ours.path.counters


@pytest.mark.parametrize("protocol", [Protocol.ESP, Protocol.AH], ids=str)
async def test_linux_over_ipv6(mixed: Mixed, protocol: Protocol) -> None:
    left6, right6 = "2001:db8:f::1", "2001:db8:f::2"
    for host, address in ((mixed.ours.host, left6), (mixed.theirs, right6)):
        host.run("ip", "address", "add", f"{address}/64", "dev", "eth0", "nodad")
    here, there = (left6, LEFT_NET), (right6, RIGHT_NET)
    sas = (
        sa(left6, right6, 0x1001, protocol=protocol),
        sa(right6, left6, 0x1002, protocol=protocol),
    )
    for plane, ends in ((mixed.ours.path, (here, there)), (mixed.kernel, (there, here))):
        for wanted in tunnel_policies(*ends, protocol=protocol):
            await plane.add_policy(wanted)
        for each in sas:
            await plane.add_sa(each)
    assert await mixed.ours.ping(RIGHT_INNER)
    assert await mixed.ours.ping(RIGHT_INNER, size=4000)
    octets = os.urandom(1 << 19)
    ours, theirs = (mixed.ours.host, LEFT_INNER), (mixed.theirs, RIGHT_INNER)
    assert await transfer(ours, theirs, octets) == octets
    assert await transfer(theirs, ours, octets) == octets
    assert not mixed.ours.path.counters


async def test_both_count_the_same_octets_and_packets(mixed: Mixed) -> None:
    await mixed.tunnel()
    assert await mixed.ours.ping(RIGHT_INNER, count=5)
    for spi in (0x1001, 0x1002):
        usage = await mixed.ours.usage(spi)
        assert usage == await mixed.kernel_usage(spi) == (5 * 84, 5)


@pytest.fixture
async def pair(wire: Veth) -> AsyncIterator[Pair]:
    async with joined(wire.left[0], wire.right[0], cable=wire) as both:
        yield both


async def test_tcp_arrives_whole_over_a_link_that_reorders_and_repeats(pair: Pair) -> None:
    """What is repeated is refused; the window takes what comes late."""
    for end, policies in (
        (pair.left, tunnel_policies((LEFT, LEFT_NET), (RIGHT, RIGHT_NET))),
        (pair.right, tunnel_policies((RIGHT, RIGHT_NET), (LEFT, LEFT_NET))),
    ):
        for wanted in policies:
            await end.path.add_policy(wanted)
        netem = "root netem delay 2ms 2ms reorder 25% duplicate 5% loss 1% corrupt 1%"
        end.host.run("tc", "qdisc", "replace", "dev", "eth0", *netem.split())
    await pair.add(sa(LEFT, RIGHT, 0x1001), sa(RIGHT, LEFT, 0x1002))
    octets = os.urandom(1 << 20)
    assert await pair.transfer(octets) == octets
    counters = pair.right.path.counters
    assert counters[Reason.IN_SEQUENCE] > 0
    assert counters[Reason.IN_PROTOCOL] > 0

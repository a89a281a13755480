"""Packets through the SAs of a real kernel: both modes, counters, lifetimes, ACQUIRE, NAT-T."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

import pytest

from lab.netns import Namespace, Veth
from lab.xfrm_values import aes_cbc, hmac_sha1
from wire.secret import Secret
from xfrm.aio.kernel import Kernel
from xfrm.algorithms import TABLE, Kind, Row, by_setkey
from xfrm.dataplane import (
    Acquire,
    AlreadyThere,
    Event,
    Expire,
    Gone,
    Mapping,
    PolicyAdded,
    Unsupported,
    XfrmError,
)
from xfrm.model import (
    Algorithm,
    Direction,
    Encapsulation,
    Lifetime,
    Mark,
    Mode,
    Network,
    Policy,
    Protocol,
    SaId,
    SecurityAssociation,
    Selector,
    Template,
)

pytestmark = pytest.mark.kernel

A, B = ip_address("10.77.0.1"), ip_address("10.77.0.2")
NET_A, NET_B = ip_network("10.1.0.0/24"), ip_network("10.2.0.0/24")


@dataclass
class End:
    """One of the two hosts: the namespace, and its kernel as a data plane."""

    host: Namespace
    kernel: Kernel

    def ping(self, source: str, to: str, count: int = 3, check: bool = True) -> bool:
        done = self.host.run(
            "ping", "-c", str(count), "-i", "0.05", "-W", "2", "-I", source, to, check=check
        )
        return done.returncode == 0

    async def sa(self, spi: int) -> SecurityAssociation:
        (found,) = [sa for sa in await self.kernel.sas() if sa.spi == spi]
        return found


@dataclass
class Ends:
    a: End
    b: End

    async def add_sas(self, ab: SecurityAssociation) -> tuple[SecurityAssociation, ...]:
        """`ab` and its twin of the way back, at both ends."""
        ba = replace(ab, src=ab.dst, dst=ab.src, spi=ab.spi + 1)
        if ab.encapsulation is not None:
            ports = ab.encapsulation
            ba = replace(
                ba, encapsulation=Encapsulation(src_port=ports.dst_port, dst_port=ports.src_port)
            )
        for end in (self.a, self.b):
            for sa in (ab, ba):
                await end.kernel.add_sa(sa)
        return ab, ba

    async def add_policies(self, net_a: Network, net_b: Network, template: Template) -> None:
        for end, here, there in ((self.a, net_a, net_b), (self.b, net_b, net_a)):
            back = replace(template, src=template.dst, dst=template.src)
            outward, inward = (template, back) if end is self.a else (back, template)
            await end.kernel.add_policy(
                Policy(
                    selector=Selector(src=here, dst=there),
                    direction=Direction.OUT,
                    templates=(outward,),
                )
            )
            await end.kernel.add_policy(
                Policy(
                    selector=Selector(src=there, dst=here),
                    direction=Direction.IN,
                    templates=(inward,),
                )
            )


@pytest.fixture
async def ends(wire: Veth) -> AsyncIterator[Ends]:
    async with AsyncExitStack() as stack:
        made = []
        for (host, _), network in ((wire.left, "10.1.0.1/24"), (wire.right, "10.2.0.1/24")):
            with host.entered():
                kernel = await stack.enter_async_context(await Kernel.open())
            host.add_address("lo", network)
            made.append(End(host, kernel))
        made[0].host.add_route("10.2.0.0/24", str(B))
        made[1].host.add_route("10.1.0.0/24", str(A))
        yield Ends(*made)


def sa(**changes: object) -> SecurityAssociation:
    """ESP of the manual's default from A to B."""
    return replace(
        SecurityAssociation(
            src=A,
            dst=B,
            spi=0x1000,
            encryption=aes_cbc(),
            authentication=hmac_sha1(),
        ),
        **changes,  # type: ignore[arg-type]
    )


def tunnel(**changes: object) -> SecurityAssociation:
    return replace(sa(mode=Mode.TUNNEL), **changes)  # type: ignore[arg-type]


TRANSPORT = Template()
TUNNEL = Template(mode=Mode.TUNNEL, src=A, dst=B)


async def next_event(events: AsyncIterator[Event], within: float = 10.0) -> Event:
    """The next one that is not about the policies that the test has put there itself."""
    async with asyncio.timeout(within):
        while isinstance(event := await anext(events), PolicyAdded):
            pass
        return event


async def test_the_probe_finds_esp_and_leaves_nothing(ends: Ends) -> None:
    await ends.a.kernel.probe()
    assert await ends.a.kernel.sas() == []


async def test_ping_goes_through_transport_mode_and_is_counted(ends: Ends) -> None:
    ab, ba = await ends.add_sas(sa())
    await ends.add_policies(ip_network(A), ip_network(B), TRANSPORT)
    ends.a.ping(str(A), str(B))
    for end in (ends.a, ends.b):
        for each in (ab, ba):
            usage = (await end.sa(each.spi)).usage
            assert usage.packets == 3
            assert usage.octets == 3 * (8 + 56)  # ICMP header and data: no IP header is counted
            assert usage.added <= usage.used
    shown = ends.a.host.run("ip", "-s", "xfrm", "state").stdout
    assert shown.count("192(bytes), 3(packets)") == 2


async def test_ping_goes_through_a_tunnel_between_networks(ends: Ends) -> None:
    ab, _ = await ends.add_sas(tunnel())
    await ends.add_policies(NET_A, NET_B, TUNNEL)
    ends.a.ping("10.1.0.1", "10.2.0.1")
    usage = (await ends.b.sa(ab.spi)).usage
    assert (usage.packets, usage.octets) == (3, 3 * (20 + 8 + 56))  # with the inner IP header


async def test_without_the_sas_nothing_passes(ends: Ends) -> None:
    await ends.add_policies(NET_A, NET_B, TUNNEL)
    assert not ends.a.ping("10.1.0.1", "10.2.0.1", count=1, check=False)


async def test_an_sa_is_read_back_as_it_was_added(ends: Ends) -> None:
    wanted = tunnel(
        reqid=77,
        replay_window=128,
        lifetime=Lifetime(
            soft_seconds=80,
            hard_seconds=100,
            soft_octets=8_000,
            hard_octets=10_000,
            soft_packets=800,
            hard_packets=1_000,
        ),
        selector=Selector(src=NET_A, dst=NET_B, protocol=6, dst_port=80),
        mark=Mark(value=5),
        if_id=42,
    )
    await ends.a.kernel.add_sa(wanted)
    (found,) = await ends.a.kernel.sas()
    assert replace(found, usage=wanted.usage) == wanted
    shown = ends.a.host.run("ip", "xfrm", "state").stdout
    assert "proto esp spi 0x00001000 reqid 77 mode tunnel" in shown
    assert "auth-trunc hmac(sha1) 0x000102030405060708090a0b0c0d0e0f10111213 96" in shown
    assert "enc cbc(aes) 0x000102030405060708090a0b0c0d0e0f" in shown
    assert "if_id 0x2a" in shown
    # The mark belongs to its name.
    await ends.a.kernel.delete_sa(found.id)
    assert await ends.a.kernel.sas() == []


async def test_sha256_is_cut_to_128_bits_as_every_peer_expects(ends: Ends) -> None:
    sha256 = Algorithm(name="hmac(sha256)", key=Secret(bytes(32)))
    await ends.add_sas(sa(authentication=sha256))
    await ends.add_policies(ip_network(A), ip_network(B), TRANSPORT)
    ends.a.ping(str(A), str(B), count=1)
    assert re.search(r"auth-trunc hmac\(sha256\) 0x0+ 128\n", shown := ends.a.host.run(
        "ip", "xfrm", "state").stdout), shown  # fmt: skip


async def test_gcm_with_extended_sequence_numbers(ends: Ends) -> None:
    row = by_setkey(Kind.AEAD, "aes-gcm-16")
    assert row is not None
    gcm = row.algorithm(bytes(range(36)))
    ab, _ = await ends.add_sas(sa(encryption=None, authentication=None, aead=gcm, esn=True))
    await ends.add_policies(ip_network(A), ip_network(B), TRANSPORT)
    ends.a.ping(str(A), str(B))
    found = await ends.b.sa(ab.spi)
    assert (found.esn, found.aead, found.replay_window) == (True, gcm, 64)
    assert found.usage.packets == 3


async def test_ah(ends: Ends) -> None:
    ab, _ = await ends.add_sas(sa(protocol=Protocol.AH, encryption=None))
    await ends.add_policies(ip_network(A), ip_network(B), Template(protocol=Protocol.AH))
    ends.a.ping(str(A), str(B))
    assert (await ends.b.sa(ab.spi)).usage.packets == 3


async def test_ipv6_in_a_tunnel_over_ipv4(ends: Ends) -> None:
    """An SA without a selector carries either family."""
    for end, here, there in ((ends.a, "fd01::1", "fd02::"), (ends.b, "fd02::1", "fd01::")):
        end.host.add_address("lo", f"{here}/128")
        end.host.run("ip", "-6", "route", "add", f"{there}/64", "dev", "eth0")
    ab, _ = await ends.add_sas(tunnel())
    await ends.add_policies(ip_network("fd01::/64"), ip_network("fd02::/64"), TUNNEL)
    ends.a.ping("fd01::1", "fd02::1")
    assert (await ends.b.sa(ab.spi)).usage.packets == 3


def encapsulation_socket(host: Namespace, port: int) -> socket.socket:
    """What a keying daemon has: the kernel takes the ESP out of its UDP."""
    udp_encap, espinudp = 100, 2
    made = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.IPPROTO_UDP, udp_encap, espinudp)
    made.bind(("0.0.0.0", port))
    return made


async def test_esp_in_udp_and_a_peer_behind_a_nat_that_moves(ends: Ends) -> None:
    ab, ba = await ends.add_sas(tunnel(encapsulation=Encapsulation()))
    await ends.add_policies(NET_A, NET_B, TUNNEL)
    with (
        encapsulation_socket(ends.a.host, 4500),
        encapsulation_socket(ends.b.host, 4500),
        encapsulation_socket(ends.a.host, 4501),
    ):
        ends.a.ping("10.1.0.1", "10.2.0.1")
        found = await ends.b.sa(ab.spi)
        assert found.encapsulation == Encapsulation()
        assert found.usage.packets == 3
        # A's NAT gives it another port. B's kernel tells, once; its replies go to the old one.
        await ends.a.kernel.update_sa(replace(ab, encapsulation=Encapsulation(src_port=4501)))
        events = ends.b.kernel.events()
        ends.a.ping("10.1.0.1", "10.2.0.1", count=3, check=False)
        assert await next_event(events) == Mapping(
            sa=ab.id, reqid=0, old_src=A, old_port=4500, new_src=A, new_port=4501
        )
        await ends.b.kernel.add_sa(sa(spi=0x9999))
        await ends.b.kernel.delete_sa(sa(spi=0x9999).id)
        assert await next_event(events) == Gone(sa(spi=0x9999).id)
        # B follows with both SAs of the live pair, and keys and counters stay.
        await ends.b.kernel.update_sa(replace(ab, encapsulation=Encapsulation(src_port=4501)))
        await ends.b.kernel.update_sa(replace(ba, encapsulation=Encapsulation(dst_port=4501)))
        await ends.a.kernel.update_sa(replace(ba, encapsulation=Encapsulation(dst_port=4501)))
        ends.a.ping("10.1.0.1", "10.2.0.1")
        assert (await ends.b.sa(ab.spi)).usage.packets == 9


async def test_soft_and_hard_expiry_by_time(ends: Ends) -> None:
    events = ends.a.kernel.events()
    other = sa(spi=0x9999)  # for the first SA the kernel loads modules: its time begins before
    await ends.a.kernel.add_sa(other)
    await ends.a.kernel.delete_sa(other.id)
    assert await next_event(events) == Gone(other.id)
    # A busy guest stands still for a second; past both limits Linux tells the hard one only.
    await ends.a.kernel.add_sa(sa(lifetime=Lifetime(soft_seconds=1, hard_seconds=4)))
    soft, hard = [await next_event(events) for _ in range(2)]
    assert isinstance(soft, Expire)
    assert isinstance(hard, Expire)
    assert (soft.hard, soft.sa.id, soft.sa.larval) == (False, sa().id, False)
    assert (hard.hard, hard.sa.id, hard.sa.larval) == (True, sa().id, False)
    assert await ends.a.kernel.sas() == []


async def test_soft_and_hard_expiry_by_octets(ends: Ends) -> None:
    life = Lifetime(soft_octets=100, hard_octets=200)
    await ends.add_sas(sa(lifetime=life))
    await ends.add_policies(ip_network(A), ip_network(B), TRANSPORT)
    events = ends.a.kernel.events()
    ends.a.ping(str(A), str(B), count=5, check=False)
    kinds: dict[bool, Lifetime] = {}
    while len(kinds) < 2:
        event = await next_event(events)
        assert isinstance(event, Expire | Acquire)
        if isinstance(event, Expire):
            kinds[event.hard] = event.sa.lifetime
    assert kinds == {False: life, True: life}


async def test_acquire_reserve_update_and_the_packets_flow(ends: Ends) -> None:
    """The way of a keying daemon, without the negotiation."""
    template = replace(TUNNEL, reqid=5)
    await ends.add_policies(NET_A, NET_B, template)
    events = ends.a.kernel.events()
    assert not ends.a.ping("10.1.0.1", "10.2.0.1", count=1, check=False)
    acquire = await next_event(events)
    assert isinstance(acquire, Acquire)
    assert (acquire.src, acquire.dst) == (A, B)
    assert acquire.policy.templates == (template,)
    for inbound, outbound, src, dst in ((ends.a, ends.b, B, A), (ends.b, ends.a, A, B)):
        spi = await inbound.kernel.allocate_spi(
            src=src, dst=dst, protocol=Protocol.ESP, mode=Mode.TUNNEL, reqid=5
        )
        made = tunnel(src=src, dst=dst, spi=spi, reqid=5)
        await inbound.kernel.update_sa(made)
        await outbound.kernel.add_sa(made)
    # The larval SA of the ACQUIRE went when the real one came.
    assert len(await ends.a.kernel.sas()) == 2
    assert not any(each.larval for each in await ends.a.kernel.sas())
    ends.a.ping("10.1.0.1", "10.2.0.1")


async def test_a_larval_sa_that_expired_meanwhile_is_added_by_its_update(ends: Ends) -> None:
    kernel = ends.b.kernel
    spi = await kernel.allocate_spi(src=A, dst=B, protocol=Protocol.ESP, mode=Mode.TUNNEL)
    await kernel.delete_sa(SaId(B, Protocol.ESP, spi))
    await kernel.update_sa(tunnel(spi=spi))
    assert not (await ends.b.sa(spi)).larval


async def test_refusals_name_the_reason(ends: Ends) -> None:
    kernel = ends.a.kernel
    await kernel.add_sa(sa())
    with pytest.raises(AlreadyThere, match="cannot add esp SA 0x00001000 to"):
        await kernel.add_sa(sa())
    strange = Algorithm(name="rot(13)", key=Secret(bytes(16)))
    with pytest.raises(Unsupported, match=r"Requested CRYPT algorithm not found"):
        await kernel.add_sa(sa(spi=0x2000, encryption=strange))
    with pytest.raises(XfrmError, match="Invalid argument"):
        await kernel.add_sa(sa(spi=0x3000, encryption=aes_cbc(bytes(5))))


# What every kernel of a distribution has; the rest of the table may be compiled out.
NEEDED = {
    "3des-cbc", "null", "aes-cbc", "aes-ctr", "camellia-cbc", "hmac-md5", "hmac-sha1",
    "hmac-sha256", "hmac-sha384", "hmac-sha512", "aes-xcbc-mac", "aes-cmac", "aes-gcm-8",
    "aes-gcm-12", "aes-gcm-16", "aes-ccm-8", "aes-ccm-16", "deflate",
}  # fmt: skip


@pytest.mark.long
async def test_every_algorithm_of_the_table_is_the_kernels(ends: Ends) -> None:
    refused = set()
    for spi, row in enumerate(TABLE, 0x300):
        made = with_algorithm(row, spi)
        try:
            await ends.a.kernel.add_sa(made)
        except Unsupported:
            refused.add(row.setkey[0])
            continue
        found = await ends.a.sa(spi)
        assert (found.encryption, found.authentication, found.aead, found.compression) == (
            made.encryption,
            made.authentication,
            made.aead,
            made.compression,
        )
    assert not refused & NEEDED


def with_algorithm(row: Row, spi: int) -> SecurityAssociation:
    algorithm = row.algorithm(bytes(range(1, 65))[: row.key_bits[-1] // 8])
    bare = sa(spi=spi, encryption=None, authentication=None)
    match row.kind:
        case Kind.ENCRYPTION:
            return replace(bare, encryption=algorithm, authentication=hmac_sha1())
        case Kind.AUTHENTICATION:
            return replace(bare, encryption=aes_cbc(), authentication=algorithm)
        case Kind.AEAD:
            return replace(bare, aead=algorithm)
        case Kind.COMPRESSION:
            return replace(bare, protocol=Protocol.IPCOMP, compression=algorithm, replay_window=0)

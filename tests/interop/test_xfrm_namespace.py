"""The kernel over netlink in a namespace, with ESP or without: policies, SPIs, ACQUIRE, events."""

import asyncio
import contextlib
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from ipaddress import IPv4Network, ip_address, ip_network
from pathlib import Path

import pytest

from lab.netns import Namespace
from lab.process import Process
from xfrm.aio.kernel import Kernel
from xfrm.aio.transport import Events, Overflow, Requests
from xfrm.dataplane import (
    Acquire,
    Dataplane,
    Event,
    Expire,
    Gone,
    NoSuchEntry,
    PolicyAdded,
    PolicyGone,
    Resync,
    Unsupported,
)
from xfrm.model import Direction, Lifetime, Mode, Policy, Protocol, SaId, Selector, Template
from xfrm.netlink import requests
from xfrm.netlink.messages import MessageType
from xfrm.system.blocking import Client

pytestmark = pytest.mark.interop

POLICY_GROUP = 4  # XFRMNLGRP_POLICY
A, B = ip_address("10.9.0.1"), ip_address("10.9.0.2")


@pytest.fixture
def host() -> Iterator[Namespace]:
    with Namespace("xfrm") as namespace, namespace.entered():
        yield namespace


@pytest.fixture
async def kernel(host: Namespace) -> AsyncIterator[Kernel]:
    async with await Kernel.open() as opened:
        yield opened


def policy(number: int = 0, **changes: object) -> Policy:
    fields: dict[str, object] = {
        "selector": Selector(
            src=ip_network("10.9.0.0/24"), dst=IPv4Network((0x0A0A_0000 + number, 32))
        ),
        "direction": Direction.OUT,
        "templates": (Template(mode=Mode.TUNNEL, src=A, dst=B, reqid=7),),
        "priority": 2000,
    }
    return Policy(**(fields | changes))  # type: ignore[arg-type]


async def next_event(events: AsyncIterator[Event], within: float = 5.0) -> Event:
    async with asyncio.timeout(within):
        return await anext(events)


def test_the_kernel_is_a_data_plane() -> None:
    def takes(plane: type[Dataplane]) -> type[Dataplane]:
        return plane

    assert takes(Kernel) is Kernel


async def test_a_policy_is_listed_as_it_was_added_and_ip_shows_it(
    kernel: Kernel, host: Namespace
) -> None:
    wanted = policy(
        selector=Selector(
            src=ip_network("10.9.0.0/24"),
            dst=ip_network("10.10.0.0/16"),
            protocol=132,
            dst_port=2816,
        )
    )
    await kernel.add_policy(wanted)
    (found,) = await kernel.policies()
    assert found.index != 0
    assert (found.selector, found.direction, found.templates, found.priority) == (
        wanted.selector,
        wanted.direction,
        wanted.templates,
        wanted.priority,
    )
    shown = host.run("ip", "xfrm", "policy").stdout
    assert "src 10.9.0.0/24 dst 10.10.0.0/16 proto sctp dport 2816" in shown
    assert "tmpl src 10.9.0.1 dst 10.9.0.2" in shown
    assert "proto esp reqid 7 mode tunnel" in shown


async def test_adding_a_policy_again_replaces_it_and_deleting_twice_fails(kernel: Kernel) -> None:
    await kernel.add_policy(policy())
    await kernel.add_policy(policy(priority=3000))
    assert [found.priority for found in await kernel.policies()] == [3000]
    await kernel.delete_policy(policy())
    assert await kernel.policies() == []
    with pytest.raises(NoSuchEntry, match="cannot delete the out policy"):
        await kernel.delete_policy(policy())


async def test_policies_of_others_survive_open_and_close(host: Namespace) -> None:
    host.run("ip", "xfrm", "policy", "add", "src", "10.1.0.0/16", "dst", "10.2.0.0/16",
             "dir", "in", "action", "block")  # fmt: skip
    async with await Kernel.open() as kernel:
        await kernel.add_policy(policy())
        await kernel.delete_policy(policy())
    assert "10.1.0.0/16" in host.run("ip", "xfrm", "policy").stdout


async def test_a_policy_of_a_socket_is_listed_as_such(kernel: Kernel, host: Namespace) -> None:
    ip_xfrm_policy = 17
    bypass = bytes(requests.policy_message(MessageType.NEWPOLICY, policy(templates=())))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.setsockopt(socket.IPPROTO_IP, ip_xfrm_policy, bypass[:168])
        assert [found.per_socket for found in await kernel.policies()] == [True]


async def test_a_reserved_spi_is_a_larval_sa_and_can_be_given_back(kernel: Kernel) -> None:
    spi = await kernel.allocate_spi(src=A, dst=B, protocol=Protocol.ESP, mode=Mode.TUNNEL, reqid=9)
    assert spi >= 0x0100_0000
    (larval,) = await kernel.sas()
    assert (larval.spi, larval.larval, larval.mode, larval.reqid) == (spi, True, Mode.TUNNEL, 9)
    assert await kernel.sa(larval.id) == larval
    await kernel.delete_sa(SaId(B, Protocol.ESP, spi))
    with pytest.raises(NoSuchEntry):
        await kernel.sa(larval.id)


async def test_a_datagram_that_matches_a_policy_raises_acquire(
    kernel: Kernel, host: Namespace
) -> None:
    lay_cable(host)
    host.run("ip", "addr", "add", "10.9.0.1/24", "dev", "eth0")
    host.run("ip", "route", "add", "10.10.0.0/16", "dev", "eth0")
    # That the test need not wait 30 s for the larval SA to go
    host.run("sysctl", "-q", "-w", "net.core.xfrm_acq_expires=1")
    wanted = policy(selector=replace(policy().selector, dst=ip_network("10.10.0.0/16")))
    await kernel.add_policy(wanted)
    events = kernel.events()
    assert isinstance(await next_event(events), PolicyAdded)
    with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("10.9.0.1", 0))
        port = sender.getsockname()[1]
        with contextlib.suppress(OSError):
            sender.sendto(b"hello", ("10.10.0.1", 2816))
    acquire = await next_event(events)
    assert isinstance(acquire, Acquire)
    assert (acquire.src, acquire.dst) == (A, B)
    assert acquire.selector == Selector(
        src=ip_network("10.9.0.1/32"),
        dst=ip_network("10.10.0.1/32"),
        protocol=socket.IPPROTO_UDP,
        src_port=port,
        dst_port=2816,
    )
    assert acquire.policy.selector == wanted.selector
    assert acquire.policy.templates == wanted.templates
    # Nobody answered it: the larval SA goes, and says so.
    expire = await next_event(events)
    assert isinstance(expire, Expire)
    assert expire.hard
    assert expire.sa.larval


async def test_notifications_of_others_do_not_disturb_a_list(kernel: Kernel) -> None:
    """They carry their requester's sequence numbers, which may be the same as ours."""
    heard = Events((POLICY_GROUP,))
    await heard.open()
    asking = Requests()
    await asking.open()
    for number in range(300):
        message = requests.policy_message(MessageType.NEWPOLICY, policy(number))
        await asking.tell(message, "add a policy")
    counts = [len(await kernel.policies()) for _ in range(20)]
    assert counts == [300] * 20
    seen = 0
    async with asyncio.timeout(5):
        async for message in heard.messages():
            seen += message.type == MessageType.NEWPOLICY
            if seen == 300:
                break
    await asking.close()
    await heard.close()


async def test_many_policies_at_once_are_all_there_and_a_refused_one_stops_no_other(
    kernel: Kernel,
) -> None:
    wrong = replace(policy(77), direction=Direction.SOCKET_OUT)
    many = [policy(number) for number in range(1000)]
    many[77] = wrong
    results = await kernel.add_policies(many)
    refused = [number for number, result in enumerate(results) if result is not None]
    assert refused == [77]
    assert len(await kernel.policies()) == 999
    assert await kernel.add_policies(many[:10]) == [None] * 10  # in place of those


async def test_many_requests_and_dumps_at_once_all_get_their_own_answers(kernel: Kernel) -> None:
    await asyncio.gather(*(kernel.add_policy(policy(number)) for number in range(200)))
    tables = await asyncio.gather(*(kernel.policies() for _ in range(10)))
    assert {len(table) for table in tables} == {200}
    assert len({found.selector for found in tables[0]}) == 200


async def test_more_requests_than_sequence_numbers_can_be_made(kernel: Kernel) -> None:
    """pyroute2 hands out 65,280 numbers and must take them back; a few thousand show that."""
    for _ in range(3000):
        with pytest.raises(NoSuchEntry):
            await kernel.delete_sa(SaId(B, Protocol.ESP, 0x0123_4567))


async def test_lost_events_are_told_as_a_resync_and_later_ones_arrive(host: Namespace) -> None:
    heard = Events((POLICY_GROUP,), receive_buffer=4096)
    await heard.open()
    asking = Requests()
    await asking.open()
    kernel = Kernel(asking, heard, Client())
    for number in range(500):
        await kernel.add_policy(policy(number))
        # The loop reads what fits; nobody takes it from there, so nothing is lost yet.
    flood = [str(IPv4Network((0x0B00_0000 + number, 32))) for number in range(2000)]
    batch = "".join(f"policy add src 10.1.0.0/16 dst {dst} dir out\n" for dst in flood)
    host.run("ip", "-batch", "-", stdin=f"xfrm {batch}".replace("\npolicy", "\nxfrm policy"))
    events = kernel.events()
    told = [await next_event(events)]
    while told[-1] != Resync():
        told.append(await next_event(events))
    assert len(told) < 2500
    assert all(isinstance(event, PolicyAdded) for event in told[:-1])
    # The new socket hears what comes after.
    await kernel.add_policy(policy(9999))
    async with asyncio.timeout(5):
        try:
            message = await anext(aiter(heard.messages()))
        except Overflow:
            pytest.fail("the new socket lost events as well")
    assert message.type == MessageType.UPDPOLICY
    await kernel.close()


async def test_closing_ends_the_events(kernel: Kernel) -> None:
    async def all_events() -> list[Event]:
        return [event async for event in kernel.events()]

    reader = asyncio.create_task(all_events())
    await asyncio.sleep(0)
    await kernel.close()
    async with asyncio.timeout(5):
        assert await reader == []


async def test_without_a_capability_the_reason_is_said(host: Namespace) -> None:
    program = (
        "import asyncio\n"
        "from xfrm.aio.kernel import Kernel\n"
        "from xfrm.dataplane import XfrmError\n"
        "try:\n"
        "    asyncio.run(Kernel.open())\n"
        "except XfrmError as error:\n"
        "    print(error)\n"
    )
    done = host.run("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin",
                    sys.executable, "-c", program)  # fmt: skip
    assert "needs root (CAP_NET_ADMIN)" in done.stdout


async def test_the_probe_agrees_with_the_kernel(kernel: Kernel, host: Namespace) -> None:
    """A kernel without ESP is told apart by the same refusal that `ip` gets."""
    key = "0x" + "00" * 16
    tried = host.run(
        "ip", "xfrm", "state", "add", "src", str(A), "dst", str(B), "proto", "esp", "spi", "0x1000",
        "enc", "cbc(aes)", key, "auth", "hmac(sha1)", key, check=False,
    )  # fmt: skip
    if tried.returncode == 0:
        await kernel.probe()
        return
    with pytest.raises(Unsupported, match="userspace data path"):
        await kernel.probe()
    assert await kernel.sas() == []


async def test_sas_deleted_or_flushed_by_others_are_told(kernel: Kernel, host: Namespace) -> None:
    async def reserve() -> int:
        return await kernel.allocate_spi(src=A, dst=B, protocol=Protocol.ESP, mode=Mode.TUNNEL)

    spi = await reserve()
    host.run("ip", "xfrm", "state", "delete", "dst", str(B), "proto", "esp", "spi", str(spi))
    events = kernel.events()
    assert await next_event(events) == Gone(SaId(B, Protocol.ESP, spi))
    await reserve()
    host.run("ip", "xfrm", "state", "flush")
    assert await next_event(events) == Resync(policies=False)


async def test_policies_of_others_are_told_as_they_come_and_go(
    kernel: Kernel, host: Namespace
) -> None:
    events = kernel.events()
    traffic = ("src", "10.1.0.0/16", "dst", "10.2.0.0/16", "dir", "out")
    ends = ("src", str(A), "dst", str(B), "proto", "esp", "reqid", "7", "mode", "tunnel")
    host.run("ip", "xfrm", "policy", "add", *traffic, "tmpl", *ends)
    added = await next_event(events)
    assert isinstance(added, PolicyAdded)
    assert added.policy.templates == policy().templates
    host.run("ip", "xfrm", "policy", "delete", "index", str(added.policy.index), "dir", "out")
    gone = await next_event(events)
    assert isinstance(gone, PolicyGone)
    assert (gone.policy.index, gone.policy.selector) == (added.policy.index, added.policy.selector)
    await kernel.add_policy(policy(lifetime=Lifetime(hard_seconds=1)))
    assert isinstance(await next_event(events), PolicyAdded)
    ended = await next_event(events)
    assert isinstance(ended, PolicyGone)
    assert ended.policy.selector == policy().selector
    await kernel.add_policy(policy())
    host.run("ip", "xfrm", "policy", "flush")
    assert isinstance(await next_event(events), PolicyAdded)
    assert await next_event(events) == Resync(sas=False)


async def test_the_example_of_the_documentation_runs(host: Namespace) -> None:
    page = Path(__file__).parents[2] / "docs" / "xfrm.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    command = [sys.executable, "-u", "-W", "error", "-c", example]
    with Process(command, namespace=host) as program:
        await program.line("192.168.1.100/32 -> 192.168.2.0/24")
        lay_cable(host)
        host.run("ip", "address", "add", "192.168.1.100/24", "dev", "eth0")
        host.run("ip", "route", "add", "192.168.2.0/24", "via", "192.168.1.200")
        with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"hello", ("192.168.2.1", 9))
        await program.line("keys are wanted for 192.168.1.100 -> 192.168.1.200")


def lay_cable(host: Namespace) -> None:
    host.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
    host.run("ip", "link", "set", "eth0", "up")
    host.run("ip", "link", "set", "eth1", "up")

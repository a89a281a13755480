"""Policies into the kernel and out again: our ways, beside iproute2's `ip`.

Every round adds, lists and flushes the same policies by each way, in a namespace of its own; rounds
are interleaved, since other work on the machine disturbs all alike. The table has the medians in
policies a second, and the ratio to `ip`. `setkey -c` and `ip -batch` are whole processes: start,
reading the text, and the kernel. "one ip each" is what a shell script with `ip` costs.
"""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, ip_address, ip_network
from statistics import median

import pytest

from lab.netns import Namespace
from xfrm.aio.kernel import Kernel
from xfrm.model import Direction, Mode, Policy, Selector, Template
from xfrm.netlink import requests
from xfrm.netlink.answers import policy_of
from xfrm.netlink.messages import MessageType
from xfrm.setkey.run import Request
from xfrm.system.blocking import Client

ROUNDS = 5
COUNT = 3000
ONE_BY_ONE = 100  # `ip` processes: the rate is the same for few

POLICIES = [
    Policy(
        selector=Selector(
            src=ip_network("10.1.0.0/24"), dst=IPv4Network((0x0A80_0000 + number, 32))
        ),
        direction=Direction.OUT,
        templates=(
            Template(mode=Mode.TUNNEL, src=ip_address("10.0.0.1"), dst=ip_address("10.0.0.2")),
        ),
        priority=0x8000_0000,
    )
    for number in range(COUNT)
]
SETKEY = "".join(
    f"spdadd 10.1.0.0/24 {policy.selector.dst} any -P out ipsec"
    " esp/tunnel/10.0.0.1-10.0.0.2/require;\n"
    for policy in POLICIES
)
IP = [
    f"xfrm policy add src 10.1.0.0/24 dst {policy.selector.dst} dir out priority 2147483648"
    " tmpl src 10.0.0.1 dst 10.0.0.2 proto esp mode tunnel"
    for policy in POLICIES
]

Way = Callable[[Namespace], int]  # does it, and says how many


def kernel_adds(host: Namespace) -> int:
    async def add() -> None:
        async with await Kernel.open() as kernel:
            assert not any(await kernel.add_policies(POLICIES))

    with host.entered():
        asyncio.run(add())
    return COUNT


def client_adds(host: Namespace) -> int:
    with host.entered(), Client() as client:
        results = client.tell(
            [
                Request(requests.policy_message(MessageType.NEWPOLICY, policy), "add")
                for policy in POLICIES
            ]
        )
    assert results == [None] * COUNT
    return COUNT


def setkey_adds(host: Namespace) -> int:
    host.run(sys.executable, "-m", "mgu.main", "setkey", "-c", stdin=SETKEY)
    return COUNT


def ip_adds(host: Namespace) -> int:
    host.run("ip", "-batch", "-", stdin="\n".join(IP) + "\n")
    return COUNT


def one_ip_each_adds(host: Namespace) -> int:
    for line in IP[:ONE_BY_ONE]:
        host.run("ip", *line.split())
    return ONE_BY_ONE


def kernel_lists(host: Namespace) -> int:
    async def list_all() -> int:
        async with await Kernel.open() as kernel:
            return len(await kernel.policies())

    with host.entered():
        return asyncio.run(list_all())


def client_lists(host: Namespace) -> int:
    with host.entered(), Client() as client:
        answers = client.dump(Request(requests.dump_policies_message(), "list"))
        return len([policy_of(answer) for answer in answers])


def setkey_lists(host: Namespace) -> int:
    return host.run(sys.executable, "-m", "mgu.main", "setkey", "-DP").stdout.count("spid=")


def ip_lists(host: Namespace) -> int:
    return host.run("ip", "xfrm", "policy").stdout.count("dir out")


ADDING: dict[str, Way] = {
    "ip -batch": ip_adds,
    "setkey -c": setkey_adds,
    "blocking client": client_adds,
    "asyncio Kernel": kernel_adds,
    "one ip each": one_ip_each_adds,
}
LISTING: dict[str, Way] = {
    "ip xfrm policy": ip_lists,
    "setkey -DP": setkey_lists,
    "blocking client": client_lists,
    "asyncio Kernel": kernel_lists,
}


@pytest.fixture
def host() -> Iterator[Namespace]:
    with Namespace("bench") as namespace:
        yield namespace


def measure(host: Namespace, ways: dict[str, Way], *, fill: bool) -> None:
    rates: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for name, way in ways.items():
            host.run("ip", "xfrm", "policy", "flush")
            if fill:
                client_adds(host)
            begun = time.perf_counter()
            count = way(host)
            rates[name].append(count / (time.perf_counter() - begun))
    base = next(iter(rates))
    print(f"\n{'policies a second':<28}{'median':>10}{f'of {base}':>20}")
    for name, measured in rates.items():
        ratio = median(mine / his for mine, his in zip(measured, rates[base], strict=True))
        print(f"{name:<28}{median(measured):>10.0f}{ratio:>20.2f}")


def test_adding(host: Namespace) -> None:
    measure(host, ADDING, fill=False)


def test_listing(host: Namespace) -> None:
    measure(host, LISTING, fill=True)


def test_the_codec_alone() -> None:
    """Without a kernel: values to octets, and back."""
    best_out, best_in = 0.0, 0.0
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        messages = [requests.policy_message(MessageType.NEWPOLICY, each) for each in POLICIES]
        octets = [bytes(message) for message in messages]
        middle = time.perf_counter()
        kind = type(messages[0])
        back = [policy_of(kind.parse(MessageType.NEWPOLICY, each)) for each in octets]
        done = time.perf_counter()
        best_out = max(best_out, COUNT / (middle - begun))
        best_in = max(best_in, COUNT / (done - middle))
    assert back == POLICIES
    print(f"\ncodec: {best_out:.0f} policies/s to octets, {best_in:.0f} policies/s from octets")

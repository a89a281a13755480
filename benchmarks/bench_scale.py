"""The userspace data path with many policies and SAs: what one change, and one first packet, costs.

In a namespace of its own, with the kernel's routes and packet filter. `make bench` runs it; alone:
`pytest benchmarks/bench_scale.py -s -m ''`.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from lab.esp_values import policy, sa, tunnel_policies
from lab.forward_pair import Host
from xfrm.esp.packet import Flow
from xfrm.model import Direction, Policy, SecurityAssociation
from xfrm.tun.spd import Spd

OWN, OWN_NET = "192.0.2.1", "10.0.0.0/16"


def peer(number: int) -> tuple[str, str]:
    """Address and network of a peer."""
    return f"172.{16 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", (
        f"11.{number >> 8}.{number & 255}.0/24"
    )


def policies(count: int) -> Iterator[Policy]:
    for number in range(count):
        yield from tunnel_policies((OWN, OWN_NET), peer(number))


def sas(count: int) -> Iterator[SecurityAssociation]:
    for number in range(count):
        there, _ = peer(number)
        yield sa(OWN, there, 0x10000 + number)
        yield sa(there, OWN, 0x80000 + number)


def outbound(count: int) -> list[Policy]:
    return [
        policy(Direction.OUT, OWN_NET, peer(number)[1], (OWN, peer(number)[0]))
        for number in range(count)
    ]


def packet(number: int, port: int) -> bytes:
    """UDP from us to a host in a peer's network."""
    head = bytes.fromhex("4500001c0000000040110000") + bytes((10, 0, 0, 1))
    to = bytes((11, number >> 8, number & 255, 9))
    return head + to + port.to_bytes(2, "big") + bytes.fromhex("000900080000")


def test_put_10000_policies(benchmark: BenchmarkFixture) -> None:
    made = outbound(10_000)

    def put() -> None:
        spd = Spd()
        for each in made:
            spd.put(each, 0)

    benchmark.pedantic(put, rounds=3)  # type: ignore[no-untyped-call]


def host(tunnels: int, of_policies: int) -> Host:
    """A forwarder with so many tunnels, of which the first has traffic."""
    made = Host(OWN, "10.0.0.1")
    for each in outbound(of_policies):
        made.put(each)
    made.add(*sas(tunnels))
    made.forwarder.outbound((packet(0, 1),))
    return made


def test_the_first_packet_of_a_flow_at_10000_policies(benchmark: BenchmarkFixture) -> None:
    made, ports = host(1000, 10_000), iter(range(5000, 65_535))

    def first() -> None:
        made.forwarder.outbound((packet(777, next(ports)),))

    benchmark.pedantic(first, rounds=5000)  # type: ignore[no-untyped-call]
    assert len(made.sent) == 5001, made.counters


def test_one_sa_changed_at_1000_tunnels(benchmark: BenchmarkFixture) -> None:
    """The databases and what was decided; the cryptography of a new SA is measured apart."""
    made = host(1000, 1000)
    there, _ = peer(500)
    old = sa(OWN, there, 0x10000 + 500)

    def change() -> None:
        made.sad.delete(old.id)
        made.changed(old)

    def back() -> None:
        if made.sad.get(old.id) is None:
            made.sad.add(old, 0.0, 0)

    benchmark.pedantic(change, setup=back, rounds=2000)  # type: ignore[no-untyped-call]


def test_an_unknown_spi_in_udp_at_2000_sas(benchmark: BenchmarkFixture) -> None:
    made = host(1000, 1)
    octets = (0xDEADBEEF).to_bytes(4, "big") + bytes(60)
    source = ip_address("192.0.2.99")
    benchmark(made.inlet.encapsulated, octets, source, 4500)


def test_find_at_10000_policies(benchmark: BenchmarkFixture) -> None:
    spd = Spd()
    for each in outbound(10_000):
        spd.put(each, 0)
    flow = Flow(4, int(ip_address("10.0.0.1")), int(ip_address("11.9.9.9")), 17, 5, 9)
    benchmark(spd.find, Direction.OUT, flow)


# With the kernel's routes and packet filter


async def _connections(count: int) -> None:
    from xfrm.tun.datapath import DataPath

    async with await DataPath.open() as path:
        start = time.perf_counter()
        for each in policies(count):
            await path.add_policy(each)
        for made in sas(count):
            await path.add_sa(made)
        added = time.perf_counter()
        for made in sas(count):
            await path.delete_sa(made.id)
        for each in policies(count):
            await path.delete_policy(each)
        print(json.dumps([added - start, time.perf_counter() - added]))


@pytest.mark.parametrize("count", [250, 500, 1000])
def test_connections_added_and_removed(count: int) -> None:
    argv = ["unshare", "-rn", sys.executable, __file__, str(count)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    added, removed = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{count} connections: added in {added:.2f} s, removed in {removed:.2f} s")


if __name__ == "__main__":
    asyncio.run(_connections(int(sys.argv[1])))

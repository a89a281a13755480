"""The userspace data path with a kernel, in namespaces that an ordinary user can make.

`interop/` looks at each part; here is what a change of the code has to leave as it is.
"""

import os
import subprocess
import sys

HEAD = """
import asyncio, subprocess
from dataclasses import replace
from ipaddress import ip_address

from lab.datapath import host_to_host, joined, sas, tunnel
from lab.esp_values import LEFT, LEFT_NET, RIGHT, RIGHT_NET, policy, sa, tunnel_policies
from lab.netns import Namespace
from xfrm.dataplane import Acquire, Expire, Gone, XfrmError
from xfrm.model import Direction, Lifetime, Mode, Protocol
from xfrm.tun.datapath import Settings

def shown(host, *words):
    return host.run(*words, check=False).stdout

async def checked(pair):
"""
TAIL = """
async def main():
    with Namespace("left") as left, Namespace("right") as right:
        async with joined(left, right) as pair:
            await checked(pair)
        for host in (left, right):
            routes = shown(host, "ip", "route", "show", "table", "4500")
            rules = "450:" in shown(host, "ip", "rule")
            print(rules, routes, "mgu" in shown(host, "nft", "list", "ruleset"))

asyncio.run(main())
"""


def between_two_hosts(script: str) -> list[str]:
    """What `script` prints, the body of a coroutine with a `pair` of hosts; then all is gone."""
    body = "".join(f"    {line}\n" for line in script.strip().splitlines())
    run = 'mount -t tmpfs none /run && exec "$0" "$@"'
    argv = ["unshare", "-rnm", "sh", "-c", run, sys.executable, "-B", "-c", HEAD + body + TAIL]
    paths = [os.environ.get("PYTHONPATH", ""), *sys.path]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False, env=env)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-2:] == ["False  False"] * 2
    return lines[:-2]


def test_a_tunnel_of_both_families_and_what_comes_in_clear() -> None:
    said = between_two_hosts("""
await tunnel(pair)
for each in tunnel_policies((LEFT, "fd01::/64"), (RIGHT, "fd02::/64")):
    await pair.left.path.add_policy(each)
for each in tunnel_policies((RIGHT, "fd02::/64"), (LEFT, "fd01::/64")):
    await pair.right.path.add_policy(each)
for end, own in ((pair.left, "fd01::1/64"), (pair.right, "fd02::1/64")):
    end.host.run("ip", "-6", "address", "add", own, "dev", "lo", "nodad")
print(await pair.left.ping(pair.right.inner), await pair.left.ping("fd02::1"))
print(await pair.left.ping(pair.right.inner, size=3000), await pair.left.usage(0x1001))
print(await pair.transfer(bytes(100_000)) == bytes(100_000))
pair.right.host.add_route(LEFT_NET, LEFT)
await pair.right.path.delete_policy((await pair.right.path.policies())[0])
table = shown(pair.left.host, "nft", "list", "table", "inet", "mgu-ipsec")
print(pair.left.path.counters.total(), table.count("10.2.0.0"), table.count("fd02::"))
""")
    assert said[:3] == ["True True", said[1], "True"]
    assert said[1].startswith("True (")
    assert said[3] == "0 3 3"


def test_transport_mode_by_ah_and_by_esp_in_udp() -> None:
    said = between_two_hosts(
        """
from xfrm.model import Encapsulation
await host_to_host(pair, protocol=Protocol.AH)
print(await pair.left.ping(RIGHT), await pair.left.usage(0x1001))
print(await pair.left.ping(RIGHT, size=3000))
await pair.add(*(replace(each, spi=each.spi + 16) for each in sas(encapsulation=Encapsulation())))
await tunnel_in_udp(pair)
print(await pair.left.ping("10.2.0.1", source="10.1.0.1"), await pair.left.usage(0x1011))
print(pair.left.path.counters.total(), pair.right.path.counters.total())
""".replace(
            "await tunnel_in_udp(pair)",
            """\
here, there = (LEFT, LEFT_NET), (RIGHT, RIGHT_NET)
await pair.add_policies(tunnel_policies(here, there), tunnel_policies(there, here))""",
        )
    )
    assert said == ["True (192, 3)", "True", "True (252, 3)", "0 0"]


def test_an_ipv6_tunnel_outside_and_the_life_of_an_sa() -> None:
    said = between_two_hosts("""
await pair.left.path.close()
await pair.right.path.close()
left, right = pair.left.host, pair.right.host
ends = ("fd09::1", "fd09::2")
for host in (left, right):
    host.run("ip", "link", "del", "eth0", check=False)
async with joined(left, right, ends=ends, nets=("10.11.0.0/24", "10.12.0.0/24")) as six:
    here, there = (ends[0], "10.11.0.0/24"), (ends[1], "10.12.0.0/24")
    await six.add_policies(tunnel_policies(here, there), tunnel_policies(there, here))
    task = asyncio.create_task(six.left.ping("10.12.0.1", count=1))
    acquire = await six.left.event()
    print(type(acquire).__name__, acquire.src, acquire.dst, acquire.selector.protocol)
    life = Lifetime(soft_packets=2, hard_packets=4)
    await six.add(sa(*ends, 0x2001, lifetime=life), sa(ends[1], ends[0], 0x2002))
    print(await task, await six.left.ping("10.12.0.1", count=2))
    soft = await six.left.event()
    await six.left.ping("10.12.0.1", count=1)
    hard = await six.left.event()
    print(soft.hard, hard.hard, hard.sa.usage.packets)
    await six.left.path.delete_sa(sa(ends[1], ends[0], 0x2002).id)
    print(type(await six.left.event()).__name__, len(await six.left.path.sas()))
""")
    assert said == ["Acquire fd09::1 fd09::2 1", "True True", "False True 4", "Gone 0"]

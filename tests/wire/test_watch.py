"""What the kernel tells of a host's network, in namespaces that the tests made."""

import subprocess
import sys

import pytest

HEAD = """
import asyncio, subprocess
from wire.rtnetlink import Link, OwnAddress, Route, Rule
from wire.watch import HostWatch

def ip(*lines):
    subprocess.run(["ip", "-batch", "-"], input="\\n".join(lines), text=True, check=True)

async def until(happened):
    async with asyncio.timeout(20):
        while not happened():
            changed.clear()
            await changed.wait()

changed = asyncio.Event()
changes = []

def told(found):
    changes.extend(found)
    changed.set()

ip("link set lo up", "link add e0 type veth peer name e1", "link set e1 up")
"""


def in_a_namespace(script: str) -> str:
    """What `script` prints, run as a coroutine beside a cable e0--e1, of which e1 is up."""
    body = "".join(f"    {line}\n" for line in script.strip().splitlines())
    program = f"{HEAD}\nasync def main():\n{body}\nasyncio.run(main())\n"
    argv = ["unshare", "-rn", sys.executable, "-B", "-c", program]
    child = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert child.returncode == 0, child.stderr
    return child.stdout


def test_a_table_is_full_from_the_start_and_a_change_is_told_once() -> None:
    said = in_a_namespace("""
watch = HostWatch([Link], told)
print(sorted(link.name for link in watch.table.items()), changes)
watch.start()
ip("link set e0 up")
await until(lambda: any(each.after.name == "e0" and each.after.up for each in changes))
last = [each for each in changes if each.after.name == "e0"][-1]
print((last.before.carrier, last.after.carrier))
changes.clear()
ip("link set e0 promisc on", "link set e0 alias uplink", "link set e0 name e5")
named = lambda: [(each.before.name, each.after.name) for each in changes if "5" in each.after.name]
await until(named)
print(named())
watch.close()
""")
    assert said == "['e0', 'e1', 'lo'] []\n(False, True)\n[('e0', 'e5')]\n"


@pytest.mark.parametrize("address", ["10.9.0.1/24", "fd00::1/64"])
def test_a_refreshed_lease_is_no_change_and_a_new_address_and_its_end_are(address: str) -> None:
    said = in_a_namespace(f"""
ip("link set e0 up")
watch = HostWatch([OwnAddress], told)
watch.start()
own = lambda: [each for each in changes if str((each.after or each.before).address) in "{address}"]
lease = "addr replace {address} dev e0 valid_lft %d preferred_lft 50"
ip(lease % 100)
await until(lambda: own() and own()[-1].after.usable)
print(own()[0].before)
changes.clear()
ip(*(lease % (100 + count) for count in range(20)))
ip("addr del {address} dev e0")
await until(own)
print([each.after for each in own()])
""")
    assert said == "None\n[None]\n"


def test_after_an_overflow_the_table_is_the_kernels_again_and_each_difference_is_told() -> None:
    said = in_a_namespace("""
ip("addr add 10.1.0.1/32 dev lo")
watch = HostWatch([OwnAddress], told)
many = [f"10.2.{count >> 8}.{count & 255}/32" for count in range(3000)]
ip(*(f"addr add {each} dev lo" for each in many), "addr del 10.1.0.1/32 dev lo")
ip(*(f"addr del {each} dev lo" for each in many[:1000]))
watch.start()
await until(lambda: len(changes) >= 2001)
after = {str(each.after.address) for each in changes if each.after}
gone = {str(each.before.address) for each in changes if not each.after}
print(after - gone == {each.partition("/")[0] for each in many[1000:]}, "10.1.0.1" in gone)
print(len(list(watch.table.items())) - 2000)
""")
    assert said.startswith("True True\n")


def test_routes_and_rules_are_followed() -> None:
    said = in_a_namespace("""
ip("link set e0 up", "addr add 10.1.0.1/24 dev e0")
watch = HostWatch([Link, Route, Rule], told)
watch.start()
ip("rule add fwmark 7 table 4500 priority 450", "route add 10.3.0.0/16 dev e0 table 4500")
ip("route replace 10.3.0.0/16 via 10.1.0.9 table 4500", "rule del priority 450")
ip("route del 10.3.0.0/16 table 4500")
def ours():  # the kernel's own, of an IPv6 address that is ready late, come in between
    items = [(each, each.after or each.before) for each in changes]
    return [(each, item) for each, item in items if getattr(item, "table", 0) == 4500]
await until(lambda: len(ours()) == 5)
for each, item in ours():
    print(type(item).__name__, item.table, each.before is None, each.after is None)
""")
    assert said.splitlines() == [
        "Rule 4500 True False",
        "Route 4500 True False",
        "Route 4500 False False",
        "Rule 4500 False True",
        "Route 4500 False True",
    ]

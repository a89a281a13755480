"""Addresses of the host that come and go, in a namespace that the test made."""

import subprocess
import sys
from ipaddress import ip_address

from mgu.keying.addresses import addresses_gone
from wire.rtnetlink import Change, OwnAddress

SCRIPT = """
import asyncio, subprocess
from mgu.keying.addresses import AddressWatch

def ip(*lines):
    subprocess.run(["ip", "-batch", "-"], input="\\n".join(lines), text=True, check=True)

async def main():
    told = asyncio.Queue()
    watch = AddressWatch(told.put_nowait)
    ip("addr add 10.1.0.1/24 dev lo")
    print([str(each) for each in await told.get()])
    ip("addr replace 10.1.0.1/24 dev lo valid_lft 100 preferred_lft 50", "link set lo mtu 9000")
    ip("addr add 10.1.0.1/16 dev lo")
    print([str(each) for each in await told.get()])
    ip("addr del 10.1.0.1/24 dev lo")  # it is still there, with the other prefix
    print([str(each) for each in await told.get()])
    ip("addr del 10.1.0.1/16 dev lo")
    print([str(each) for each in await told.get()])
    watch.close()

asyncio.run(main())
"""


def test_the_addresses_that_went_are_told_and_none_when_one_came() -> None:
    argv = ["unshare", "-rn", sys.executable, "-B", "-c", SCRIPT]
    child = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (child.returncode, child.stdout) == (0, "[]\n[]\n[]\n['10.1.0.1']\n"), child.stderr


def own(text: str, prefix: int = 24, *, usable: bool = True) -> OwnAddress:
    return OwnAddress(1, ip_address(text), prefix, usable)


def test_an_address_is_gone_when_no_prefix_has_it_any_more() -> None:
    one, wide, six = own("10.1.0.1"), own("10.1.0.1", 16), own("fd00::1", 64)
    assert addresses_gone([Change(None, one)], [one]) == frozenset()
    assert addresses_gone([Change(one, None)], [wide]) == frozenset()
    assert addresses_gone([Change(one, None)], [six]) == frozenset({ip_address("10.1.0.1")})
    assert addresses_gone([Change(one, None), Change(None, wide)], [wide, six]) == frozenset()
    assert addresses_gone([Change(one, None), Change(six, None)], []) == frozenset(
        {ip_address("10.1.0.1"), ip_address("fd00::1")}
    )


def test_an_address_that_cannot_be_spoken_from_neither_comes_nor_goes() -> None:
    tentative, ready = own("fd00::1", usable=False), own("fd00::1")
    assert addresses_gone([Change(None, tentative)], [tentative]) is None
    assert addresses_gone([Change(tentative, ready)], [ready]) == frozenset()
    assert addresses_gone([Change(ready, tentative)], [tentative]) == frozenset(
        {ip_address("fd00::1")}
    )
    assert addresses_gone([], []) is None

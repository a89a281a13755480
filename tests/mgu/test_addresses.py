"""Addresses of the host that come and go, in a namespace that the test made."""

import subprocess
import sys

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

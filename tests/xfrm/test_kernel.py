"""The kernel's policies by the asyncio `Kernel`, in a namespace that an ordinary user can make.

`interop/test_xfrm_namespace.py` and `kernel/` have more, and SAs.
"""

import os
import subprocess
import sys

HEAD = """
import asyncio
from ipaddress import ip_address, ip_network
from lab.esp_values import LEFT, RIGHT, policy, sa
from wire.record import replace
from xfrm.aio.kernel import Kernel
from xfrm.dataplane import NoSuchEntry, PolicyAdded, PolicyGone, XfrmError
from xfrm.model import Direction, Mode, Protocol

def tunnel(number):
    return policy(Direction.OUT, "10.1.0.0/24", f"10.2.{number}.0/24", (LEFT, RIGHT), priority=7)

async def main():
    async with await Kernel.open() as kernel:
        events = kernel.events()
"""


def with_a_kernel(script: str) -> list[str]:
    """What `script` prints, the body of a coroutine with a `kernel` and its `events`."""
    body = "".join(f"        {line}\n" for line in script.strip().splitlines())
    paths = [os.environ.get("PYTHONPATH", ""), *sys.path]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    program = f"{HEAD}{body}\nasyncio.run(main())\n"
    argv = ["unshare", "-rn", sys.executable, "-B", "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_policies_come_are_listed_and_go_one_by_one_and_many_at_a_time() -> None:
    assert with_a_kernel("""
await kernel.add_policy(tunnel(0))
wrong = replace(tunnel(2), direction=Direction.SOCKET_OUT)
results = await kernel.add_policies([tunnel(1), wrong, *map(tunnel, range(3, 200))])
print([(at, str(each)[:40]) for at, each in enumerate(results) if each])
found = await kernel.policies()
print(len(found), {each.priority for each in found}, found[0].templates == tunnel(0).templates)
await kernel.delete_policy(tunnel(0))
try:
    await kernel.delete_policy(tunnel(0))
except NoSuchEntry as error:
    print(error)
told = [await anext(events) for _ in range(200)]
print({type(each).__name__ for each in told[:-1]}, told[-1].policy.selector == tunnel(0).selector)
print(type(told[-1]).__name__, len(await kernel.policies()), await kernel.sas())
""") == [
        "[(1, 'cannot add the socket_out policy 10.1.0.')]",
        "199 {7} True",
        "cannot delete the out policy 10.1.0.0/24 -> 10.2.0.0/24: No such file or directory",
        "{'PolicyAdded'} True",
        "PolicyGone 198 []",
    ]


def test_an_spi_is_reserved_and_given_back_and_an_sa_that_is_not_there_is_named() -> None:
    assert with_a_kernel("""
here, there = ip_address(LEFT), ip_address(RIGHT)
spi = await kernel.allocate_spi(
    src=there, dst=here, protocol=Protocol.ESP, mode=Mode.TUNNEL, reqid=5
)
(larval,) = await kernel.sas()
print(spi >= 256, larval.spi == spi, larval.larval, larval.reqid, str(larval.src) == RIGHT)
print((await kernel.sa(larval.id)).spi == spi)
await kernel.delete_sa(larval.id)
for ask in (kernel.sa, kernel.delete_sa):
    try:
        await ask(sa(spi=0x1001).id)
    except NoSuchEntry as error:
        print(error)
results = await kernel.add_sas([sa(spi=0x1001), sa(spi=0x1001)])
print(len(results), all(isinstance(each, XfrmError) for each in results if each))
""") == [
        "True True True 5 True",
        "True",
        "cannot look at esp SA 0x00001001 to 192.0.2.2: No such process",
        "cannot delete esp SA 0x00001001 to 192.0.2.2: No such process",
        "2 True",
    ]


def test_who_listens_ends_when_the_kernel_is_closed() -> None:
    assert with_a_kernel("""
waiting = asyncio.create_task(anext(events, "the end"))
await kernel.add_policy(tunnel(0))
print(type(await waiting).__name__)
waiting = asyncio.create_task(anext(events, "the end"))
await asyncio.sleep(0)
await kernel.close()
print(await waiting)
""") == ["PolicyAdded", "the end"]

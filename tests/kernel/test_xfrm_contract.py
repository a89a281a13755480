"""The kernel keeps the contract of a data plane; the userspace path keeps it in tests/interop."""

import pytest

from lab.dataplane_contract import CLAUSES, NET, Clause, named
from lab.netns import Namespace, Veth
from xfrm.aio.kernel import Kernel

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("clause", CLAUSES, ids=named)
async def test_the_kernel_keeps_the_contract(clause: Clause) -> None:
    with Namespace("plane") as host, Namespace("peer") as peer:
        Veth((host, "eth0"), (peer, "eth0"))
        host.add_address("eth0", NET)
        with host.entered():
            kernel = await Kernel.open()
        async with kernel:
            await clause(kernel)

"""The userspace data path keeps the contract that the kernel keeps (tests/kernel)."""

import pytest

from lab.dataplane_contract import CLAUSES, NET, Clause, named
from lab.netns import Namespace, Veth
from xfrm.tun.datapath import DataPath

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("clause", CLAUSES, ids=named)
async def test_the_userspace_data_path_keeps_the_contract(clause: Clause) -> None:
    with Namespace("plane") as host, Namespace("peer") as peer:
        Veth((host, "eth0"), (peer, "eth0"))
        host.add_address("eth0", NET)
        with host.entered():
            path = await DataPath.open()
        async with path:
            await clause(path)

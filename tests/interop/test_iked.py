"""Two of our own gateways, with the userspace data path, in namespaces."""

import time
from pathlib import Path

import pytest

from lab.keying import Keying
from lab.netns import Veth

pytestmark = pytest.mark.interop

SECRET = "--dst-preshared-key=shared by both"


@pytest.fixture
def gateways(wire: Veth, tmp_path: Path) -> tuple[Keying, Keying]:
    """The left one protects 10.1.0.0/24 behind it, the right one 10.2.0.0/24."""
    (left, _), (right, _) = wire.left, wire.right
    left.add_address("lo", "10.1.0.1/24")
    right.add_address("lo", "10.2.0.1/24")
    near = Keying(left, tmp_path / "left", {"MGU_DATAPLANE": "userspace"})
    far = Keying(right, tmp_path / "right", {"MGU_DATAPLANE": "userspace"})
    near.ipsec("--create", "--name=t", "--dst-address=10.77.0.2", SECRET,
               "--src-network=10.1.0.0/24", "--dst-network=10.2.0.0/24")  # fmt: skip
    far.ipsec("--create", "--name=t", "--dst-address=10.77.0.1", SECRET,
              "--src-network=10.2.0.0/24", "--dst-network=10.1.0.0/24")  # fmt: skip
    return near, far


def test_the_first_packet_brings_the_tunnel_up(gateways: tuple[Keying, Keying]) -> None:
    near, far = gateways
    with far.iked() as responder, near.iked() as initiator:
        begun = time.monotonic()
        ping = near.namespace.run("ping", "-c", "1", "-W", "5", "-I", "10.1.0.1", "10.2.0.1")
        print(f"first packet answered after {time.monotonic() - begun:.3f} s")
        assert "1 received" in ping.stdout
        initiator.wait_line(r"INFO: ISAKMP-SA established 10\.77\.0\.1\[500\]-10\.77\.0\.2\[500\]")
        initiator.wait_line(r"INFO: IPsec-SA established: ESP/Tunnel 10\.77\.0\.1\[0\]->")
        responder.wait_line(r"INFO: IPsec-SA established: ESP/Tunnel ")
        assert (near.tunnels(), far.tunnels()) == (1, 1)

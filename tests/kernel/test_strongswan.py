"""strongSwan 5.9 against the gateway's own daemon, both keying the kernel's ESP.

The left host is the gateway (`ipsec`, `mgu iked`, `racoonctl`), the right one runs strongSwan.
"""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from lab.keying import Keying, until
from lab.netns import Namespace, Veth
from lab.peers.strongswan import StrongSwan, Tunnel, strongswan

pytestmark = pytest.mark.kernel

SECRET: Final = "known to both ends"
TRANSPORT: Final = Tunnel(local="10.77.0.2", remote="10.77.0.1", secret=SECRET)
TUNNEL: Final = Tunnel(
    local="10.77.0.2",
    remote="10.77.0.1",
    secret=SECRET,
    local_network="10.2.0.0/24",
    remote_network="10.77.0.1/32",
)


@pytest.fixture
def gateway(wire: Veth, tmp_path: Path) -> Keying:
    return Keying(wire.left[0], tmp_path / "gateway", {"MGU_DATAPLANE": "kernel"})


@pytest.fixture
def office(wire: Veth) -> Namespace:
    """The right host; 10.2.0.1 is in the network behind it."""
    host = wire.right[0]
    host.add_address("lo", "10.2.0.1/24")
    wire.left[0].add_route("10.2.0.0/24", "10.77.0.2")
    return host


@pytest.fixture
def peer(office: Namespace, tmp_path: Path) -> Iterator[StrongSwan]:
    (tmp_path / "strongswan").mkdir()
    with strongswan(office, tmp_path / "strongswan", TRANSPORT) as running:
        yield running


def create(gateway: Keying, *more: str, secret: str = SECRET) -> None:
    gateway.ipsec(
        "--create", "--name=n", "--dst-address=10.77.0.2", f"--dst-preshared-key={secret}", *more
    )


def transfer(client: Namespace, server: Namespace, to: str, size: int) -> int:
    """Send `size` octets over TCP; how many arrived."""
    listener = server.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((to, 7000))
    listener.listen()
    received = 0

    def serve() -> None:
        nonlocal received
        accepted, _ = listener.accept()
        with accepted:
            while piece := accepted.recv(65536):
                received += len(piece)

    serving = threading.Thread(target=serve)
    serving.start()
    with client.socket(socket.AF_INET, socket.SOCK_STREAM) as sender:
        sender.settimeout(20)
        sender.connect((to, 7000))
        sender.sendall(bytes(size))
    serving.join(20)
    listener.close()
    return received


@pytest.mark.parametrize(
    ("tunnel", "to", "options"),
    [
        pytest.param(TRANSPORT, "10.77.0.2", (), id="transport", marks=pytest.mark.long),
        pytest.param(TUNNEL, "10.2.0.1", ("--dst-network=10.2.0.0/24",), id="tunnel"),
    ],
)
class TestBothModes:
    def test_our_first_packet_brings_the_sas_up_and_traffic_flows(
        self, gateway: Keying, peer: StrongSwan, tunnel: Tunnel, to: str, options: tuple[str, ...]
    ) -> None:
        peer.load(tunnel)
        create(gateway, *options)
        with gateway.iked() as daemon:
            gateway.ping(to, 1)  # the packet that asks for SAs; this kernel drops it
            daemon.wait_line(r"INFO: ISAKMP-SA established 10\.77\.0\.1\[500\]-10\.77\.0\.2\[500\]")
            daemon.wait_line(rf"INFO: IPsec-SA established: ESP/{'Tunnel|Transport'}")
            until(peer.established)
            assert gateway.ping(to)
            assert transfer(gateway.namespace, peer.namespace, to, 1 << 20) == 1 << 20
            assert min(gateway.octets()) > 100
            assert min(peer.octets()) > 1000
            assert peer.octets()[0] > 1 << 20

    def test_strongswan_brings_the_sas_up_and_traffic_flows(
        self, gateway: Keying, peer: StrongSwan, tunnel: Tunnel, to: str, options: tuple[str, ...]
    ) -> None:
        peer.load(tunnel)
        create(gateway, *options)
        with gateway.iked() as daemon:
            peer.initiate()
            daemon.wait_line(r"INFO: respond new phase 1 negotiation: 10\.77\.0\.2|INFO: respond")
            daemon.wait_line("INFO: IPsec-SA established: ESP/")
            until(lambda: gateway.tunnels() == 1)
            assert gateway.ping(to)
            assert transfer(gateway.namespace, peer.namespace, to, 1 << 20) == 1 << 20
            assert min(gateway.octets()) > 100
            assert peer.octets()[0] > 1 << 20

"""The gateway behind a NAT, strongSwan outside, on a real kernel; and the same without IPv4."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from lab.keying import Keying, until
from lab.netns import Namespace, Veth
from lab.peers.strongswan import Tunnel, strongswan

pytestmark = pytest.mark.kernel

SECRET: Final = "known to both ends"
_TRANSLATE: Final = (  # this kernel has no NAT for nft
    "tc qdisc add dev outside clsact",
    "tc filter add dev outside egress protocol ip matchall"
    " action nat egress 10.88.0.2/32 10.77.0.1",
    "tc filter add dev outside ingress protocol ip matchall"
    " action nat ingress 10.77.0.1/32 10.88.0.2",
)


@dataclass
class Translated:
    """The gateway is 10.88.0.2, seen from outside as 10.77.0.1; the peer is 10.77.0.2."""

    gateway: Keying
    outside: Namespace


@pytest.fixture
def translated(make_host: Callable[[str], Namespace], tmp_path: Path) -> Translated:
    inside, nat, outside = make_host("inside"), make_host("nat"), make_host("outside")
    Veth((inside, "eth0"), (nat, "inside"))
    Veth((nat, "outside"), (outside, "eth0"))
    inside.add_address("eth0", "10.88.0.2/24")
    nat.add_address("inside", "10.88.0.1/24")
    nat.add_address("outside", "10.77.0.1/24")
    outside.add_address("eth0", "10.77.0.2/24")
    outside.add_address("lo", "10.2.0.1/24")
    inside.add_route("10.77.0.0/24", "10.88.0.1")
    inside.add_route("10.2.0.0/24", "10.88.0.1")
    nat.sysctl("net.ipv4.ip_forward", "1")
    for command in _TRANSLATE:
        nat.run(*command.split())
    return Translated(Keying(inside, tmp_path / "gateway", {"MGU_DATAPLANE": "kernel"}), outside)


def test_a_tunnel_through_a_nat_carries_traffic_in_udp(
    translated: Translated, tmp_path: Path
) -> None:
    tunnel = Tunnel(
        local="10.77.0.2",
        remote="%any",
        identity="10.88.0.2",
        secret=SECRET,
        local_network="10.2.0.0/24",
        remote_network="10.88.0.2/32",
    )
    gateway = translated.gateway
    gateway.ipsec("--create", "--name=n", "--dst-address=10.77.0.2", "--dst-network=10.2.0.0/24",
                  f"--dst-preshared-key={SECRET}")  # fmt: skip
    with strongswan(translated.outside, tmp_path, tunnel) as peer, gateway.iked() as daemon:
        gateway.ping("10.2.0.1", 1)
        daemon.wait_line("INFO: NAT detected: ME")
        until(lambda: gateway.tunnels() == 1)
        assert gateway.ping("10.2.0.1")
        assert "TUNNEL-in-UDP" in peer.sas()
        assert "10.77.0.1[" in peer.sas()
        assert min(peer.octets()) >= 3 * 84


@pytest.mark.long
def test_transport_mode_through_a_nat_carries_traffic_in_udp(
    translated: Translated, tmp_path: Path
) -> None:
    tunnel = Tunnel(local="10.77.0.2", remote="%any", identity="10.88.0.2", secret=SECRET)
    gateway = translated.gateway
    gateway.ipsec("--create", "--name=n", "--dst-address=10.77.0.2",
                  f"--dst-preshared-key={SECRET}")  # fmt: skip
    with strongswan(translated.outside, tmp_path, tunnel) as peer, gateway.iked() as daemon:
        gateway.ping("10.77.0.2", 1)
        daemon.wait_line("INFO: NAT detected: ME")
        until(lambda: gateway.tunnels() == 1)
        assert gateway.ping("10.77.0.2")
        assert "TRANSPORT-in-UDP" in peer.sas()


@pytest.mark.long
@pytest.mark.parametrize("network", [None, "fd00:2::/64"], ids=["transport", "tunnel"])
def test_ipv6_is_keyed_and_protected_too(
    make_host: Callable[[str], Namespace], tmp_path: Path, network: str | None
) -> None:
    left, right = make_host("left"), make_host("right")
    Veth((left, "eth0"), (right, "eth0"))
    left.add_address("eth0", "fd00:77::1/64")
    right.add_address("eth0", "fd00:77::2/64")
    right.add_address("lo", "fd00:2::1/64")
    left.add_route("fd00:2::/64", "fd00:77::2")
    for host in (left, right):
        host.run("ip", "address", "change", "dev", "eth0", "fe80::1/64", "nodad", check=False)
    tunnel = Tunnel(
        local="fd00:77::2",
        remote="fd00:77::1",
        secret=SECRET,
        local_network=network,
        remote_network=network and "fd00:77::1/128",
    )
    gateway = Keying(left, tmp_path / "gateway", {"MGU_DATAPLANE": "kernel"})
    options = [f"--dst-network={network}"] if network else []
    gateway.ipsec("--create", "--name=n", "--src-address=fd00:77::1", "--dst-address=fd00:77::2",
                  f"--dst-preshared-key={SECRET}", *options)  # fmt: skip
    to = "fd00:2::1" if network else "fd00:77::2"
    with strongswan(right, tmp_path, tunnel) as peer, gateway.iked():
        until(lambda: peer.namespace.run("ping", "-c1", "-W1", "::1").returncode == 0)
        peer.initiate()
        until(lambda: gateway.tunnels() == 1)
        assert gateway.ping(to)
        assert min(peer.octets()) >= 3 * 64

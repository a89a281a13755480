"""strongSwan with kernel-libipsec against our userspace data path, on a kernel without ESP.

kernel-libipsec sends ESP in UDP only, so both ends are made to believe in a NAT.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from lab.keying import Keying, until
from lab.netns import Veth
from lab.peers.strongswan import StrongSwan, Tunnel, strongswan
from lab.pki import SERVER_NAME, site, write

pytestmark = pytest.mark.interop

SECRET: Final = "known to both ends"
TUNNEL: Final = Tunnel(
    local="10.77.0.2",
    remote="10.77.0.1",
    secret=SECRET,
    local_network="10.2.0.0/24",
    remote_network="10.77.0.1/32",
    encapsulate=True,
)


@pytest.fixture
def gateway(wire: Veth, tmp_path: Path) -> Keying:
    made = Keying(wire.left[0], tmp_path / "gateway", {"MGU_DATAPLANE": "userspace"})
    made.ipsec("--create", "--name=n", "--dst-address=10.77.0.2", "--dst-network=10.2.0.0/24",
               f"--dst-preshared-key={SECRET}")  # fmt: skip
    made.edit("etc/racoon/remote-10.77.0.2.conf", "nat_traversal on", "nat_traversal force")
    return made


@pytest.fixture
def peer(wire: Veth, tmp_path: Path) -> Iterator[StrongSwan]:
    host = wire.right[0]
    host.add_address("lo", "10.2.0.1/24")
    (tmp_path / "strongswan").mkdir()
    with strongswan(host, tmp_path / "strongswan", TUNNEL, userspace=True) as running:
        yield running


def test_our_first_packet_brings_the_tunnel_up_and_is_answered(
    gateway: Keying, peer: StrongSwan
) -> None:
    with gateway.iked() as daemon:
        gateway.ping("10.2.0.1", count=1)  # it may overtake our third message: strongSwan drops it
        assert gateway.ping("10.2.0.1", count=5)
        daemon.wait_line(r"INFO: IPsec-SA established: ESP/Tunnel 10\.77\.0\.1\[4500\]")
        assert "TUNNEL-in-UDP" in peer.sas()
        assert min(gateway.octets()) >= 5 * 84
        assert min(peer.octets()) >= 5 * 84


def test_strongswan_brings_the_tunnel_up_and_traffic_flows(
    gateway: Keying, peer: StrongSwan
) -> None:
    with gateway.iked() as daemon:
        peer.initiate()
        daemon.wait_line("INFO: IPsec-SA established: ESP/Tunnel")
        until(lambda: gateway.tunnels() == 1)
        reached = peer.namespace.run("ping", "-c3", "-i0.05", "-I", "10.2.0.1", "10.77.0.1")
        assert ", 0% packet loss" in reached.stdout
        assert gateway.ping("10.2.0.1")
        assert min(gateway.octets()) >= 6 * 84


def test_strongswan_deletes_the_tunnel_and_our_next_packet_makes_another(
    gateway: Keying, peer: StrongSwan
) -> None:
    with gateway.iked():
        peer.initiate()
        until(lambda: gateway.tunnels() == 1)
        peer.terminate()
        until(lambda: gateway.tunnels() == 0)
        assert "No SAD entries." in gateway.racoonctl("show-sa", "ipsec")
        gateway.ping("10.2.0.1", count=1)
        assert gateway.ping("10.2.0.1")


def test_stopping_the_connection_tells_strongswan(gateway: Keying, peer: StrongSwan) -> None:
    with gateway.iked():
        peer.initiate()
        until(lambda: gateway.tunnels() == 1)
        gateway.ipsec("--create", "--name=other", "--dst-address=10.77.0.9",
                      "--dst-preshared-key=x", "--dst-network=10.9.0.0/24", "--start")  # fmt: skip
        gateway.ipsec("--stop", "--name=n")
        until(lambda: peer.sas() == "")


@pytest.mark.parametrize("initiator", ["gateway", "strongswan"])
def test_both_sides_sign_with_rsa_certificates(
    gateway: Keying, peer: StrongSwan, tmp_path: Path, initiator: str
) -> None:
    made = site()
    ours = write(tmp_path, "gateway", made.client, made.root)
    theirs = write(tmp_path, "office", made.server, made.root)
    gateway.ipsec("--remove", "--name=n")
    gateway.ipsec("--create", "--name=n", "--dst-address=10.77.0.2", "--dst-network=10.2.0.0/24",
                  f"--dst-id={SERVER_NAME}", "--install-certs", f"--ca-cert-file={ours.ca}",
                  f"--cert-file-public={ours.certificate}",
                  f"--cert-file-private={ours.key}")  # fmt: skip
    gateway.edit("etc/racoon/remote-10.77.0.2.conf", "nat_traversal on", "nat_traversal force")
    peer.load(replace(TUNNEL, certificate=theirs))
    with gateway.iked():
        if initiator == "gateway":
            gateway.ping("10.2.0.1", 1)
        else:
            peer.initiate()
        until(lambda: gateway.tunnels() == 1)
        assert gateway.ping("10.2.0.1")
        assert "CN=gw-0001" in peer.sas()


@pytest.mark.long
def test_a_certificate_of_a_foreign_ca_is_refused_and_named(
    gateway: Keying, peer: StrongSwan, tmp_path: Path
) -> None:
    made, foreign = site(), site(name="Foreign Root")
    ours = write(tmp_path, "gateway", made.client, made.root)
    theirs = write(tmp_path, "office", foreign.server, foreign.root)
    gateway.ipsec("--remove", "--name=n")
    gateway.ipsec("--create", "--name=n", "--dst-address=10.77.0.2", "--dst-network=10.2.0.0/24",
                  f"--dst-id={SERVER_NAME}", "--install-certs", f"--ca-cert-file={ours.ca}",
                  f"--cert-file-public={ours.certificate}",
                  f"--cert-file-private={ours.key}")  # fmt: skip
    gateway.edit("etc/racoon/remote-10.77.0.2.conf", "nat_traversal on", "nat_traversal force")
    peer.load(replace(TUNNEL, certificate=theirs))
    with gateway.iked() as daemon:
        assert "failed" in peer.initiate(check=False)
        daemon.wait_line(r"ERROR: .*(certificate|CA)")
        assert gateway.tunnels() == 0

"""The life of a tunnel with strongSwan on a real kernel: renewed, deleted, refused, translated."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from lab.keying import Keying, until
from lab.netns import Veth
from lab.peers.strongswan import StrongSwan, Tunnel, strongswan

pytestmark = pytest.mark.kernel

SECRET: Final = "known to both ends"
TRANSPORT: Final = Tunnel(local="10.77.0.2", remote="10.77.0.1", secret=SECRET)


@pytest.fixture
def gateway(wire: Veth, tmp_path: Path) -> Keying:
    made = Keying(wire.left[0], tmp_path / "gateway", {"MGU_DATAPLANE": "kernel"})
    made.ipsec("--create", "--name=n", "--dst-address=10.77.0.2", f"--dst-preshared-key={SECRET}")
    return made


@pytest.fixture
def peer(wire: Veth, tmp_path: Path) -> Iterator[StrongSwan]:
    (tmp_path / "strongswan").mkdir()
    with strongswan(wire.right[0], tmp_path / "strongswan", TRANSPORT) as running:
        yield running


def spis(gateway: Keying) -> set[str]:
    shown = gateway.namespace.run("ip", "xfrm", "state").stdout.split()
    return {shown[at + 1] for at, word in enumerate(shown) if word == "spi"}


@pytest.mark.long
def test_strongswan_renews_the_child_and_no_packet_is_lost(
    gateway: Keying, peer: StrongSwan
) -> None:
    with gateway.iked() as daemon:
        peer.initiate()
        until(lambda: gateway.tunnels() == 1)
        before = spis(gateway)
        peer.swanctl("--rekey", "--child", "child")
        daemon.wait_line("INFO: respond new phase 2 negotiation")
        daemon.wait_line("INFO: respond new phase 2 negotiation")
        assert gateway.ping("10.77.0.2", 20)
        until(lambda: not before & spis(gateway))
        assert gateway.ping("10.77.0.2")


def test_we_renew_the_child_before_it_expires_and_no_packet_is_lost(
    gateway: Keying, peer: StrongSwan
) -> None:
    gateway.edit("etc/racoon.conf", "lifetime time 1 hour", "lifetime time 10 sec")
    with gateway.iked() as daemon:
        gateway.ping("10.77.0.2", 1)
        until(lambda: gateway.tunnels() == 1)
        before = spis(gateway)
        daemon.wait_line("INFO: initiate new phase 2 negotiation")
        assert gateway.ping("10.77.0.2", 200)  # 10 s
        daemon.wait_line("INFO: initiate new phase 2 negotiation", within=1)
        assert not before & spis(gateway)


@pytest.mark.long
def test_strongswans_delete_removes_our_sas_and_the_next_packet_makes_new_ones(
    gateway: Keying, peer: StrongSwan
) -> None:
    with gateway.iked() as daemon:
        peer.initiate()
        until(lambda: gateway.tunnels() == 1)
        peer.terminate()
        daemon.wait_line("INFO: purged IPsec-SA proto_id=ESP spi=")
        until(lambda: spis(gateway) == set())
        gateway.ping("10.77.0.2", 1)
        until(lambda: gateway.tunnels() == 1)
        assert gateway.ping("10.77.0.2")


@pytest.mark.long
def test_sas_that_an_administrator_flushes_are_made_anew(gateway: Keying, peer: StrongSwan) -> None:
    with gateway.iked() as daemon:
        peer.initiate()
        until(lambda: gateway.tunnels() == 1)
        gateway.namespace.run("ip", "xfrm", "state", "flush")
        daemon.wait_line("INFO: purged IPsec-SA spi=")
        until(lambda: gateway.tunnels() == 0)
        gateway.ping("10.77.0.2", 1)
        until(lambda: gateway.tunnels() == 1)
        assert gateway.ping("10.77.0.2")


def test_our_end_says_good_bye_and_leaves_nothing_behind(gateway: Keying, peer: StrongSwan) -> None:
    foreign = ("src", "10.1.1.1/32", "dst", "10.1.1.2/32", "dir", "out")
    gateway.namespace.run("ip", "xfrm", "policy", "add", *foreign, "action", "block")
    with gateway.iked():
        peer.initiate()
        until(lambda: gateway.tunnels() == 1)
    until(lambda: peer.sas() == "")
    assert spis(gateway) == set()
    left = gateway.namespace.run("ip", "xfrm", "policy").stdout
    assert [line for line in left.splitlines() if line.startswith("src")] == [
        "src 10.1.1.1/32 dst 10.1.1.2/32 "
    ]


def test_stopping_the_connection_deletes_its_sas_on_both_ends(
    gateway: Keying, peer: StrongSwan
) -> None:
    gateway.ipsec("--create", "--name=other", "--dst-address=10.77.0.9", "--dst-preshared-key=x")
    with gateway.iked():
        peer.initiate()
        until(lambda: gateway.tunnels() == 1)
        gateway.ipsec("--stop", "--name=n")
        until(lambda: peer.sas() == "")
        assert spis(gateway) == set()
        assert gateway.ping("10.77.0.2")  # in the clear, as before there was IPsec


def test_racoonctl_establishes_waits_and_disconnects(gateway: Keying, peer: StrongSwan) -> None:
    with gateway.iked():
        words = ("-w", "esp", "inet", "10.77.0.1/32", "10.77.0.2/32", "any")
        assert gateway.racoonctl("establish-sa", *words) == (
            "Phase 1 established : 10.77.0.1[500] -> 10.77.0.2[500]\n"
            "Phase 2 established : 10.77.0.1[500] -> 10.77.0.2[500]\n"
        )
        rows = gateway.racoonctl("-ll", "show-sa", "isakmp").splitlines()
        assert rows[1].startswith("10.77.0.1.500 ")
        assert rows[1].split()[3:7] == ["9", "I", "10", "M"]
        said = gateway.racoonctl("vpn-disconnect", "10.77.0.2")
        assert said.endswith("Phase 1 deleted : 10.77.0.1[500] -> 10.77.0.2[500]\n")
        until(lambda: peer.sas() == "")


def test_a_wrong_key_is_readable_on_both_sides_when_we_begin(
    gateway: Keying, peer: StrongSwan
) -> None:
    peer.load(replace(TRANSPORT, secret="another"))
    with gateway.iked() as daemon:
        gateway.ping("10.77.0.2", 1)
        daemon.wait_line(r"ERROR: .*pre-shared key")
        peer.process.wait_line("(could not decrypt payloads|invalid ID_V1 payload length)")
        assert gateway.tunnels() == 0


@pytest.mark.long
def test_a_wrong_key_is_readable_on_both_sides_when_strongswan_begins(
    gateway: Keying, peer: StrongSwan
) -> None:
    peer.load(replace(TRANSPORT, secret="another"))
    with gateway.iked() as daemon:
        assert "failed" in peer.initiate(check=False)
        daemon.wait_line(r"ERROR: .*pre-shared key")


def test_other_algorithms_than_offered_are_refused_with_both_lists(
    gateway: Keying, peer: StrongSwan
) -> None:
    peer.load(replace(TRANSPORT, ike="aes256-sha256-modp2048"))
    with gateway.iked() as daemon:
        assert "failed" in peer.initiate(check=False)
        daemon.wait_line(
            r"ERROR: .*the peer has: aes 256, sha256, .* configured here: aes 128, sha1"
        )


@pytest.mark.long
@pytest.mark.parametrize(
    "esp", ["aes256-sha256", "aes128-sha512", "3des-md5", "aes192-sha384", "null-sha1"]
)
def test_other_algorithms_carry_traffic_too(gateway: Keying, peer: StrongSwan, esp: str) -> None:
    peer.load(replace(TRANSPORT, esp=esp))
    ciphers = "aes 256, aes 128, 3des, aes 192, null_enc"
    hashes = "hmac_sha256, hmac_sha512, hmac_md5, hmac_sha384, hmac_sha1"
    gateway.edit(
        "etc/racoon.conf", "encryption_algorithm aes 128", f"encryption_algorithm {ciphers}"
    )
    gateway.edit("etc/racoon.conf", "algorithm hmac_sha1", f"algorithm {hashes}")
    with gateway.iked():
        peer.initiate()
        until(lambda: gateway.tunnels() == 1)
        assert gateway.ping("10.77.0.2")


def test_esp_travels_in_udp_when_a_nat_is_believed(gateway: Keying, peer: StrongSwan) -> None:
    gateway.edit("etc/racoon/remote-10.77.0.2.conf", "nat_traversal on", "nat_traversal force")
    with gateway.iked() as daemon:
        peer.initiate()
        daemon.wait_line(r"INFO: IPsec-SA established: ESP/Transport 10\.77\.0\.\d\[4500\]->")
        assert "in-UDP" in peer.sas()
        assert gateway.ping("10.77.0.2")

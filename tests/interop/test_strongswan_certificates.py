"""strongSwan and we, each with a certificate of an intermediate CA that the other does not know.

Userspace data path and kernel-libipsec, as in `test_strongswan_userspace.py`.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from lab import require
from lab.keying import Keying, until
from lab.netns import Veth
from lab.peers.strongswan import StrongSwan, Tunnel, strongswan
from lab.pki import Authority, Files, Issued, Usage, key, site, write

pytestmark = pytest.mark.interop

TUNNEL: Final = Tunnel(
    local="10.77.0.2",
    remote="10.77.0.1",
    local_network="10.2.0.0/24",
    remote_network="10.77.0.1/32",
    encapsulate=True,
)
CONF: Final = "etc/racoon/remote-10.77.0.2.conf"
OURS: Final = site(depth=4)  # the root, two rungs, the gateway's certificate


@pytest.fixture(scope="module")
def rung() -> Authority:
    """Another CA below the root: strongSwan's."""
    return OURS.root.intermediate("The office's CA", OURS.valid, key(whose="the office's CA"))


@pytest.fixture(scope="module")
def office(rung: Authority) -> Issued:
    return rung.issue("office", OURS.valid, key(whose="the office"), usage=Usage.IPSEC)


@pytest.fixture
def gateway(wire: Veth, tmp_path: Path) -> Keying:
    """It trusts the root and nothing else; its certificate's file holds the chain."""
    made = Keying(wire.left[0], tmp_path / "gateway", {"MGU_DATAPLANE": "userspace"})
    files = write(tmp_path, "gateway", OURS.client, OURS.root)
    made.ipsec("--create", "--name=n", "--dst-address=10.77.0.2", "--dst-network=10.2.0.0/24",
               "--dst-id=O=Branch Office Lab, CN=office",
               "--install-certs", f"--ca-cert-file={files.ca}",
               f"--cert-file-public={files.certificate}",
               f"--cert-file-private={files.key}")  # fmt: skip
    made.edit(CONF, "nat_traversal on", "nat_traversal force")
    return made


@pytest.fixture
def tunnel(tmp_path: Path, rung: Authority, office: Issued) -> Tunnel:
    folder = tmp_path / "strongswan"
    folder.mkdir()
    (folder / "rung.pem").write_bytes(rung.certificate_pem())
    files: Files = write(folder, "office", office, OURS.root)
    return replace(TUNNEL, certificate=files, intermediates=[folder / "rung.pem"])


@pytest.fixture
def peer(wire: Veth, tmp_path: Path, tunnel: Tunnel) -> Iterator[StrongSwan]:
    host = wire.right[0]
    host.add_address("lo", "10.2.0.1/24")
    with strongswan(host, tmp_path / "strongswan", tunnel, userspace=True) as running:
        yield running


@pytest.mark.parametrize("initiator", ["gateway", "strongswan"])
@pytest.mark.parametrize("fragments", ["on", "off"])
def test_each_side_proves_itself_to_one_that_has_only_the_root(
    gateway: Keying, peer: StrongSwan, initiator: str, fragments: str
) -> None:
    gateway.edit(CONF, "nat_traversal force", f"nat_traversal force; ike_frag {fragments}")
    with gateway.iked():
        if initiator == "gateway":
            gateway.ping("10.2.0.1", 1)
        else:
            peer.initiate()
        until(lambda: gateway.tunnels() == 1)
        assert gateway.ping("10.2.0.1")
        received = [line for line in peer.process.text.splitlines() if "received issuer" in line]
        assert len(received) == 2
        assert 'received end entity cert "O=Branch Office Lab, CN=gw-0001"' in peer.process.text
        assert 'sending issuer cert "O=Branch Office Lab, CN=The office\'s CA"' in (
            peer.process.text
        )


@pytest.mark.parametrize("initiator", ["gateway", "strongswan"])
def test_a_peer_that_a_new_crl_revokes_is_refused_after_a_reload(
    gateway: Keying, peer: StrongSwan, rung: Authority, office: Issued, initiator: str
) -> None:
    certs = gateway.root / "etc/racoon/certs"
    with gateway.iked() as daemon:
        peer.initiate()
        until(lambda: gateway.tunnels() == 1)
        peer.terminate()
        until(lambda: gateway.tunnels() == 0)
        crl = rung.crl([office], OURS.valid)
        (certs / "office.crl").write_bytes(crl.public_bytes(Encoding.PEM))
        gateway.namespace.run(require.program("openssl"), "rehash", str(certs))
        gateway.racoonctl("reload-config")
        if initiator == "gateway":
            gateway.ping("10.2.0.1", 1)
            daemon.wait_line("INFO: initiate new phase 1 negotiation")
        else:
            assert "failed" in peer.initiate(check=False, seconds=1)
        daemon.wait_line(
            r"ERROR: .*the certificate of CN=office,.* was revoked on .* as the CRL of CN="
        )
        assert gateway.tunnels() == 0


@pytest.mark.parametrize("initiator", ["gateway", "strongswan"])
def test_in_aggressive_mode_we_ask_for_the_certificate_that_strongswan_sends_if_asked(
    gateway: Keying, peer: StrongSwan, tunnel: Tunnel, initiator: str
) -> None:
    gateway.edit(CONF, "exchange_mode main", "exchange_mode aggressive")
    peer.load(replace(tunnel, aggressive=True))
    with gateway.iked() as daemon:
        if initiator == "gateway":
            gateway.ping("10.2.0.1", 1)
            daemon.wait_line("INFO: begin Aggressive mode")
        else:
            peer.initiate()
        until(lambda: gateway.tunnels() == 1)
        assert gateway.ping("10.2.0.1")
        assert 'sending end entity cert "O=Branch Office Lab, CN=office"' in peer.process.text


def test_strongswans_encrypted_refusal_of_our_identity_is_told_at_once(
    gateway: Keying, peer: StrongSwan, tunnel: Tunnel
) -> None:
    peer.load(replace(tunnel, identity="CN=somebody else"))
    with gateway.iked() as daemon:
        gateway.ping("10.2.0.1", 1)
        peer.process.wait_line("generating INFORMATIONAL_V1 request .* N\\(AUTH_FAILED\\)")
        daemon.wait_line("ERROR: notification AUTHENTICATION-FAILED received, encrypted", 2.0)
        daemon.wait_line("phase1 negotiation failed, the peer refuses it", 2.0)
        assert "cannot be decrypted" not in daemon.text

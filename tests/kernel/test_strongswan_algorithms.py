"""Each algorithm that strongSwan 5.9 and this daemon both have, with the kernel's ESP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from lab.keying import Keying, until
from lab.netns import Veth
from lab.peers.strongswan import StrongSwan, Tunnel, strongswan

pytestmark = pytest.mark.kernel

SECRET: Final = "known to both ends"
PHASE1: Final = {  # strongSwan's word: racoon.conf's cipher, hash and group
    "aes256-sha256-ecp256": ("aes 256", "sha256", "ecp256"),
    "aes256-sha384-ecp384": ("aes 256", "sha384", "ecp384"),
    "aes256-sha512-ecp521": ("aes 256", "sha512", "ecp521"),
    "aes128-sha1-ecp192": ("aes 128", "sha1", "ecp192"),
    "aes128-sha256-ecp224": ("aes 128", "sha256", "ecp224"),
    "aes128-sha256-ecp256bp": ("aes 128", "sha256", "ecp256bp"),
    "aes192-sha384-ecp384bp": ("aes 192", "sha384", "ecp384bp"),
    "aes256-sha512-ecp512bp": ("aes 256", "sha512", "ecp512bp"),
    "aes128-sha256-curve25519": ("aes 128", "sha256", "curve25519"),
    "camellia256-sha256-modp2048": ("camellia 256", "sha256", "modp2048"),
    "blowfish128-sha1-modp2048": ("blowfish 128", "sha1", "modp2048"),
    "cast128-sha1-modp2048": ("cast128 128", "sha1", "modp2048"),
}
PHASE2: Final = {  # strongSwan's word: racoon.conf's cipher, integrity and PFS group
    "aes128gcm16": ("aes_gcm_16 128", "hmac_sha1", None),
    "aes256gcm16-ecp256": ("aes_gcm 256", "hmac_sha1", "ecp256"),
    "aes192gcm12": ("aes_gcm_12 192", "hmac_sha1", None),
    "aes128gcm8": ("aes_gcm_8 128", "hmac_sha1", None),
    "aes128ccm16": ("aes_ccm_16 128", "hmac_sha1", None),
    "aes256ccm12": ("aes_ccm_12 256", "hmac_sha1", None),
    "aes128ccm8-curve25519": ("aes_ccm_8 128", "hmac_sha1", "curve25519"),
    "aes256ctr-sha256": ("aes_ctr 256", "hmac_sha256", None),
    "aes128-aesxcbc": ("aes 128", "aes_xcbc_mac", None),
    "aes128-sha384": ("aes 128", "hmac_sha384", None),
    "camellia128-sha256": ("camellia 128", "hmac_sha256", None),
    "blowfish256-sha1": ("blowfish 256", "hmac_sha1", None),
    "cast128-sha1": ("cast128 128", "hmac_sha1", None),
    "null-sha256": ("null_enc", "hmac_sha256", None),
}


@pytest.fixture
def gateway(wire: Veth, tmp_path: Path) -> Keying:
    made = Keying(wire.left[0], tmp_path / "gateway", {"MGU_DATAPLANE": "kernel"})
    made.ipsec("--create", "--name=n", "--dst-address=10.77.0.2", f"--dst-preshared-key={SECRET}")
    return made


@pytest.fixture
def peer(wire: Veth, tmp_path: Path) -> Iterator[StrongSwan]:
    (tmp_path / "strongswan").mkdir()
    with strongswan(wire.right[0], tmp_path / "strongswan", _tunnel()) as running:
        yield running


def _tunnel(**changes: str) -> Tunnel:
    return Tunnel(local="10.77.0.2", remote="10.77.0.1", secret=SECRET, **changes)  # type: ignore[arg-type]


def _configure(gateway: Keying, ike: str, esp: str) -> None:
    cipher, digest, group = PHASE1.get(ike, ("aes 128", "sha1", "modp1024"))
    remote = "etc/racoon/remote-10.77.0.2.conf"
    gateway.edit(remote, "encryption_algorithm aes 128", f"encryption_algorithm {cipher}")
    gateway.edit(remote, "hash_algorithm sha1", f"hash_algorithm {digest}")
    gateway.edit(remote, "dh_group modp1024", f"dh_group {group}")
    cipher, integrity, pfs = PHASE2.get(esp, ("aes 128", "hmac_sha1", None))
    words = f"encryption_algorithm {cipher};" + (f" pfs_group {pfs};" if pfs else "")
    gateway.edit("etc/racoon.conf", "encryption_algorithm aes 128;", words)
    gateway.edit("etc/racoon.conf", "hmac_sha1", integrity)


DEFAULTS: Final = ("aes128-sha1-modp1024", "aes128-sha1")
SAMPLE: Final = [("aes256-sha256-ecp256", "aes128gcm16")]  # the others are for `make test-all`


def all_others() -> list[tuple[str, str]]:
    return [(ike, DEFAULTS[1]) for ike in PHASE1] + [(DEFAULTS[0], esp) for esp in PHASE2]


@pytest.mark.parametrize("we_begin", [True, False], ids=["we begin", "strongSwan begins"])
@pytest.mark.parametrize(
    ("ike", "esp"),
    [*SAMPLE, *(pytest.param(*each, marks=pytest.mark.long) for each in all_others())],
)
def test_traffic_flows_with(
    gateway: Keying, peer: StrongSwan, ike: str, esp: str, we_begin: bool
) -> None:
    _configure(gateway, ike, esp)
    peer.load(_tunnel(ike=ike, esp=esp))
    with gateway.iked() as daemon:
        if we_begin:
            gateway.ping("10.77.0.2", 1)  # the packet that asks for SAs; this kernel drops it
        else:
            peer.initiate()
        daemon.wait_line("INFO: IPsec-SA established: ESP/Transport")
        until(peer.established)
        assert gateway.ping("10.77.0.2")
        assert min(gateway.octets()) > 100

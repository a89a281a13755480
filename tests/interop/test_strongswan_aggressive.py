"""Aggressive Mode with a pre-shared key against strongSwan, both roles, user-space ESP."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from lab.keying import Keying, until
from lab.netns import Veth
from lab.peers.strongswan import Tunnel, strongswan

pytestmark = pytest.mark.interop

SECRET: Final = "known to both ends"
TUNNEL: Final = Tunnel(
    local="10.77.0.2",
    remote="10.77.0.1",
    secret=SECRET,
    local_network="10.2.0.0/24",
    remote_network="10.77.0.1/32",
    encapsulate=True,
    aggressive=True,
)
CONF: Final = "etc/racoon/remote-10.77.0.2.conf"


@pytest.fixture
def gateway(wire: Veth, tmp_path: Path) -> Keying:
    made = Keying(wire.left[0], tmp_path / "gateway", {"MGU_DATAPLANE": "userspace"})
    made.ipsec("--create", "--name=n", "--dst-address=10.77.0.2", "--dst-network=10.2.0.0/24",
               f"--dst-preshared-key={SECRET}")  # fmt: skip
    made.edit(CONF, "nat_traversal on", "nat_traversal force")
    made.edit(CONF, "exchange_mode main", "exchange_mode aggressive")
    wire.right[0].add_address("lo", "10.2.0.1/24")
    (tmp_path / "strongswan").mkdir()
    return made


def test_we_begin(gateway: Keying, wire: Veth, tmp_path: Path) -> None:
    host = wire.right[0]
    with (
        strongswan(host, tmp_path / "strongswan", TUNNEL, userspace=True) as peer,
        gateway.iked() as daemon,
    ):
        gateway.ping("10.2.0.1", count=1)
        assert gateway.ping("10.2.0.1")
        daemon.wait_line("INFO: begin Aggressive mode")
        assert "parsed AGGRESSIVE request" in peer.process.text


def test_strongswan_begins(gateway: Keying, wire: Veth, tmp_path: Path) -> None:
    host = wire.right[0]
    with (
        strongswan(host, tmp_path / "strongswan", TUNNEL, userspace=True) as peer,
        gateway.iked(),
    ):
        peer.initiate()
        until(lambda: gateway.tunnels() == 1)
        assert gateway.ping("10.2.0.1")
        assert "parsed AGGRESSIVE response" in peer.process.text


def test_main_mode_is_refused_where_aggressive_mode_is_configured(
    gateway: Keying, wire: Veth, tmp_path: Path
) -> None:
    host, main = wire.right[0], replace(TUNNEL, aggressive=False)
    with (
        strongswan(host, tmp_path / "strongswan", main, userspace=True) as peer,
        gateway.iked() as daemon,
    ):
        peer.initiate(check=False)
        daemon.wait_line("not acceptable Identity Protection mode")
        assert gateway.tunnels() == 0

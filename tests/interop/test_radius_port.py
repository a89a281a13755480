"""Our switch's port with FreeRADIUS or hostapd's RADIUS server behind it; ours and Debian's
wpa_supplicant before it."""

from pathlib import Path

import pytest

from lab.gateway import debians, network, supplicant
from lab.netns import Veth
from lab.peers.freeradius import Settings, freeradius
from lab.peers.hostapd import OwnServer, radius_server
from lab.pki import Usage, site
from lab.switch import radius_switch

pytestmark = pytest.mark.interop

VLAN = {"Tunnel-Type": "VLAN", "Tunnel-Private-Group-Id": "42"}


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_freeradius_opens_our_port_to_our_supplicant_and_puts_it_into_a_vlan(
    wire: Veth, tmp_path: Path, version: str
) -> None:
    made = site()
    settings = Settings(server=made.server, ca=made.root, max_version=version, reply=VLAN)
    with (
        freeradius(wire.right[0], settings),
        radius_switch(wire.right[0], tmp_path) as port,
        supplicant(wire.left[0], network(tmp_path, made)) as gateway,
    ):
        assert gateway.authorized()["eap_tls_version"] == f"TLSv{version}"
        port.wait_line("^authorized b'gw-0001' .*Tunnel-Private-Group-ID=42")
        assert gateway.ask("LOGOFF") == "OK\n"
        port.wait_line("^unauthorized")


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_freeradius_opens_our_port_to_debians_wpa_supplicant(
    wire: Veth, tmp_path: Path, version: str
) -> None:
    made = site(depth=4)
    phase1 = f"tls_disable_tlsv1_3={int(version == 'TLSv1.2')}"
    settings = Settings(server=made.server, ca=made.root)
    with (
        freeradius(wire.right[0], settings),
        radius_switch(wire.right[0], tmp_path) as port,
        debians(wire.left[0], network(tmp_path, made), phase1) as gateway,
    ):
        assert gateway.authorized(within=20.0)["eap_tls_version"] == version
        port.wait_line("^authorized b'gw-0001'")
        assert gateway.ask("REAUTHENTICATE") == "OK\n"
        port.wait_line("^authorized b'gw-0001'")


def test_our_port_authenticates_again_and_stays_open(wire: Veth, tmp_path: Path) -> None:
    made = site()
    with (
        freeradius(wire.right[0], Settings(server=made.server, ca=made.root)),
        radius_switch(wire.right[0], tmp_path, "--reauth", "1") as port,
        debians(wire.left[0], network(tmp_path, made)),
    ):
        for _ in range(3):
            port.wait_line("^authorized b'gw-0001'", within=20.0)
        assert "unauthorized" not in port.text


def test_hostapds_radius_server_opens_our_port(wire: Veth, tmp_path: Path) -> None:
    made = site()
    with (
        radius_server(wire.right[0], tmp_path, OwnServer(server=made.server, ca=made.root)),
        radius_switch(wire.right[0], tmp_path) as port,
        supplicant(wire.left[0], network(tmp_path, made)) as gateway,
    ):
        gateway.authorized()
        port.wait_line("^authorized b'gw-0001'")


def test_a_client_that_freeradius_rejects_is_held_and_the_reason_is_said(
    wire: Veth, tmp_path: Path
) -> None:
    made = site()
    wanted = network(tmp_path, made, made.expired(Usage.CLIENT))
    with (
        freeradius(wire.right[0], Settings(server=made.server, ca=made.root)),
        radius_switch(wire.right[0], tmp_path) as port,
        supplicant(wire.left[0], wanted) as gateway,
    ):
        port.wait_line("the server sent Access-Reject")
        gateway.held()
        assert "authorized b" not in port.text

"""What must not open a port of hostapd, and what the administrator reads then."""

from dataclasses import replace
from pathlib import Path

import pytest

from eapol.settings import Network, TlsPolicy, TlsVersion
from lab.gateway import Supplicant, network, supplicant
from lab.netns import Veth
from lab.peers.authenticating import switch
from lab.peers.freeradius import Settings
from lab.peers.hostapd import OwnServer, hostapd
from lab.pki import KeyKind, Usage, site

pytestmark = pytest.mark.interop

VERSIONS = {"1.2": TlsVersion.TLS_1_2, "1.3": TlsVersion.TLS_1_3}


def refused(
    wire: Veth, folder: Path, settings: Settings | OwnServer, wanted: Network
) -> Supplicant:
    """The supplicant after a refusal: held, the port closed at both ends. It runs no more."""
    with switch(wire, folder, settings) as port, supplicant(wire.left[0], wanted) as gateway:
        gateway.process.wait_line("CTRL-EVENT-EAP-FAILURE")
        status = gateway.held()
        assert status["wpa_state"] == "ASSOCIATED"
        assert status["last_failure"]
        assert "IEEE 802.1X: authorizing port" not in port.process.text
    return gateway


def test_a_server_of_an_unknown_ca_is_refused(wire: Veth, tmp_path: Path) -> None:
    made, other = site(KeyKind.P256), site(KeyKind.P256, name="Other Root")
    settings = Settings(server=other.server, ca=made.root)
    gateway = refused(wire, tmp_path, settings, network(tmp_path, made))
    assert "CTRL-EVENT-EAP-TLS-CERT-ERROR reason=1 depth=0" in gateway.process.text
    assert "err='unable to get local issuer certificate'" in gateway.process.text


def test_an_expired_server_is_refused(wire: Veth, tmp_path: Path) -> None:
    made = site(KeyKind.P256)
    settings = Settings(server=made.expired(Usage.SERVER, KeyKind.P256), ca=made.root)
    gateway = refused(wire, tmp_path, settings, network(tmp_path, made))
    assert "CTRL-EVENT-EAP-TLS-CERT-ERROR reason=4 depth=0" in gateway.process.text
    assert "err='certificate has expired'" in gateway.process.text


def test_a_server_that_is_not_valid_yet_is_refused(wire: Veth, tmp_path: Path) -> None:
    made = site(KeyKind.P256)
    settings = Settings(server=made.not_yet_valid(Usage.SERVER, KeyKind.P256), ca=made.root)
    gateway = refused(wire, tmp_path, settings, network(tmp_path, made))
    assert "CTRL-EVENT-EAP-TLS-CERT-ERROR reason=3 depth=0" in gateway.process.text


def test_a_server_with_a_clients_certificate_is_refused(wire: Veth, tmp_path: Path) -> None:
    made = site(KeyKind.P256)
    settings = Settings(server=made.leaf(Usage.CLIENT, KeyKind.P256), ca=made.root)
    refused(wire, tmp_path, settings, network(tmp_path, made))


def test_a_server_of_another_name_is_refused(wire: Veth, tmp_path: Path) -> None:
    made = site(KeyKind.P256)
    named = replace(
        network(tmp_path, made), tls=TlsPolicy(domain_match=("radius.elsewhere.test",))
    )  # fmt: skip
    gateway = refused(wire, tmp_path, Settings(server=made.server, ca=made.root), named)
    assert "CTRL-EVENT-EAP-TLS-CERT-ERROR reason=10" in gateway.process.text


def test_a_revoked_server_is_refused_when_the_ca_file_holds_the_list(
    wire: Veth, tmp_path: Path
) -> None:
    made = site(KeyKind.P256)
    wanted = network(tmp_path, made)
    assert wanted.ca_cert is not None
    ca = Path(wanted.ca_cert)
    ca.write_bytes(ca.read_bytes() + made.crl_pem(made.server))
    gateway = refused(wire, tmp_path, Settings(server=made.server, ca=made.root), wanted)
    assert "CTRL-EVENT-EAP-TLS-CERT-ERROR reason=2" in gateway.process.text


def test_a_revoked_client_is_told_so_by_the_server(wire: Veth, tmp_path: Path) -> None:
    made = site(KeyKind.P256)
    settings = Settings(server=made.server, ca=made.root, crl=made.crl_pem(made.client))
    refused(wire, tmp_path, settings, network(tmp_path, made))


def test_a_revoked_client_is_refused_by_hostapds_own_server(wire: Veth, tmp_path: Path) -> None:
    made = site(KeyKind.P256)
    settings = OwnServer(server=made.server, ca=made.root, crl=made.crl_pem(made.client))
    refused(wire, tmp_path, settings, network(tmp_path, made))


def test_an_expired_client_is_told_so_by_the_server(wire: Veth, tmp_path: Path) -> None:
    made = site(KeyKind.P256)
    client = made.expired(Usage.CLIENT, KeyKind.P256)
    settings = Settings(server=made.server, ca=made.root)
    refused(wire, tmp_path, settings, network(tmp_path, made, client))


def test_two_ends_without_a_common_version_of_tls_end_in_held(wire: Veth, tmp_path: Path) -> None:
    made = site(KeyKind.P256)
    settings = Settings(server=made.server, ca=made.root, min_version="1.3")
    policy = TlsPolicy(max_version=TlsVersion.TLS_1_2)
    refused(wire, tmp_path, settings, replace(network(tmp_path, made), tls=policy))


def test_after_a_try_at_a_wrong_date_hostapd_opens_the_port_within_seconds_of_the_right_one(
    wire: Veth, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    clock.write_text(f"-{20 * 365 * 86_400 * 10**9}")
    made = site(KeyKind.P256)
    with (
        switch(wire, tmp_path, Settings(server=made.server, ca=made.root)) as port,
        supplicant(wire.left[0], network(tmp_path, made), env={"MGU_CLOCK": str(clock)}) as gateway,
    ):
        assert "not yet valid" in gateway.held()["last_failure"]
        clock.write_text("0")
        gateway.authorized(within=12.0)  # hostapd swallows Starts for some seconds after a failure
        port.authorized()


def test_a_radius_server_that_is_silent_is_named_in_the_status(wire: Veth, tmp_path: Path) -> None:
    """Its address is there, and nobody answers at it."""
    made = site(KeyKind.P256)
    with (
        hostapd(wire.right[0], tmp_path) as port,
        supplicant(wire.left[0], network(tmp_path, made)) as gateway,
    ):
        gateway.until(Supplicant_PAE_state="AUTHENTICATING")
        gateway.ask("SET EAPOL::authPeriod 3")
        gateway.ask("REASSOCIATE")
        shown = gateway.until(
            within=20.0,
            last_failure=(
                "no EAP request for 3 s: the switch or its RADIUS server does not answer; does the"
                " server run, and does it know this switch (address, secret)?"
            ),
        )
        assert shown["suppPortStatus"] == "Unauthorized"
        gateway.process.wait_line("WARNING: eth0: no EAP request for 3 s: the switch or its RADIUS")
        assert port.process.running

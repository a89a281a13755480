"""`mgu supplicant` at a port of hostapd, with FreeRADIUS behind it, or hostapd's own EAP server.

The switch's own word counts: `hostapd` says that it authorized the port.
"""

import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from eapol.settings import Network, TlsVersion
from lab.gateway import Supplicant, network, supplicant
from lab.netns import Veth
from lab.peers.authenticating import switch
from lab.peers.freeradius import Settings, freeradius
from lab.peers.hostapd import OwnServer, hostapd
from lab.pki import KeyKind, Usage, site
from lab.process import Process
from mgu.wpa_ctrl import Client
from wire.secret import Secret

pytestmark = pytest.mark.interop

VERSIONS = {"1.2": TlsVersion.TLS_1_2, "1.3": TlsVersion.TLS_1_3}


@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.P256])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_freeradius_opens_the_port_over_each_version_of_tls(
    wire: Veth, tmp_path: Path, version: str, kind: KeyKind
) -> None:
    made = site(kind)
    settings = Settings(server=made.server, ca=made.root, max_version=version)
    with (
        switch(wire, tmp_path, settings) as port,
        supplicant(wire.left[0], network(tmp_path, made)) as gateway,
    ):
        port.authorized()
        status = gateway.authorized()
        assert status["eap_tls_version"] == f"TLSv{version}"
        assert status["selectedMethod"] == "13 (EAP-TLS)"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_freeradius_opens_the_port_with_chains_of_four_certificates_at_both_ends(
    wire: Veth, tmp_path: Path, version: str
) -> None:
    made = site(KeyKind.RSA_2048, depth=4)
    assert len(made.client.chain) == 2  # and the client's own, and the root
    settings = Settings(server=made.server, ca=made.root, max_version=version)
    with (
        switch(wire, tmp_path, settings) as port,
        supplicant(wire.left[0], network(tmp_path, made)) as gateway,
    ):
        port.authorized()
        assert gateway.authorized()["eap_tls_version"] == f"TLSv{version}"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_small_fragments_are_put_together_at_both_ends(
    wire: Veth, tmp_path: Path, version: str
) -> None:
    made = site(KeyKind.P256)
    settings = Settings(
        server=made.server, ca=made.root, max_version=version, fragment_size=150
    )  # fmt: skip
    wanted = replace(network(tmp_path, made), fragment_size=100)
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], wanted) as gateway:
        port.authorized()
        gateway.authorized()
        frames = int(dict(_lines(gateway.ask("MIB")))["dot1xSuppEapolReqFramesRx"])
        assert frames > 15  # without fragmentation there are 5


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_hostapds_own_server_opens_the_port(wire: Veth, tmp_path: Path, version: str) -> None:
    made = site(KeyKind.RSA_2048, depth=4)
    flags = "[ENABLE-TLSv1.3]" if version == "1.3" else "[DISABLE-TLSv1.3]"
    settings = OwnServer(server=made.server, ca=made.root, tls_flags=flags)
    with (
        switch(wire, tmp_path, settings) as port,
        supplicant(wire.left[0], network(tmp_path, made)) as gateway,
    ):
        port.authorized()
        assert gateway.authorized()["eap_tls_version"] == f"TLSv{version}"


def test_the_port_is_open_before_wpa_supplicant_would_say_its_first_word(
    wire: Veth, tmp_path: Path
) -> None:
    made = site(KeyKind.P256)
    with switch(wire, tmp_path, Settings(server=made.server, ca=made.root)) as port:
        started = time.monotonic()
        with supplicant(wire.left[0], network(tmp_path, made)):
            port.authorized()
            assert time.monotonic() - started < 2.0  # it waits that long


def test_the_switch_authenticates_again_and_again_and_the_port_stays_open(
    wire: Veth, tmp_path: Path
) -> None:
    made = site(KeyKind.P256)
    settings = Settings(server=made.server, ca=made.root)
    with (
        switch(wire, tmp_path, settings, reauth=1) as port,
        supplicant(wire.left[0], network(tmp_path, made)) as gateway,
    ):
        for _ in range(4):
            gateway.process.wait_line("CTRL-EVENT-EAP-SUCCESS")
            assert gateway.status()["suppPortStatus"] == "Authorized"
        assert "unauthorizing port" not in port.process.text.partition("authorizing port")[2]
        assert gateway.process.text.count("CTRL-EVENT-CONNECTED") == 1


def test_freeradius_resumes_the_session_of_tls_1_2(wire: Veth, tmp_path: Path) -> None:
    made = site(KeyKind.RSA_2048)
    settings = Settings(server=made.server, ca=made.root, max_version="1.2", resume=True)
    with (
        switch(wire, tmp_path, settings) as port,
        supplicant(wire.left[0], network(tmp_path, made)) as gateway,
    ):
        port.authorized()
        assert gateway.authorized()["tls_session_reused"] == "0"
        assert gateway.ask("REAUTHENTICATE") == "OK\n"
        gateway.until(tls_session_reused="1", EAP_state="SUCCESS", suppPortStatus="Authorized")


# Keys


def test_an_encrypted_key_opens_the_port(wire: Veth, tmp_path: Path) -> None:
    made = site(KeyKind.RSA_2048)
    wanted = replace(
        network(tmp_path, made, passphrase=b"open sesame"),
        private_key_passwd=Secret(b"open sesame"),
    )
    settings = Settings(server=made.server, ca=made.root)
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], wanted) as gateway:
        port.authorized()
        gateway.authorized()
        assert "sesame" not in gateway.process.text


def test_a_passphrase_that_is_not_configured_is_asked_for(wire: Veth, tmp_path: Path) -> None:
    made = site(KeyKind.P256)
    wanted = network(tmp_path, made, passphrase=b"open sesame")
    settings = Settings(server=made.server, ca=made.root)
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], wanted) as gateway:
        assert gateway.ask("CTRL-RSP-PASSPHRASE-0:open sesame") == "OK\n"
        port.authorized()
        gateway.authorized()
        assert "sesame" not in gateway.process.text


def test_an_rsa_1024_client_certificate_opens_the_port_with_a_warning(
    wire: Veth, tmp_path: Path
) -> None:
    made = site(KeyKind.RSA_2048)
    wanted = network(tmp_path, made, made.leaf(Usage.CLIENT, KeyKind.RSA_1024))
    settings = Settings(server=made.server, ca=made.root)
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], wanted) as gateway:
        port.authorized()
        gateway.authorized()
        assert "1024 bits" in gateway.process.text


# What happens to a port that lives for years


def open_port(wire: Veth, folder: Path) -> tuple[Settings, Network]:
    made = site(KeyKind.P256)
    return Settings(server=made.server, ca=made.root), network(folder, made)


def test_a_link_that_was_cut_is_authenticated_again_at_once(wire: Veth, tmp_path: Path) -> None:
    settings, wanted = open_port(wire, tmp_path)
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], wanted) as gateway:
        port.authorized()
        wire.cut()
        gateway.until(wpa_state="DISCONNECTED")
        wire.restore()
        gateway.authorized(within=2.0)
        gateway.process.wait_line("CTRL-EVENT-CONNECTED")


def test_a_supplicant_that_started_without_a_link_begins_with_the_link(
    wire: Veth, tmp_path: Path
) -> None:
    settings, wanted = open_port(wire, tmp_path)
    with switch(wire, tmp_path, settings) as port:
        wire.cut()
        with supplicant(wire.left[0], wanted) as gateway:
            wire.restore()
            port.authorized(within=3.0)
            gateway.authorized()


def test_a_switch_that_was_restarted_opens_the_port_again(wire: Veth, tmp_path: Path) -> None:
    settings, wanted = open_port(wire, tmp_path)
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], wanted) as gateway:
        port.authorized()
        gateway.authorized()
        wire.cut()  # as the ports of a switch that restarts
        gateway.until(wpa_state="DISCONNECTED")
        port.restart()
        wire.restore()
        port.authorized(within=3.0)
        gateway.authorized()


def test_a_switch_that_forgot_us_without_a_sign_opens_the_port_on_reauthenticate(
    wire: Veth, tmp_path: Path
) -> None:
    settings, wanted = open_port(wire, tmp_path)
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], wanted) as gateway:
        port.authorized()
        gateway.authorized()
        port.restart()
        assert gateway.ask("REAUTHENTICATE") == "OK\n"
        port.authorized(within=3.0)


def test_logoff_closes_the_port_and_logon_opens_it_within_seconds(
    wire: Veth, tmp_path: Path
) -> None:
    settings, wanted = open_port(wire, tmp_path)
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], wanted) as gateway:
        port.authorized()
        gateway.authorized()
        assert gateway.ask("LOGOFF") == "OK\n"
        port.unauthorized()
        gateway.until(Supplicant_PAE_state="LOGOFF", suppPortStatus="Unauthorized")
        port.process.wait_line("AP_MAX_INACTIVITY_AFTER_DEAUTH")  # it hears nobody for 5 s now
        assert gateway.ask("LOGON") == "OK\n"
        port.authorized(within=14.0)  # wpa_supplicant 2.10 needs 32 s here
        gateway.authorized()


def test_the_end_of_the_supplicant_closes_the_port(wire: Veth, tmp_path: Path) -> None:
    settings, wanted = open_port(wire, tmp_path)
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], wanted) as gateway:
        port.authorized()
        gateway.authorized()
        gateway.process.signal(signal.SIGTERM)
        port.unauthorized()


@pytest.mark.long
def test_two_hundred_authentications_leave_nothing_behind(wire: Veth, tmp_path: Path) -> None:
    """A port authenticates for years: neither descriptors nor memory may grow. The first hundreds
    fill caches and the allocator's arenas, in steps of half a megabyte.
    """
    settings, wanted = open_port(wire, tmp_path)
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], wanted) as gateway:
        port.authorized()
        gateway.authorized()
        _reauthenticate(gateway, 600)
        before = _held(gateway.process.pid)
        _reauthenticate(gateway, 200)
        descriptors, kilobytes = _held(gateway.process.pid)
        assert descriptors == before[0]
        assert kilobytes - before[1] < 400
        assert gateway.process.text.count("CTRL-EVENT-EAP-SUCCESS") == 801


def _reauthenticate(gateway: Supplicant, times: int) -> None:
    with Client(gateway.folder, "eth0") as asked, Client(gateway.folder, "eth0") as heard:
        assert heard.request("ATTACH") == "OK\n"
        for _ in range(times):
            assert asked.request("REAUTHENTICATE") == "OK\n"
            while "CTRL-EVENT-EAP-SUCCESS" not in (event := heard.event(10) or ""):
                assert event
        assert heard.request("DETACH") == "OK\n"


def _held(pid: int) -> tuple[int, int]:
    """Open descriptors, and the kilobytes of memory that are the process's own."""
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), int(resident.split()[1])


def test_a_server_that_comes_late_opens_the_port(wire: Veth, tmp_path: Path) -> None:
    settings, wanted = open_port(wire, tmp_path)
    namespace = wire.right[0]
    with hostapd(namespace, tmp_path) as port, supplicant(wire.left[0], wanted) as gateway:
        port.process.wait_line("Sending RADIUS message")
        with freeradius(namespace, settings):
            port.authorized(within=15.0)  # hostapd asks again after 3, 6 and 12 s
            gateway.authorized()


def test_a_renewed_certificate_is_used_without_a_restart(wire: Veth, tmp_path: Path) -> None:
    made = site(KeyKind.P256)
    settings = Settings(server=made.server, ca=made.root)
    wanted = network(tmp_path, made)
    with (
        freeradius(wire.right[0], settings) as server,
        hostapd(wire.right[0], tmp_path) as port,
        supplicant(wire.left[0], wanted) as gateway,
    ):
        port.authorized()
        gateway.authorized()
        renewed = made.leaf(Usage.CLIENT, KeyKind.P256)
        network(tmp_path, made, renewed)  # the same files, written anew
        assert gateway.ask("REAUTHENTICATE") == "OK\n"
        _shown(server, f"{renewed.certificate.serial_number:x}")


def _shown(server: Process, serial: str) -> None:
    """FreeRADIUS prints the serial number of the certificate that it saw."""
    server.wait_line(f'TLS-Client-Cert-Serial := "0?{serial}"')


def _lines(reply: str) -> list[tuple[str, str]]:
    pairs = [line.partition("=") for line in reply.splitlines()]
    return [(name, value) for name, _, value in pairs]

"""Each EAP method of ours at FreeRADIUS 3.2 and at hostapd's own EAP server.

The switch's own word counts: `hostapd` says that it authorized the port.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from eapol.eap import EapType
from eapol.settings import (
    CryptoBinding,
    InnerTls,
    Network,
    Password,
    Phase2,
    Phase2Auth,
    TunnelPolicy,
)
from lab.eapol_test import configuration, ours
from lab.gateway import IDENTITY, network, supplicant
from lab.netns import Namespace, Veth
from lab.peers.authenticating import switch
from lab.peers.freeradius import SECRET, Settings, freeradius
from lab.peers.hostapd import OwnServer
from lab.pki import KeyKind, site
from lab.trees import debian_13
from wire.secret import Secret

pytestmark = pytest.mark.interop

ANY, DEFAULT = Phase2(), TunnelPolicy()
PASSWORD = "correct horse"
SERVERS = ("freeradius", pytest.param("hostapd", marks=pytest.mark.long))
VERSIONS = ("1.2", "1.3")


def server(
    kind: str, version: str, users: str, *, inner: str = "mschapv2", resume: bool = False
) -> Settings | OwnServer:
    made = site(KeyKind.P256)
    if kind == "freeradius":
        return Settings(
            server=made.server,
            ca=made.root,
            max_version=version,
            password=PASSWORD,
            inner_eap=inner,
            resume=resume,
        )
    flags = "[ENABLE-TLSv1.3]" if version == "1.3" else "[DISABLE-TLSv1.3]"
    more = "tls_session_lifetime=3600" if resume else ""
    return OwnServer(server=made.server, ca=made.root, tls_flags=flags, users=users, more=more)


def wanted(
    folder: Path,
    *eap: EapType,
    password: str = PASSWORD,
    phase2: Phase2 = ANY,
    tunnel: TunnelPolicy = DEFAULT,
) -> Network:
    certificates = network(folder, site(KeyKind.P256))
    return replace(
        Network(),
        eap=eap,
        identity=IDENTITY,
        password=Password(Secret(password.encode())),
        ca_cert=certificates.ca_cert,
        phase2=phase2,
        tunnel=tunnel,
    )


def users(outside: str, *inside: str) -> str:
    lines = [f"* {outside}"]
    lines += [f'"{IDENTITY.decode()}" {method} "{PASSWORD}" [2]' for method in inside]
    return "\n".join(lines)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("inner", ["MSCHAPV2", "GTC", "MD5"])
def test_peap_opens_the_port(
    wire: Veth, tmp_path: Path, kind: str, version: str, inner: str
) -> None:
    settings = server(kind, version, users("PEAP", inner), inner=inner.lower())
    client = wanted(tmp_path, EapType.PEAP, phase2=Phase2(auth=(inner,)))
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], client) as gateway:
        port.authorized()
        status = gateway.authorized()
        assert status["selectedMethod"] == "25 (EAP-PEAP)"
        assert status["eap_tls_version"] == f"TLSv{version}"


@pytest.mark.parametrize("kind", SERVERS)
def test_peap_with_a_wrong_password_stays_closed_and_says_so(
    wire: Veth, tmp_path: Path, kind: str
) -> None:
    client = wanted(tmp_path, EapType.PEAP, password="wrong")
    with (
        switch(wire, tmp_path, server(kind, "1.3", users("PEAP", "MSCHAPV2"))),
        supplicant(wire.left[0], client) as gateway,
    ):
        gateway.held()
        gateway.process.wait_line("identity or password (is )?wrong")


def test_peap_with_another_inner_method_than_the_servers_stays_closed(
    wire: Veth, tmp_path: Path
) -> None:
    client = wanted(tmp_path, EapType.PEAP, phase2=Phase2(auth=("GTC",)))
    settings = server("hostapd", "1.2", users("PEAP", "MSCHAPV2"))
    with switch(wire, tmp_path, settings), supplicant(wire.left[0], client) as gateway:
        gateway.held()
        assert "EAP-MSCHAPV2 was offered by the server, but phase2" in gateway.process.text


def test_hostapds_crypto_binding_is_right(wire: Veth, tmp_path: Path) -> None:
    """With TLS 1.3 hostapd 2.10 makes it of an export of 64 octets; RFC 9427, 2.1, has 128."""
    strict = TunnelPolicy(peap_version=0, crypto_binding=CryptoBinding.REQUIRED)
    client = wanted(tmp_path, EapType.PEAP, tunnel=strict)
    settings = server("hostapd", "1.2", users("PEAP", "MSCHAPV2"))
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], client) as gateway:
        port.authorized()
        gateway.authorized()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("outside", ["PEAP", "TTLS"])
def test_a_resumed_session_opens_the_port_without_the_inner_method(
    wire: Veth, tmp_path: Path, kind: str, version: str, outside: str
) -> None:
    settings = server(kind, version, users(outside, "MSCHAPV2"), resume=True)
    client = wanted(tmp_path, EapType[outside])
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], client) as gateway:
        port.authorized()
        gateway.authorized()
        assert gateway.ask("REAUTHENTICATE") == "OK\n"
        if (kind, version, outside) == ("hostapd", "1.3", "TTLS"):  # 2.10 does not send it
            gateway.process.wait_line("of a resumed session before its protected success")
            return
        gateway.until(tls_session_reused="1", EAP_state="SUCCESS", suppPortStatus="Authorized")


@pytest.mark.parametrize("kind", SERVERS)
def test_a_resumed_session_without_the_inner_method_is_refused_where_it_is_always_wanted(
    wire: Veth, tmp_path: Path, kind: str
) -> None:
    """The server leaves the inner method out, as it does for resumed sessions."""
    settings = server(kind, "1.2", users("PEAP", "MSCHAPV2"), resume=True)
    client = wanted(tmp_path, EapType.PEAP, tunnel=TunnelPolicy(phase2_auth=Phase2Auth.ALWAYS))
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], client) as gateway:
        port.authorized()
        gateway.authorized()
        assert gateway.ask("REAUTHENTICATE") == "OK\n"
        gateway.process.wait_line("before the method inside the tunnel began")


# EAP-TTLS


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("inner", ["PAP", "CHAP", "MSCHAP", "MSCHAPV2"])
def test_ttls_opens_the_port(
    wire: Veth, tmp_path: Path, kind: str, version: str, inner: str
) -> None:
    settings = server(kind, version, users("TTLS", f"TTLS-{inner}"))
    client = wanted(tmp_path, EapType.TTLS, phase2=Phase2(auth=(inner,)))
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], client) as gateway:
        port.authorized()
        assert gateway.authorized()["selectedMethod"] == "21 (EAP-TTLS)"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("inner", ["MD5", "GTC", "MSCHAPV2"])
def test_ttls_with_eap_inside_opens_the_port(
    wire: Veth, tmp_path: Path, kind: str, version: str, inner: str
) -> None:
    settings = server(kind, version, users("TTLS", inner), inner=inner.lower())
    client = wanted(tmp_path, EapType.TTLS, phase2=Phase2(autheap=(inner,)))
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], client) as gateway:
        port.authorized()
        gateway.authorized()


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("inner", ["PAP", "MSCHAPV2"])
def test_ttls_with_a_wrong_password_stays_closed(
    wire: Veth, tmp_path: Path, kind: str, inner: str
) -> None:
    settings = server(kind, "1.3", users("TTLS", f"TTLS-{inner}"))
    client = wanted(tmp_path, EapType.TTLS, password="wrong", phase2=Phase2(auth=(inner,)))
    with switch(wire, tmp_path, settings), supplicant(wire.left[0], client) as gateway:
        gateway.held()


# Without a tunnel


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("method", [EapType.MD5, EapType.GTC, EapType.MSCHAPV2])
@pytest.mark.parametrize("right", [True, False])
def test_a_password_without_a_tunnel_opens_the_port_if_it_is_right(
    wire: Veth, tmp_path: Path, kind: str, method: EapType, right: bool
) -> None:
    entry = f'"{IDENTITY.decode()}" {method.name} "{PASSWORD}"'
    settings = server(kind, "1.2", entry)
    if isinstance(settings, Settings):
        settings = replace(settings, default_eap=method.name.lower())
    client = wanted(tmp_path, method, password=PASSWORD if right else "wrong")
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], client) as gateway:
        if right:
            port.authorized()
            gateway.authorized()
        else:
            gateway.held()


def test_a_method_that_the_server_does_not_have_gives_way_to_the_next_of_the_configuration(
    wire: Veth, tmp_path: Path
) -> None:
    settings = server("hostapd", "1.2", users("TTLS", "TTLS-PAP"))
    client = wanted(tmp_path, EapType.MD5, EapType.TTLS, phase2=Phase2(auth=("PAP",)))
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], client) as gateway:
        port.authorized()
        assert gateway.authorized()["selectedMethod"] == "21 (EAP-TTLS)"


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("right", [True, False])
def test_pwd_opens_the_port_if_the_password_is_right(
    wire: Veth, tmp_path: Path, kind: str, right: bool
) -> None:
    settings = server(kind, "1.2", f'"{IDENTITY.decode()}" PWD "{PASSWORD}"')
    if isinstance(settings, Settings):
        settings = replace(settings, default_eap="pwd")
    client = wanted(tmp_path, EapType.PWD, password=PASSWORD if right else "wrong")
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], client) as gateway:
        if right:
            port.authorized()
            assert gateway.authorized()["selectedMethod"] == "52 (EAP-PWD)"
        else:
            gateway.held()
            gateway.process.wait_line("did not prove that it knows our password")


# TEAP: the FreeRADIUS of Debian 13 has it


def teap_server(version: str, inner: str, *, resume: bool = False) -> Settings:
    settings = server("freeradius", version, "", resume=resume)
    assert isinstance(settings, Settings)
    root = debian_13("freeradius")
    return replace(settings, root=root, teap=inner, default_eap="teap")


@pytest.mark.long
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("inner", "phase2"), [("mschapv2", "MSCHAPV2"), ("password", "PAP")])
def test_teap_opens_the_port(
    wire: Veth, tmp_path: Path, version: str, inner: str, phase2: str
) -> None:
    client = wanted(tmp_path, EapType.TEAP, phase2=Phase2(auth=(phase2,)))
    with (
        switch(wire, tmp_path, teap_server(version, inner)) as port,
        supplicant(wire.left[0], client) as gateway,
    ):
        port.authorized()
        assert gateway.authorized()["selectedMethod"] == "55 (EAP-TEAP)"


@pytest.mark.long
def test_teap_with_a_wrong_password_stays_closed(wire: Veth, tmp_path: Path) -> None:
    client = wanted(tmp_path, EapType.TEAP, password="wrong")
    with (
        switch(wire, tmp_path, teap_server("1.2", "mschapv2")),
        supplicant(wire.left[0], client) as gateway,
    ):
        gateway.held()


# EAP-TLS inside of a tunnel


def with_certificate(folder: Path, outside: EapType) -> Network:
    phase2 = Phase2(auth=("TLS",)) if outside != EapType.TTLS else Phase2(autheap=("TLS",))
    made = network(folder, site(KeyKind.P256))
    inner = InnerTls(client_cert=made.client_cert, private_key=made.private_key)
    return replace(wanted(folder, outside, phase2=phase2), inner=inner, password=None)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("outside", [EapType.PEAP, EapType.TTLS])
def test_a_certificate_inside_of_the_tunnel_opens_the_port(
    wire: Veth, tmp_path: Path, kind: str, version: str, outside: EapType
) -> None:
    entries = f'* {outside.name}\n"{IDENTITY.decode()}" TLS [2]'
    settings = server(kind, version, entries, inner="tls")
    client = with_certificate(tmp_path, outside)
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], client) as gateway:
        if (kind, version) == ("hostapd", "1.3"):  # 2.10 does not send it inside of a tunnel
            gateway.process.wait_line("before the server's protected success")
            return
        port.authorized()
        gateway.authorized()


@pytest.mark.long
@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_inside_of_teap_opens_the_port(
    wire: Veth, tmp_path: Path, version: str
) -> None:
    client = with_certificate(tmp_path, EapType.TEAP)
    with (
        switch(wire, tmp_path, teap_server(version, "tls")) as port,
        supplicant(wire.left[0], client) as gateway,
    ):
        port.authorized()
        gateway.authorized()


@pytest.mark.long
@pytest.mark.parametrize("version", VERSIONS)
def test_a_resumed_session_of_teap_that_ends_without_a_result_is_refused(
    wire: Veth, tmp_path: Path, version: str
) -> None:
    """FreeRADIUS 3.2.7 sends an EAP-Success alone, against RFC 7170, 3.3.3 and 4.2.13."""
    client = wanted(tmp_path, EapType.TEAP)
    with (
        switch(wire, tmp_path, teap_server(version, "mschapv2", resume=True)) as port,
        supplicant(wire.left[0], client) as gateway,
    ):
        port.authorized()
        gateway.authorized()
        assert gateway.ask("REAUTHENTICATE") == "OK\n"
        gateway.process.wait_line("before the server's Result TLV inside the tunnel")


# The server's keys are ours: `mgu eapol-test` compares MS-MPPE-Recv-Key and Send-Key with the MSK


def keys_agree(folder: Path, settings: Settings, client: Network) -> bool:
    conf = configuration(folder, client)
    with Namespace("office") as host, freeradius(host, settings):
        mine = ours(host, "-c", str(conf), "-s", SECRET)
    assert mine.exit_code == 0, mine.output
    return mine.keys == (1, 0)


@pytest.mark.parametrize(
    ("method", "phase2", "version"),
    [
        (EapType.PEAP, Phase2(), "1.3"),
        (EapType.TTLS, Phase2(auth=("PAP",)), "1.3"),
        (EapType.PWD, Phase2(), "1.2"),
    ],
)
def test_the_servers_keys_are_ours(
    tmp_path: Path, method: EapType, phase2: Phase2, version: str
) -> None:
    settings = server("freeradius", version, "")
    assert isinstance(settings, Settings)
    assert keys_agree(tmp_path, settings, wanted(tmp_path, method, phase2=phase2))


@pytest.mark.long
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("inner", "phase2"), [("mschapv2", "MSCHAPV2"), ("password", "PAP")])
def test_the_servers_keys_of_teap_are_ours(
    tmp_path: Path, version: str, inner: str, phase2: str
) -> None:
    client = wanted(tmp_path, EapType.TEAP, phase2=Phase2(auth=(phase2,)))
    assert keys_agree(tmp_path, teap_server(version, inner), client)


# EAP-FAST without a PAC


@pytest.mark.parametrize("inner", ["MSCHAPV2", "GTC"])
def test_fast_without_a_pac_opens_the_port(wire: Veth, tmp_path: Path, inner: str) -> None:
    """hostapd's server has suites with RSA and CBC only for it."""
    made = site(KeyKind.RSA_2048)
    more = "\n".join(
        (
            "eap_fast_a_id=0102",
            "eap_fast_a_id_info=test",
            "eap_fast_prov=3",
            f"pac_opaque_encr_key={'00' * 16}",
        )
    )
    settings = OwnServer(
        server=made.server, ca=made.root, tls_flags="[DISABLE-TLSv1.3]",
        users=users("FAST", inner), more=more,
    )  # fmt: skip
    client = wanted(tmp_path, EapType.FAST, phase2=Phase2(auth=(inner,)))
    client = replace(client, ca_cert=network(tmp_path, made).ca_cert)
    with switch(wire, tmp_path, settings) as port, supplicant(wire.left[0], client) as gateway:
        port.authorized()
        assert gateway.authorized()["selectedMethod"] == "43 (EAP-FAST)"

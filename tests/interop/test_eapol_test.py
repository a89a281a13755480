"""Debian's eapol_test and ours at FreeRADIUS and at hostapd's RADIUS server: the same verdict, the
same keys, the same attributes."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from eapol.eap import EapType
from eapol.settings import Network, Password, Phase2, TlsPolicy, TlsVersion
from lab.eapol_test import both, configuration, ours
from lab.gateway import IDENTITY, network
from lab.netns import Namespace
from lab.peers.freeradius import PORT, SECRET, Settings, freeradius
from lab.peers.hostapd import OwnServer, radius_server
from lab.pki import KeyKind, Usage, site, write
from lab.process import Process
from wire.secret import Secret

pytestmark = pytest.mark.interop

VERSIONS: Final = ("1.2", "1.3")
OLD: Final = 'phase1="tls_disable_tlsv1_3=0"'  # or eapol_test 2.10 does not offer TLS 1.3
VLAN: Final = {"Tunnel-Type": "VLAN", "Tunnel-Private-Group-Id": "42", "Class": "0x1122"}


@pytest.fixture
def host() -> Iterator[Namespace]:
    with Namespace("office") as made:
        yield made


def station(folder: Path, wanted: Network | None = None, *, resume: bool = True) -> str:
    return str(configuration(folder, wanted or network(folder, site()), resume=resume, more=OLD))


@pytest.mark.parametrize("version", VERSIONS)
def test_both_are_accepted_with_the_same_keys_and_attributes(
    host: Namespace, tmp_path: Path, version: str
) -> None:
    made = site()
    settings = Settings(server=made.server, ca=made.root, max_version=version, reply=VLAN)
    with freeradius(host, settings):
        theirs, mine = both(host, "-c", station(tmp_path), "-r", "1")
    assert (theirs.exit_code, theirs.keys) == (0, (2, 0)) == (mine.exit_code, mine.keys)
    assert ("tunnel-private-group-id", "42") in mine.attributes
    assert ("tunnel-private-group-id", b"42".hex()) in theirs.attributes
    assert ("user-name", "gw-0001") in theirs.attributes & mine.attributes
    assert {name for name, _ in theirs.attributes} == {name for name, _ in mine.attributes}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("server", ["freeradius", "hostapd"])
def test_a_rogue_server_is_rejected_by_both(
    host: Namespace, tmp_path: Path, server: str, version: str
) -> None:
    rogue = site(name="Rogue Root")
    wanted = replace(
        network(tmp_path, site()), ca_cert=str(write(tmp_path, "x", site().client, rogue.root).ca)
    )
    if server == "hostapd":
        running = radius_server(host, tmp_path, OwnServer(server=site().server, ca=site().root))
    else:
        running = freeradius(
            host, Settings(server=site().server, ca=site().root, max_version=version)
        )
    with running:
        theirs, mine = both(host, "-c", station(tmp_path, wanted), "-t", "10", "-n")
    assert theirs.exit_code == mine.exit_code == 253
    assert "certificate" in mine.document["authentications"][0]["reason"]


def test_without_n_eapol_test_says_252_where_ours_says_why(host: Namespace, tmp_path: Path) -> None:
    """It finds no MSK to compare, and forgets that it was rejected."""
    made = site()
    wanted = network(tmp_path, made, made.expired(Usage.CLIENT))
    with freeradius(host, Settings(server=made.server, ca=made.root)):
        theirs, mine = both(host, "-c", station(tmp_path, wanted), "-t", "10")
    assert (theirs.exit_code, mine.exit_code) == (252, 253)


def test_a_revoked_client_is_rejected_at_both(host: Namespace, tmp_path: Path) -> None:
    made = site()
    settings = Settings(server=made.server, ca=made.root, crl=made.crl_pem(made.client))
    with freeradius(host, settings):
        theirs, mine = both(host, "-c", station(tmp_path), "-t", "10", "-n")
    assert theirs.exit_code == mine.exit_code == 253
    assert "Access-Reject" in mine.document["authentications"][0]["reason"]


def test_an_expired_client_is_rejected_at_both(host: Namespace, tmp_path: Path) -> None:
    made = site()
    wanted = network(tmp_path, made, made.expired(Usage.CLIENT))
    with freeradius(host, Settings(server=made.server, ca=made.root)):
        theirs, mine = both(host, "-c", station(tmp_path, wanted), "-t", "10", "-n")
    assert theirs.exit_code == mine.exit_code == 253
    assert "expired" in mine.document["authentications"][0]["reason"]


@pytest.mark.long
@pytest.mark.parametrize("server", ["freeradius", "hostapd"])
def test_another_secret_is_silence_for_both(host: Namespace, tmp_path: Path, server: str) -> None:
    made = site()
    if server == "hostapd":
        running = radius_server(host, tmp_path, OwnServer(server=made.server, ca=made.root))
    else:
        running = freeradius(host, Settings(server=made.server, ca=made.root))
    with running:
        theirs, mine = both(host, "-c", station(tmp_path), "-t", "3", "-n", "-s", "another")
    assert theirs.exit_code == mine.exit_code == 254
    assert "is the secret the same" in mine.document["authentications"][0]["reason"]


@pytest.mark.long
def test_a_server_that_says_nothing_is_silence_for_both(host: Namespace, tmp_path: Path) -> None:
    with closing(host.socket(socket.AF_INET, socket.SOCK_DGRAM)) as mute:
        mute.bind(("127.0.0.1", PORT))
        theirs, mine = both(host, "-c", station(tmp_path), "-t", "3", "-n")
    assert theirs.exit_code == mine.exit_code == 254
    reason = mine.document["authentications"][0]["reason"]
    assert reason.startswith(f"no answer from 127.0.0.1:{PORT}/UDP within 3 s")


@pytest.mark.long
def test_a_port_where_nobody_listens_is_said_by_ours(host: Namespace, tmp_path: Path) -> None:
    theirs, mine = both(host, "-c", station(tmp_path), "-t", "4", "-n")
    assert theirs.exit_code == mine.exit_code == 254
    assert "no program listens" in mine.document["authentications"][0]["reason"]
    assert mine.document["authentications"][0]["milliseconds"] < 3500


@pytest.mark.parametrize("version", VERSIONS)
def test_small_fragments_of_both_sides(host: Namespace, tmp_path: Path, version: str) -> None:
    made = site(KeyKind.P256)
    wanted = replace(network(tmp_path, made), fragment_size=100)
    settings = Settings(
        server=made.server, ca=made.root, max_version=version, fragment_size=150
    )  # fmt: skip
    with freeradius(host, settings):
        theirs, mine = both(host, "-c", station(tmp_path, wanted))
    assert (theirs.exit_code, theirs.keys) == (0, (1, 0)) == (mine.exit_code, mine.keys)
    assert mine.document["authentications"][0]["access_requests"] > 20


def test_sessions_are_resumed_by_both(host: Namespace, tmp_path: Path) -> None:
    made = site()
    settings = Settings(server=made.server, ca=made.root, max_version="1.2", resume=True)
    with freeradius(host, settings):
        theirs, mine = both(host, "-c", station(tmp_path), "-r", "2")
    assert (theirs.exit_code, theirs.keys) == (0, (3, 0)) == (mine.exit_code, mine.keys)
    tls = [each["tls"]["resumed"] for each in mine.document["authentications"]]
    assert tls == [False, True, True]
    requests = [each["access_requests"] for each in mine.document["authentications"]]
    assert theirs.output.count("code=1 (Access-Request)") == sum(requests)  # it says no more


@pytest.mark.parametrize("version", VERSIONS)
def test_hostapds_radius_server_accepts_both(host: Namespace, tmp_path: Path, version: str) -> None:
    made = site()
    flags = "[ENABLE-TLSv1.3]" if version == "1.3" else "[DISABLE-TLSv1.3]"
    settings = OwnServer(server=made.server, ca=made.root, tls_flags=flags)
    with radius_server(host, tmp_path, settings):
        theirs, mine = both(host, "-c", station(tmp_path), "-r", "1")
    assert (theirs.exit_code, theirs.keys) == (0, (2, 0)) == (mine.exit_code, mine.keys)
    tls = mine.document["authentications"][0]["tls"]
    assert tls["version"] == f"TLSv{version}"


def test_a_configuration_that_cannot_be_used_is_255_for_both(
    host: Namespace, tmp_path: Path
) -> None:
    (tmp_path / "bad.conf").write_text("network={\n\teap=TLS\n")
    theirs, mine = both(host, "-c", str(tmp_path / "bad.conf"))
    assert theirs.exit_code == mine.exit_code == 255
    assert "bad.conf" in mine.output


def test_the_key_name_is_asked_for_by_both(host: Namespace, tmp_path: Path) -> None:
    made = site()
    with radius_server(host, tmp_path, OwnServer(server=made.server, ca=made.root)):
        theirs, mine = both(host, "-c", station(tmp_path), "-e")
    assert theirs.exit_code == mine.exit_code == 0
    assert mine.document["authentications"][0]["eap_key_name_agrees"] in (True, None)


# Methods with passwords

PASSWORD: Final = "correct horse"
METHODS: Final = {
    "PEAP-MSCHAPV2": ((EapType.PEAP,), Phase2(auth=("MSCHAPV2",)), "PEAP", "MSCHAPV2"),
    "PEAP-GTC": ((EapType.PEAP,), Phase2(auth=("GTC",)), "PEAP", "GTC"),
    "PEAP-MD5": ((EapType.PEAP,), Phase2(auth=("MD5",)), "PEAP", "MD5"),
    "TTLS-PAP": ((EapType.TTLS,), Phase2(auth=("PAP",)), "TTLS", "TTLS-PAP"),
    "TTLS-CHAP": ((EapType.TTLS,), Phase2(auth=("CHAP",)), "TTLS", "TTLS-CHAP"),
    "TTLS-MSCHAP": ((EapType.TTLS,), Phase2(auth=("MSCHAP",)), "TTLS", "TTLS-MSCHAP"),
    "TTLS-MSCHAPV2": ((EapType.TTLS,), Phase2(auth=("MSCHAPV2",)), "TTLS", "TTLS-MSCHAPV2"),
    "TTLS-EAP-MSCHAPV2": ((EapType.TTLS,), Phase2(autheap=("MSCHAPV2",)), "TTLS", "MSCHAPV2"),
    "MD5": ((EapType.MD5,), Phase2(), "MD5", None),
    "MSCHAPV2": ((EapType.MSCHAPV2,), Phase2(), "MSCHAPV2", None),
}
KEYLESS: Final = ("MD5",)


def with_password(folder: Path, method: str, password: str) -> Network:
    eap, phase2, *_ = METHODS[method]
    return replace(
        Network(),
        eap=eap,
        identity=IDENTITY,
        password=Password(Secret(password.encode())),
        ca_cert=network(folder, site()).ca_cert,
        phase2=phase2,
        tls=TlsPolicy(max_version=TlsVersion.TLS_1_2),
    )


def password_server(
    host: Namespace, folder: Path, kind: str, method: str
) -> AbstractContextManager[Process]:
    made = site()
    _, _, outside, inside = METHODS[method]
    if kind == "freeradius":
        inner = inside.lower() if inside in ("MSCHAPV2", "GTC", "MD5") else "mschapv2"
        settings = Settings(
            server=made.server,
            ca=made.root,
            max_version="1.2",
            password=PASSWORD,
            inner_eap=inner,
            reply={"Class": "0x1122"},
        )
        return freeradius(host, settings)
    who = IDENTITY.decode()
    lines = [f'"{who}" {outside} "{PASSWORD}"' if inside is None else f"* {outside}"]
    if inside is not None:
        lines.append(f'"{who}" {inside} "{PASSWORD}" [2]')
    own = OwnServer(
        server=made.server,
        ca=made.root,
        tls_flags="[DISABLE-TLSv1.3]",
        users="\n".join(lines),
    )
    return radius_server(host, folder, own)


SERVERS = ("freeradius", pytest.param("hostapd", marks=pytest.mark.long))


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("method", METHODS)
def test_the_right_password_is_accepted_by_both_with_the_same_keys_and_attributes(
    host: Namespace, tmp_path: Path, method: str, server: str
) -> None:
    conf = str(configuration(tmp_path, with_password(tmp_path, method, PASSWORD)))
    without_keys = ("-n",) if method in KEYLESS else ()
    with password_server(host, tmp_path, server, method):
        theirs, mine = both(host, "-c", conf, "-t", "10", *without_keys)
    assert mine.exit_code == theirs.exit_code == 0, mine.output
    if not without_keys:
        assert mine.keys == theirs.keys == (1, 0)
    assert {name for name, _ in theirs.attributes} == {name for name, _ in mine.attributes}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_password_is_rejected_by_both(
    host: Namespace, tmp_path: Path, method: str, server: str
) -> None:
    conf = str(configuration(tmp_path, with_password(tmp_path, method, "wrong")))
    with password_server(host, tmp_path, server, method):
        theirs, mine = both(host, "-c", conf, "-t", "10", "-n")
    assert mine.exit_code == theirs.exit_code == 253, mine.output
    assert mine.document["authentications"][0]["reason"]


# What eapol_test does not have


def test_expected_attributes(host: Namespace, tmp_path: Path) -> None:
    made = site()
    settings = Settings(server=made.server, ca=made.root, reply=VLAN)
    conf = station(tmp_path)
    with freeradius(host, settings):
        good = ours(host, "-c", conf, "-s", SECRET, "--expect", "Tunnel-Private-Group-ID=42")
        bad = ours(host, "-c", conf, "-s", SECRET, "--expect", "Tunnel-Private-Group-ID=7")
    assert (good.exit_code, bad.exit_code) == (0, 251)
    assert "has Tunnel-Private-Group-ID=42" in bad.document["authentications"][0]["reason"]


def test_over_ipv6(host: Namespace, tmp_path: Path) -> None:
    made = site()
    with freeradius(host, Settings(server=made.server, ca=made.root)):
        mine = ours(host, "-c", station(tmp_path), "-s", SECRET, "-a", "::1", "-A", "::1")
    assert (mine.exit_code, mine.keys) == (0, (1, 0))


def test_over_tls(host: Namespace, tmp_path: Path) -> None:
    """RFC 6614, with FreeRADIUS."""
    made = site()
    files = write(tmp_path, "switch", made.client, made.root)
    options = (
        "-X", "TLS", "-j", str(files.ca), "-J", str(files.certificate), "-k", str(files.key),
    )  # fmt: skip
    conf = station(tmp_path)
    with freeradius(host, Settings(server=made.server, ca=made.root, radsec=True)):
        mine = ours(host, "-c", conf, *options, "--tls-name", "radius.example.test", "-r", "1")
        stranger = ours(host, "-c", conf, *options, "--tls-name", "other.example.test")
    assert (mine.exit_code, mine.keys) == (0, (2, 0)), mine.output
    assert stranger.exit_code == 254
    assert "ostname" in stranger.document["authentications"][0]["reason"]


def test_status_server(host: Namespace, tmp_path: Path) -> None:
    made = site()
    settings = Settings(server=made.server, ca=made.root, status_server=True)
    with freeradius(host, settings):
        mine = ours(host, "--status-server", "-s", SECRET, "-t", "5")
    assert mine.exit_code == 0
    assert f"127.0.0.1:{PORT}/UDP: up" in mine.output


def test_wireshark_opens_the_capture_with_the_keys(host: Namespace, tmp_path: Path) -> None:
    made = site()
    policy = TlsPolicy(max_version=TlsVersion.TLS_1_2)
    wanted = replace(network(tmp_path, made), tls=policy)
    capture, keys = tmp_path / "radius.pcapng", tmp_path / "tls.keys"
    with freeradius(host, Settings(server=made.server, ca=made.root)):
        options = ("-s", SECRET, "--capture", str(capture), "--keys", str(keys))
        assert ours(host, "-c", station(tmp_path, wanted), *options).exit_code == 0
    assert capture.stat().st_mode & 0o777 == keys.stat().st_mode & 0o777 == 0o600
    assert SECRET.encode() not in capture.read_bytes()

    def dissected(*more: str) -> str:
        argv = ["tshark", "-r", str(capture), "-o", "ip.check_checksum:TRUE", *more]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    assert "Finished" in dissected("-o", f"tls.keylog_file:{keys}", "-V")
    assert "Finished" not in dissected("-V")
    assert "Malformed" not in dissected("-V")
    summary = dissected()
    assert "Access-Accept" in summary
    bad = ["-Y", "ip.checksum.status == 0"]
    assert dissected(*bad) == ""


def test_a_load_in_two_processes(host: Namespace, tmp_path: Path) -> None:
    made = site(KeyKind.P256)
    wanted = network(tmp_path, made)
    conf = station(tmp_path, wanted, resume=False)
    options = ("-s", SECRET, "--load", "4", "--for", "2", "--processes", "2", "--json")
    argv = [sys.executable, "-m", "mgu.main", "eapol-test", "-c", conf, *options]
    with (
        freeradius(host, Settings(server=made.server, ca=made.root, log=False)),
        Process(argv, namespace=host, name="load") as process,
    ):
        assert process.wait() == 0
        load = json.loads(process.text)["load"]
    assert load["failed"] == 0
    assert load["processes"] == 2
    assert load["accepted"] > 20
    assert sum(bar["count"] for bar in load["histogram_ms"]) == load["accepted"]
    assert load["percentiles_ms"]["50"] <= load["percentiles_ms"]["99"]

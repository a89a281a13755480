"""With certificates: the one identity that a peer is let in with, as `ipsec` writes it."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from ike.conf.configuration import load
from ike.config import Identifier, Remote
from ike.numbers.doi import IdType
from lab.pki import site, write
from mgu.commands.ipsec import main
from mgu.connections import pinned, racoon
from mgu.connections.connection import BadConnection
from mgu.paths import RACOON_CERTS, RACOON_CONF, under_root

PEER = ip_address("192.168.1.200")
CREATE = ("--create", "--name=n", "--src-address=10.0.0.1", f"--dst-address={PEER}")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    return tmp_path


def remotes(text: str) -> list[Remote]:
    """What the keying daemon reads, with this file for the peer."""
    path = under_root(RACOON_CONF)
    racoon.write_common()
    certs = under_root(RACOON_CERTS)
    made = site()
    given = write(certs, "mgu", made.client, made.root)
    for name, source in ((racoon.CERTIFICATE_FILE, given.certificate), (racoon.CA_FILE, given.ca)):
        (certs / name).write_bytes(source.read_bytes())
    (certs / racoon.KEY_FILE).write_bytes(given.key.read_bytes())
    (certs / racoon.KEY_FILE).chmod(0o600)
    racoon.remote_path(PEER).write_text(text)
    return list(load(path, under_root("/")).engine.remotes)


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        (None, Identifier(IdType.IPV4_ADDR, str(PEER))),
        ("10.9.9.9", Identifier(IdType.IPV4_ADDR, "10.9.9.9")),
        ("2001:db8::1", Identifier(IdType.IPV6_ADDR, "2001:db8::1")),
        ("gw-2.branch.example", Identifier(IdType.FQDN, "gw-2.branch.example")),
        ("gw", Identifier(IdType.FQDN, "gw")),
        ("admin@branch.example", Identifier(IdType.USER_FQDN, "admin@branch.example")),
        ("O=Branch, CN=gw 2", Identifier(IdType.DER_ASN1_DN, "O=Branch, CN=gw 2")),
        ("/o=branch/cn=gw", Identifier(IdType.DER_ASN1_DN, "/o=branch/cn=gw")),
    ],
)
def test_a_remote_with_certificates_lets_one_identity_in(
    identity: str | None, expected: Identifier
) -> None:
    racoon.write_remote(PEER, "X509", identity=identity)
    (remote,) = remotes(racoon.remote_path(PEER).read_text())
    assert remote.peers_identifiers == (expected,)
    assert remote.verify_identifier
    assert remote.verify_cert
    assert racoon.is_pinned(PEER)
    assert not racoon.write_remote(PEER, "X509", identity=identity)
    assert not racoon.write_remote(PEER, "X509")


@pytest.mark.parametrize(
    ("identity", "sentence"),
    [
        ("", "is not an identity: give an address"),
        ("two words", "is not an identity"),
        ("-gw", "is not an identity"),
        ("a@b@c", "is not an identity"),
        ("gw.", "is not an identity"),
        ("CN=gw, garbage", "is not a distinguished name: 'garbage'"),
        ("XY=gw", "is not a distinguished name"),
        ('CN="gw"', "characters that racoon.conf cannot hold"),
        ("CN=gw\nremote anonymous", "characters that racoon.conf cannot hold"),
        ("CN=gé", "characters that racoon.conf cannot hold"),
    ],
)
def test_an_identity_that_no_certificate_can_have_is_refused(identity: str, sentence: str) -> None:
    with pytest.raises(BadConnection, match=sentence):
        racoon.write_remote(PEER, "X509", identity=identity)
    assert not racoon.remote_path(PEER).exists()


def test_another_identity_replaces_the_one_that_ipsec_wrote() -> None:
    racoon.write_remote(PEER, "X509")
    assert racoon.write_remote(PEER, "X509", identity="gw.example")
    assert 'peers_identifier fqdn "gw.example";' in racoon.remote_path(PEER).read_text()


def test_a_file_of_before_that_pins_nobody_gets_the_identity_that_is_given() -> None:
    racoon.write_remote(PEER, "X509")
    path = racoon.remote_path(PEER)
    path.write_text("\n".join(pinned.without_pins(path.read_text())) + "\n")
    assert not racoon.is_pinned(PEER)
    assert not racoon.write_remote(PEER, "X509")  # nobody asked for another
    assert racoon.write_remote(PEER, "X509", identity=str(PEER))
    assert racoon.is_pinned(PEER)


def test_a_file_that_was_changed_by_hand_is_not_written_over_for_an_identity() -> None:
    racoon.write_remote(PEER, "X509")
    path = racoon.remote_path(PEER)
    edited = path.read_text().replace("dpd_delay 30", "dpd_delay 20")
    path.write_text(edited)
    with pytest.raises(BadConnection, match=r"changed by hand .* 'peers_identifier fqdn \"gw\";'"):
        racoon.write_remote(PEER, "X509", identity="gw")
    assert path.read_text() == edited


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("verify_identifier on;", ""),
        ("verify_identifier on;", "verify_identifier off;"),
        ("verify_identifier on;", "verify_identifier on; verify_identifier off;"),
        (f"peers_identifier address {PEER};", ""),
        (f"peers_identifier address {PEER};", "peers_identifier asn1dn;"),
    ],
)
def test_a_remote_that_anybody_of_the_ca_can_be_is_known_as_such(before: str, after: str) -> None:
    racoon.write_remote(PEER, "X509")
    path = racoon.remote_path(PEER)
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    assert not racoon.is_pinned(PEER)


def test_a_pin_that_is_said_twice_is_a_pin() -> None:
    racoon.write_remote(PEER, "X509")
    path = racoon.remote_path(PEER)
    twice = path.read_text().replace("verify_identifier on;", "verify_identifier on; " * 2)
    path.write_text(twice)
    assert racoon.is_pinned(PEER)


def test_where_there_is_no_remote_nobody_can_be_it() -> None:
    assert racoon.is_pinned(PEER)


# --- the command ---


def installing(folder: Path) -> list[str]:
    made = site()
    given = write(folder, "gateway", made.client, made.root)
    return [
        "--install-certs",
        f"--ca-cert-file={given.ca}",
        f"--cert-file-public={given.certificate}",
        f"--cert-file-private={given.key}",
    ]


def test_ipsec_says_which_certificate_the_peer_must_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*CREATE, *installing(tmp_path)]) == 0
    told = capsys.readouterr()
    assert f"{PEER} must have a certificate whose subjectAltName has that address;" in told.out
    assert "whoever has" not in told.err
    assert main([*CREATE]) == 0
    assert "must have a certificate" not in capsys.readouterr().out  # it said so


def test_ipsec_takes_the_peers_identity_by_an_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*CREATE, "--dst-id=O=Branch, CN=gw", *installing(tmp_path)]) == 0
    text = racoon.remote_path(PEER).read_text()
    assert 'peers_identifier asn1dn "O=Branch, CN=gw";' in text
    assert "must have a certificate" not in capsys.readouterr().out


def test_ipsec_warns_where_anybody_of_the_ca_can_be_the_peer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*CREATE, *installing(tmp_path)])
    path = racoon.remote_path(PEER)
    path.write_text(path.read_text().replace("verify_identifier on", "verify_identifier off"))
    capsys.readouterr()
    assert main([*CREATE]) == 0
    warning = f"ipsec: warning: whoever has a certificate of the CA can pose as {PEER}: "
    assert capsys.readouterr().err.startswith(warning)


def test_an_identity_beside_a_key_is_refused_and_nothing_is_written(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*CREATE, "--dst-id=gw", "--dst-preshared-key=x"])
    assert ended.value.code == 64
    keys = root / "etc/racoon/psk.txt"
    keys.parent.mkdir(parents=True)
    keys.write_text(f"{PEER} a key\n")
    keys.chmod(0o600)
    capsys.readouterr()
    assert main([*CREATE, "--dst-id=gw"]) == 1
    assert "--dst-id is for certificates, but there is a key" in capsys.readouterr().err
    assert not racoon.remote_path(PEER).exists()

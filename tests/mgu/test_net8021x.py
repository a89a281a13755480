"""`net8021x`: what it installs, what it refuses, and that a refusal changes nothing."""

import os
import socket
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    pkcs12,
)

from eapol.config import parse
from eapol.credentials import certificates, identity
from eapol.settings import NamedOctets
from eapol.system.files import Files
from lab.net8021x import Gateway
from lab.pki import Issued, KeyKind, Usage, key, parts, site
from mgu import exits, services
from mgu.commands import net8021x
from mgu.commands.net8021x_options import ENVIRONMENT


@pytest.fixture
def gateway(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Gateway:
    made = Gateway(tmp_path, capsys)
    monkeypatch.setenv("MGU_ROOT", str(made.root))
    monkeypatch.delenv("MGU_CLOCK", raising=False)
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    return made


def test_the_manuals_command_installs_the_files_and_enables_the_service(gateway: Gateway) -> None:
    gateway.copy(site(depth=4))
    assert gateway.net8021x("-a") == exits.OK
    assert "Reboot the gateway to activate it." in gateway.out
    assert gateway.err == ""
    assert services.enabled("wpa_supplicant")
    network = parse(gateway.conf.read_text(), "conf").network
    assert network is not None
    assert network.identity == b"test@test.se"
    assert network.ca_cert == str(gateway.certs / "client-ca.pem")
    for name, mode in (("client.pem", 0o644), ("client-ca.pem", 0o644), ("client-key.pem", 0o600)):
        installed = gateway.certs / name
        assert installed.read_bytes() == (gateway.files / name).read_bytes()
        assert stat.S_IMODE(installed.stat().st_mode) == mode
    assert stat.S_IMODE(gateway.conf.stat().st_mode) == 0o600


def test_the_configuration_says_what_the_manual_says(gateway: Gateway) -> None:
    gateway.copy(site())
    gateway.net8021x()
    lines = [line.strip() for line in gateway.conf.read_text().splitlines()]
    for expected in (
        f"ctrl_interface={gateway.root}/var/run/wpa_supplicant",
        "ap_scan=0",
        "key_mgmt=IEEE8021X",
        "eap=TLS",
        'identity="test@test.se"',
        f'private_key="{gateway.certs}/client-key.pem"',
        "eapol_flags=0",
    ):
        assert expected in lines


def test_doing_it_twice_changes_nothing(gateway: Gateway) -> None:
    gateway.copy(site())
    gateway.net8021x("-a")
    once = gateway.state()
    assert gateway.net8021x("-a") == exits.OK
    assert gateway.state() == once


def test_without_a_the_service_is_not_enabled(gateway: Gateway) -> None:
    gateway.copy(site())
    assert gateway.net8021x() == exits.OK
    assert gateway.conf.exists()
    assert not services.enabled("wpa_supplicant")


def test_d_disables_the_service_and_keeps_the_files(gateway: Gateway) -> None:
    gateway.copy(site())
    gateway.net8021x("-a")
    assert gateway.run("-d") == exits.OK
    assert not services.enabled("wpa_supplicant")
    assert gateway.conf.exists()


def test_a_alone_enables_what_is_configured_and_nothing_else(gateway: Gateway) -> None:
    assert gateway.run("-a") == exits.FAILED
    assert "there is no such file; configure with -l, -c, -i and -p first" in gateway.err
    assert not services.enabled("wpa_supplicant")
    gateway.copy(site())
    gateway.net8021x()
    assert gateway.run("-a") == exits.OK
    assert services.enabled("wpa_supplicant")
    (gateway.certs / "client.pem").unlink()
    assert gateway.run("-a") == exits.FAILED
    assert f"{gateway.certs}/client.pem: " in gateway.err


def test_an_rsa_1024_certificate_works_with_a_warning(gateway: Gateway) -> None:
    made = site()
    gateway.copy(made, made.leaf(Usage.CLIENT, KeyKind.RSA_1024))
    assert gateway.net8021x("-a") == exits.OK
    assert "warning" in gateway.err
    assert "is weak: its RSA key has only 1024 bits" in gateway.err


def test_a_certificate_that_ends_soon_works_with_a_warning(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = site()
    gateway.copy(made)
    _set_date(tmp_path, monkeypatch, made.valid.end - timedelta(days=3))
    assert gateway.net8021x() == exits.OK
    assert f"expires on {made.valid.end:%Y-%m-%d}; have it renewed" in gateway.err


def test_the_dates_are_judged_by_the_gateways_clock(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.copy(site())
    _set_date(tmp_path, monkeypatch, datetime(1970, 1, 2, tzinfo=UTC))
    refusal = gateway.refuses("-a")
    assert "this gateway's date is 1970-01-02" in refusal
    assert "set the date with 'localNTP -a -n ADDRESS' first" in refusal


def _set_date(folder: Path, monkeypatch: pytest.MonkeyPatch, date: datetime) -> None:
    offset = date - datetime.now(UTC)
    (folder / "clock").write_text(str(int(offset.total_seconds() * 10**9)))
    monkeypatch.setenv("MGU_CLOCK", str(folder / "clock"))


def test_each_wrong_certificate_is_refused_with_file_and_remedy(gateway: Gateway) -> None:
    made = site(KeyKind.P256, depth=3)
    for client, says in (
        (made.expired(Usage.CLIENT, KeyKind.P256), "expired on"),
        (made.not_yet_valid(Usage.CLIENT, KeyKind.P256), "is not valid before"),
        (made.leaf(Usage.MAIL, KeyKind.P256), "is not for client authentication"),
        (site(KeyKind.P256, name="Other Root").client, "append the certificate of that issuer"),
        (Issued(made.client.certificate, made.client.key), "append the certificate of that issuer"),
        (Issued(made.client.certificate, key(KeyKind.P256), made.client.chain), "does not belong"),
    ):
        gateway.copy(made, client)
        refusal = gateway.refuses("-a")
        assert says in refusal
        assert str(gateway.files) in refusal


def test_a_ca_of_the_same_name_with_another_key_is_told_apart(gateway: Gateway) -> None:
    made = site(KeyKind.P256)
    double = site(KeyKind.RSA_2048)
    gateway.copy(made)
    gateway.ca.write_bytes(double.root.certificate_pem())
    assert "was not signed with the key of" in gateway.refuses("-a")


def test_a_root_that_only_the_client_file_holds_is_not_trusted(gateway: Gateway) -> None:
    made, other = site(KeyKind.P256), site(KeyKind.P256, name="Other Root")
    gateway.copy(made)
    gateway.client.write_bytes(made.client.certificate_pem() + made.root.certificate_pem())
    gateway.ca.write_bytes(other.root.certificate_pem())
    assert "give the CA file that holds it" in gateway.refuses("-a")


def pem(what: bytes) -> bytes:
    """A PEM file that holds nothing."""
    return b"-----BEGIN %b-----\nAAAA\n-----END %b-----\n" % (what, what)


def test_files_that_are_something_else_are_refused(gateway: Gateway) -> None:
    made = site(KeyKind.P256)
    for attribute, octets, says in (
        ("client", made.client.key_pem(), "holds a private key, not a certificate"),
        ("ca", b"hello", "holds no X.509 certificate"),
        (
            "ca",
            pem(b"CERTIFICATE"),
            "can be read (PEM, DER or PKCS #7)",
        ),
        ("key", made.client.certificate_pem(), "holds a certificate, not a private key"),
        (
            "key",
            pem(b"PRIVATE KEY"),
            "holds no private key that",
        ),
    ):
        gateway.copy(made)
        path: Path = getattr(gateway, attribute)
        path.write_bytes(octets)
        refusal = gateway.refuses("-a")
        assert refusal.startswith(f"net8021x: {path}: ")
        assert says in refusal


def test_a_certificate_of_x509_version_1_is_taken_with_a_warning(gateway: Gateway) -> None:
    gateway.copy(site())
    request, leaf = gateway.files / "request.pem", gateway.client
    signer = gateway.files / "root-key.pem"
    signer.write_bytes(Issued(site().root.certificate, site().root.key).key_pem())
    for command in (
        f"req -new -key {gateway.key} -subj /CN=old -out {request}",
        f"x509 -req -in {request} -CA {gateway.ca} -CAkey {signer} -set_serial 7 -out {leaf}",
    ):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    assert x509.load_pem_x509_certificate(leaf.read_bytes()).version is x509.Version.v1
    assert gateway.net8021x("-a") == 0
    assert "is X.509 version 1; have a certificate of version 3 issued" in gateway.err


def test_der_and_pkcs12_are_installed_and_taken_by_the_supplicant(gateway: Gateway) -> None:
    made = site(KeyKind.P256)
    bundle = pkcs12.serialize_key_and_certificates(
        b"gw", made.client.key, made.client.certificate, None, BestAvailableEncryption(b"secret")
    )
    gateway.copy(made)
    gateway.ca.write_bytes(made.root.certificate.public_bytes(Encoding.DER))
    gateway.key.write_bytes(bundle)
    phrase = gateway.files / "phrase"
    phrase.write_text("secret\n")
    phrase.chmod(0o600)
    assert gateway.net8021x("--passphrase-file", str(phrase)) == exits.OK
    network = parse(gateway.conf.read_text(), "conf").network
    assert network is not None
    found = identity(Files(network, {}).load())
    assert found is not None
    assert found.certificate == parts(made.client.certificate)
    assert stat.S_IMODE((gateway.certs / gateway.key.name).stat().st_mode) == 0o600
    ca = NamedOctets("ca", (gateway.certs / gateway.ca.name).read_bytes())
    assert certificates(ca) == [parts(made.root.certificate)]


def test_a_missing_file_is_named(gateway: Gateway) -> None:
    gateway.copy(site(KeyKind.P256))
    gateway.ca.unlink()
    assert gateway.refuses("-a") == (
        f"net8021x: {gateway.ca}: there is no such file; it should be the CA certificate\n"
    )


def test_a_revoked_certificate_is_refused_and_the_list_is_installed_with_the_ca(
    gateway: Gateway,
) -> None:
    made = site(KeyKind.P256)
    gateway.copy(made)
    crl = gateway.files / "crl.pem"
    crl.write_bytes(made.crl_pem(made.client))
    assert "was revoked on" in gateway.refuses("-a", "--crl", str(crl))
    crl.write_bytes(made.crl_pem(made.server))
    assert gateway.net8021x("-a", "--crl", str(crl)) == exits.OK
    assert crl.read_bytes() in (gateway.certs / "client-ca.pem").read_bytes()
    crl.write_bytes(site(KeyKind.P256, name="Other Root").crl_pem())
    assert "is not signed by a CA in" in gateway.refuses("-a", "--crl", str(crl))


def test_a_stale_revocation_list_is_a_warning(gateway: Gateway) -> None:
    made = site(KeyKind.P256)
    gateway.copy(made)
    crl = gateway.files / "crl.pem"
    stale = made.expired(Usage.CLIENT, KeyKind.P256).certificate
    begin, end = stale.not_valid_before_utc, stale.not_valid_after_utc
    builder = x509.CertificateRevocationListBuilder().issuer_name(made.root.certificate.subject)
    signed = builder.last_update(begin).next_update(end).sign(made.root.key, hashes.SHA256())
    crl.write_bytes(signed.public_bytes(Encoding.PEM))
    assert gateway.net8021x("--crl", str(crl)) == exits.OK
    assert "fetch the current one" in gateway.err


def test_the_passphrase_comes_from_a_file_or_the_environment_and_is_not_shown(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.copy(site(KeyKind.P256), passphrase=b"open sesame")
    assert f"or in the environment variable {ENVIRONMENT}" in gateway.refuses("-a")
    file = gateway.files / "passphrase"
    file.write_bytes(b"wrong\n")
    refusal = gateway.refuses("-a", "--passphrase-file", str(file))
    assert "the passphrase (private_key_passwd) is wrong" in refusal
    file.write_bytes(b"open sesame\n")
    assert gateway.net8021x("-a", "--passphrase-file", str(file)) == exits.OK
    assert "sesame" not in gateway.out + gateway.err
    assert 'private_key_passwd="open sesame"' in gateway.conf.read_text()
    gateway.conf.unlink()
    monkeypatch.setenv(ENVIRONMENT, "open sesame")
    assert gateway.net8021x("-a") == exits.OK
    assert 'private_key_passwd="open sesame"' in gateway.conf.read_text()


def test_a_terminal_is_asked_for_the_passphrase_and_does_not_show_it(gateway: Gateway) -> None:
    gateway.copy(site(KeyKind.P256), passphrase=b"open sesame")
    ours, its = os.openpty()
    words = ["-l", gateway.client, "-c", gateway.ca, "-p", gateway.key, "-i", "test@test.se"]
    command = [sys.executable, "-m", "mgu.main", "net8021x", *map(str, words)]
    with subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, start_new_session=True
    ) as process:
        os.close(its)
        shown = b""
        while b"Passphrase of " not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, b"open sesame\n")
        assert process.wait(10) == exits.OK
    with suppress(OSError):  # EIO: all is read
        while more := os.read(ours, 4096):
            shown += more
    os.close(ours)
    assert b"The certificates and the key are in" in shown
    assert b"sesame" not in shown
    assert 'private_key_passwd="open sesame"' in gateway.conf.read_text()


def test_a_key_that_others_can_read_is_taken_with_a_warning(gateway: Gateway) -> None:
    gateway.copy(site(KeyKind.P256))
    gateway.key.chmod(0o644)
    assert gateway.net8021x() == exits.OK
    assert f"other users can read this private key; 'chmod 600 {gateway.key}'" in gateway.err


def test_certificate_and_key_may_share_a_file_which_is_then_private(gateway: Gateway) -> None:
    made = site(KeyKind.P256)
    gateway.copy(made)
    gateway.client.write_bytes(made.client.certificate_pem() + made.client.key_pem())
    gateway.key = gateway.client
    assert gateway.net8021x() == exits.OK
    assert stat.S_IMODE((gateway.certs / "client.pem").stat().st_mode) == 0o600


def test_a_new_key_replaces_the_old_one_on_the_disk(gateway: Gateway) -> None:
    gateway.copy(site(KeyKind.P256))
    gateway.net8021x()
    gateway.key = gateway.key.rename(gateway.files / "renewed-key.pem")
    assert gateway.net8021x() == exits.OK
    assert sorted(path.name for path in gateway.certs.iterdir()) == [
        "client-ca.pem",
        "client.pem",
        "renewed-key.pem",
    ]


def test_a_configuration_that_an_administrator_wrote_is_kept(gateway: Gateway) -> None:
    gateway.copy(site(KeyKind.P256))
    gateway.conf.parent.mkdir(parents=True)
    gateway.conf.write_text("# mine\n")
    assert gateway.net8021x() == exits.OK
    assert gateway.conf.with_name("wpa_supplicant.conf.orig").read_text() == "# mine\n"


def test_what_was_written_is_taken_back_when_a_later_step_fails(gateway: Gateway) -> None:
    gateway.copy(site(KeyKind.P256))
    (gateway.certs / "client-key.pem").mkdir(parents=True)  # in the way of the last of the three
    assert gateway.net8021x("-a") == exits.FAILED
    assert gateway.state() == {}
    assert not services.enabled("wpa_supplicant")


def test_dry_run_checks_and_changes_nothing(gateway: Gateway) -> None:
    gateway.copy(site(KeyKind.P256))
    assert gateway.net8021x("-a", "--dry-run") == exits.OK
    assert gateway.state() == {}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give -l, -c, -i and -p, or -a, or -d"),
        (["-l", "x", "-a"], "-c and -i and -p missing: -l, -c, -i and -p belong together"),
        (["-a", "-d"], "-a and -d exclude each other"),
        (["--now"], "give -l, -c, -i and -p, or -a, or -d"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_64(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        net8021x.main(words)
    assert ended.value.code == exits.USAGE
    assert capsys.readouterr().err == f"net8021x: {says}; 'net8021x -h' shows more\n"


def test_the_help_needs_no_cryptography() -> None:
    program = (
        "import sys; from mgu.commands import net8021x\n"
        "try: net8021x.main(['-h'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'cryptography', 'OpenSSL', 'asyncio', 'pyroute2'}\n"
        "heavy |= {'dataclasses', 'typing', 'pathlib', 'socket', 'eapol'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert b"exit status: 0 done" in done.stdout


def test_what_changes_only_the_service_needs_no_configuration(gateway: Gateway) -> None:
    program = (
        "import sys; from mgu.commands import net8021x\n"
        "assert net8021x.main(['-d']) == 0\n"
        "heavy = {'cryptography', 'dataclasses', 'typing', 'tempfile', 'eapol.config'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_now_has_a_supplicant_that_runs_read_again_and_starts_it_otherwise(
    gateway: Gateway,
) -> None:
    """A process stands for the daemon; nobody is started or stopped."""
    gateway.copy(site())
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    pid = gateway.root / "run/mgu/wpa_supplicant.pid"
    pid.parent.mkdir(parents=True)
    pid.write_text(f"{os.getpid()} {started}\n")
    control = gateway.root / "var/run/wpa_supplicant/eth0"
    control.parent.mkdir(parents=True)
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supplicant:
        supplicant.bind(str(control))

        def answer() -> None:
            request, sender = supplicant.recvfrom(100)
            asked.append(request)
            supplicant.sendto(b"OK\n", sender)

        thread = threading.Thread(target=answer)
        thread.start()
        assert gateway.net8021x("-a", "--now") == exits.OK
        thread.join()
    assert asked == [b"RECONFIGURE"]
    assert "is enabled and runs; 'wpa_cli status' shows the port." in gateway.out


def test_the_service_is_stopped_at_once_only_if_asked(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    assert net8021x.main(["-d"]) == exits.OK
    assert capsys.readouterr().out == (
        "The service wpa_supplicant is disabled. Reboot the gateway to stop it.\n"
    )
    assert net8021x.main(["-d", "--now"]) == exits.OK
    assert capsys.readouterr().out == "The service wpa_supplicant is disabled and stopped.\n"

"""Certificate and key files: what can be read, and what is said when it cannot."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from hypothesis import given
from hypothesis import strategies as st

from eapol.credentials import certificates, identity, private_key, revocations
from eapol.errors import CredentialError, PassphraseNeeded
from eapol.settings import Credentials, NamedOctets, NamedSecret, Network
from eapol.system.files import Files
from lab.pki import Usage, parts, site
from wire.files import LARGEST
from wire.secret import Secret

CLIENT = site().client
PEM = CLIENT.certificate_pem()


def key_file(octets: bytes) -> NamedSecret:
    return NamedSecret("client.key", Secret(octets))


def given_files(
    key: bytes, certificate: bytes | None = PEM, passphrase: bytes | None = None
) -> Credentials:
    return Credentials(
        certificate=NamedOctets("client.pem", certificate) if certificate else None,
        key=key_file(key),
        passphrase=Secret(passphrase) if passphrase else None,
    )


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize(
    "form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL], ids=["PKCS8", "traditional"]
)
def test_a_key_is_read_in_every_usual_form(encoding: Encoding, form: PrivateFormat) -> None:
    octets = CLIENT.key.private_bytes(encoding, form, NoEncryption())
    found = identity(given_files(octets))
    assert found is not None
    assert found.key.belongs_to(parts(CLIENT.certificate))


def test_a_der_certificate_is_read() -> None:
    der = CLIENT.certificate.public_bytes(Encoding.DER)
    assert certificates(NamedOctets("client.der", der)) == [parts(CLIENT.certificate)]


def test_an_encrypted_key_needs_the_right_passphrase() -> None:
    octets = CLIENT.key_pem(b"correct horse")
    with pytest.raises(PassphraseNeeded, match=r"client\.key: is encrypted"):
        identity(given_files(octets))
    with pytest.raises(CredentialError, match=r"client\.key: .*passphrase.*is wrong"):
        identity(given_files(octets, passphrase=b"battery staple"))
    assert identity(given_files(octets, passphrase=b"correct horse")) is not None


def test_a_passphrase_that_is_not_needed_does_no_harm() -> None:
    assert identity(given_files(CLIENT.key_pem(), passphrase=b"unused")) is not None


def test_a_pkcs12_file_brings_certificate_chain_and_key() -> None:
    deep = site(depth=4)
    bundle = pkcs12.serialize_key_and_certificates(
        b"gw",
        deep.client.key,
        deep.client.certificate,
        [deep.issuer.certificate],
        BestAvailableEncryption(b"secret"),
    )
    found = identity(given_files(bundle, None, b"secret"))
    assert found is not None
    assert found.certificate == parts(deep.client.certificate)
    assert found.chain == (parts(deep.issuer.certificate),)
    with pytest.raises(PassphraseNeeded):
        identity(given_files(bundle, None))
    with pytest.raises(CredentialError, match="is wrong"):
        identity(given_files(bundle, None, b"wrong"))


def test_one_pem_file_may_hold_both() -> None:
    found = identity(given_files(CLIENT.key_pem() + PEM, None))
    assert found is not None
    assert found.certificate == parts(CLIENT.certificate)


def test_a_key_of_another_certificate_is_refused_with_both_names() -> None:
    with pytest.raises(CredentialError, match=r"client\.key: .* not belong .* client\.pem"):
        identity(given_files(site().server.key_pem()))


@pytest.mark.parametrize(
    ("key", "certificate", "words"),
    [
        (b"", PEM, r"client\.key: holds no private key"),
        (PEM, PEM, r"client\.key: holds a certificate, not a private key"),
        (CLIENT.key_pem(), CLIENT.key_pem(), r"client\.pem: holds a private key, not"),
        (CLIENT.key_pem(), b"hello", r"client\.pem: holds no X\.509 certificate"),
        (CLIENT.key_pem()[:200], PEM, r"client\.key: holds no private key"),
        (CLIENT.key_pem(), None, r"client\.key: .* no certificate; set client_cert"),
    ],
    ids=["nothing", "certificate as key", "key as certificate", "text", "cut", "key alone"],
)
def test_a_refusal_names_the_file_and_what_is_in_it(
    key: bytes, certificate: bytes | None, words: str
) -> None:
    with pytest.raises(CredentialError, match=words):
        identity(given_files(key, certificate))


def test_a_certificate_without_a_key_is_refused() -> None:
    with pytest.raises(CredentialError, match="private_key"):
        identity(Credentials(certificate=NamedOctets("client.pem", PEM)))


def test_revocation_lists_stand_beside_the_ca() -> None:
    ca = site().root.certificate_pem() + site().crl_pem(site().leaf(Usage.SERVER))
    assert len(revocations(NamedOctets("ca.pem", ca))) == 1
    assert revocations(NamedOctets("ca.pem", site().root.certificate_pem())) == []
    with pytest.raises(CredentialError, match=r"ca\.pem: a CRL"):
        revocations(
            NamedOctets("ca.pem", b"-----BEGIN X509 CRL-----\nMAo=\n-----END X509 CRL-----\n")
        )


@given(st.binary(max_size=200))
def test_arbitrary_octets_raise_only_the_packages_own_error(octets: bytes) -> None:
    with pytest.raises(CredentialError):
        certificates(NamedOctets("client.pem", octets))
    with pytest.raises(CredentialError):
        private_key(key_file(octets), None)


def test_no_error_text_holds_key_or_passphrase() -> None:
    octets = CLIENT.key_pem(b"correct horse")
    with pytest.raises(CredentialError) as caught:
        identity(given_files(octets, passphrase=b"battery staple"))
    chain = repr([caught.value, caught.value.__cause__, caught.value.__context__])
    assert "battery" not in chain
    assert octets.decode()[40:100] not in chain


# The files themselves


def network(folder: Path, key: str = "client.key") -> Network:
    return Network(
        identity=b"gw",
        ca_cert=str(folder / "ca.pem"),
        client_cert=str(folder / "client.pem"),
        private_key=str(folder / key),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_bytes(site().root.certificate_pem())
    (tmp_path / "client.pem").write_bytes(PEM)
    (tmp_path / "client.key").write_bytes(CLIENT.key_pem())
    return tmp_path


def test_a_file_that_changes_is_noticed_once(folder: Path) -> None:
    files = Files(network(folder), {})
    files.load()
    assert not files.changed()
    (folder / "client.pem").write_bytes(PEM + b"\n")
    assert files.changed()
    assert not files.changed()


def test_a_missing_file_is_named_with_its_option(folder: Path) -> None:
    with pytest.raises(CredentialError, match=r"absent\.key: cannot be read .*private_key"):
        Files(network(folder, "absent.key"), {}).load()


def test_a_blob_stands_in_the_configuration(folder: Path) -> None:
    files = Files(Network(ca_cert="blob://root"), {"root": PEM})
    assert files.load().ca == NamedOctets("blob://root", PEM)
    with pytest.raises(CredentialError, match="no such blob"):
        Files(Network(ca_cert="blob://other"), {}).load()


def test_a_file_too_large_for_a_certificate_is_not_read(folder: Path) -> None:
    (folder / "client.key").write_bytes(bytes(LARGEST + 1))
    with pytest.raises(CredentialError, match="larger than the limit"):
        Files(network(folder), {}).load()


def test_a_bundle_whose_key_is_not_its_certificates_is_named_twice() -> None:
    other = site(name="Other Root").client
    octets = other.key_pem() + site().client.certificate_pem()
    bundle = Credentials(key=NamedSecret("both.pem", Secret(octets)))
    with pytest.raises(
        CredentialError, match=r"^both\.pem: this key does not belong to the certificate in both"
    ):
        identity(bundle)

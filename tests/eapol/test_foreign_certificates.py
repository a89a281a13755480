"""Files that other tools wrote: what OpenSSL and wpa_supplicant take is taken, and works."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from eapol.certificates import Handed, judge
from eapol.credentials import certificates, identity, private_key
from eapol.errors import CredentialError
from eapol.settings import Credentials, NamedOctets, NamedSecret, TlsPolicy
from eapol.tls import ClientContext, ServerContext
from lab import odd_pki
from lab.odd_pki import CONSTRAINTS, DRESSES, ENCODINGS, LABELS, PASSPHRASE, REFUSED
from lab.pki import CLIENT_NAME, SERVER_NAME, Issued, KeyKind, Site, key, parts, site
from wire import pem
from wire.secret import Secret

SITE = site(KeyKind.P256, depth=3)
NOW = datetime.now(UTC)
CASES = Path(__file__).parent / "cases"


def files(
    own: bytes, key: bytes, ca: bytes, passphrase: str | None = None, name: str = "client"
) -> Credentials:
    return Credentials(
        ca=NamedOctets("ca.pem", ca),
        certificate=NamedOctets(f"{name}.pem", own) if own else None,
        key=NamedSecret(f"{name}.key", Secret(key)),
        passphrase=Secret(passphrase.encode()) if passphrase else None,
    )


def of(made: Site, own: Issued) -> Credentials:
    return files(own.certificate_pem(), own.key_pem(), made.root.certificate_pem())


def fault(client: Credentials, server: Credentials, policy: TlsPolicy | None = None) -> str | None:
    """Why the two cannot authenticate each other; None if they can."""
    ours = ClientContext(policy or TlsPolicy(), client).connection(NOW)
    theirs = ServerContext(TlsPolicy(), server).connection(NOW)
    records = ours.step(b"").records
    for _ in range(8):
        answer = theirs.step(records)
        flight = ours.step(answer.records)
        failure = flight.failure or answer.failure
        if failure is not None:
            return failure
        records = flight.records
        if ours.established and theirs.established:
            return None
    return "it goes on and on"


SERVER = of(SITE, SITE.server)
CLIENT = of(SITE, SITE.client)


@pytest.mark.parametrize("dress", DRESSES.values(), ids=DRESSES)
@pytest.mark.parametrize("which", ["own", "key", "ca"])
def test_text_around_a_pem_block_changes_nothing(which: str, dress: odd_pki.Dress) -> None:
    own, ca = SITE.client.certificate_pem(), SITE.root.certificate_pem()
    made = {"own": own, "key": SITE.client.key_pem(), "ca": ca}
    made[which] = dress(made[which])
    assert fault(files(made["own"], made["key"], made["ca"]), SERVER) is None


@pytest.mark.parametrize("label", LABELS.values(), ids=LABELS)
def test_older_names_of_a_certificate_are_known(label: odd_pki.Dress) -> None:
    own, ca = SITE.client.certificate_pem(), SITE.root.certificate_pem()
    assert fault(files(label(own), SITE.client.key_pem(), label(ca)), SERVER) is None


def test_a_certificate_that_openssl_marked_for_mail_vouches_for_no_server() -> None:
    for usage, taken in (("serverAuth", True), ("emailProtection", False)):
        ca = odd_pki.openssl(
            "x509", "-trustout", "-addtrust", usage, stdin=SITE.root.certificate_pem()
        )
        made = files(SITE.client.certificate_pem(), SITE.client.key_pem(), ca)
        if taken:
            assert fault(made, SERVER) is None
        else:
            with pytest.raises(CredentialError, match=r"ca\.pem: holds no X\.509 certificate"):
                fault(made, SERVER)


@pytest.mark.parametrize("encoding", ["PEM", "DER"])
def test_pkcs7_bundles_are_read(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "all.pem").write_bytes(SITE.client.certificate_pem())
    words = ("crl2pkcs7", "-nocrl", "-certfile", str(tmp_path / "all.pem"), "-outform", encoding)
    bundle = odd_pki.openssl(*words)
    assert fault(files(bundle, SITE.client.key_pem(), SITE.root.certificate_pem()), SERVER) is None


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.RSA_2048])
def test_a_key_is_read_in_every_form_that_openssl_reads(kind: KeyKind) -> None:
    own = key(kind)
    certificate = SITE.issuer.issue("x", SITE.valid, own, usage=odd_pki.CLIENT).certificate
    passphrase = Secret(PASSPHRASE.encode())
    for name, octets in odd_pki.keys(own):
        found = private_key(NamedSecret(name, Secret(octets)), passphrase)
        assert found.belongs_to(parts(certificate)), name


def test_pkcs12_of_every_age_is_read_beside_and_instead_of_client_cert(tmp_path: Path) -> None:
    own = SITE.client
    for name, bundle in odd_pki.bundles(tmp_path, own.key_pem(), own.certificate_pem()):
        for beside in (b"", own.certificate_pem(), SITE.server.certificate_pem()):
            made = files(beside, bundle, SITE.root.certificate_pem(), PASSPHRASE)
            assert fault(made, SERVER) is None, name


def test_pkcs12_without_a_certificate_stands_beside_client_cert(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(SITE.client.key_pem())
    words = ("pkcs12", "-export", "-nocerts", "-inkey", str(tmp_path / "key"))
    bundle = odd_pki.openssl(*words, "-passout", f"pass:{PASSPHRASE}")
    own, ca = SITE.client.certificate_pem(), SITE.root.certificate_pem()
    assert fault(files(own, bundle, ca, PASSPHRASE), SERVER) is None


Oddity = tuple[odd_pki.Dress, bytes | None]
"""A change of what is signed, and BasicConstraints."""


def odd(name: str, usage: x509.ObjectIdentifier, how: Oddity) -> tuple[bytes, bytes]:
    """A certificate and its key, both PEM."""
    own = key(KeyKind.P256, name)
    made = odd_pki.odd(
        name, own.public_key(), SITE.root.certificate.subject, SITE.root.key,
        usage=usage, change=how[0], constraints=how[1],
    )  # fmt: skip
    return made, Issued(SITE.root.certificate, own).key_pem()


ODDITIES: dict[str, Oddity] = {
    **{name: (change, None) for name, change in ENCODINGS.items()},
    **{f"constraints: {name}": (DRESSES["as it is"], der) for name, der in CONSTRAINTS.items()},
}


@pytest.mark.parametrize("how", ODDITIES.values(), ids=ODDITIES)
def test_only_parts_that_are_used_are_decoded(how: Oddity) -> None:
    """As server, as client, and beside the CA that is meant."""
    root = SITE.root.certificate_pem()
    server, server_key = odd(SERVER_NAME, ExtendedKeyUsageOID.SERVER_AUTH, how)
    client, client_key = odd(CLIENT_NAME, ExtendedKeyUsageOID.CLIENT_AUTH, how)
    policy = TlsPolicy(domain_match=(SERVER_NAME,))
    theirs = files(server, server_key, client + root, name="server")
    ours = files(client, client_key, server + root)
    assert fault(ours, theirs, policy) is None
    wrong = fault(ours, theirs, TlsPolicy(domain_match=("other.example",)))
    assert wrong is not None
    assert "Domain mismatch" in wrong
    handed = Handed(
        client=NamedOctets("client.pem", client),
        ca=NamedOctets("ca.pem", root),
        key=NamedSecret("client.key", Secret(client_key)),
    )
    assert judge(handed, NOW) == []


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_what_openssl_cannot_read_is_refused(change: odd_pki.Dress) -> None:
    client, _ = odd(CLIENT_NAME, ExtendedKeyUsageOID.CLIENT_AUTH, (change, None))
    with pytest.raises(CredentialError, match=r"holds no X\.509 certificate"):
        certificates(NamedOctets("client.pem", client))


@pytest.mark.parametrize("name", ["t61.pem", "t61c.pem", "bc_false_explicit.pem"])
def test_each_certificate_that_was_once_refused_is_read_alone_and_in_a_bundle(name: str) -> None:
    alone = (CASES / name).read_bytes()
    [found] = certificates(NamedOctets(name, alone))
    assert "CN=radius.test" in str(found.subject)
    own, ca = SITE.client.certificate_pem(), alone + SITE.root.certificate_pem()
    assert fault(files(own, SITE.client.key_pem(), ca), SERVER) is None


def test_an_issuer_that_is_no_authority_is_refused_by_openssl() -> None:
    """P11: BasicConstraints with CA:FALSE in the middle of the path."""
    between = key(KeyKind.P256, "between")
    no_ca = odd_pki.odd(
        "between", between.public_key(), SITE.root.certificate.subject, SITE.root.key,
        usage=None, constraints=b"\x30\x00",
    )  # fmt: skip
    issuer = pem.blocks(no_ca)[0].octets()
    own = key(KeyKind.P256)
    leaf = odd_pki.odd(
        "gw", own.public_key(), odd_pki.subject_of(issuer), between,
        usage=ExtendedKeyUsageOID.CLIENT_AUTH,
    )  # fmt: skip
    handed = Handed(
        client=NamedOctets("client.pem", leaf + no_ca),
        ca=NamedOctets("ca.pem", SITE.root.certificate_pem()),
        key=NamedSecret("client.key", Secret(Issued(SITE.root.certificate, own).key_pem())),
    )
    with pytest.raises(CredentialError, match="invalid CA certificate"):
        judge(handed, NOW)


def test_a_damaged_entry_of_a_bundle_refuses_it_as_openssl_does() -> None:
    good = SITE.root.certificate_pem()
    for bad in (good[:60] + b"*" + good[61:], pem.block("CERTIFICATE", b"\x30\x03\x02\x01\x00")):
        with pytest.raises(CredentialError):
            certificates(NamedOctets("ca.pem", good + bad))


def test_what_is_weak_is_told_and_works() -> None:
    weak = SITE.leaf(odd_pki.CLIENT, KeyKind.RSA_1024)
    found = identity(of(SITE, weak))
    assert found is not None
    assert found.certificate.der == weak.certificate.public_bytes(Encoding.DER)
    assert fault(of(SITE, weak), SERVER) is None

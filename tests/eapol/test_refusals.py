"""A refusal names the cause, what was expected, what was found, and what to do."""

import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto

from eapol.settings import TlsPolicy, TlsVersion
from eapol.tls import ClientContext, ServerContext
from lab.eapol_pair import credentials, pair
from lab.pki import SERVER_NAME, Issued, KeyKind, Usage, Validity, key, site

POLICY = TlsPolicy(max_version=TlsVersion.TLS_1_2, resume=False)
ROOT = site().root.certificate_pem()
SERVER = site().server
SUBJECT = f"/O=Branch Office Lab/CN={SERVER_NAME}"
ISSUER = "/O=Branch Office Lab/CN=Test Root"


def refusal(
    policy: TlsPolicy = POLICY,
    *,
    server: Issued = SERVER,
    ca: bytes = ROOT,
    date: datetime | None = None,
    at: TlsPolicy = POLICY,
) -> str:
    """What the gateway says of that server, behind whose certificate it was."""
    both = pair(
        client=ClientContext(policy, credentials(site().client, ca)),
        server=ServerContext(at, credentials(server, ROOT, "server")),
        date=date,
    )
    both.plug_in()
    both.run_for(5.0)
    said = both.supplicant.status().failure or ""
    subject = f"the server's certificate {SUBJECT} was refused: "
    return said.removeprefix(subject).partition(". Our own")[0]


def minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (
            replace(POLICY, domain_match=("a.example", "b.example")),
            "Domain mismatch; domain_match expects 'a.example' or 'b.example', but the"
            " certificate is for"
            f" {SERVER_NAME}; find out which server answers, or correct domain_match",
        ),
        (
            replace(POLICY, domain_suffix_match=("example.org",)),
            "Domain suffix mismatch; domain_suffix_match expects 'example.org', but the certificate"
            f" is for {SERVER_NAME}; find out which server answers, or correct domain_suffix_match",
        ),
        (
            replace(POLICY, altsubject_match=("DNS:other",)),
            "AltSubject mismatch; altsubject_match expects 'DNS:other', but the certificate is for"
            f" DNS:{SERVER_NAME}; find out which server answers, or correct altsubject_match",
        ),
        (
            replace(POLICY, subject_match="CN=other"),
            f"Subject mismatch; subject_match expects 'CN=other', but the certificate is for"
            f" {SUBJECT}; find out which server answers, or correct subject_match",
        ),
    ],
)
def test_a_wrong_name_is_told_with_the_one_that_was_wanted(policy: TlsPolicy, says: str) -> None:
    assert refusal(policy) == says


def test_another_pin_is_told_with_both_digests() -> None:
    said = refusal(replace(POLICY, server_sha256=bytes(32)))
    assert said.startswith(f"Server certificate mismatch; ca_cert expects the SHA-256 {'00' * 32},")
    assert said.endswith("; if the certificate was renewed, write the new value")


@pytest.mark.parametrize("usage", ["expired", "not_yet_valid"])
def test_a_date_out_of_range_is_told_with_the_range_and_our_date(usage: str) -> None:
    server = getattr(site(), usage)(Usage.SERVER)
    certificate = server.certificate
    date = datetime.now(UTC)
    span = (
        f"{minute(certificate.not_valid_before_utc)} to {minute(certificate.not_valid_after_utc)}"
    )
    said = refusal(server=server, date=date)
    assert f"; it is valid from {span}, and the date here is {minute(date)} UTC; check" in said


def test_an_unknown_issuer_is_named_with_the_file_that_lacks_it() -> None:
    other = site(name="Other Root").root.certificate_pem()
    assert refusal(ca=other).partition("; ")[2] == (
        f"it was issued by {ISSUER}, which is neither a CA of ca.pem nor issued by one; check"
        " that ca_cert names the CA that issued it, and that the server sends its whole chain"
    )


def test_a_wrong_purpose_is_told_with_the_one_that_it_has() -> None:
    server = replace(site().leaf(Usage.CLIENT))
    said = refusal(server=server)
    assert said.endswith(
        "unsuitable certificate purpose; its extended key usage is clientAuth, which does not"
        " allow this use; have a certificate issued that does"
    )


def test_a_revoked_server_is_told_with_its_number_and_the_list() -> None:
    revoked = site().leaf(Usage.SERVER)
    said = refusal(server=revoked, ca=ROOT + site().crl_pem(revoked))
    number = f"{revoked.certificate.serial_number:x}"
    assert f"; the CRL of {ISSUER} in ca.pem lists its serial number {number} since 20" in said
    assert said.endswith("; the server needs another certificate")


def test_an_expired_list_is_not_blamed_on_the_certificate_or_the_date_alone() -> None:
    here = site()
    begin = datetime.now(UTC) - timedelta(days=20)
    stale = here.issuer.crl((), Validity(begin, begin + timedelta(days=10)))
    said = refusal(ca=ROOT + stale.public_bytes(Encoding.PEM))
    assert said.startswith(
        f"CRL has expired; the CRL of {ISSUER} is valid from {minute(begin)} to "
    )
    assert said.endswith(
        "UTC; check the date, then put the current CRL into ca.pem (net8021x --crl)"
    )


def test_a_missing_list_of_the_servers_own_issuer_is_named() -> None:
    other = site(name="Other Root")
    said = refusal(ca=ROOT + other.root.certificate_pem() + other.crl_pem())
    assert said.endswith(
        f"ca.pem holds CRLs, but none of {ISSUER}; append the CRL of that CA, or remove all CRLs"
    )


def signed_with_sha1() -> Issued:
    """cryptography does not sign with SHA-1 any more; OpenSSL does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        certificate = crypto.X509.from_cryptography(SERVER.certificate)
        certificate.sign(
            crypto.PKey.from_cryptography_key(key(KeyKind.RSA_2048, "Test Root")), "sha1"
        )
        return replace(SERVER, certificate=certificate.to_cryptography())


def test_a_sha_1_server_is_refused_with_the_line_that_admits_it() -> None:
    old = replace(POLICY, seclevel=0)
    assert refusal(server=signed_with_sha1(), at=old) == (
        "CA signature digest algorithm too weak; its signature with SHA1 is below security level 1;"
        ' have the certificate renewed, or write openssl_ciphers="DEFAULT@SECLEVEL=0"'
    )
    strict = replace(POLICY, ciphers="HIGH:@SECLEVEL=1", seclevel=1)
    said = refusal(strict, server=signed_with_sha1(), at=old)
    assert said.endswith('openssl_ciphers="HIGH@SECLEVEL=0"')
    assert refusal(old, server=signed_with_sha1(), at=old) == ""


def test_a_key_too_small_is_told_with_its_bits() -> None:
    weak = site().leaf(Usage.SERVER, KeyKind.RSA_1024)
    said = refusal(replace(POLICY, seclevel=2), server=weak)
    assert "; its key of 1024 bits is below security level 2; have the certificate renewed" in said

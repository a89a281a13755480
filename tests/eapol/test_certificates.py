"""What an administrator hands over is judged, or refused with a CredentialError: nothing else."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from hypothesis import given
from hypothesis import strategies as st

from eapol import credentials
from eapol.certificates import Handed, as_pem, judge, key_as_pem
from eapol.errors import CredentialError
from eapol.settings import NamedOctets, NamedSecret
from lab import odd_pki
from lab.pki import Authority, Issued, KeyKind, Site, Usage, Validity, parts, site
from wire.secret import Secret

NOW = datetime.now(UTC)
SITE = site(KeyKind.P256, depth=4)


def handed(
    made: Site = SITE,
    client: Issued = SITE.client,
    *,
    certificate: bytes | None = None,
    ca: bytes | None = None,
    crl: bytes | None = None,
) -> Handed:
    return Handed(
        client=NamedOctets("client.pem", certificate or client.certificate_pem()),
        ca=NamedOctets("ca.pem", ca or made.root.certificate_pem()),
        key=NamedSecret("key.pem", Secret(client.key_pem())),
        crl=None if crl is None else NamedOctets("crl.pem", crl),
    )


def pem(kind: str, der: bytes) -> bytes:
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (
        kind.encode(),
        base64.encodebytes(der),
        kind.encode(),
    )


def test_a_sound_chain_of_four_has_no_fault() -> None:
    assert judge(handed(), NOW) == []


def test_intermediates_may_stand_in_the_ca_file_instead() -> None:
    alone = SITE.client.certificate_pem(with_chain=False)
    rungs = b"".join(
        certificate.public_bytes(Encoding.PEM) for certificate in SITE.client.chain
    ) + SITE.root.certificate_pem()  # fmt: skip
    assert judge(handed(certificate=alone, ca=rungs), NOW) == []


def test_intermediates_may_stand_in_any_order() -> None:
    own, *rungs = (SITE.client.certificate, *SITE.client.chain)
    turned = b"".join(each.public_bytes(Encoding.PEM) for each in (own, *reversed(rungs)))
    assert judge(handed(certificate=turned), NOW) == []


def test_a_chain_with_a_gap_names_the_issuer_that_is_missing() -> None:
    own, _, last = (SITE.client.certificate, *SITE.client.chain)
    gap = b"".join(each.public_bytes(Encoding.PEM) for each in (own, last))
    with pytest.raises(CredentialError, match="issued by 'CN=Test Root\\\\, rung 2,O=Branch"):
        judge(handed(certificate=gap), NOW)


def test_an_expired_authority_is_found_as_well() -> None:
    old = site(KeyKind.P256, depth=3, now=datetime(2001, 1, 1, tzinfo=UTC))
    with pytest.raises(CredentialError, match="expired on 2010-12-30"):
        judge(handed(old, old.client), NOW)


POSITIONS = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=4)


def damaged(der: bytes, changes: list[tuple[int, int]]) -> bytes:
    octets = bytearray(der)
    for place, value in changes:
        octets[place % len(octets)] = value
    return bytes(octets)


@given(POSITIONS, st.sampled_from(["client", "ca", "crl"]))
def test_a_damaged_file_is_judged_or_refused(changes: list[tuple[int, int]], what: str) -> None:
    client = SITE.client.certificate.public_bytes(Encoding.DER)
    root = SITE.root.certificate.public_bytes(Encoding.DER)
    crl = SITE.issuer.crl([SITE.leaf(Usage.MAIL, KeyKind.P256)], SITE.valid)
    chain = b"".join(each.public_bytes(Encoding.PEM) for each in SITE.client.chain)
    if what == "client":
        given = handed(certificate=pem("CERTIFICATE", damaged(client, changes)) + chain)
    elif what == "ca":
        given = handed(ca=pem("CERTIFICATE", damaged(root, changes)))
    else:
        given = handed(crl=pem("X509 CRL", damaged(crl.public_bytes(Encoding.DER), changes)))
    try:
        judge(given, NOW)
    except CredentialError as error:
        assert str(error).partition(":")[0] in ("client.pem", "ca.pem", "key.pem", "crl.pem")


# Each refusal, word for word


def refusal(given: Handed, date: datetime = NOW) -> str:
    with pytest.raises(CredentialError) as caught:
        judge(given, date)
    return str(caught.value)


def day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


CLIENT = SITE.client.certificate
GW = "CN=gw-0001,O=Branch Office Lab"


def test_files_that_are_something_else_are_told_what_they_are() -> None:
    key = SITE.client.key_pem()
    assert refusal(handed(certificate=key)) == (
        "client.pem: holds a private key, not a certificate; name the certificate's file"
    )
    assert refusal(handed(ca=b"hello")) == (
        "ca.pem: holds no X.509 certificate that can be read (PEM, DER or PKCS #7); 'openssl x509"
        " -in ca.pem -noout -text' shows what is in it"
    )
    no_key = replace(handed(), key=NamedSecret("key.pem", Secret(b"hello")))
    assert refusal(no_key) == (
        "key.pem: holds no private key that can be read (PEM, DER or PKCS #12)"
    )
    assert refusal(handed(crl=b"hello")) == (
        "crl.pem: holds no CRL in PEM form; convert it with 'openssl crl -inform DER"
        " -in crl.pem -out NEW.pem'"
    )


def test_the_key_of_another_certificate_is_refused() -> None:
    other = Secret(site(KeyKind.P256, name="Other Root").client.key_pem())
    assert refusal(replace(handed(), key=NamedSecret("key.pem", other))) == (
        "key.pem: this key does not belong to the certificate in client.pem; give the key that the"
        " certificate was requested with"
    )


def test_a_certificate_for_something_else_is_refused() -> None:
    assert refusal(handed(client=SITE.leaf(Usage.SERVER, KeyKind.P256))) == (
        "client.pem: the certificate of 'CN=radius.example.test,O=Branch Office Lab' is not for"
        " client authentication (its extended key usage lacks clientAuth); have a certificate with"
        " clientAuth issued"
    )


def test_a_root_that_nobody_handed_over_as_ca_is_not_trusted() -> None:
    other = site(KeyKind.P256, name="Other Root")
    chain = SITE.client.certificate_pem() + SITE.root.certificate_pem()
    assert refusal(handed(certificate=chain, ca=other.root.certificate_pem())) == (
        "client.pem: the certificate's root CA is 'CN=Test Root,O=Branch Office Lab', which is not"
        " in"
        " ca.pem; give the CA file that holds it"
    )


def test_an_issuer_of_the_same_name_with_another_key_is_told_apart() -> None:
    valid = SITE.valid
    again = Authority.root("Test Root", valid, KeyKind.P256.generate())
    shallow = site(KeyKind.P256)
    assert refusal(handed(client=shallow.client, ca=again.certificate_pem())) == (
        f"client.pem: the certificate of '{GW}' was not signed with the key of the 'CN=Test Root,"
        "O=Branch Office Lab' that was given: two CAs have this name; put the right one into ca.pem"
    )


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_certificate_is_valid_from_its_first_to_its_last_second(seconds: int) -> None:
    beyond = timedelta(seconds=seconds)
    client = SITE._leaf(Usage.CLIENT, KeyKind.P256, Validity(NOW - timedelta(hours=12), NOW))
    begin = client.certificate.not_valid_before_utc
    end = client.certificate.not_valid_after_utc
    if not seconds:
        assert judge(handed(client=client), begin)[0].endswith("have it renewed")
        assert len(judge(handed(client=client), end)) == 1
        return
    assert refusal(handed(client=client), begin - beyond) == (
        f"client.pem: the certificate of '{GW}' is not valid before {day(begin)}, and this"
        f" gateway's date is {day(begin - beyond)}; set the date with 'localNTP -a -n ADDRESS'"
        " first, or have another certificate issued"
    )
    assert refusal(handed(client=client), end + beyond) == (
        f"client.pem: the certificate of '{GW}' expired on {day(end)}, and this gateway's date is"
        f" {day(end + beyond)}; have it renewed"
    )


@pytest.mark.parametrize(("days", "warned"), [(29, True), (31, False)])
def test_a_certificate_that_ends_within_thirty_days_is_a_warning(days: int, warned: bool) -> None:
    end = CLIENT.not_valid_after_utc
    warnings = judge(handed(), end - timedelta(days=days))
    line = f"client.pem: the certificate of '{GW}' expires on {day(end)}; have it renewed"
    assert (line in warnings) == warned
    assert bool(warnings) == warned


def test_a_weak_certificate_is_a_warning() -> None:
    weak = site(KeyKind.P256).leaf(Usage.CLIENT, KeyKind.RSA_1024)
    assert judge(handed(site(KeyKind.P256), weak), NOW) == [
        f"client.pem: the certificate of '{GW}' is weak: its RSA key has only 1024 bits; have a"
        " stronger one issued"
    ]


def test_a_revoked_certificate_is_refused_with_the_day() -> None:
    own = SITE.leaf(Usage.CLIENT, KeyKind.P256)
    rungs = b"".join(each.public_bytes(Encoding.PEM) for each in SITE.client.chain)
    ca = SITE.root.certificate_pem() + rungs
    others = SITE.crl_pem(SITE.leaf(Usage.MAIL, KeyKind.P256))
    assert judge(handed(client=own, ca=ca, crl=others), NOW) == []
    said = refusal(handed(client=own, ca=ca, crl=SITE.crl_pem(own)))
    assert said.startswith(f"client.pem: the certificate of '{GW}' was revoked on 20")
    assert said.endswith("; have another issued")


def test_the_list_of_an_authority_that_is_not_there_is_refused() -> None:
    other = site(KeyKind.P256, name="Other Root")
    assert refusal(handed(crl=other.crl_pem())) == (
        "crl.pem: the CRL of 'CN=Other Root,O=Branch Office Lab' is not signed by a CA in ca.pem;"
        " give the CRL of that CA"
    )


def test_a_list_that_is_out_of_date_is_a_warning() -> None:
    shallow = site(KeyKind.P256)
    begin = NOW - timedelta(days=20)
    stale = shallow.issuer.crl((), Validity(begin, begin + timedelta(days=10)))
    octets = stale.public_bytes(Encoding.PEM)
    assert judge(handed(shallow, shallow.client, crl=octets), NOW) == [
        "crl.pem: the CRL of 'CN=Test Root,O=Branch Office Lab' expired on"
        f" {day(begin + timedelta(days=10))}; fetch the current one"
    ]


def test_what_is_not_pem_becomes_pem_and_what_is_stays_as_it_is() -> None:
    made = site(KeyKind.P256)
    der = made.root.certificate.public_bytes(Encoding.DER)
    again = as_pem(NamedOctets("ca.der", der))
    assert credentials.certificates(NamedOctets("ca", again)) == [parts(made.root.certificate)]
    noisy = b"text\n" + made.root.certificate_pem()
    assert as_pem(NamedOctets("ca.pem", noisy)) == noisy
    usual = handed(made, made.client)
    assert key_as_pem(usual) == usual.key.secret
    encoded = made.client.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    key = key_as_pem(replace(usual, key=NamedSecret("key.der", Secret(encoded))))
    found = credentials.private_key(NamedSecret("key", key), None)
    assert found.belongs_to(parts(made.client.certificate))
    bundle = pkcs12.serialize_key_and_certificates(
        None, made.client.key, made.client.certificate, None, NoEncryption()
    )
    key = key_as_pem(replace(usual, key=NamedSecret("key.p12", Secret(bundle))))
    assert b"BEGIN PRIVATE KEY" in key.reveal()


def test_a_certificate_of_version_1_is_a_warning(tmp_path: Path) -> None:
    made = site(KeyKind.P256)
    for name, octets in {
        "ca": made.root.certificate_pem(),
        "ca.key": Issued(made.root.certificate, made.root.key).key_pem(),
        "key": made.client.key_pem(),
    }.items():
        (tmp_path / name).write_bytes(octets)
    request = odd_pki.openssl("req", "-new", "-key", str(tmp_path / "key"), "-subj", "/CN=old")
    signed = ("-CA", str(tmp_path / "ca"), "-CAkey", str(tmp_path / "ca.key"), "-set_serial", "7")
    old = odd_pki.openssl("x509", "-req", *signed, "-days", "90", stdin=request)
    assert judge(handed(made, certificate=old, client=made.client), NOW + timedelta(days=1)) == [
        "client.pem: the certificate of 'CN=old' is X.509 version 1; have a"
        " certificate of version 3 issued"
    ]

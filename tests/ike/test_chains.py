"""Certificates by way of intermediate CAs, and what CAs have revoked (RFC 5280, 5 and 6)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from ike.config import Switch
from ike.crypto.chains import chain_to_send, check_chain
from ike.crypto.signatures import load
from ike.errors import InvalidCertificate, LocalError
from ike.numbers.isakmp import ExchangeType
from lab.ike_rsa import NOW, credentials, dated_world, ike_site, refusal, root_of, signing
from lab.ike_world import LEFT, RIGHT, connect, mirrored, pair
from lab.pki import Authority, Issued, KeyKind, Site, Usage, Validity, key, parts

VALID = Validity.around(NOW)
SEVERAL = ike_site(depth=5)
ONE = ike_site()


def _der(certificate: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _why(
    issued: Issued,
    ca: Site,
    *crls: bytes,
    others: Sequence[x509.Certificate] | None = None,
    date: datetime | None = NOW,
) -> str:
    """Why the certificate of `issued` is refused by who trusts the root, "" if it is not."""
    shown = issued.chain if others is None else others
    try:
        check_chain(
            parts(issued.certificate), [parts(each) for each in shown], [root_of(ca)], crls, date
        )
    except InvalidCertificate as error:
        return str(error)
    return ""


# --- chains ---


@pytest.mark.parametrize("exchange", [ExchangeType.MAIN, ExchangeType.AGGRESSIVE])
@pytest.mark.parametrize("fragments", list(Switch))
def test_certificates_of_intermediate_cas_convince_who_has_only_the_root(
    exchange: ExchangeType, fragments: Switch
) -> None:
    root, world = root_of(SEVERAL), dated_world()
    modes = {"exchange_modes": (exchange,), "ike_frag": fragments}
    left, right = pair(
        world,
        left=signing(RIGHT, credentials(SEVERAL.client, root), **modes),
        right=signing(LEFT, credentials(SEVERAL.server, root), **modes),
    )
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)


def test_without_its_intermediate_a_certificate_is_refused_and_the_missing_ca_is_named() -> None:
    ca, root = ike_site(depth=3), root_of(ike_site(depth=3))
    alone = replace(credentials(ca.client, root), chain=())
    said = refusal(alone, credentials(ca.server, root))
    assert "no trusted CA has issued CN=gw-0001" in said
    assert "its issuer is CN=IKE Root\\, rung 1" in said


def test_more_certificates_than_eight_are_refused() -> None:
    own = credentials(SEVERAL.client, root_of(SEVERAL))
    shown = replace(own, chain=own.chain * 3)
    assert len(shown.chain) == 9
    assert "10 CERT payloads" in refusal(shown, credentials(SEVERAL.server, root_of(SEVERAL)))


def test_what_else_the_peer_sends_and_what_cannot_be_read_does_no_harm() -> None:
    root, world = root_of(SEVERAL), dated_world()
    own, foreign = credentials(SEVERAL.client, root), ike_site(name="Somebody else")
    noise = (b"no certificate", root, root_of(foreign), own.certificate)
    left, right = pair(
        world,
        left=signing(RIGHT, replace(own, chain=(*noise, *reversed(own.chain)))),
        right=signing(LEFT, credentials(SEVERAL.server, root)),
    )
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)


@given(st.permutations([*SEVERAL.client.chain, ONE.root.certificate, SEVERAL.server.certificate]))
def test_intermediates_may_come_in_any_order(shown: list[x509.Certificate]) -> None:
    assert _why(SEVERAL.client, SEVERAL, others=shown) == ""


@given(st.permutations([*SEVERAL.client.chain, SEVERAL.root.certificate, ONE.root.certificate]))
def test_we_send_from_the_nearest_issuer_up_without_the_root(known: list[x509.Certificate]) -> None:
    sent = chain_to_send(parts(SEVERAL.client.certificate), [_der(c) for c in known])
    assert sent == [_der(c) for c in SEVERAL.client.chain]


def test_a_chain_that_leads_nowhere_is_refused_whatever_comes_with_it() -> None:
    stranger = ike_site(depth=4, name="Somebody else")
    everything = [*stranger.client.chain, stranger.root.certificate, ONE.root.certificate]
    assert "no trusted CA has issued" in _why(stranger.client, ONE, others=everything)


def test_two_cas_that_issued_each_other_lead_nowhere() -> None:
    a = Authority.root("A", VALID, key(KeyKind.RSA_2048, "A"))
    b = Authority.root("B", VALID, key(KeyKind.RSA_2048, "B"))
    crossed = [b.intermediate("A", VALID, a.key), a.intermediate("B", VALID, b.key)]
    leaf = a.issue("leaf", VALID, key(), usage=Usage.IPSEC)
    shown = [authority.certificate for authority in crossed]
    assert "no trusted CA has issued" in _why(leaf, ONE, others=shown)


def test_a_renewed_intermediate_serves_beside_the_one_that_expired() -> None:
    rung = key(KeyKind.RSA_2048, "rung")
    old = ONE.root.intermediate("Rung", Validity.expired(NOW), rung)
    new = ONE.root.intermediate("Rung", VALID, rung)
    leaf = new.issue("leaf", VALID, key(), usage=Usage.IPSEC)
    both = [old.certificate, new.certificate]
    assert _why(leaf, ONE, others=both) == ""
    assert "Rung,O=Branch Office Lab expired on" in _why(leaf, ONE, others=both[:1])


def test_a_renewed_root_of_the_same_key_serves_beside_the_old_one() -> None:
    renewed = Authority.root("IKE Root", VALID, ONE.root.key)
    for trusted in ([ONE.root, renewed], [renewed, ONE.root]):
        authorities = [_der(authority.certificate) for authority in trusted]
        check_chain(parts(ONE.client.certificate), [], authorities, [], NOW)


def _rung(extensions: Sequence[tuple[x509.ExtensionType, bool]]) -> Authority:
    """A CA below the root with these extensions, each critical or not."""
    private = key(KeyKind.RSA_2048, "odd rung")
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Odd rung")]))
        .issuer_name(ONE.root.certificate.subject)
        .public_key(private.public_key())
        .serial_number(4711)
        .not_valid_before(VALID.begin)
        .not_valid_after(VALID.end)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    certificate = builder.sign(ONE.root.key, hashes.SHA256())
    return Authority(certificate, private, (certificate,))


CA = (x509.BasicConstraints(ca=True, path_length=None), True)
LOWEST = (x509.BasicConstraints(ca=True, path_length=0), True)


def _usage(*, certificates: bool, crls: bool) -> tuple[x509.ExtensionType, bool]:
    names = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    others = dict.fromkeys((*names, "encipher_only", "decipher_only"), False)
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=certificates, crl_sign=crls, **others
    )
    return usage, True


def _below(rung: Authority) -> Issued:
    return rung.issue("leaf", VALID, key(), usage=Usage.IPSEC)


def test_a_ca_that_may_have_no_ca_below_it_has_none() -> None:
    lowest = _rung([LOWEST])
    assert _why(_below(lowest), ONE) == ""
    said = _why(_below(lowest.intermediate("Lower", VALID, key(whose="lower"))), ONE)
    assert "CN=Odd rung: path length constraint exceeded" in said


def test_a_ca_whose_key_is_not_for_certificates_issues_none() -> None:
    assert _why(_below(_rung([CA, _usage(certificates=True, crls=False)])), ONE) == ""
    said = _why(_below(_rung([CA, _usage(certificates=False, crls=True)])), ONE)
    assert "CN=Odd rung: invalid CA certificate" in said


def test_what_must_not_be_overlooked_is_refused() -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    assert _why(_below(_rung([CA, (strange, False)])), ONE) == ""
    assert "CN=Odd rung: unhandled critical extension" in _why(
        _below(_rung([CA, (strange, True)])), ONE
    )


def test_a_ca_for_some_names_has_no_others_below_it() -> None:
    names = x509.NameConstraints([x509.DNSName("branch.example")], None)
    rung = _rung([CA, (names, True)])
    lower = rung.intermediate("Lower", VALID, key(whose="lower"))
    for authority in (rung, lower):
        sound, wrong = (
            authority.issue("leaf", VALID, key(), usage=Usage.IPSEC, names=[name])
            for name in ("gw.branch.example", "gw.mybranch.example")
        )
        assert _why(sound, ONE) == ""
        said = _why(wrong, ONE)
        assert "CN=leaf,O=Branch Office Lab: permitted subtree violation" in said


@given(st.data())
def test_a_damaged_certificate_raises_only_the_error_that_refuses_it(data: st.DataObject) -> None:
    octets = bytearray(_der(SEVERAL.client.certificate))
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        damaged = load(bytes(octets))
        check_chain(
            damaged, [damaged, *map(parts, SEVERAL.client.chain)], [root_of(SEVERAL)], [], NOW
        )
    except InvalidCertificate:
        return
    assert damaged == parts(SEVERAL.client.certificate)


# --- revocation ---


def test_a_revoked_peer_is_refused_and_the_log_says_who_and_when() -> None:
    revoked, root = ONE.leaf(Usage.CLIENT), root_of(ONE)
    crl = _der(ONE.issuer.crl([revoked], VALID))
    theirs = replace(credentials(ONE.server, root), crls=(crl,))
    said = refusal(credentials(revoked, root), theirs)
    assert "the certificate of CN=gw-0001,O=Branch Office Lab (serial number" in said
    assert f"{revoked.certificate.serial_number:x}" in said
    assert "was revoked on 2026-05-31 00:00 UTC" in said
    assert "as the CRL of CN=IKE Root,O=Branch Office Lab says" in said


def test_who_is_not_on_the_list_is_let_in() -> None:
    root, world = root_of(ONE), dated_world()
    crl = _der(ONE.issuer.crl([ONE.leaf(Usage.CLIENT)], VALID))
    left, right = pair(
        world,
        left=signing(RIGHT, replace(credentials(ONE.client, root), crls=(crl,))),
        right=signing(LEFT, replace(credentials(ONE.server, root), crls=(crl,))),
    )
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)


def test_the_reason_of_a_revocation_is_said() -> None:
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(ONE.client.certificate.serial_number)
        .revocation_date(NOW - timedelta(hours=1))
        .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
        .build()
    )
    said = _why(ONE.client, ONE, _crl(ONE.root, entries=[entry]))
    assert "was revoked on 2026-05-31 23:00 UTC (key compromise), as the CRL" in said


def test_a_revoked_intermediate_takes_those_below_it_along() -> None:
    ca = ike_site(depth=4)
    higher = ca.client.chain[-1]
    crl = _der(ca.root.crl([Issued(higher, ca.root.key)], VALID))
    assert "the certificate of CN=IKE Root\\, rung 1" in _why(ca.client, ca, crl)


def test_the_list_of_another_ca_revokes_nothing_here() -> None:
    foreign = ike_site(name="Somebody else")
    crl = _der(foreign.root.crl([ONE.client, foreign.client], VALID))
    assert _why(ONE.client, ONE, crl) == ""


def test_an_expired_list_lets_nobody_in_until_it_is_renewed() -> None:
    old = _der(ONE.root.crl([], Validity.expired(NOW)))
    said = _why(ONE.client, ONE, old)
    assert "the CRL of CN=IKE Root,O=Branch Office Lab expired on 2026-05-31 00:00 UTC" in said
    assert "racoonctl reload-config" in said
    assert _why(ONE.client, ONE, old, _der(ONE.root.crl([], VALID))) == ""


def test_what_an_expired_list_revokes_stays_revoked() -> None:
    old = _der(ONE.root.crl([ONE.client], Validity.expired(NOW)))
    assert "was revoked on" in _why(ONE.client, ONE, old)


def test_a_list_of_tomorrow_says_that_the_date_here_is_wrong() -> None:
    early = _der(ONE.root.crl([], Validity.not_yet(NOW)))
    assert "check this gateway's date, 2026-06-01 00:00 UTC" in _why(ONE.client, ONE, early)


def test_without_a_date_lists_count_whatever_their_dates() -> None:
    old = _der(ONE.root.crl([ONE.client], Validity.expired(NOW)))
    assert "was revoked on" in _why(ONE.client, ONE, old, date=None)
    assert _why(ONE.server, ONE, old, date=None) == ""


def test_the_newest_list_counts() -> None:
    day = timedelta(days=1)
    before = _der(ONE.root.crl([ONE.client], Validity(VALID.begin - day, VALID.end)))
    after = _der(ONE.root.crl([], VALID))
    assert _why(ONE.client, ONE, before, after) == _why(ONE.client, ONE, after, before) == ""


def test_a_list_that_the_ca_has_not_signed_lets_nobody_in() -> None:
    namesake = Authority.root("IKE Root", VALID, key(KeyKind.RSA_2048, "a namesake"))
    forged = _der(namesake.crl([], VALID))
    said = _why(ONE.client, ONE, forged)
    assert "the CRL of CN=IKE Root,O=Branch Office Lab is not signed by that CA's key" in said
    assert _why(ONE.client, ONE, forged, _der(ONE.root.crl([], VALID))) == ""


def test_a_key_that_is_not_for_lists_signs_none() -> None:
    rung = _rung([CA, _usage(certificates=True, crls=False)])
    assert "is not for signing CRLs" in _why(_below(rung), ONE, _der(rung.crl([], VALID)))


def test_a_list_of_a_part_of_the_certificates_is_not_taken_for_the_whole() -> None:
    part = x509.IssuingDistributionPoint(None, None, False, True, None, False, False)
    delta = x509.DeltaCRLIndicator(1)
    for extension in (part, delta):
        said = _why(ONE.client, ONE, _crl(ONE.root, extension))
        assert "has a critical extension" in said


def test_a_revoked_certificate_that_is_trusted_by_itself_is_refused() -> None:
    own, crl = _der(ONE.client.certificate), _der(ONE.root.crl([ONE.client], VALID))
    check_chain(parts(ONE.client.certificate), [], [own], [], NOW)
    with pytest.raises(InvalidCertificate, match="was revoked on"):
        check_chain(parts(ONE.client.certificate), [], [own, root_of(ONE)], [crl], NOW)
    with pytest.raises(InvalidCertificate, match="cannot be checked without the certificate of"):
        check_chain(parts(ONE.client.certificate), [], [own], [crl], NOW)


def _crl(
    by: Authority,
    *extensions: x509.ExtensionType,
    entries: Sequence[x509.RevokedCertificate] = (),
) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(by.certificate.subject)
        .last_update(VALID.begin)
        .next_update(VALID.end)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    for entry in entries:
        builder = builder.add_revoked_certificate(entry)
    return _der(builder.sign(by.key, hashes.SHA256()))


@given(st.data())
def test_a_damaged_list_raises_only_errors_that_are_expected(data: st.DataObject) -> None:
    octets = bytearray(_der(ONE.root.crl([ONE.client], VALID)))
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        _why(ONE.client, ONE, bytes(octets))
    except LocalError:
        return

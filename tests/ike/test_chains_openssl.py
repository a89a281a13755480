"""Our verdict on the CRLs of a chain is OpenSSL's, which is racoon's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import event, given, settings
from hypothesis import strategies as st
from OpenSSL import crypto

from ike.crypto.chains import check_chain
from ike.errors import InvalidCertificate
from lab.pki import PrivateKey, key, parts

Span = tuple[datetime, datetime]
T = TypeVar("T")

NOW: Final = datetime(2026, 6, 1, tzinfo=UTC)
DAY: Final = timedelta(days=1)
SOUND: Final = (NOW - 9 * DAY, NOW + 9 * DAY)
PAST: Final = (NOW - 9 * DAY, NOW - DAY)
FUTURE: Final = (NOW + DAY, NOW + 9 * DAY)
STRANGE: Final = x509.UnrecognizedExtension(
    x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"
)


@dataclass(frozen=True)
class Rung:
    """A CA of the ladder and its CRL, with what may be wrong with them."""

    span: Span
    ca: bool
    path_length: int | None
    signs: tuple[bool, bool] | None  # certificates, CRLs; None: no key usage
    critical: bool  # with an extension that nobody knows
    crl_span: Span
    crl_by_another: bool
    crl_critical: bool
    revokes: bool  # the one below


def mostly(usual: T, *others: T) -> st.SearchStrategy[T]:
    return st.sampled_from([usual] * 20 + list(others))


RUNGS: Final = st.builds(
    Rung,
    span=mostly(SOUND, PAST, FUTURE),
    ca=mostly(True, False),
    path_length=mostly(None, 0, 1, 2),
    signs=mostly((True, True), (True, False), (False, True), None, None),
    critical=mostly(False, True),
    crl_span=mostly(SOUND, PAST, FUTURE),
    crl_by_another=mostly(False, True),
    crl_critical=mostly(False, True),
    revokes=mostly(False, True),
)


def _name(number: int) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"rung {number}")])


def _key(number: int) -> PrivateKey:
    return key(whose=f"rung {number}")


def _usage(certificates: bool, crls: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        True, False, False, False, False, certificates, crls, False, False
    )  # fmt: skip


def _certificate(number: int, span: Span, *extensions: x509.ExtensionType) -> x509.Certificate:
    """The certificate of a rung, issued by the one above; rung 0 is the root."""
    above = max(number - 1, 0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(number))
        .issuer_name(_name(above))
        .public_key(_key(number).public_key())
        .serial_number(1000 + number)
        .not_valid_before(span[0])
        .not_valid_after(span[1])
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(_key(above), hashes.SHA256())


def _authority(number: int, rung: Rung) -> x509.Certificate:
    length = rung.path_length if rung.ca else None
    extensions: list[x509.ExtensionType] = [x509.BasicConstraints(rung.ca, length)]
    if rung.signs is not None:
        extensions.append(_usage(*rung.signs))
    if rung.critical:
        extensions.append(STRANGE)
    return _certificate(number, rung.span, *extensions)


def _crl(number: int, rung: Rung) -> x509.CertificateRevocationList:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(_name(number))
        .last_update(rung.crl_span[0])
        .next_update(rung.crl_span[1])
    )
    if rung.revokes:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(1000 + number + 1)
            .revocation_date(NOW - 5 * DAY)
            .build()
        )
    if rung.crl_critical:
        builder = builder.add_extension(STRANGE, critical=True)
    return builder.sign(_key(99 if rung.crl_by_another else number), hashes.SHA256())


def _ours(
    leaf: x509.Certificate,
    shown: Sequence[x509.Certificate],
    root: x509.Certificate,
    crls: Sequence[x509.CertificateRevocationList],
) -> str:
    encoded = [crl.public_bytes(Encoding.DER) for crl in crls]
    try:
        check_chain(
            parts(leaf),
            [parts(each) for each in shown],
            [root.public_bytes(Encoding.DER)],
            encoded,
            NOW,
        )
    except InvalidCertificate as error:
        return str(error)
    return ""


def _openssl(
    leaf: x509.Certificate,
    shown: Sequence[x509.Certificate],
    root: x509.Certificate,
    crls: Sequence[x509.CertificateRevocationList],
) -> str:
    store = crypto.X509Store()
    store.add_cert(crypto.X509.from_cryptography(root))
    store.set_time(NOW)
    for crl in crls:
        store.add_crl(crl)
    store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)
    untrusted = [crypto.X509.from_cryptography(certificate) for certificate in shown]
    subject = crypto.X509.from_cryptography(leaf)
    try:
        crypto.X509StoreContext(store, subject, untrusted).verify_certificate()
    except crypto.X509StoreContextError as error:
        return str(error)
    return ""


def _same_verdict(
    leaf: x509.Certificate,
    shown: Sequence[x509.Certificate],
    root: x509.Certificate,
    crls: Sequence[x509.CertificateRevocationList],
) -> None:
    ours, theirs = _ours(leaf, shown, root, crls), _openssl(leaf, shown, root, crls)
    event("refused" if theirs else "accepted")
    assert bool(ours) == bool(theirs), f"we say: {ours!r}; OpenSSL says: {theirs!r}"


@settings(max_examples=300)
@given(
    rungs=st.lists(RUNGS, min_size=1, max_size=4),
    span=mostly(SOUND, PAST, FUTURE),
    data=st.data(),
)
def test_whom_openssl_takes_for_revoked_and_nobody_else_is_refused(
    rungs: list[Rung], span: Span, data: st.DataObject
) -> None:
    root, *between = (_authority(number, rung) for number, rung in enumerate(rungs))
    crls = [_crl(number, rung) for number, rung in enumerate(rungs)]
    shown = data.draw(st.permutations(between))
    if data.draw(st.integers(0, 9)) == 0:
        shown = shown[1:]  # the peer forgot one
    _same_verdict(_certificate(len(rungs), span), shown, root, crls)

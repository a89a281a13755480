"""What is to be said of our own certificate at some date, in sentences with file and remedy.

RFC 5280 for dates and paths, RFC 5216, 5.3 for what a peer's certificate must be allowed to do.
`net8021x` refuses what is at fault before it installs it; the supplicant says the same at its
start, at every change and daily. Each function returns None where nothing is to be said.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID

from eapol.credentials import Identity, weakness
from eapol.status import Review

SOON: Final = timedelta(days=30)
"""A certificate that ends within this is worth a warning."""

_ANY_USAGE: Final = x509.ObjectIdentifier("2.5.29.37.0")
_MAX_PATH: Final = 16


def review(own: Identity, authorities: Sequence[x509.Certificate], date: datetime) -> Review:
    """Of the certificate that we show, and of those that we show with it."""
    shown = (own.certificate, *own.chain)
    faults = [
        purpose(own.certificate, own.name),
        *(dates(certificate, own.name, date) for certificate in shown),
        _gap(own, authorities),
    ]
    warnings = [
        *(weak(each, own.name) for each in shown),
        *(ends(each, own.name, date) for each in shown),
    ]
    return Review(
        faults=tuple(fault for fault in faults if fault is not None),
        warnings=tuple(warning for warning in warnings if warning is not None),
    )


def purpose(client: x509.Certificate, name: str) -> str | None:
    """RFC 5216, 5.3: the extended key usage, where there is one, allows a TLS client."""
    try:
        usages = client.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return None
    if {ExtendedKeyUsageOID.CLIENT_AUTH, _ANY_USAGE} & set(usages):
        return None
    return (
        f"{name}: the certificate is not for client authentication"
        " (its extended key usage lacks clientAuth); have one issued that is"
    )


def dates(certificate: x509.Certificate, name: str, date: datetime) -> str | None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if date < begin:
        return (
            f"{name}: the certificate of {who(certificate)} is not valid before {day(begin)},"
            f" and this gateway's date is {day(date)}; set the date with"
            " 'localNTP -a -n ADDRESS' first, or have another certificate issued"
        )
    if date > end:
        return (
            f"{name}: the certificate of {who(certificate)} expired on {day(end)}, and this"
            f" gateway's date is {day(date)}; have it renewed"
        )
    return None


def ends(certificate: x509.Certificate, name: str, date: datetime) -> str | None:
    """It is valid, and not for long."""
    end = certificate.not_valid_after_utc
    if not certificate.not_valid_before_utc <= date <= end < date + SOON:
        return None
    return f"{name}: the certificate of {who(certificate)} expires on {day(end)}; have it renewed"


def weak(certificate: x509.Certificate, name: str) -> str | None:
    why = weakness(certificate)
    if why is None:
        return None
    return (
        f"{name}: the certificate of {who(certificate)} is weak: {why}; have a stronger one issued"
    )


def issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _gap(own: Identity, authorities: Sequence[x509.Certificate]) -> str | None:
    """A certificate of the path that neither we show nor the CA file has (RFC 5280, 6.1)."""
    last = own.certificate
    for _ in range(_MAX_PATH):
        if last.subject == last.issuer:
            return None
        if any(issued(authority, last) for authority in authorities):
            return None
        above = next((each for each in own.chain if issued(each, last)), None)
        if above is None:
            break
        last = above
    return (
        f"{own.name}: the certificate of {who(last)} was issued by"
        f" '{last.issuer.rfc4514_string()}', which is neither in this file nor in ca_cert; a server"
        f" that does not have it refuses us: append it to {own.name}"
    )


def who(certificate: x509.Certificate) -> str:
    return f"'{certificate.subject.rfc4514_string()}'"


def day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"

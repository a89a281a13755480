"""Warnings about our own certificate at some date, in sentences with file and remedy.

OpenSSL judges path, dates and purpose (RFC 5280, 6; RFC 5216, 5.3); the words are ours.
`net8021x` refuses what is at fault before it installs it; the supplicant says the same at its
start, at every change and daily. Each function returns None if there is no warning.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from eapol import openssl
from eapol.credentials import Identity, weakness
from eapol.openssl import Fault
from eapol.refusals import VerifyError
from eapol.status import Review
from wire.x509 import Certificate

SOON: Final = timedelta(days=30)
"""A certificate that ends within this is worth a warning."""


def review(own: Identity, authorities: Sequence[Certificate], date: datetime) -> Review:
    """Of the certificate that we show, and of those that we show with it."""
    shown = (own.certificate, *own.chain)
    found = openssl.verify(own.certificate, own.chain, authorities, date)
    fault = sentence(found, own.name, date) if isinstance(found, Fault) else None
    warnings = [
        *(weak(each, own.name) for each in shown),
        *(ends(each, own.name, date) for each in shown),
    ]
    return Review(
        faults=() if fault is None else (fault,),
        warnings=tuple(warning for warning in warnings if warning is not None),
    )


def sentence(fault: Fault, name: str, date: datetime) -> str:
    """What OpenSSL found wrong, and what to do about it."""
    of = f"{name}: the certificate of {who(fault.certificate)}"
    match fault.error:
        case VerifyError.INVALID_PURPOSE:
            return (
                f"{of} is not for client authentication (its extended key usage lacks clientAuth);"
                " have a certificate with clientAuth issued"
            )
        case VerifyError.NOT_YET_VALID:
            return (
                f"{of} is not valid before {day(fault.certificate.begin)}, and this gateway's date"
                f" is {day(date)}; set the date with 'localNTP -a -n ADDRESS' first, or have"
                " another certificate issued"
            )
        case VerifyError.EXPIRED:
            return (
                f"{of} expired on {day(fault.certificate.end)}, and this gateway's date is"
                f" {day(date)}; have it renewed"
            )
        case error if error in openssl.NO_ISSUER:
            return (
                f"{of} was issued by '{fault.certificate.issuer}', which is neither in this file"
                f" nor in ca_cert; a server that does not have it refuses us: append it to {name}"
            )
        case _:
            return f"{of} is refused by OpenSSL: {fault.text}; have another issued"


def ends(certificate: Certificate, name: str, date: datetime) -> str | None:
    """It is valid, and not for long."""
    begin, end = certificate.begin, certificate.end
    if begin is None or end is None or not begin <= date <= end < date + SOON:
        return None
    return f"{name}: the certificate of {who(certificate)} expires on {day(end)}; have it renewed"


def weak(certificate: Certificate, name: str) -> str | None:
    why = weakness(certificate)
    if why is None:
        return None
    return (
        f"{name}: the certificate of {who(certificate)} is weak: {why}; have a stronger one issued"
    )


def who(certificate: Certificate) -> str:
    return f"'{certificate.subject}'"


def day(moment: datetime | None) -> str:
    return "a date that cannot be read" if moment is None else f"{moment:%Y-%m-%d}"

"""Certificate revocation lists: local files, never fetched (RFC 5280, 5).

As racoon, which lets OpenSSL check the CRLs of the whole chain: an issuer without a CRL revokes
nothing; one whose CRL does not hold (signature, dates) vouches for nobody until it is renewed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from ike.crypto.signatures import UNDECODABLE
from ike.errors import InvalidCertificate, LocalError

_RENEW = "replace it with a current one and run 'racoonctl reload-config'"


@lru_cache(maxsize=64)
def load(der: bytes) -> x509.CertificateRevocationList:
    """Raises: LocalError."""
    try:
        crl = x509.load_der_x509_crl(der)
        _ = crl.issuer, crl.extensions, crl.last_update_utc, crl.next_update_utc
    except UNDECODABLE as error:
        raise LocalError(f"the CRL cannot be read: {error}") from error
    return crl


@dataclass(frozen=True, slots=True)
class Lists:
    """All CRLs that we have."""

    crls: Sequence[x509.CertificateRevocationList]

    @classmethod
    def of(cls, encoded: Iterable[bytes]) -> Self:
        """Raises: LocalError."""
        return cls(tuple(load(der) for der in encoded))

    def check(
        self, certificate: x509.Certificate, issuer: x509.Certificate, date: datetime | None
    ) -> None:
        """Whether `issuer`, whose signature `certificate` bears, stands by it.

        Raises: InvalidCertificate.
        """
        crl = self._newest(issuer)
        if crl is None:
            return
        entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is not None:
            raise InvalidCertificate(
                f"the certificate of {certificate.subject.rfc4514_string()} (serial number "
                f"{certificate.serial_number:x}) was revoked on "
                f"{entry.revocation_date_utc:%Y-%m-%d %H:%M} UTC{_reason(entry)}, as the CRL of "
                f"{_issuer(crl)} says"
            )
        _check_dates(crl, date)

    def check_end(self, certificate: x509.Certificate) -> None:
        """Whether `certificate`, whose issuer we do not have, can be trusted by itself.

        Raises: InvalidCertificate if there is a CRL that might revoke it and cannot be checked.
        """
        if certificate.subject == certificate.issuer:
            return
        if any(crl.issuer == certificate.issuer for crl in self.crls):
            raise InvalidCertificate(
                f"the CRL of {certificate.issuer.rfc4514_string()} cannot be checked without the"
                " certificate of this CA: append it to the same file"
            )

    def _newest(self, issuer: x509.Certificate) -> x509.CertificateRevocationList | None:
        """The last CRL of `issuer` that holds. Raises: InvalidCertificate if none of its does."""
        named = [crl for crl in self.crls if crl.issuer == issuer.subject]
        if not named:
            return None
        signed = [crl for crl in named if _signed(crl, issuer)]
        if not signed:
            raise InvalidCertificate(
                f"the CRL of {_issuer(named[0])} is not signed by that CA's key, or the key is not"
                f" for signing CRLs; {_RENEW}"
            )
        # parts and differences of a CRL are told by critical extensions (5.2.4 and 5.2.5)
        whole = [crl for crl in signed if not any(e.critical for e in crl.extensions)]
        if not whole:
            raise InvalidCertificate(
                f"the CRL of {_issuer(signed[0])} has a critical extension (is it a delta CRL, or"
                f" for a part of the certificates?), which is not supported here; {_RENEW}"
            )
        return max(whole, key=lambda crl: crl.last_update_utc)


def _signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        if not issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign:
            return False
    except x509.ExtensionNotFound:
        pass
    try:
        return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # or TypeError
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def _check_dates(crl: x509.CertificateRevocationList, date: datetime | None) -> None:
    if date is None:
        return
    if date < crl.last_update_utc:
        raise InvalidCertificate(
            f"the CRL of {_issuer(crl)} is not valid before {crl.last_update_utc:%Y-%m-%d %H:%M}"
            f" UTC: check this gateway's date, {date:%Y-%m-%d %H:%M} UTC"
        )
    if crl.next_update_utc is not None and date > crl.next_update_utc:
        raise InvalidCertificate(
            f"the CRL of {_issuer(crl)} expired on {crl.next_update_utc:%Y-%m-%d %H:%M} UTC;"
            f" {_RENEW}"
        )


def _issuer(crl: x509.CertificateRevocationList) -> str:
    return crl.issuer.rfc4514_string()


def _reason(entry: x509.RevokedCertificate) -> str:
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except (x509.ExtensionNotFound, *UNDECODABLE):
        return ""
    return f" ({reason.name.replace('_', ' ')})"

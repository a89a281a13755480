"""Certificate revocation lists: local files, never fetched (RFC 5280, 5).

As racoon, which lets OpenSSL check the CRLs of the whole chain: an issuer without a CRL revokes
nothing; one whose CRL does not hold (signature, dates) makes its certificates invalid until it is
renewed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from ike.crypto.signatures import UNDECODABLE
from ike.errors import InvalidCertificate, LocalError
from wire.cursor import DecodeError
from wire.x509 import Certificate, Name, RevocationList

_CRL_SIGN: Final = 6  # bit of the key usage
_RENEW = "replace it with a current one and run 'racoonctl reload-config'"


@lru_cache(maxsize=64)
def load(der: bytes) -> x509.CertificateRevocationList:
    """Raises: LocalError."""
    try:
        crl = x509.load_der_x509_crl(der)
        _ = crl.extensions, crl.last_update_utc, crl.next_update_utc, RevocationList.parse(der)
    except (*UNDECODABLE, DecodeError) as error:
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

    def check(self, certificate: Certificate, issuer: Certificate, date: datetime | None) -> None:
        """Whether `issuer`, who signed `certificate`, has not revoked it.

        Raises: InvalidCertificate.
        """
        crl = self._newest(issuer)
        if crl is None:
            return
        entry = crl.get_revoked_certificate_by_serial_number(certificate.serial)
        if entry is not None:
            raise InvalidCertificate(
                f"the certificate of {certificate.subject} (serial number "
                f"{certificate.serial:x}) was revoked on "
                f"{entry.revocation_date_utc:%Y-%m-%d %H:%M} UTC{_reason(entry)}, as the CRL of "
                f"{_issuer(crl)} says"
            )
        _check_dates(crl, date)

    def check_end(self, certificate: Certificate) -> None:
        """Whether `certificate`, whose issuer we do not have, can be trusted by itself.

        Raises: InvalidCertificate if there is a CRL that might revoke it and cannot be checked.
        """
        if certificate.is_self_issued:
            return
        if any(_issuer(crl) == certificate.issuer for crl in self.crls):
            raise InvalidCertificate(
                f"the CRL of {certificate.issuer} cannot be checked without the"
                " certificate of this CA: append it to the same file"
            )

    def _newest(self, issuer: Certificate) -> x509.CertificateRevocationList | None:
        """The last CRL of `issuer` that holds. Raises: InvalidCertificate if none of its does."""
        named = [crl for crl in self.crls if _issuer(crl) == issuer.subject]
        if not named:
            return None
        signed = [crl for crl in named if _signed(crl, issuer)]
        if not signed:
            raise InvalidCertificate(
                f"the CRL of {_issuer(named[0])} is not signed by that CA's key, or the key is not"
                f" for signing CRLs; {_RENEW}"
            )
        # partial and delta CRLs have critical extensions (5.2.4 and 5.2.5)
        whole = [crl for crl in signed if not any(e.critical for e in crl.extensions)]
        if not whole:
            raise InvalidCertificate(
                f"the CRL of {_issuer(signed[0])} has a critical extension (is it a delta CRL, or"
                f" for a part of the certificates?), which is not supported here; {_RENEW}"
            )
        return max(whole, key=lambda crl: crl.last_update_utc)


def _signed(crl: x509.CertificateRevocationList, issuer: Certificate) -> bool:
    if not issuer.allows(_CRL_SIGN):
        return False
    try:
        key = load_der_public_key(issuer.public_key)
        return crl.is_signature_valid(key)  # type: ignore[arg-type]  # or TypeError
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


def _issuer(crl: x509.CertificateRevocationList) -> Name:
    return RevocationList(crl.public_bytes(Encoding.DER)).issuer


def _reason(entry: x509.RevokedCertificate) -> str:
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except (x509.ExtensionNotFound, *UNDECODABLE):
        return ""
    return f" ({reason.name.replace('_', ' ')})"

"""Why a certificate was refused: what was expected, what was found, and what to do about it.

OpenSSL's words say what it is; these sentences go behind them, for people.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Final

from eapol import names
from eapol.notices import CertFault, printable
from eapol.settings import TlsPolicy
from wire.x509 import Certificate, Name, RevocationList


class VerifyError(IntEnum):
    """X509_V_ERR_... of OpenSSL's x509_vfy.h, as far as there is more to say of it."""

    NO_CRL = 3
    NOT_YET_VALID = 9
    EXPIRED = 10
    CRL_NOT_YET_VALID = 11
    CRL_EXPIRED = 12
    REVOKED = 23
    INVALID_PURPOSE = 26
    EE_KEY_TOO_SMALL = 66
    CA_KEY_TOO_SMALL = 67
    CA_MD_TOO_WEAK = 68


UNTRUSTED: Final = (2, VerifyError.NO_CRL, 18, 19, 20, 21, 22, 24, 25, 33)
"""No path to a CA that is trusted, for one reason or another."""

_USAGES: Final = {"1.3.6.1.5.5.7.3.1": "serverAuth", "1.3.6.1.5.5.7.3.2": "clientAuth"}
_SPOKEN_NAMES: Final = {
    CertFault.SUBJECT_MISMATCH: "subject_match",
    CertFault.ALTSUBJECT_MISMATCH: "altsubject_match",
    CertFault.DOMAIN_SUFFIX_MISMATCH: "domain_suffix_match",
    CertFault.DOMAIN_MISMATCH: "domain_match",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What certificates are judged by: the file of the CAs, and the lists in it by their issuer."""

    name: str = "ca_cert"
    crls: Mapping[Name, RevocationList] = field(default_factory=dict)

    def crl_of(self, certificate: Certificate) -> RevocationList | None:
        return self.crls.get(certificate.issuer)


def verification(
    error: int, shown: Certificate, policy: TlsPolicy, trust: Trust, date: datetime
) -> str:
    """What to say of the verification error `error` about `shown`; empty if there is no more."""
    issuer = names.one_line(shown.issuer)
    match error:
        case VerifyError.NOT_YET_VALID | VerifyError.EXPIRED:
            begin, end = shown.begin, shown.end
            return (
                f"it is valid from {_minute(begin)} to {_minute(end)}, and the date here is"
                f" {_minute(date)} UTC; check the date first, then have the certificate renewed"
            )
        case VerifyError.CRL_NOT_YET_VALID | VerifyError.CRL_EXPIRED:
            return _stale_list(issuer, trust.crl_of(shown), trust, date)
        case VerifyError.REVOKED:
            return _revoked(shown, issuer, trust)
        case VerifyError.NO_CRL:
            return (
                f"{trust.name} holds CRLs, but none of {issuer}; append the CRL of that CA, or"
                " remove all CRLs"
            )
        case VerifyError.INVALID_PURPOSE:
            return (
                f"its extended key usage is {_usages(shown)}, which does not allow this use; have"
                " a certificate issued that does"
            )
        case VerifyError.EE_KEY_TOO_SMALL | VerifyError.CA_KEY_TOO_SMALL:
            return _too_weak(_key_size(shown), policy)
        case VerifyError.CA_MD_TOO_WEAK:
            return _too_weak(_digest(shown), policy)
        case _ if error in UNTRUSTED:
            return (
                f"it was issued by {issuer}, which is neither a CA of {trust.name} nor issued by"
                " one; check that ca_cert names the CA that issued it, and that the server sends"
                " its whole chain"
            )
        case _:
            return ""


def wrong_name(fault: CertFault, shown: Certificate, policy: TlsPolicy) -> str:
    """The name that was wanted, and those that there are."""
    option = _SPOKEN_NAMES[fault]
    value = getattr(policy, option)
    wanted = value if isinstance(value, str) else "' or '".join(value)
    found = names.one_line(shown.subject)
    if fault is CertFault.ALTSUBJECT_MISMATCH:
        found = ", ".join(names.alternative_names(shown)) or "no alternative name"
    elif fault is not CertFault.SUBJECT_MISMATCH:
        found = ", ".join(printable(name) for name in names.domains(shown)) or "no domain"
    return (
        f"{option} expects '{wanted}', but the certificate is for {found}; find out which server"
        " answers, or"
        f" correct {option}"
    )


def other_pin(found: bytes, policy: TlsPolicy) -> str:
    wanted = (policy.server_sha256 or b"").hex()
    return (
        f"ca_cert expects the SHA-256 {wanted}, but the certificate's is {found.hex()}; if the"
        " certificate was renewed, write the new value"
    )


def _stale_list(issuer: str, crl: RevocationList | None, trust: Trust, date: datetime) -> str:
    span = "the CRL"
    if crl is not None:
        end = crl.next_update
        until = "" if end is None else f" to {_minute(end)}"
        span = f"the CRL of {issuer} is valid from {_minute(crl.this_update)}{until}"
    return (
        f"{span}, and the date here is {_minute(date)} UTC; check the date, then put the current"
        f" CRL into {trust.name} (net8021x --crl)"
    )


def _revoked(shown: Certificate, issuer: str, trust: Trust) -> str:
    crl = trust.crl_of(shown)
    date = None if crl is None else crl.revoked_on(shown)
    since = "" if date is None else f" since {_minute(date)}"
    return (
        f"the CRL of {issuer} in {trust.name} lists its serial number {shown.serial:x}"
        f"{since}; the server needs another certificate"
    )


def _usages(shown: Certificate) -> str:
    usages = shown.usages
    if usages is None:
        return "not given"
    return ", ".join(_USAGES.get(usage, usage) for usage in usages)


def _key_size(shown: Certificate) -> str:
    return "its key" if shown.rsa_bits is None else f"its key of {shown.rsa_bits} bits"


def _digest(shown: Certificate) -> str:
    return f"its signature with {shown.digest or 'no known digest'}"


def _too_weak(found: str, policy: TlsPolicy) -> str:
    ciphers = (policy.ciphers or "DEFAULT").partition("@SECLEVEL")[0].rstrip(":") or "DEFAULT"
    return (
        f"{found} is below security level {policy.security_level}; have the certificate renewed, or"
        f' write openssl_ciphers="{ciphers}@SECLEVEL=0"'
    )


def _minute(moment: datetime | None) -> str:
    return "a date that cannot be read" if moment is None else f"{moment:%Y-%m-%d %H:%M}"

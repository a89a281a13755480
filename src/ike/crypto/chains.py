"""From a certificate up to a CA that we trust (RFC 5280, 6).

Differs: `cryptography.x509.verification` is not used. It refuses RSA keys of 1024 bits, SHA-1 and
CAs of version 1, which the manual's peers have, and it cannot leave dates out where none is known.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID

from ike.crypto import constraints, revocation
from ike.crypto.signatures import load
from ike.errors import InvalidCertificate

MAX_CHAIN: Final = 8
"""How many certificates a side may send, and how many a chain may hold below its end."""

_UNDERSTOOD: Final = {
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.INHIBIT_ANY_POLICY,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.POLICY_CONSTRAINTS,
    ExtensionOID.POLICY_MAPPINGS,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
}
"""May be critical. We ask for no policy, so that those about policies exclude nothing."""


def check_chain(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    authorities: Iterable[bytes],
    crls: Iterable[bytes],
    date: datetime | None,
) -> None:
    """Whether `leaf` leads to one of `authorities`, by way of `others` in any order, unrevoked.

    Dates count if we have one.

    Raises: InvalidCertificate; the text names the certificate and what is wrong with it.
    """
    trusted = tuple(load(der) for der in authorities)
    search = _Search(trusted, tuple(others), revocation.Lists.of(crls), date)
    _check_dates(leaf, date)
    _check_critical(leaf)
    search.climb((leaf,))


@dataclass(slots=True)
class _Search:
    """Up from issuer to issuer, each tried once, so that no set of certificates makes it long."""

    trusted: Sequence[x509.Certificate]
    others: Sequence[x509.Certificate]
    lists: revocation.Lists
    date: datetime | None
    tried: list[x509.Certificate] = field(default_factory=list)

    def climb(self, path: tuple[x509.Certificate, ...]) -> None:
        """Whether the last of `path`, which issued those before it, leads to one we trust.

        One that we trust is the end if it is a root, or if we have no issuer of it.

        Raises: InvalidCertificate, what is wrong with the first way up.
        """
        current = path[-1]
        above = issuers(current, self.trusted)
        if current in self.trusted and (current.subject == current.issuer or not above):
            self.lists.check_end(current)
            constraints.check(path)
            return
        if len(path) > MAX_CHAIN:
            raise InvalidCertificate(f"a chain of more than {MAX_CHAIN} certificates")
        wrong: InvalidCertificate | None = None
        for issuer in above + issuers(current, self.others):
            if issuer in self.tried:
                continue
            self.tried.append(issuer)
            try:
                self._check(current, issuer, len(path) - 1)
                self.climb((*path, issuer))
            except InvalidCertificate as error:
                wrong = wrong or error
            else:
                return
        raise wrong or InvalidCertificate(
            f"no trusted CA has issued {current.subject.rfc4514_string()}; its issuer is "
            f"{current.issuer.rfc4514_string()}"
        )

    def _check(self, current: x509.Certificate, issuer: x509.Certificate, below: int) -> None:
        _check_dates(issuer, self.date)
        _check_critical(issuer)
        _check_authority(issuer, below)
        self.lists.check(current, issuer, self.date)


def chain_to_send(leaf: x509.Certificate, known: Sequence[bytes]) -> list[bytes]:
    """Those of `known` (DER) that lead from `leaf` up, from the nearest on, without the root."""
    found: dict[x509.Certificate, bytes] = {load(der): der for der in known}
    path: list[x509.Certificate] = []
    current = leaf
    while len(path) < MAX_CHAIN - 1:
        above = [c for c in issuers(current, tuple(found)) if c not in path]
        if not above or above[0].subject == above[0].issuer:
            break
        current = above[0]
        path.append(current)
    return [found[certificate] for certificate in path]


def issuers(
    certificate: x509.Certificate, candidates: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Those of `candidates`, itself apart, whose name and key have signed `certificate`."""
    return [c for c in candidates if c != certificate and _signed(certificate, c)]


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if issuer.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, BadSignature, UnsupportedAlgorithm):
        return False
    return True


def _check_authority(certificate: x509.Certificate, below: int) -> None:
    """Whether it may issue one with `below` certificates below (RFC 5280, 4.2.1.3 and 4.2.1.9).

    A certificate of version 1 says nothing of that, and may.
    """
    if certificate.version is x509.Version.v1:
        return
    name = certificate.subject.rfc4514_string()
    extensions = certificate.extensions
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise InvalidCertificate(f"{name} is no CA certificate") from None
    if not constraints.ca:
        raise InvalidCertificate(f"{name} is no CA certificate")
    if constraints.path_length is not None and below > constraints.path_length:
        raise InvalidCertificate(
            f"{name} allows {constraints.path_length} CA certificates below it, here are {below}"
        )
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise InvalidCertificate(f"the key of {name} is not for signing certificates")


def _check_critical(certificate: x509.Certificate) -> None:
    """What the issuer says must be understood, is (RFC 5280, 4.2)."""
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise InvalidCertificate(
                f"{certificate.subject.rfc4514_string()} has the extension "
                f"{extension.oid.dotted_string}, which is not supported here and must not be "
                "overlooked"
            )


def _check_dates(certificate: x509.Certificate, date: datetime | None) -> None:
    if date is None:
        return
    name = certificate.subject.rfc4514_string()
    if date < certificate.not_valid_before_utc:
        start = certificate.not_valid_before_utc
        raise InvalidCertificate(f"{name} is not valid before {start:%Y-%m-%d %H:%M} UTC")
    if date > certificate.not_valid_after_utc:
        end = certificate.not_valid_after_utc
        raise InvalidCertificate(f"{name} expired on {end:%Y-%m-%d %H:%M} UTC")

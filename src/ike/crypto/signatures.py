"""RSA signatures and X.509 certificates for phase 1 (RFC 2409, 5.1; RFC 4945).

A signature is over HASH_I or HASH_R as it is, in PKCS #1 block type 1 without naming the hash.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo
from cryptography.hazmat.primitives.serialization import load_der_private_key

from ike.crypto.credentials import Credentials
from ike.crypto.prf import equal
from ike.errors import InvalidCertificate, InvalidSignature, LocalError

MAX_CHAIN = 8


@lru_cache(maxsize=64)
def _private_key(credentials: Credentials) -> RSAPrivateKey:
    key = load_der_private_key(credentials.private_key.reveal(), None)
    if not isinstance(key, RSAPrivateKey):
        raise LocalError("the private key is not an RSA key")
    return key


def sign(credentials: Credentials, digest: bytes) -> bytes:
    """Raises: LocalError."""
    if not credentials.certificate:
        raise LocalError("no certificate is configured (certificate_type)")
    try:
        return _private_key(credentials).sign(digest, PKCS1v15(), NoDigestInfo())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise LocalError(f"the private key does not work: {error}") from error


def load(der: bytes) -> x509.Certificate:
    """Raises: InvalidCertificate."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise InvalidCertificate(f"the certificate cannot be read: {error}") from error


def check_signature(certificate: x509.Certificate, signature: bytes, digest: bytes) -> None:
    """Raises: InvalidCertificate, InvalidSignature."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidCertificate(f"the certificate's key is of no use: {error}") from error
    if not isinstance(key, RSAPublicKey):
        raise InvalidCertificate("the certificate's key is not an RSA key")
    try:
        signed = key.recover_data_from_signature(signature, PKCS1v15(), None)
    except (BadSignature, ValueError) as error:
        raise InvalidSignature("SIG mismatched") from error
    if not equal(signed, digest):
        raise InvalidSignature("SIG mismatched")


def check_chain(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    authorities: Iterable[bytes],
    date: datetime | None,
) -> None:
    """Whether `leaf` leads to one of `authorities` by way of `others`. Dates count if we have one.

    Raises: InvalidCertificate; the text names the certificate and what is wrong with it.
    """
    trusted = [load(der) for der in authorities]
    current = leaf
    for _ in range(MAX_CHAIN):
        _check_dates(current, date)
        if any(current == anchor for anchor in trusted):
            return
        issuer = _issuer(current, trusted) or _issuer(current, others)
        if issuer is None:
            raise InvalidCertificate(
                f"no trusted CA has issued {current.subject.rfc4514_string()}; its issuer is "
                f"{current.issuer.rfc4514_string()}"
            )
        _check_authority(issuer)
        current = issuer
    raise InvalidCertificate(f"a chain of more than {MAX_CHAIN} certificates")


def _issuer(
    certificate: x509.Certificate, candidates: Sequence[x509.Certificate]
) -> x509.Certificate | None:
    for candidate in candidates:
        if candidate.subject != certificate.issuer or candidate == certificate:
            continue
        try:
            certificate.verify_directly_issued_by(candidate)
        except (ValueError, TypeError, BadSignature, UnsupportedAlgorithm):
            continue
        return candidate
    return None


def _check_authority(certificate: x509.Certificate) -> None:
    """A certificate that says that it is no CA issues nothing; one of version 1 says nothing."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        if certificate.version is x509.Version.v1:
            return
        raise InvalidCertificate(
            f"{certificate.subject.rfc4514_string()} is no CA certificate"
        ) from None
    except (ValueError, x509.DuplicateExtension) as error:
        raise InvalidCertificate(f"extensions that cannot be read: {error}") from error
    if not constraints.value.ca:
        raise InvalidCertificate(f"{certificate.subject.rfc4514_string()} is no CA certificate")


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


def alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    """Raises: InvalidCertificate."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    except (ValueError, x509.DuplicateExtension) as error:
        raise InvalidCertificate(f"extensions that cannot be read: {error}") from error
    return list(found.value)

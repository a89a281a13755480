"""RSA signatures and X.509 certificates for phase 1 (RFC 2409, 5.1; RFC 4945).

A signature is over HASH_I or HASH_R as it is, in PKCS #1 block type 1 without naming the hash.
"""

from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from ike.crypto.credentials import Credentials
from ike.crypto.prf import equal
from ike.errors import InvalidCertificate, InvalidSignature, LocalError
from wire.cursor import DecodeError
from wire.x509 import Certificate

UNDECODABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises for octets that are not X.509, now or when a part is looked at."""


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
        raise LocalError(f"the private key cannot be used: {error}") from error


def load(der: bytes) -> Certificate:
    """A certificate that OpenSSL reads. Raises: InvalidCertificate.

    Not `cryptography.x509`: OpenSSL validates a certificate; it accepts many that `cryptography`
    refuses for an unused part.
    """
    from OpenSSL import crypto  # late: most gateways have pre-shared keys

    try:
        found = Certificate.parse(der)
        crypto.load_certificate(crypto.FILETYPE_ASN1, found.der)
    except DecodeError as error:
        raise InvalidCertificate(f"the certificate cannot be read: {error}") from error
    except crypto.Error as error:
        reason = error.args[0][0][2] if error.args and error.args[0] else "no reason is given"
        raise InvalidCertificate(f"OpenSSL cannot read the certificate: {reason}") from error
    return found


def check_signature(certificate: Certificate, signature: bytes, digest: bytes) -> None:
    """Raises: InvalidCertificate, InvalidSignature."""
    try:
        key = load_der_public_key(certificate.public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidCertificate(f"the certificate's key cannot be used: {error}") from error
    if not isinstance(key, RSAPublicKey):
        raise InvalidCertificate("the certificate's key is not an RSA key")
    try:
        signed = key.recover_data_from_signature(signature, PKCS1v15(), None)
    except (BadSignature, ValueError) as error:
        raise InvalidSignature("SIG mismatched") from error
    if not equal(signed, digest):
        raise InvalidSignature("SIG mismatched")

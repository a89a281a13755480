"""Certificates, CRLs and private keys out of the octets of files.

Every refusal is one sentence that names the file and the remedy. PEM, DER and PKCS #12 are told
apart by their content.
"""

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from eapol.errors import CredentialError, PassphraseNeeded
from eapol.settings import Credentials, NamedOctets, NamedSecret
from wire.secret import Secret

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | dsa.DSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)

_BEGIN_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_BEGIN_CRL: Final = b"-----BEGIN X509 CRL-----"
_PRIVATE: Final = b"PRIVATE KEY-----"
_PFX_VERSION: Final = b"\x02\x01\x03"
"""INTEGER 3: how a PKCS #12 file begins, after the head of its SEQUENCE (RFC 7292, 4)."""

WEAK_RSA: Final = 2048  # bits

UNDECODABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises for octets that are no X.509, now or when a part is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What we show: our certificate, its chain, and the key that proves it ours.

    `name` is the certificate's file.
    """

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: PrivateKey
    name: str


def certificates(file: NamedOctets) -> list[x509.Certificate]:
    """All certificates of a PEM file, or the one of a DER file. Raises: CredentialError."""
    try:
        if _BEGIN_CERTIFICATE in file.octets:
            return [decoded(each) for each in x509.load_pem_x509_certificates(file.octets)]
        return [decoded(x509.load_der_x509_certificate(file.octets))]
    except UNDECODABLE as error:
        raise CredentialError(_no_certificate(file)) from error


def decoded(certificate: x509.Certificate) -> x509.Certificate:
    """The same certificate, every part that is looked at later decoded now.

    Raises: one of UNDECODABLE; later, nobody expects that.
    """
    _ = certificate.subject, certificate.issuer, certificate.extensions, certificate.public_key()
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    _ = certificate.signature_hash_algorithm
    return certificate


def _no_certificate(file: NamedOctets) -> str:
    if _PRIVATE in file.octets:
        return f"{file.name}: holds a private key, not a certificate; name the certificate's file"
    return (
        f"{file.name}: holds no X.509 certificate that can be read (PEM or DER);"
        f" 'openssl x509 -in {file.name} -noout -text' shows what is in it"
    )


def revocations(file: NamedOctets) -> list[x509.CertificateRevocationList]:
    """All CRLs of a PEM file, where they stand beside the CA. Raises: CredentialError."""
    found = []
    for part in file.octets.split(_BEGIN_CRL)[1:]:
        try:
            crl = x509.load_pem_x509_crl(_BEGIN_CRL + part)
            _ = crl.issuer, crl.last_update_utc, crl.next_update_utc  # are looked at later
            found.append(crl)
        except UNDECODABLE as error:
            raise CredentialError(f"{file.name}: a CRL in it cannot be read: {error}") from error
    return found


def private_key(file: NamedSecret, passphrase: Secret | None) -> PrivateKey:
    """The key of a PEM or DER file. Raises: PassphraseNeeded, CredentialError."""
    octets = file.secret.reveal()
    load = (
        serialization.load_pem_private_key
        if b"-----BEGIN" in octets
        else serialization.load_der_private_key
    )
    if _BEGIN_CERTIFICATE in octets and _PRIVATE not in octets:
        raise CredentialError(
            f"{file.name}: holds a certificate, not a private key; name the key's file"
        )
    try:
        key = load(
            octets,
            passphrase.reveal() if passphrase else None,
            # a test of the primes that takes 25 ms: against keys of strangers, and this is ours
            unsafe_skip_rsa_key_validation=True,
        )
    except TypeError as error:
        if passphrase:  # given, but the key is not encrypted: harmless
            return private_key(file, None)
        raise PassphraseNeeded(
            f"{file.name}: is encrypted; give its passphrase with private_key_passwd"
        ) from error
    except UNDECODABLE as error:
        raise CredentialError(_unreadable_key(file, passphrase)) from error
    if not isinstance(key, PrivateKey):
        raise CredentialError(f"{file.name}: a key of this kind cannot sign; use RSA or EC")
    return key


def _unreadable_key(file: NamedSecret, passphrase: Secret | None) -> str:
    if passphrase is not None:
        return (
            f"{file.name}: cannot be decrypted; the passphrase (private_key_passwd) is wrong,"
            " or the file is damaged"
        )
    return f"{file.name}: holds no private key that can be read (PEM, DER or PKCS #12)"


def identity(credentials: Credentials) -> Identity | None:
    """Our certificate and key, checked to belong together; None if none is configured.

    Raises: PassphraseNeeded, CredentialError.
    """
    key_file = credentials.key
    if key_file is None:
        if credentials.certificate is not None:
            raise CredentialError(
                f"{credentials.certificate.name}: no private key was named beside this"
                " certificate; set private_key"
            )
        return None
    if credentials.certificate is None:
        return _bundle(key_file, credentials.passphrase)
    shown = certificates(credentials.certificate)
    key = private_key(key_file, credentials.passphrase)
    return _matched(shown, key, credentials.certificate.name, key_file.name)


def _bundle(file: NamedSecret, passphrase: Secret | None) -> Identity:
    """A PKCS #12 file, or one PEM file with key and certificates."""
    octets = file.secret.reveal()
    if _BEGIN_CERTIFICATE in octets:
        shown = certificates(NamedOctets(file.name, octets))
        key = private_key(file, passphrase)
    else:
        shown, key = _pkcs12(file, passphrase)
    return _matched(shown, key, file.name, file.name)


def _pkcs12(
    file: NamedSecret, passphrase: Secret | None
) -> tuple[list[x509.Certificate], PrivateKey]:
    octets = file.secret.reveal()
    try:
        bundle = pkcs12.load_pkcs12(octets, passphrase.reveal() if passphrase else None)
    except UNDECODABLE as error:
        if _PFX_VERSION not in octets[:12]:  # a key alone? then that is missing its certificate
            private_key(file, passphrase)
            what = f"{file.name}: holds a private key but no certificate; set client_cert as well"
            raise CredentialError(what) from error
        if passphrase is None:
            raise PassphraseNeeded(
                f"{file.name}: cannot be opened without a passphrase; set private_key_passwd"
            ) from error
        raise CredentialError(_unreadable_key(file, passphrase)) from error
    if bundle.cert is None or not isinstance(bundle.key, PrivateKey):
        raise CredentialError(f"{file.name}: lacks a certificate or a key; set client_cert as well")
    entries = (bundle.cert, *bundle.additional_certs)
    return [entry.certificate for entry in entries], bundle.key


def _matched(shown: list[x509.Certificate], key: PrivateKey, name: str, key_name: str) -> Identity:
    own, *chain = shown
    if key.public_key() != own.public_key():
        raise CredentialError(f"{key_name}: this key does not belong to the certificate in {name}")
    return Identity(certificate=own, chain=tuple(chain), key=key, name=name)


def weakness(certificate: x509.Certificate) -> str | None:
    """Why a certificate is weaker than today's rules allow, or None."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < WEAK_RSA:
        return f"its RSA key has only {key.key_size} bits"
    digest = certificate.signature_hash_algorithm
    own = certificate.issuer == certificate.subject  # nobody relies on a root's signature
    if digest is not None and digest.name in ("md5", "sha1") and not own:
        return f"it is signed with {digest.name.upper()}"
    return None

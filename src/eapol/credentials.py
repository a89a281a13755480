"""Certificates, CRLs and private keys out of the octets of files.

Whatever OpenSSL and wpa_supplicant read is read, told apart by its content: PEM in any
surroundings, DER, PKCS #7, PKCS #8, PKCS #12. Only what is used is decoded. Every refusal is one
sentence that names the file and the remedy.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from warnings import catch_warnings, simplefilter

from eapol.errors import CredentialError, PassphraseNeeded
from eapol.settings import Credentials, NamedOctets, NamedSecret
from wire import certfile, pem
from wire.cursor import DecodeError
from wire.secret import Secret
from wire.x509 import Certificate, RevocationList

if TYPE_CHECKING:
    from eapol.openssl import Key

_PFX_VERSION: Final = b"\x02\x01\x03"
"""INTEGER 3: how a PKCS #12 file begins, after the head of its SEQUENCE (RFC 7292, 4)."""

WEAK_RSA: Final = 2048  # bits
_WEAK_DIGESTS: Final = ("MD2", "MD4", "MD5", "SHA1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What we show: our certificate, its chain, and the key that proves it ours.

    `name` is the certificate's file.
    """

    certificate: Certificate
    chain: tuple[Certificate, ...]
    key: "Key"
    name: str


def certificates(file: NamedOctets, usage: str | None = None) -> list[Certificate]:
    """All certificates of a file, at least one. Raises: CredentialError.

    `usage` is what they are to vouch for; those that OpenSSL marked for other usages are left out.
    """
    from eapol.openssl import loaded  # late: most of eapol needs no TLS

    try:
        found = certfile.certificates(file.octets, usage)
        for each in found:
            loaded(each)  # or it is no certificate to OpenSSL
    except (DecodeError, ValueError) as error:
        raise CredentialError(_no_certificate(file)) from error
    if not found:
        raise CredentialError(_no_certificate(file))
    return found


def _no_certificate(file: NamedOctets) -> str:
    if any(block.is_key for block in pem.blocks(file.octets)):
        return f"{file.name}: holds a private key, not a certificate; name the certificate's file"
    return (
        f"{file.name}: holds no X.509 certificate that can be read (PEM, DER or PKCS #7);"
        f" 'openssl x509 -in {file.name} -noout -text' shows what is in it"
    )


def revocations(file: NamedOctets) -> list[RevocationList]:
    """All CRLs of a PEM file, in which they are beside the CA. Raises: CredentialError."""
    try:
        return certfile.revocation_lists(file.octets)
    except (DecodeError, ValueError) as error:
        raise CredentialError(f"{file.name}: a CRL in it cannot be read: {error}") from error


def private_key(file: NamedSecret, passphrase: Secret | None) -> "Key":
    """The key of a PEM or DER file. Raises: PassphraseNeeded, CredentialError."""
    from eapol import openssl  # late: most of eapol needs no TLS

    octets = file.secret.reveal()
    if pem.is_pem(octets):
        blocks = pem.blocks(octets)
        octets = next((block.text for block in blocks if block.is_key), b"")
        if not octets and any(block.label in pem.CERTIFICATES for block in blocks):
            raise CredentialError(
                f"{file.name}: holds a certificate, not a private key; name the key's file"
            )
    try:
        return openssl.private_key(octets, passphrase)
    except TypeError as error:
        raise PassphraseNeeded(
            f"{file.name}: is encrypted; give its passphrase with private_key_passwd"
        ) from error
    except ValueError as error:
        raise CredentialError(_unreadable_key(file, passphrase)) from error


def _unreadable_key(file: NamedSecret, passphrase: Secret | None) -> str:
    if passphrase is not None:
        return (
            f"{file.name}: cannot be decrypted; the passphrase (private_key_passwd) is wrong,"
            " or the file is damaged"
        )
    return f"{file.name}: holds no private key that can be read (PEM, DER or PKCS #12)"


def is_pkcs12(octets: bytes) -> bool:
    return _PFX_VERSION in octets[:12]


def identity(credentials: Credentials) -> Identity | None:
    """Our certificate and key; None if none is configured.

    Raises: PassphraseNeeded, CredentialError.
    """
    file = credentials.key
    if file is None:
        if credentials.certificate is not None:
            raise CredentialError(
                f"{credentials.certificate.name}: no private key was named beside this"
                " certificate; set private_key"
            )
        return None
    octets, beside = file.secret.reveal(), credentials.certificate
    if is_pkcs12(octets):
        shown, key = _pkcs12(file, credentials.passphrase)
        if shown:  # as in wpa_supplicant, they take the place of client_cert
            return _matched(shown, key, file.name, file.name)
    else:
        key = private_key(file, credentials.passphrase)
        if beside is None and any(b.label in pem.CERTIFICATES for b in pem.blocks(octets)):
            beside = NamedOctets(file.name, octets)
    if beside is None:
        what = f"{file.name}: holds a private key but no certificate; set client_cert as well"
        raise CredentialError(what)
    return _matched(certificates(beside), key, beside.name, file.name)


def _matched(shown: list[Certificate], key: "Key", name: str, key_name: str) -> Identity:
    own, *chain = shown
    if not key.belongs_to(own):
        raise CredentialError(
            f"{key_name}: this key does not belong to the certificate in {name}; give the key that"
            " the certificate was requested with"
        )
    return Identity(certificate=own, chain=tuple(chain), key=key, name=name)


def _pkcs12(file: NamedSecret, passphrase: Secret | None) -> tuple[list[Certificate], "Key"]:
    """Our certificate, if there is one, with those above it; the key. RFC 7292."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.serialization import pkcs12

    from eapol import openssl

    octets = file.secret.reveal()
    try:
        with catch_warnings():
            simplefilter("ignore", UserWarning)  # "falling back to parsing as BER"
            bundle = pkcs12.load_pkcs12(octets, passphrase.reveal() if passphrase else None)
        if bundle.key is None:
            raise CredentialError(f"{file.name}: lacks a key; export it together with its key")
        pkcs8 = bundle.key.private_bytes(
            form.Encoding.DER, form.PrivateFormat.PKCS8, form.NoEncryption()
        )
        own = [bundle.cert] if bundle.cert is not None else []
        encoded = [each.certificate.public_bytes(form.Encoding.DER) for each in own]
        above = [e.certificate.public_bytes(form.Encoding.DER) for e in bundle.additional_certs]
        shown = [Certificate.parse(each) for each in (encoded + above if own else [])]
        return shown, openssl.private_key(pkcs8, None)
    except (ValueError, TypeError, UnsupportedAlgorithm, DecodeError) as error:
        if passphrase is None:
            raise PassphraseNeeded(
                f"{file.name}: cannot be opened without a passphrase; set private_key_passwd"
            ) from error
        raise CredentialError(_unreadable_key(file, passphrase)) from error


def weakness(certificate: Certificate) -> str | None:
    """Why a certificate is weaker than today's rules allow, or None."""
    bits = certificate.rsa_bits
    if bits is not None and bits < WEAK_RSA:
        return f"its RSA key has only {bits} bits"
    digest = certificate.digest
    if digest in _WEAK_DIGESTS and not certificate.is_self_issued:
        return f"it is signed with {digest}"  # a root's signature is not checked
    return None

"""OpenSSL's reading of certificates and keys, and its verdict on a path (pyOpenSSL's `crypto`).

Not `cryptography.x509`: that decodes more strictly than OpenSSL, and refuses whole certificates,
which every server and switch accepts, because of an unused part. `OpenSSL._util` is touched here
and in `eapol.tls`, for what pyOpenSSL has no public name for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, cast

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from OpenSSL import SSL, crypto
from OpenSSL._util import exception_from_error_queue
from OpenSSL._util import lib as _lib

from wire import der, pem
from wire.cursor import DecodeError
from wire.secret import Secret
from wire.x509 import Certificate, RevocationList

NO_ISSUER: Final = (2, 18, 19, 20, 21)
"""X509_V_ERR_...: no trusted CA issued it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What X509_verify_cert says: the error's number, its words, and of which certificate."""

    error: int
    text: str
    certificate: Certificate


class Key:
    """A private key as OpenSSL's object."""

    def __init__(self, key: crypto.PKey) -> None:
        self._key = key

    def belongs_to(self, certificate: Certificate) -> bool:
        """Whether it is the key of `certificate`."""
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")  # how strong it is is another question
        try:
            self.show(context, certificate, ())
        except SSL.Error:
            return False
        return True

    def show(self, context: SSL.Context, own: Certificate, chain: Sequence[Certificate]) -> None:
        """Have the context show `own` and `chain`. Raises: SSL.Error."""
        _check(_lib.SSL_CTX_use_certificate(context._context, loaded(own)._x509))
        for above in chain:
            copy = _lib.X509_dup(loaded(above)._x509)  # is the context's from now on
            _check(_lib.SSL_CTX_add_extra_chain_cert(context._context, copy))
        _check(_lib.SSL_CTX_use_PrivateKey(context._context, self._key._pkey))
        context.check_privatekey()

    def pem(self) -> Secret:
        """PKCS #8, not encrypted."""
        key = cast(PrivateKeyTypes, self._key.to_cryptography_key())
        return Secret(
            key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        )


def private_key(octets: bytes, passphrase: Secret | None) -> Key:
    """The key in a block of PEM, or in DER, encrypted or not.

    Raises: ValueError; TypeError if it needs a passphrase and there is none.
    """
    asked = False

    def passed(_: int) -> bytes:
        nonlocal asked
        asked = True
        return b"" if passphrase is None else passphrase.reveal()

    try:
        if not pem.is_pem(octets) and not _is_encrypted(octets):
            return Key(crypto.load_privatekey(crypto.FILETYPE_ASN1, octets))
        block = octets if pem.is_pem(octets) else pem.block("ENCRYPTED PRIVATE KEY", octets)
        return Key(crypto.load_privatekey(crypto.FILETYPE_PEM, block, passed))
    except (crypto.Error, ValueError) as error:
        if asked and passphrase is None:
            raise TypeError("encrypted") from None
        raise ValueError(reason(error) if isinstance(error, crypto.Error) else error) from None


def _is_encrypted(octets: bytes) -> bool:
    """EncryptedPrivateKeyInfo (RFC 5208, 6), which begins with an algorithm, not a version."""
    try:
        return der.element(octets).inside()[0].tag == der.SEQUENCE
    except (DecodeError, IndexError):
        return False


def certificate(octets: bytes) -> Certificate:
    """The certificate that DER `octets` begin with, as OpenSSL takes it.

    Raises: DecodeError, ValueError.
    """
    found = Certificate.parse(octets)
    loaded(found)
    return found


def loaded(certificate: Certificate) -> crypto.X509:
    """Raises: ValueError."""
    try:
        return crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.der)
    except crypto.Error as error:
        raise ValueError(reason(error)) from None


def shown(certificate: crypto.X509) -> Certificate:
    """What OpenSSL holds. Raises: DecodeError."""
    return _read(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate))


@lru_cache(maxsize=16)
def _read(octets: bytes) -> Certificate:
    """A server shows the same certificates in every authentication; they are read once."""
    return Certificate.parse(octets)


def add_client_ca(context: SSL.Context, authority: Certificate) -> None:
    _check(_lib.SSL_CTX_add_client_CA(context._context, loaded(authority)._x509))


def trust(store: crypto.X509Store, certificates: Sequence[Certificate]) -> None:
    for each in certificates:
        store.add_cert(loaded(each))


def add_lists(store: crypto.X509Store, lists: Sequence[RevocationList]) -> None:
    """Raises: ValueError."""
    from cryptography import x509

    for each in lists:
        store.add_crl(x509.load_der_x509_crl(each.der))


def verify(
    leaf: Certificate, others: Sequence[Certificate], trusted: Sequence[Certificate], date: datetime
) -> list[Certificate] | Fault:
    """X509_verify_cert for a TLS client's certificate (RFC 5280, 6): the path, or the fault."""
    store = crypto.X509Store()
    trust(store, trusted)
    _check(_lib.X509_STORE_set_purpose(store._store, _lib.X509_PURPOSE_SSL_CLIENT))
    store.set_time(date)
    context = crypto.X509StoreContext(store, loaded(leaf), [loaded(each) for each in others])
    try:
        return [shown(each) for each in context.get_verified_chain()]
    except crypto.X509StoreContextError as error:
        number, _, text = error.errors
        return Fault(number, text, shown(error.certificate))


def reason(error: crypto.Error | SSL.Error) -> str:
    """OpenSSL's words for the first thing that went wrong."""
    match error.args:
        case ([(*_, str(text)), *_],):
            return text
        case (_, str(text)):  # SysCallError
            return text
        case _:
            return "the connection broke"


def _check(done: int) -> None:
    if done != 1:
        exception_from_error_queue(SSL.Error)

"""From a certificate up to a CA that we trust (RFC 5280, 6): OpenSSL says, as for racoon.

Differs: `cryptography.x509.verification` would need no second library, but it refuses RSA keys of
1024 bits, SHA-1 and CAs of version 1, which the manual's peers have, and cannot leave dates out.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.exceptions import UnsupportedAlgorithm

from ike.crypto.revocation import Lists
from ike.crypto.signatures import UNDECODABLE, load
from ike.errors import InvalidCertificate

if TYPE_CHECKING:
    from OpenSSL import crypto

MAX_CHAIN: Final = 8
"""How many certificates a side may send."""

# openssl/x509_vfy.h, by number: pyOpenSSL has names for neither
_NO_CHECK_TIME: Final = 0x200000
_NO_ISSUER: Final = {2, 18, 19, 20, 21}
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10


def check_chain(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    authorities: Iterable[bytes],
    crls: Iterable[bytes],
    date: datetime | None,
) -> None:
    """Whether `leaf` leads to one of `authorities`, by way of `others` in any order, unrevoked.

    Dates count if we have one. An authority need not be a root.

    Raises: InvalidCertificate; the text names the certificate and what is wrong with it.
    """
    lists = Lists.of(crls)
    chain = _chain(leaf, others, [load(der) for der in authorities], date)
    for certificate, issuer in pairwise(chain):
        lists.check(certificate, issuer, date)
    lists.check_end(chain[-1])


def _chain(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    trusted: Sequence[x509.Certificate],
    date: datetime | None,
) -> list[x509.Certificate]:
    """From `leaf` to the one we trust. Raises: InvalidCertificate."""
    from OpenSSL import crypto  # late: most gateways have pre-shared keys

    store = crypto.X509Store()
    for authority in trusted:
        store.add_cert(crypto.X509.from_cryptography(authority))
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN | (_NO_CHECK_TIME if date is None else 0))
    if date is not None:
        store.set_time(date)
    untrusted = [crypto.X509.from_cryptography(certificate) for certificate in others]
    context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf), untrusted)
    try:
        return [found.to_cryptography() for found in context.get_verified_chain()]
    except crypto.X509StoreContextError as error:
        raise InvalidCertificate(_said(error)) from None


def _said(error: "crypto.X509StoreContextError") -> str:
    number, _, text = error.errors
    certificate = error.certificate.to_cryptography()
    try:
        name, issuer = (n.rfc4514_string() for n in (certificate.subject, certificate.issuer))
    except UNDECODABLE as wrong:
        return f"a certificate of the chain cannot be read: {wrong}"
    if number in _NO_ISSUER:
        return f"no trusted CA has issued {name}; its issuer is {issuer}"
    if number == _NOT_YET_VALID:
        return f"{name} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    if number == _EXPIRED:
        return f"{name} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    return f"{name}: {text}"


def chain_to_send(leaf: x509.Certificate, known: Sequence[bytes]) -> list[bytes]:
    """Those of `known` (DER) that lead from `leaf` up, from the nearest on, without the root."""
    found: dict[x509.Certificate, bytes] = {load(der): der for der in known}
    path: list[x509.Certificate] = []
    current = leaf
    while len(path) < MAX_CHAIN - 1:
        above = [c for c in found if c not in (current, *path) and _signed(current, c)]
        if not above or above[0].subject == above[0].issuer:
            break
        current = above[0]
        path.append(current)
    return [found[certificate] for certificate in path]


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if issuer.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, BadSignature, UnsupportedAlgorithm):
        return False
    return True

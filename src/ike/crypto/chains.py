"""From a certificate up to a CA that we trust (RFC 5280, 6): OpenSSL says, as for racoon.

Differs: `cryptography.x509.verification` would need no second library, but it refuses RSA keys of
1024 bits, SHA-1 and CAs of version 1, which the manual's peers have, and cannot leave dates out.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from ike.crypto.revocation import Lists
from ike.crypto.signatures import load
from ike.errors import InvalidCertificate
from wire.x509 import Certificate

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
    leaf: Certificate,
    others: Sequence[Certificate],
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
    leaf: Certificate,
    others: Sequence[Certificate],
    trusted: Sequence[Certificate],
    date: datetime | None,
) -> list[Certificate]:
    """From `leaf` to the one we trust. Raises: InvalidCertificate."""
    from OpenSSL import crypto  # late: most gateways have pre-shared keys

    store = crypto.X509Store()
    for authority in trusted:
        store.add_cert(_loaded(authority))
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN | (_NO_CHECK_TIME if date is None else 0))
    if date is not None:
        store.set_time(date)
    context = crypto.X509StoreContext(store, _loaded(leaf), list(map(_loaded, others)))
    try:
        return [_unloaded(found) for found in context.get_verified_chain()]
    except crypto.X509StoreContextError as error:
        raise InvalidCertificate(_said(error)) from None


def _loaded(certificate: Certificate) -> "crypto.X509":
    from OpenSSL import crypto

    return crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.der)


def _said(error: "crypto.X509StoreContextError") -> str:
    number, _, text = error.errors
    found = _unloaded(error.certificate)
    if number in _NO_ISSUER:
        return f"no trusted CA has issued {found.subject}; its issuer is {found.issuer}"
    if number == _NOT_YET_VALID and found.begin is not None:
        return f"{found.subject} is not valid before {found.begin:%Y-%m-%d %H:%M} UTC"
    if number == _EXPIRED and found.end is not None:
        return f"{found.subject} expired on {found.end:%Y-%m-%d %H:%M} UTC"
    return f"{found.subject}: {text}"


def chain_to_send(leaf: Certificate, known: Sequence[bytes]) -> list[bytes]:
    """Those of `known` (DER) that lead from `leaf` up, from the nearest on, without the root."""
    found: dict[Certificate, bytes] = {load(der): der for der in known}
    path: list[Certificate] = []
    current = leaf
    while len(path) < MAX_CHAIN - 1:
        above = [c for c in found if c not in (current, *path) and _signed(current, c)]
        if not above or above[0].is_self_issued:
            break
        current = above[0]
        path.append(current)
    return [found[certificate] for certificate in path]


def _signed(certificate: Certificate, issuer: Certificate) -> bool:
    if issuer.subject != certificate.issuer:
        return False
    from OpenSSL import crypto

    store = crypto.X509Store()
    flags = crypto.X509StoreFlags
    store.set_flags(flags.PARTIAL_CHAIN | flags.IGNORE_CRITICAL | _NO_CHECK_TIME)
    store.add_cert(_loaded(issuer))
    try:
        crypto.X509StoreContext(store, _loaded(certificate)).verify_certificate()
    except crypto.X509StoreContextError:
        return False
    return True


def _unloaded(certificate: "crypto.X509") -> Certificate:
    from OpenSSL import crypto

    return Certificate.parse(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate))

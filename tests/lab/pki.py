"""The test PKI: made at run time, once in a process, valid around the date it is asked for.

`site()` is what a test usually wants: a root, the authentication server's certificate and the
gateway's. Everything else is made from its parts, so that a test says what is wrong with what it
hands out: `site().root.issue("gw", Validity.expired(now), key(KeyKind.P256), usage=Usage.CLIENT)`.
Making an RSA key takes a fifth of a second, therefore keys are shared: `key(kind, whose)`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mgu.demo.pki import (
    Authority,
    Files,
    Issued,
    KeyKind,
    PrivateKey,
    Usage,
    Validity,
    write,
)
from wire.x509 import Certificate

__all__ = [
    "CLIENT_NAME",
    "SERVER_NAME",
    "Authority",
    "Files",
    "Issued",
    "KeyKind",
    "PrivateKey",
    "Site",
    "Usage",
    "Validity",
    "key",
    "parts",
    "site",
    "write",
]

SERVER_NAME = "radius.example.test"
CLIENT_NAME = "gw-0001"


@cache
def key(kind: KeyKind = KeyKind.RSA_2048, whose: str = "anybody") -> PrivateKey:
    """The key of `whose`: the same one all through this process."""
    return kind.generate()


def parts(certificate: x509.Certificate) -> Certificate:
    """`certificate` as the product reads it."""
    return Certificate.parse(certificate.public_bytes(Encoding.DER))


@dataclass(frozen=True, slots=True)
class Site:
    """One organisation's certificates: a root, `depth` certificates from leaf to root."""

    root: Authority
    issuer: Authority
    """Who signed the leaves: the root, or the lowest intermediate."""
    server: Issued
    client: Issued
    valid: Validity

    def expired(self, usage: Usage, kind: KeyKind = KeyKind.RSA_2048) -> Issued:
        """A certificate that ran out a day before the site began."""
        return self._leaf(usage, kind, Validity.expired(self.valid.begin))

    def not_yet_valid(self, usage: Usage, kind: KeyKind = KeyKind.RSA_2048) -> Issued:
        """A certificate that becomes valid after the site's end."""
        return self._leaf(usage, kind, Validity.not_yet(self.valid.end))

    def leaf(self, usage: Usage, kind: KeyKind = KeyKind.RSA_2048) -> Issued:
        """Another sound certificate of this site: an RSA-1024 one, say, or one to revoke."""
        return self._leaf(usage, kind, self.valid)

    def crl_pem(self, *revoked: Issued) -> bytes:
        """The issuer's list that revokes `revoked`."""
        return self.issuer.crl(revoked, self.valid).public_bytes(Encoding.PEM)

    def _leaf(self, usage: Usage, kind: KeyKind, valid: Validity) -> Issued:
        name = SERVER_NAME if usage is Usage.SERVER else CLIENT_NAME
        names = [name] if usage is Usage.SERVER else []
        return self.issuer.issue(name, valid, key(kind, usage.name), usage=usage, names=names)


@cache
def site(
    kind: KeyKind = KeyKind.RSA_2048,
    *,
    depth: int = 2,
    now: datetime | None = None,
    name: str = "Test Root",
) -> Site:
    """A site whose chains count `depth` certificates, leaf and root among them.

    Two sites with different names do not trust each other.
    """
    valid = Validity.around(datetime.now(UTC) if now is None else now)
    root = issuer = Authority.root(name, valid, key(kind, name))
    for rung in range(1, depth - 1):
        issuer = issuer.intermediate(f"{name}, rung {rung}", valid, key(kind, f"rung {rung}"))
    server_key, client_key = key(kind, f"server of {name}"), key(kind, f"client of {name}")
    server = issuer.issue(SERVER_NAME, valid, server_key, usage=Usage.SERVER, names=[SERVER_NAME])
    client = issuer.issue(CLIENT_NAME, valid, client_key, usage=Usage.CLIENT)
    return Site(root, issuer, server, client, valid)

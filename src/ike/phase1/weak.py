"""Weak algorithms work, because peers need them, and are named in a warning once."""

from typing import Final

from ike.context import Context
from ike.numbers.doi import Authentication, Encryption, Group, Hash
from ike.numbers.isakmp import ExchangeType
from ike.phase1.facts import Phase1

_WEAK_GROUPS: Final = {Group.MODP768, Group.MODP1024, Group.MODP1536, Group.ECP192}
_WEAK_HASHES: Final = {Hash.MD5, Hash.SHA1}
_WEAK_CIPHERS: Final = {
    Encryption.DES,
    Encryption.TRIPLE_DES,
    Encryption.BLOWFISH,  # blocks of 64 bits (RFC 7696; Sweet32)
    Encryption.CAST,
}


class Weakness:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._told: set[str] = set()

    def warn(self, facts: Phase1) -> None:
        """Name what is weak in the suite agreed, unless that was said before."""
        suite = facts.agreed
        found = []
        if suite.group in _WEAK_GROUPS:
            found.append(f"Diffie-Hellman group {suite.group:d}")
        if suite.hash in _WEAK_HASHES:
            found.append(str(suite.hash))
        if suite.encryption in _WEAK_CIPHERS:
            found.append(str(suite.encryption))
        psk = suite.authentication == Authentication.PRE_SHARED_KEY
        if psk and facts.exchange == ExchangeType.AGGRESSIVE:
            found.append("aggressive mode with a pre-shared key")
        fresh = [name for name in found if name not in self._told]
        self._told.update(fresh)
        if fresh:
            self._context.warning(
                f"weak algorithms: {', '.join(fresh)} (remote {facts.remote.name}); "
                "prefer group 14 or higher, sha256, aes and main mode if the peer supports them"
            )

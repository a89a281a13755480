"""Hashes, and the pseudo-random function made of each: HMAC (RFC 2409, 4 and appendix A)."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from ike.numbers.doi import Hash


@dataclass(frozen=True, slots=True)
class HashSpec:
    """`size` in octets; `algorithm` is hashlib's name."""

    algorithm: str
    size: int

    def digest(self, data: bytes) -> bytes:
        return hashlib.new(self.algorithm, data, usedforsecurity=False).digest()

    def prf(self, key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, self.algorithm)


HASHES: Final[dict[Hash, HashSpec]] = {
    Hash.MD5: HashSpec("md5", 16),
    Hash.SHA1: HashSpec("sha1", 20),
    Hash.SHA2_256: HashSpec("sha256", 32),
    Hash.SHA2_384: HashSpec("sha384", 48),
    Hash.SHA2_512: HashSpec("sha512", 64),
}


def equal(a: bytes, b: bytes) -> bool:
    """Whether two authenticators are the same, in constant time."""
    return hmac.compare_digest(a, b)

"""Diffie-Hellman groups: MODP (RFC 2409, 6; RFC 3526), and curves (ike.crypto.curves)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from ike.crypto.curves import Curve, Curve25519
from ike.crypto.modexp import power
from ike.errors import InvalidKeyInformation
from ike.numbers.doi import Group
from wire.secret import Secret

GENERATOR: Final = 2

Entropy = Callable[[int], bytes]
"""`entropy(n)` gives n random octets."""


class _Group(Protocol):
    """`octets` of a public value; `shared` raises InvalidKeyInformation."""

    @property
    def octets(self) -> int: ...
    def exponent(self, entropy: Entropy) -> bytes: ...
    def public(self, exponent: bytes) -> bytes: ...
    def shared(self, exponent: bytes, peer: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Modp:
    """The prime is 2^n - 2^(n-64) - 1 + 2^64 * ([2^(n-130) pi] + k), with n = `bits`, k = `offset`.

    `exponent_bits`: RFC 3526, 8, its larger estimate, in whole octets.
    """

    bits: int
    offset: int
    exponent_bits: int

    @property
    def octets(self) -> int:
        """Of a public value and of the shared secret (RFC 2409, 5: padded with zeros)."""
        return self.bits // 8

    @property
    def prime(self) -> int:
        return _prime(self.bits, self.offset)

    def exponent(self, entropy: Entropy) -> bytes:
        return entropy(self.exponent_bits // 8)

    def public(self, exponent: bytes) -> bytes:
        return power(GENERATOR, exponent, self.prime)

    def shared(self, exponent: bytes, peer: bytes) -> bytes:
        number = int.from_bytes(peer)
        if not 1 < number < self.prime - 1:
            raise InvalidKeyInformation("public value outside 2 .. p-2")
        return power(number, exponent, self.prime)


MODP: Final = {
    Group.MODP768: Modp(768, 149686, 256),
    Group.MODP1024: Modp(1024, 129093, 256),
    Group.MODP1536: Modp(1536, 741804, 256),
    Group.MODP2048: Modp(2048, 124476, 320),
    Group.MODP3072: Modp(3072, 1690314, 424),
    Group.MODP4096: Modp(4096, 240904, 480),
    Group.MODP6144: Modp(6144, 929484, 544),
    Group.MODP8192: Modp(8192, 4743158, 624),
}
_GROUPS: Final[dict[Group, _Group]] = {
    **MODP,
    Group.ECP256: Curve(ec.SECP256R1()),
    Group.ECP384: Curve(ec.SECP384R1()),
    Group.ECP521: Curve(ec.SECP521R1()),
    Group.ECP192: Curve(ec.SECP192R1()),
    Group.ECP224: Curve(ec.SECP224R1()),
    Group.ECP256BP: Curve(ec.BrainpoolP256R1()),
    Group.ECP384BP: Curve(ec.BrainpoolP384R1()),
    Group.ECP512BP: Curve(ec.BrainpoolP512R1()),
    Group.CURVE25519: Curve25519(),
}

SUPPORTED: Final = frozenset(_GROUPS)


def octets(group: Group) -> int:
    """The length of a public value of a supported group."""
    return _GROUPS[group].octets


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Our half of one exchange; made for one exchange, and never used again."""

    group: Group
    exponent: Secret
    public: bytes

    @classmethod
    def generate(cls, group: Group, entropy: Entropy) -> "KeyPair":
        """A fresh pair of a supported group."""
        exponent = _GROUPS[group].exponent(entropy)
        return cls(group, Secret(exponent), _GROUPS[group].public(exponent))

    def shared(self, peer: bytes) -> Secret:
        """g^xy. Raises: InvalidKeyInformation."""
        if len(peer) != octets(self.group):
            raise InvalidKeyInformation(
                f"public value of {len(peer)} octets, group {self.group:d} has {octets(self.group)}"
            )
        return Secret(_GROUPS[self.group].shared(self.exponent.reveal(), peer))


@cache
def _prime(bits: int, offset: int) -> int:
    prefix: int = 2**bits - 2 ** (bits - 64) - 1
    return prefix + 2**64 * (_pi(bits - 130) + offset)


def _pi(bits: int) -> int:
    """[2^bits pi], by Machin's formula in integers with 64 bits to spare."""
    one = 1 << (bits + 64)

    def arctan_inverse(x: int) -> int:
        total = term = one // x
        divisor = 1
        while term:
            term //= -x * x
            divisor += 2
            total += term // divisor
        return total

    return 4 * (4 * arctan_inverse(5) - arctan_inverse(239)) >> 64

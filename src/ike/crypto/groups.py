"""Diffie-Hellman over the MODP groups (RFC 2409, 6; RFC 3526)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from ike.crypto.modexp import power
from ike.errors import InvalidKeyInformation
from ike.numbers.doi import Group
from wire.secret import Secret

GENERATOR: Final = 2

# The prime is 2^n - 2^(n-64) - 1 + 2^64 * ([2^(n-130) pi] + k). By group: n, k, and the size of the
# exponent in bits (RFC 3526, 8, its larger estimate, in whole octets).
_PARAMETERS: Final[dict[Group, tuple[int, int, int]]] = {
    Group.MODP768: (768, 149686, 256),
    Group.MODP1024: (1024, 129093, 256),
    Group.MODP1536: (1536, 741804, 256),
    Group.MODP2048: (2048, 124476, 320),
    Group.MODP3072: (3072, 1690314, 424),
    Group.MODP4096: (4096, 240904, 480),
    Group.MODP6144: (6144, 929484, 544),
    Group.MODP8192: (8192, 4743158, 624),
}

SUPPORTED: Final = frozenset(_PARAMETERS)


@cache
def prime(group: Group) -> int:
    """The modulus of a supported group."""
    bits, offset, _ = _PARAMETERS[group]
    prefix: int = 2**bits - 2 ** (bits - 64) - 1
    return prefix + 2**64 * (_pi(bits - 130) + offset)


def octets(group: Group) -> int:
    """The length of a public value and of the shared secret (RFC 2409, 5: padded with zeros)."""
    return _PARAMETERS[group][0] // 8


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Our half of one exchange; made for one exchange, and never used again."""

    group: Group
    exponent: Secret
    public: bytes

    @classmethod
    def generate(cls, group: Group, entropy: Callable[[int], bytes]) -> "KeyPair":
        """A fresh pair. `entropy(n)` gives n random octets."""
        exponent = entropy(_PARAMETERS[group][2] // 8)
        return cls(group, Secret(exponent), power(GENERATOR, exponent, prime(group)))

    def shared(self, peer: bytes) -> Secret:
        """g^xy, as long as the prime. Raises: InvalidKeyInformation."""
        if len(peer) != octets(self.group):
            raise InvalidKeyInformation(
                f"public value of {len(peer)} octets, group {self.group:d} has {octets(self.group)}"
            )
        number = int.from_bytes(peer)
        if not 1 < number < prime(self.group) - 1:
            raise InvalidKeyInformation("public value outside 2 .. p-2")
        return Secret(power(number, self.exponent.reveal(), prime(self.group)))


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

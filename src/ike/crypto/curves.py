"""Diffie-Hellman on elliptic curves: RFC 5903 (NIST), RFC 5114 (192 and 224 bits), RFC 6954
(brainpool) and RFC 8031 (Curve25519). The numbers are those of IKEv1's registry, too.

A public value is x and y, each as long as the field; the shared secret is x alone (RFC 5903, 7 and
9). On Curve25519 both are 32 octets.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ike.errors import InvalidKeyInformation

Entropy = Callable[[int], bytes]

_SPARE = 8  # octets drawn beyond the order, so that the remainder is uniform (FIPS 186-5, A.2.1)


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve over a prime field with cofactor 1: each point on it is in the group."""

    curve: ec.EllipticCurve

    @property
    def octets(self) -> int:
        """Of a public value."""
        return 2 * self._field

    @property
    def _field(self) -> int:
        return (self.curve.key_size + 7) // 8

    def exponent(self, entropy: Entropy) -> bytes:
        """A random number of 1 to the order less 1."""
        order = self.curve.group_order
        size = (order.bit_length() + 7) // 8
        number: int = int.from_bytes(entropy(size + _SPARE)) % (order - 1) + 1
        return number.to_bytes(size)

    def public(self, exponent: bytes) -> bytes:
        key = ec.derive_private_key(int.from_bytes(exponent), self.curve)
        numbers = key.public_key().public_numbers()
        return numbers.x.to_bytes(self._field) + numbers.y.to_bytes(self._field)

    def shared(self, exponent: bytes, peer: bytes) -> bytes:
        """Raises: InvalidKeyInformation for what is not a point of the curve (RFC 5903, 7)."""
        x, y = int.from_bytes(peer[: self._field]), int.from_bytes(peer[self._field :])
        try:
            point = ec.EllipticCurvePublicNumbers(x, y, self.curve).public_key()
        except ValueError:
            raise InvalidKeyInformation(f"not a point on {self.curve.name}") from None
        key = ec.derive_private_key(int.from_bytes(exponent), self.curve)
        return key.exchange(ec.ECDH(), point)


@dataclass(frozen=True, slots=True)
class Curve25519:
    octets: int = 32

    def exponent(self, entropy: Entropy) -> bytes:
        return entropy(32)

    def public(self, exponent: bytes) -> bytes:
        key = X25519PrivateKey.from_private_bytes(exponent).public_key()
        return key.public_bytes(Encoding.Raw, PublicFormat.Raw)

    def shared(self, exponent: bytes, peer: bytes) -> bytes:
        """Raises: InvalidKeyInformation for a value that makes the secret zero (RFC 8031, 2.3)."""
        key = X25519PrivateKey.from_private_bytes(exponent)
        try:
            return key.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError:
            raise InvalidKeyInformation("a public value of small order") from None

"""The computations of EAP-pwd (RFC 5931, 2) over the elliptic curves of the groups 19, 20 and 21.

Points of curves are pycryptodomex's. Differs: hunting and pecking (2.8.3.1) always goes 40 rounds,
as hostapd's does, so that the time does not tell how soon a point was found.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eapol.errors import MalformedFrame
from wire.secret import Secret

if TYPE_CHECKING:
    from Cryptodome.PublicKey.ECC import EccPoint

ROUNDS: Final = 40
HASH_OCTETS: Final = 32


@dataclass(frozen=True, slots=True)
class Group:
    """A curve y**2 = x**3 - 3*x + b over `prime`, with points of `order` (FIPS 186-4, D.1.2)."""

    name: str
    prime: int
    order: int
    b: int

    @property
    def octets(self) -> int:
        """Of a coordinate, and of a scalar."""
        return (self.prime.bit_length() + 7) // 8

    def point(self, x: int, y: int) -> "EccPoint":
        """Raises: MalformedFrame unless it is a point of the curve, and not the neutral one."""
        from Cryptodome.PublicKey.ECC import EccPoint  # late: only where EAP-pwd is used

        try:
            if not (x or y) or max(x, y) >= self.prime:
                raise ValueError
            return EccPoint(x, y, curve=self.name)
        except ValueError:
            raise MalformedFrame("an element that is not on the curve", 0) from None

    def encoded(self, point: "EccPoint") -> bytes:
        """x and y, one after the other. Raises: MalformedFrame for the neutral element."""
        if point.is_point_at_infinity():
            raise MalformedFrame("the neutral element of the curve", 0)
        return b"".join(int(value).to_bytes(self.octets, "big") for value in (point.x, point.y))

    def decoded(self, octets: bytes) -> "EccPoint":
        if len(octets) != 2 * self.octets:
            raise MalformedFrame(f"an element of {len(octets)} octets", 0)
        x, y = octets[: self.octets], octets[self.octets :]
        return self.point(int.from_bytes(x, "big"), int.from_bytes(y, "big"))


def _group(name: str, prime: int, order: str, b: str) -> Group:
    return Group(name, prime, int(order, 16), int(b, 16))


GROUPS: Final = {
    19: _group(
        "p256",
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
    ),
    20: _group(
        "p384",
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf"
        "581a0db248b0a77aecec196accc52973",
        "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875a"
        "c656398d8a2ed19d2a85c8edd3ec2aef",
    ),
    21: _group(
        "p521",
        2**521 - 1,
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
        "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
        "0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef1"
        "09e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
    ),
}
"""IANA's numbers of the groups of IKE, which EAP-pwd shares (RFC 5931, 5)."""


def h(*parts: bytes) -> bytes:
    """The random function H (2.3): HMAC-SHA256 with a key of zeros."""
    return hmac.digest(bytes(HASH_OCTETS), b"".join(parts), "sha256")


def kdf(key: bytes, label: bytes, bits: int) -> bytes:
    """2.5: octets that hold `bits` bits, the last ones of the last octet zero."""
    length, made, last, count = bits.to_bytes(2, "big"), b"", b"", 0
    while len(made) * 8 < bits:
        count += 1
        last = hmac.digest(key, last + count.to_bytes(2, "big") + label + length, "sha256")
        made += last
    size = (bits + 7) // 8
    whole = int.from_bytes(made[:size], "big")
    return (whole >> -bits % 8 << -bits % 8).to_bytes(size, "big")


def password_element(
    group: Group, token: bytes, peer: bytes, server: bytes, password: Secret
) -> "EccPoint":
    """2.8.3.1, hunting and pecking."""
    bits = group.prime.bit_length()
    found: tuple[int, int] | None = None
    for counter in range(1, ROUNDS + 1):
        seed = h(token, peer, server, password.reveal(), bytes((counter,)))
        value = kdf(seed, b"EAP-pwd Hunting And Pecking", bits)
        x = int.from_bytes(value, "big") >> -bits % 8
        square = (x**3 - 3 * x + group.b) % group.prime
        y = pow(square, (group.prime + 1) // 4, group.prime)  # every prime here is 3 modulo 4
        if x < group.prime and y * y % group.prime == square and found is None:
            found = x, y if y & 1 == seed[-1] & 1 else group.prime - y
    if found is None:  # once in 2**40 passwords
        raise MalformedFrame("no element of the curve for this password", 0)
    return group.point(*found)


class Commitment:
    """One side's scalar and element (2.8.4.1), and the secret that they end in (2.8.4.2)."""

    def __init__(self, group: Group, element: "EccPoint", entropy: Callable[[int], bytes]) -> None:
        self._group = group
        self._password_element = element
        self._private = _number(group, entropy)
        mask = _number(group, entropy)
        self.scalar = (self._private + mask) % group.order
        self.element = group.encoded(-(element * mask))

    @property
    def scalar_octets(self) -> bytes:
        return self.scalar.to_bytes(self._group.octets, "big")

    def secret(self, scalar: int, element: bytes) -> Secret:
        """The x coordinate of K, from what the other side committed to. Raises: MalformedFrame."""
        group = self._group
        if not 1 < scalar < group.order or (scalar, element) == (self.scalar, self.element):
            raise MalformedFrame("a scalar out of range, or our own commitment", 0)
        theirs = group.decoded(element)
        point = (self._password_element * scalar + theirs) * self._private
        return Secret(group.encoded(point)[: group.octets])


def _number(group: Group, entropy: Callable[[int], bytes]) -> int:
    """1 < n < order; 64 bits more than the order has, so that no value is likelier."""
    wide = int.from_bytes(entropy(group.octets + 8), "big")
    return wide % (group.order - 2) + 2

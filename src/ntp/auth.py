"""Symmetric keys -- RFC 5905, 7.3 and RFC 8573.

AES-128-CMAC is what RFC 8573 asks for. SHA-1 (key and packet hashed in one) is what older servers
have. MD5, the same with MD5, is broken and must be asked for by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from hmac import compare_digest

from ntp.errors import NotAuthentic
from ntp.packet import HEADER_LENGTH, Mac, Packet
from wire.secret import Secret


class Algorithm(Enum):
    """The names that key files use."""

    AES128CMAC = "AES128CMAC"
    SHA1 = "SHA1"
    MD5 = "MD5"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as a server and we share it. Identifiers: 1 to 2**32-1."""

    key_id: int
    algorithm: Algorithm
    secret: Secret

    def digest(self, packet: bytes) -> bytes:
        """The message digest over all of `packet` that precedes the MAC."""
        match self.algorithm:
            case Algorithm.AES128CMAC:
                from cryptography.hazmat.primitives.ciphers.algorithms import AES
                from cryptography.hazmat.primitives.cmac import CMAC

                cmac = CMAC(AES(self.secret.reveal()))
                cmac.update(packet)
                return cmac.finalize()
            case Algorithm.SHA1:
                from hashlib import sha1

                return sha1(self.secret.reveal() + packet, usedforsecurity=False).digest()
            case Algorithm.MD5:
                from hashlib import md5

                return md5(self.secret.reveal() + packet, usedforsecurity=False).digest()

    def sign(self, packet: bytes) -> bytes:
        """`packet` with its MAC."""
        return packet + bytes(Mac(self.key_id, self.digest(packet)))

    def verify(self, packet: Packet, octets: bytes) -> None:
        """Raises NotAuthentic unless `octets` carry a MAC of this very key."""
        mac = packet.mac
        if mac is None:
            raise NotAuthentic("the reply is not authenticated, although the request was")
        if mac.key_id == 0 or not mac.digest:
            raise NotAuthentic(f"the server does not know key {self.key_id} (crypto-NAK)")
        if mac.key_id != self.key_id:
            raise NotAuthentic(f"the reply is made with key {mac.key_id}, not {self.key_id}")
        covered = octets[: len(octets) - len(bytes(mac))]
        if len(covered) < HEADER_LENGTH or not compare_digest(mac.digest, self.digest(covered)):
            raise NotAuthentic(f"the reply's digest does not match key {self.key_id}")


@dataclass(frozen=True, slots=True)
class KeyAuthentication:
    """An `Authentication` (ntp.onwire) with one symmetric key."""

    key: Key

    @property
    def ready(self) -> bool:
        return True

    def seal(self, header: bytes) -> "KeySealed":
        return KeySealed(self.key.sign(header), self.key)


@dataclass(frozen=True, slots=True)
class KeySealed:
    octets: bytes
    key: Key

    def verify(self, answer: Packet, octets: bytes) -> None:
        self.key.verify(answer, octets)


Keys = Mapping[int, Key]

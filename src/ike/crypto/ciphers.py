"""Block ciphers in CBC mode for ISAKMP messages (RFC 2409, appendix B; AES: RFC 3602)."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.utils import CryptographyDeprecationWarning

from ike.numbers.doi import Encryption
from wire.secret import Secret

with warnings.catch_warnings():
    warnings.simplefilter("ignore", CryptographyDeprecationWarning)
    from cryptography.hazmat.decrepit.ciphers.algorithms import (
        CAST5,
        Blowfish,
        Camellia,
        TripleDES,
    )


@dataclass(frozen=True, slots=True)
class CipherSpec:
    """`key_bits`: the lengths that exist, the default first. `variable`: a KEY_LENGTH is needed."""

    name: str
    key_bits: tuple[int, ...]
    block: int
    make: Callable[[bytes], BlockCipherAlgorithm]
    variable: bool = False


def _des(key: bytes) -> BlockCipherAlgorithm:
    return TripleDES(key * 3)  # E-D-E with one key is DES


CIPHERS: Final[dict[Encryption, CipherSpec]] = {
    Encryption.AES: CipherSpec("AES-CBC", (128, 192, 256), 16, AES, variable=True),
    Encryption.TRIPLE_DES: CipherSpec("3DES-CBC", (192,), 8, TripleDES),
    Encryption.DES: CipherSpec("DES-CBC", (64,), 8, _des),
    Encryption.CAMELLIA: CipherSpec(
        "CAMELLIA-CBC", (128, 192, 256), 16, Camellia, variable=True
    ),  # RFC 4312
    Encryption.BLOWFISH: CipherSpec(
        "BLOWFISH-CBC", (128, *range(40, 128, 8), *range(136, 449, 8)), 8, Blowfish, variable=True
    ),
    Encryption.CAST: CipherSpec("CAST-CBC", (128, *range(40, 128, 8)), 8, CAST5, variable=True),
}


class CbcCipher:
    """One key; each message brings its initialization vector."""

    __slots__ = ("_algorithm", "block")

    def __init__(self, encryption: Encryption, key: Secret) -> None:
        spec = CIPHERS[encryption]
        self._algorithm = spec.make(key.reveal())
        self.block = spec.block

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        """`plaintext` must be whole blocks."""
        encryptor = Cipher(self._algorithm, modes.CBC(iv)).encryptor()
        return encryptor.update(plaintext) + encryptor.finalize()

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes:
        """`ciphertext` must be whole blocks."""
        decryptor = Cipher(self._algorithm, modes.CBC(iv)).decryptor()
        return decryptor.update(ciphertext) + decryptor.finalize()

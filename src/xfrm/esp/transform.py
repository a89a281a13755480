"""ESP's cryptography: from an SA's keys to one function that seals and one that opens (RFC 4303).

Speed comes from never making a cipher object per packet:

* CBC runs *one* encryptor per SA for ever. Each packet is encrypted with a fresh random block R
  in front: E(R xor last ciphertext block) is the packet's IV, and goes out as such. R is secret and
  random, so the IV is as unpredictable as SP 800-38A, Appendix C asks: it is the first method
  there, the cipher applied to a nonce, with a random nonce. What must never be done is to use the
  last ciphertext block itself as the next IV: an observer knows it.
* CBC decryption runs one decryptor per SA: given IV and ciphertext in one go, only its first block
  of output depends on the packet before, and that block is the IV's place, which is thrown away.
* HMAC copies a context that has the key in it.

The caller has checked the sequence number; nothing is decrypted before the integrity check passed.
"""

from collections.abc import Callable, Mapping
from hmac import compare_digest
from typing import Final, NamedTuple, Protocol, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import CAST5, Blowfish, Camellia, TripleDES
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from xfrm.algorithms import BadKey, Kind, row_of
from xfrm.esp.reasons import Reason, Refused
from xfrm.esp.replay import SPI_SEQUENCE, Protect, Unprotect
from xfrm.model import Algorithm, SecurityAssociation

Entropy = Callable[[int], bytes]
Mac = Callable[[bytes], bytes]
Row = TypeVar("Row")

HEADER: Final = 8  # octets of SPI and sequence number
_POOL: Final = 4096  # octets of randomness drawn at once: one system call for 256 IVs
_LOW: Final = 0xFFFFFFFF


class BadAlgorithm(ValueError):
    """No such algorithm here, or a key that does not fit it."""


class CipherRow(NamedTuple):
    make: Callable[[bytes], BlockCipherAlgorithm]
    block: int  # octets, and the size of the IV


class AeadRow(NamedTuple):
    make: Callable[[bytes, int], "Aead"]  # key, size of the tag in octets
    salt: int  # octets at the end of the key
    tags: frozenset[int]


class Aead(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...


# What is done here, by Linux's names; `xfrm.algorithms` has the lengths of the keys.
CIPHERS: Final = {
    "cbc(aes)": CipherRow(AES, 16),  # RFC 3602
    "cbc(camellia)": CipherRow(Camellia, 16),  # RFC 4312
    "cbc(des3_ede)": CipherRow(TripleDES, 8),  # RFC 2451
    "cbc(des)": CipherRow(lambda key: TripleDES(key * 3), 8),  # RFC 2405
    "cbc(cast5)": CipherRow(CAST5, 8),
    "cbc(blowfish)": CipherRow(Blowfish, 8),
}
NO_CIPHER: Final = "ecb(cipher_null)"  # RFC 2410
MACS: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "hmac(md5)": hashes.MD5,  # RFC 2403
    "hmac(sha1)": hashes.SHA1,  # RFC 2404
    "hmac(sha256)": hashes.SHA256,  # RFC 4868
    "hmac(sha384)": hashes.SHA384,
    "hmac(sha512)": hashes.SHA512,
}
NO_MAC: Final = "digest_null"
_SIXTEEN: Final = frozenset({16})
AEADS: Final = {
    "rfc4106(gcm(aes))": AeadRow(lambda key, _: AESGCM(key), 4, _SIXTEEN),
    "rfc4309(ccm(aes))": AeadRow(AESCCM, 3, frozenset({8, 12, 16})),
    "rfc7539esp(chacha20,poly1305)": AeadRow(lambda key, _: ChaCha20Poly1305(key), 4, _SIXTEEN),
}


def transforms(sa: SecurityAssociation, entropy: Entropy) -> tuple[Protect, Unprotect]:
    """What seals and what opens packets of `sa`; an SA uses one of the two.

    Raises BadAlgorithm.
    """
    if sa.aead is not None:
        if sa.encryption is not None or sa.authentication is not None:
            raise BadAlgorithm(
                f"{sa.aead.name} encrypts and authenticates: no other algorithm is allowed beside"
                " it"
            )
        return _aead(sa, sa.aead)
    mac, icv = integrity(sa.authentication)
    if sa.encryption is not None and sa.encryption.name != NO_CIPHER:
        return _cbc(sa, sa.encryption, mac, icv, entropy)
    if not icv:
        raise BadAlgorithm("ESP needs encryption or authentication")
    return _integrity_only(sa, mac, icv)


def integrity(algorithm: Algorithm | None) -> tuple[Mac, int]:
    """The integrity check of `algorithm` and its size in octets; none: 0 octets."""
    if algorithm is None or algorithm.name == NO_MAC:
        return lambda _: b"", 0
    hash_algorithm = _known(MACS, algorithm)()
    row = row_of(Kind.AUTHENTICATION, algorithm)
    icv = (algorithm.icv_bits or (row.icv_bits if row else 0)) // 8
    if not 4 <= icv <= hash_algorithm.digest_size or algorithm.icv_bits % 8:
        raise BadAlgorithm(f"{algorithm.name} cannot be truncated to {algorithm.icv_bits} bits")
    if not len(algorithm.key):
        raise BadAlgorithm(f"{algorithm.name} needs a key")
    copy = hmac.HMAC(algorithm.key.reveal(), hash_algorithm).copy

    def mac(octets: bytes) -> bytes:
        context = copy()
        context.update(octets)
        return context.finalize()[:icv]

    return mac, icv


def _known(table: Mapping[str, Row], algorithm: Algorithm) -> Row:
    row = table.get(algorithm.name)
    if row is None:
        raise BadAlgorithm(
            f"the userspace data path has no {algorithm.name}; it has {', '.join(table)}"
        )
    return row


def _key(kind: Kind, algorithm: Algorithm) -> bytes:
    """The key, of a length that the algorithm takes."""
    row = row_of(kind, algorithm)
    if row is not None:
        try:
            row.algorithm(algorithm.key.reveal())
        except BadKey as error:
            raise BadAlgorithm(str(error)) from None
    return algorithm.key.reveal()


# Trailer


def _trailers(block: int) -> list[list[bytes]]:
    """Padding, pad length, next header (RFC 4303, 2.4 to 2.6) by next header and payload size."""
    pads = [bytes(range(1, 1 + -(size + 2) % block)) for size in range(block)]
    return [[pad + bytes((len(pad), number)) for pad in pads] for number in range(256)]


_TRAILERS: Final = {block: _trailers(block) for block in (4, 8, 16)}
_PADDING: Final = [bytes(range(1, 1 + size)) for size in range(256)]


def _trimmed(plain: bytes, start: int) -> tuple[int, bytes]:
    """Next header and payload; the padding must be 1, 2, 3, ... (RFC 4303, 2.4)."""
    end = len(plain) - 2 - plain[-2]
    if end < start or plain[end:-2] != _PADDING[plain[-2]]:
        raise Refused(Reason.IN_PROTOCOL)
    return plain[-1], plain[start:end]


# The three constructions


def _cbc(
    sa: SecurityAssociation, encryption: Algorithm, mac: Mac, icv: int, entropy: Entropy
) -> tuple[Protect, Unprotect]:
    make, block = _known(CIPHERS, encryption)
    algorithm = make(_key(Kind.ENCRYPTION, encryption))
    spi, esn = sa.spi, sa.esn
    encrypt = Cipher(algorithm, CBC(entropy(block))).encryptor().update
    decrypt = Cipher(algorithm, CBC(bytes(block))).decryptor().update
    trailers = _TRAILERS[block]
    header = SPI_SEQUENCE.pack
    pool, at = b"", _POOL
    shortest = HEADER + 2 * block + icv

    def protect(sequence: int, payload: bytes, next_header: int) -> bytes:
        nonlocal pool, at
        if at >= _POOL:
            pool, at = entropy(_POOL), 0
        nonce = pool[at : at + block]
        at += block
        trailer = trailers[next_header][len(payload) % block]
        body = header(spi, sequence & _LOW) + encrypt(nonce + payload + trailer)
        if esn:
            return body + mac(body + (sequence >> 32).to_bytes(4, "big"))
        return body + mac(body)

    def unprotect(packet: bytes, high: int) -> tuple[int, bytes]:
        end = len(packet) - icv
        if end + icv < shortest or (end - HEADER) % block:
            raise Refused(Reason.IN_PROTOCOL)
        body = packet[:end]
        check = mac(body + high.to_bytes(4, "big") if esn else body)
        if not compare_digest(check, packet[end:]):
            raise Refused(Reason.IN_PROTOCOL)
        return _trimmed(decrypt(body[HEADER:]), block)

    return protect, unprotect


def _integrity_only(sa: SecurityAssociation, mac: Mac, icv: int) -> tuple[Protect, Unprotect]:
    """NULL encryption (RFC 2410): no IV, padded to 4 octets."""
    spi, esn = sa.spi, sa.esn
    trailers = _TRAILERS[4]
    header = SPI_SEQUENCE.pack

    def protect(sequence: int, payload: bytes, next_header: int) -> bytes:
        trailer = trailers[next_header][len(payload) % 4]
        body = header(spi, sequence & _LOW) + payload + trailer
        return body + mac(body + (sequence >> 32).to_bytes(4, "big") if esn else body)

    def unprotect(packet: bytes, high: int) -> tuple[int, bytes]:
        end = len(packet) - icv
        if end < HEADER + 4 or end % 4:
            raise Refused(Reason.IN_PROTOCOL)
        body = packet[:end]
        check = mac(body + high.to_bytes(4, "big") if esn else body)
        if not compare_digest(check, packet[end:]):
            raise Refused(Reason.IN_PROTOCOL)
        return _trimmed(body, HEADER)

    return protect, unprotect


def _aead(sa: SecurityAssociation, algorithm: Algorithm) -> tuple[Protect, Unprotect]:
    """AES-GCM (RFC 4106), AES-CCM (RFC 4309), ChaCha20-Poly1305 (RFC 7634).

    The explicit IV is the sequence number: it never repeats under a key, as the mode demands.
    """
    aead, salt, tag = _keyed_aead(algorithm)
    encrypt, decrypt = aead.encrypt, aead.decrypt
    spi, esn = sa.spi, sa.esn
    trailers = _TRAILERS[4]
    header = SPI_SEQUENCE.pack
    spi_octets = spi.to_bytes(4, "big")
    shortest = HEADER + 8 + 4 + tag

    def protect(sequence: int, payload: bytes, next_header: int) -> bytes:
        iv = sequence.to_bytes(8, "big")
        front = header(spi, sequence & _LOW)
        plain = payload + trailers[next_header][len(payload) & 3]
        associated = spi_octets + iv if esn else front  # RFC 4106, 5
        return front + iv + encrypt(salt + iv, plain, associated)

    def unprotect(packet: bytes, high: int) -> tuple[int, bytes]:
        if len(packet) < shortest:
            raise Refused(Reason.IN_PROTOCOL)
        front = packet[:HEADER]
        if esn:
            front = front[:4] + high.to_bytes(4, "big") + front[4:]
        try:
            plain = decrypt(salt + packet[8:16], packet[16:], front)
        except InvalidTag:
            raise Refused(Reason.IN_PROTOCOL) from None
        return _trimmed(plain, 0)

    return protect, unprotect


def _keyed_aead(algorithm: Algorithm) -> tuple[Aead, bytes, int]:
    """The cipher, the salt that its key ends with, and the size of its tag in octets."""
    row = _known(AEADS, algorithm)
    tag = algorithm.icv_bits // 8 or 16
    if tag not in row.tags or algorithm.icv_bits % 8:
        raise BadAlgorithm(
            f"the userspace data path has no {algorithm.name} with {algorithm.icv_bits} bits of "
            f"check value; it has {', '.join(str(octets * 8) for octets in sorted(row.tags))}"
        )
    octets = _key(Kind.AEAD, algorithm)
    return row.make(octets[: -row.salt], tag), octets[-row.salt :], tag

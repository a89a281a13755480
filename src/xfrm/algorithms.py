"""The algorithms of ESP, AH and IPComp by all their names: one table.

Linux's crypto names go to the kernel, setkey's are typed and printed, racoon's are in racoon.conf,
PF_KEY's numbers in dumps (RFC 2367 and linux/pfkeyv2.h), tshark's in its table of ESP keys.
Integrity check values are as long as the RFCs say: PF_KEY carries no length, and Linux then cuts
SHA-256 to 96 bits, which no peer expects (RFC 4868 says 128).
"""

from collections.abc import Sequence
from enum import Enum

from wire.lean import Final
from wire.record import Record
from wire.secret import Secret
from xfrm.model import Algorithm


class Kind(Enum):
    ENCRYPTION = "encryption"
    AUTHENTICATION = "authentication"
    AEAD = "encryption with authentication"
    COMPRESSION = "compression"


class Row(Record):
    """One algorithm. `key_bits` are the lengths a key may have, with the salt or nonce at its end.

    The first of `setkey` is what is printed. `pfkey` 0: PF_KEY has no number for it.
    """

    kind: Kind
    linux: str
    setkey: tuple[str, ...]
    racoon: tuple[str, ...] = ()
    pfkey: int = 0
    key_bits: Sequence[int] = (0,)
    icv_bits: int = 0
    tshark: str | None = None

    def algorithm(self, key: bytes) -> Algorithm:
        """The algorithm with its key. Raises BadKey if the key's length is not one it takes."""
        if len(key) * 8 not in self.key_bits:
            raise BadKey(self, len(key) * 8)
        return Algorithm(name=self.linux, key=Secret(key), icv_bits=self.icv_bits)


class BadKey(ValueError):
    """A key of a length that the algorithm does not take; the text says which it takes."""

    def __init__(self, row: Row, bits: int) -> None:
        super().__init__(
            f"{row.setkey[0]} needs a key of {_bits(row.key_bits)} bits, this one has {bits}"
        )


_E, _A, _C = Kind.ENCRYPTION, Kind.AUTHENTICATION, Kind.COMPRESSION
_AES: Final = (128, 192, 256)
_GCM: Final = (160, 224, 288)  # with 4 octets of salt
_CCM: Final = (152, 216, 280)  # with 3 octets of salt

TABLE: Final = (
    Row(_E, "cbc(des)", ("des-cbc",), ("des",), 2, (64,), 0, "DES-CBC [RFC2405]"),
    Row(_E, "cbc(des3_ede)", ("3des-cbc",), ("3des",), 3, (192,), 0, "TripleDES-CBC [RFC2451]"),
    Row(
        _E, "cbc(cast5)", ("cast128-cbc",), ("cast128",), 6, range(40, 129, 8), 0,
        "CAST5-CBC [RFC2144]",
    ),
    Row(
        _E, "cbc(blowfish)", ("blowfish-cbc",), ("blowfish",), 7, range(40, 449, 8), 0,
        "BLOWFISH-CBC [RFC2451]",
    ),
    Row(_E, "ecb(cipher_null)", ("null", "simple"), ("null_enc", "null"), 11, (0,), 0, "NULL"),
    Row(
        _E, "cbc(aes)", ("aes-cbc", "rijndael-cbc"), ("aes", "rijndael"), 12, _AES, 0,
        "AES-CBC [RFC3602]",
    ),
    Row(_E, "rfc3686(ctr(aes))", ("aes-ctr",), ("aes_ctr",), 13, _GCM, 0, "AES-CTR [RFC3686]"),
    Row(_E, "cbc(camellia)", ("camellia-cbc",), ("camellia",), 22, _AES),
    Row(_E, "cbc(serpent)", ("serpent-cbc",), (), 252, _AES),
    Row(_E, "cbc(twofish)", ("twofish-cbc",), ("twofish",), 253, _AES, 0, "TWOFISH-CBC"),
    Row(_A, "hmac(md5)", ("hmac-md5",), ("hmac_md5",), 2, (128,), 96, "HMAC-MD5-96 [RFC2403]"),
    Row(_A, "hmac(sha1)", ("hmac-sha1",), ("hmac_sha1",), 3, (160,), 96, "HMAC-SHA-1-96 [RFC2404]"),
    Row(
        _A, "hmac(sha256)", ("hmac-sha256", "hmac-sha2-256"), ("hmac_sha256", "hmac_sha2_256"), 5,
        (256,), 128, "HMAC-SHA-256-128 [RFC4868]",
    ),
    Row(
        _A, "hmac(sha384)", ("hmac-sha384", "hmac-sha2-384"), ("hmac_sha384", "hmac_sha2_384"), 6,
        (384,), 192, "HMAC-SHA-384-192 [RFC4868]",
    ),
    Row(
        _A, "hmac(sha512)", ("hmac-sha512", "hmac-sha2-512"), ("hmac_sha512", "hmac_sha2_512"), 7,
        (512,), 256, "HMAC-SHA-512-256 [RFC4868]",
    ),
    Row(
        _A, "hmac(rmd160)", ("hmac-ripemd160",), (), 8, (160,), 96, "MAC-RIPEMD-160-96 [RFC2857]"
    ),
    Row(_A, "xcbc(aes)", ("aes-xcbc-mac",), ("aes_xcbc_mac",), 9, (128,), 96),
    Row(_A, "cmac(aes)", ("aes-cmac",), (), 0, (128,), 96),
    Row(_A, "digest_null", ("null",), ("non_auth",), 251, range(0, 2049, 8), 0, "NULL"),
    Row(Kind.AEAD, "rfc4309(ccm(aes))", ("aes-ccm-8",), ("aes_ccm_8",), 14, _CCM, 64),
    Row(Kind.AEAD, "rfc4309(ccm(aes))", ("aes-ccm-12",), ("aes_ccm_12",), 15, _CCM, 96),
    Row(Kind.AEAD, "rfc4309(ccm(aes))", ("aes-ccm-16",), ("aes_ccm_16", "aes_ccm"), 16, _CCM, 128),
    Row(
        Kind.AEAD, "rfc4106(gcm(aes))", ("aes-gcm-8",), ("aes_gcm_8",), 18, _GCM, 64,
        "AES-GCM with 8 octet ICV [RFC4106]",
    ),
    Row(
        Kind.AEAD, "rfc4106(gcm(aes))", ("aes-gcm-12",), ("aes_gcm_12",), 19, _GCM, 96,
        "AES-GCM with 12 octet ICV [RFC4106]",
    ),
    Row(
        Kind.AEAD, "rfc4106(gcm(aes))", ("aes-gcm-16", "aes-gcm"), ("aes_gcm_16", "aes_gcm"), 20,
        _GCM, 128, "AES-GCM with 16 octet ICV [RFC4106]",
    ),
    Row(Kind.AEAD, "rfc4543(gcm(aes))", ("aes-gmac",), (), 23, _GCM, 128),
    Row(Kind.AEAD, "rfc7539esp(chacha20,poly1305)", ("chacha20-poly1305",), (), 0, (288,), 128),
    Row(_C, "deflate", ("deflate",), ("deflate",), 2),
    Row(_C, "lzs", ("lzs",), ("lzs",), 3),
    Row(_C, "lzjh", ("lzjh",), ("lzjh",), 4),
)  # fmt: skip

# What PF_KEY users may write, and no Linux kernel does over XFRM.
NOT_IN_LINUX: Final = frozenset(
    {"des-deriv", "des-32iv", "keyed-md5", "keyed-sha1", "tcp-md5", "oui"}
)

_BY_LINUX: Final = {(row.kind, row.linux, row.icv_bits): row for row in TABLE}
_ANY_ICV: Final = {(row.kind, row.linux): row for row in TABLE}
_BY_SETKEY: Final = {(row.kind, name): row for row in TABLE for name in row.setkey}
_BY_RACOON: Final = {(row.kind, name): row for row in TABLE for name in row.racoon}
_BY_PFKEY: Final = {(row.kind, row.pfkey): row for row in TABLE if row.pfkey}


def row_of(kind: Kind, algorithm: Algorithm) -> Row | None:
    """The row of an algorithm as the kernel names it; one with an unusual ICV finds its kin."""
    exact = _BY_LINUX.get((kind, algorithm.name, algorithm.icv_bits))
    return exact or _ANY_ICV.get((kind, algorithm.name))


def by_linux(kind: Kind, name: str) -> Row | None:
    """The row with the longest ICV, of those with this Linux name."""
    return _ANY_ICV.get((kind, name))


def by_setkey(kind: Kind, name: str) -> Row | None:
    return _BY_SETKEY.get((kind, name))


def by_racoon(kind: Kind, name: str) -> Row | None:
    return _BY_RACOON.get((kind, name))


def by_pfkey(kind: Kind, number: int) -> Row | None:
    return _BY_PFKEY.get((kind, number))


def setkey_names(kind: Kind) -> list[str]:
    """What setkey takes for this kind, for messages."""
    return [name for row in TABLE if row.kind is kind for name in row.setkey]


def _bits(lengths: Sequence[int]) -> str:
    if isinstance(lengths, range):
        return f"{lengths[0]} to {lengths[-1]}"
    return " or ".join(map(str, lengths))

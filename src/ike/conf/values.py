"""Words of racoon.conf as values: tables of its names, and what is refused with the place."""

from collections.abc import Mapping
from enum import Enum
from ipaddress import ip_address
from typing import Final, TypeVar

from ike.conf.errors import ConfError
from ike.crypto.ciphers import CIPHERS
from ike.doi.proposals import ESP_KEY_BITS
from ike.numbers.doi import (
    Authentication,
    Encryption,
    EspTransform,
    Group,
    Hash,
    Integrity,
)
from ike.values import Address
from wire import source
from wire.grammar import Statement
from wire.source import Word

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

PHASE1_CIPHERS: Final = {
    "des": Encryption.DES,
    "3des": Encryption.TRIPLE_DES,
    "aes": Encryption.AES,
    "rijndael": Encryption.AES,
    "camellia": Encryption.CAMELLIA,
    "blowfish": Encryption.BLOWFISH,
    "cast128": Encryption.CAST,
}
HASHES: Final = {
    "md5": Hash.MD5,
    "sha1": Hash.SHA1,
    "sha256": Hash.SHA2_256,
    "sha384": Hash.SHA2_384,
    "sha512": Hash.SHA2_512,
    "sha2_256": Hash.SHA2_256,
    "sha2_384": Hash.SHA2_384,
    "sha2_512": Hash.SHA2_512,
}
METHODS: Final = {
    "pre_shared_key": Authentication.PRE_SHARED_KEY,
    "rsasig": Authentication.RSA_SIGNATURE,
}
GROUPS: Final = {
    "modp768": Group.MODP768,
    "modp1024": Group.MODP1024,
    "modp1536": Group.MODP1536,
    "modp2048": Group.MODP2048,
    "modp3072": Group.MODP3072,
    "modp4096": Group.MODP4096,
    "modp6144": Group.MODP6144,
    "modp8192": Group.MODP8192,
    "ecp256": Group.ECP256,
    "ecp384": Group.ECP384,
    "ecp521": Group.ECP521,
    "ecp192": Group.ECP192,
    "ecp224": Group.ECP224,
    "ecp256bp": Group.ECP256BP,
    "ecp384bp": Group.ECP384BP,
    "ecp512bp": Group.ECP512BP,
    "curve25519": Group.CURVE25519,
}
PHASE2_CIPHERS: Final = {
    "des": EspTransform.DES,
    "3des": EspTransform.TRIPLE_DES,
    "null_enc": EspTransform.NULL,
    "null": EspTransform.NULL,
    "aes": EspTransform.AES,
    "rijndael": EspTransform.AES,
    "camellia": EspTransform.CAMELLIA,
    "blowfish": EspTransform.BLOWFISH,
    "cast128": EspTransform.CAST,
    "aes_ctr": EspTransform.AES_CTR,
    "aes_ccm": EspTransform.AES_CCM_16,
    "aes_ccm_8": EspTransform.AES_CCM_8,
    "aes_ccm_12": EspTransform.AES_CCM_12,
    "aes_ccm_16": EspTransform.AES_CCM_16,
    "aes_gcm": EspTransform.AES_GCM_16,
    "aes_gcm_8": EspTransform.AES_GCM_8,
    "aes_gcm_12": EspTransform.AES_GCM_12,
    "aes_gcm_16": EspTransform.AES_GCM_16,
}
INTEGRITIES: Final = {
    "hmac_md5": Integrity.HMAC_MD5,
    "hmac_sha1": Integrity.HMAC_SHA1,
    "hmac_sha256": Integrity.HMAC_SHA2_256,
    "hmac_sha384": Integrity.HMAC_SHA2_384,
    "hmac_sha512": Integrity.HMAC_SHA2_512,
    "hmac_sha2_256": Integrity.HMAC_SHA2_256,
    "hmac_sha2_384": Integrity.HMAC_SHA2_384,
    "hmac_sha2_512": Integrity.HMAC_SHA2_512,
    "aes_xcbc_mac": Integrity.AES_XCBC_MAC,
    "non_auth": Integrity.NONE,
}
KEY_BITS: Final[Mapping[Enum, tuple[int, ...]]] = {
    **{cipher: spec.key_bits for cipher, spec in CIPHERS.items() if spec.variable},
    **{cipher: bits for cipher, bits in ESP_KEY_BITS.items() if len(bits) > 1},
}
_MOST: Final = 0xFFFFFFFF
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}  # by the first letter of the unit


def switch(word: Word) -> bool:
    return word.text == "on"


def choice(word: Word, kind: type[E]) -> E:
    """The member of `kind` with this value: the grammar lets no other word through."""
    return kind(word.text)


def number(word: Word) -> int:
    """Raises: ConfError for one that no setting can have."""
    found = source.number(word, _MOST)
    if found is None:
        raise ConfError(f"a number is at most {_MOST}", word.place)
    return found


def seconds(amount: Word, unit: Word) -> int:
    return number(amount) * _SECONDS[unit.text[0]]


def lifetime(setting: Statement) -> int:
    """The seconds of `lifetime time`; 0 would be an SA that never ends. Raises: ConfError."""
    amount, unit = setting.words[2:4]
    if value := seconds(amount, unit):
        return value
    raise ConfError("a lifetime must be at least 1 second", amount.place)


def address(word: Word) -> Address:
    """Raises: ConfError."""
    try:
        return ip_address(word.text)
    except ValueError:
        raise ConfError(f"'{word.text}' is not an IP address", word.place) from None


def port(word: Word) -> int:
    """A port; `any` is 0. Raises: ConfError."""
    value = 0 if word.text == "any" else number(word)
    if value > 0xFFFF:
        raise ConfError(f"{word.text} is not a port: they end at 65535", word.place)
    return value


def named(word: Word, table: Mapping[str, T], what: str) -> T:
    """The table's value. Raises: ConfError for a word of racoon's that this daemon lacks."""
    try:
        return table[word.text]
    except KeyError:
        known = tuple(dict.fromkeys(table))
        text = f"the {what} {word.text} is not supported by this daemon"
        raise ConfError(text, word.place, known) from None


def group(word: Word) -> Group:
    """A Diffie-Hellman group by name or number. Raises: ConfError."""
    if not word.text.isdigit():
        return named(word, GROUPS, "group")
    by_number = {str(int(value)): value for value in GROUPS.values()}
    return named(word, by_number, "group")


def key_bits(cipher: Enum, word: Word) -> int:
    """Raises: ConfError when the cipher has no keys of that length."""
    bits = number(word)
    if bits in KEY_BITS.get(cipher, ()):
        return bits
    raise ConfError(f"there is no such key length: {word.text} bits", word.place)

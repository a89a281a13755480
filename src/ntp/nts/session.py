"""NTP packets under NTS -- RFC 8915, 5.

A request carries a unique identifier, a cookie that tells the server our keys, and an authenticator
over all that precedes it. A cookie is used once, so that it cannot be used to track us; each answer
brings new ones, encrypted. A request asks for as many as are missing of eight by placeholders.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest
from struct import Struct
from typing import Final, Protocol

from ntp.errors import NotAuthentic, NtpError, NtsNak
from ntp.packet import HEADER_LENGTH, ExtensionField, Packet
from wire.cursor import Cursor, DecodeError
from wire.secret import Secret

UNIQUE_IDENTIFIER: Final = 0x0104
COOKIE: Final = 0x0204
COOKIE_PLACEHOLDER: Final = 0x0304
AUTHENTICATOR: Final = 0x0404
IDENTIFIER_LENGTH: Final = 32  # octets
NONCE_LENGTH: Final = 16
KEPT_COOKIES: Final = 8
_LONGEST_REQUEST: Final = 1280  # octets; placeholders are left out where they would not fit

_LENGTHS = Struct("!HH")
_FIELD = Struct("!HH")


class OutOfCookies(NtpError):
    """Keys must be exchanged before the next request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """The result of one key exchange. `host` and `port`: where the time is served."""

    host: str
    port: int
    c2s: Secret
    s2c: Secret
    cookies: tuple[bytes, ...]


class Session:
    """An `Authentication` (ntp.onwire); `cookies` are those left."""

    def __init__(self, material: Material, entropy: Callable[[int], bytes]) -> None:
        self.cookies = list(material.cookies)
        self._c2s = material.c2s
        self._s2c = material.s2c
        self._entropy = entropy

    @property
    def ready(self) -> bool:
        return bool(self.cookies)

    def seal(self, header: bytes) -> "SealedRequest":
        """Raises: OutOfCookies."""
        if not self.cookies:
            raise OutOfCookies("all cookies are used up")
        cookie = self.cookies.pop(0)
        identifier = self._entropy(IDENTIFIER_LENGTH)
        fields = [ExtensionField(UNIQUE_IDENTIFIER, identifier), ExtensionField(COOKIE, cookie)]
        placeholder = ExtensionField(COOKIE_PLACEHOLDER, bytes(len(cookie)))
        wanted = KEPT_COOKIES - 1 - len(self.cookies)
        room = (_LONGEST_REQUEST - HEADER_LENGTH - 120) // (len(cookie) + _FIELD.size) - 1
        fields += [placeholder] * max(min(wanted, room), 0)
        packet = header + b"".join(map(bytes, fields))
        octets = packet + bytes(authenticator(self._c2s, packet, b"", self._entropy))
        return SealedRequest(octets, identifier, self._s2c, self._take)

    def _take(self, cookies: list[bytes]) -> None:
        room = KEPT_COOKIES - len(self.cookies)
        self.cookies += cookies[: max(room, 0)]


@dataclass(frozen=True, slots=True)
class SealedRequest:
    """A `Sealed` (ntp.onwire)."""

    octets: bytes
    identifier: bytes
    s2c: Secret
    take: Callable[[list[bytes]], None]

    def verify(self, answer: Packet, octets: bytes) -> None:
        """Raises: NotAuthentic; NtsNak, which is not authenticated, but names our request."""
        at = HEADER_LENGTH
        identified = False
        for field in answer.extensions:
            if field.field_type == UNIQUE_IDENTIFIER:
                if not compare_digest(field.value, self.identifier):
                    raise NotAuthentic("the reply's NTS identifier is that of another request")
                identified = True
            elif field.field_type == AUTHENTICATOR:
                if not identified:
                    break
                inner = unseal(self.s2c, octets[:at], field)
                cookies = [each.value for each in inner if each.field_type == COOKIE]
                self.take(cookies)
                return
            at += _FIELD.size + len(field.value)
        if identified and (answer.header.stratum, answer.header.reference_id) == (0, b"NTSN"):
            raise NtsNak("it cannot read our NTS cookie")
        raise NotAuthentic("the reply is not authenticated by NTS, though that was asked for")


class Aead(Protocol):
    def encrypt(self, data: bytes, associated_data: list[bytes]) -> bytes: ...

    def decrypt(self, data: bytes, associated_data: list[bytes]) -> bytes: ...


def aead(key: Secret) -> Aead:
    """AEAD_AES_SIV_CMAC_256 (RFC 5297): 32 octets of key."""
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    return AESSIV(key.reveal())


def authenticator(
    key: Secret, packet: bytes, plaintext: bytes, entropy: Callable[[int], bytes]
) -> ExtensionField:
    """RFC 8915, 5.6: authenticates all of `packet` so far, and encrypts `plaintext`."""
    nonce = entropy(NONCE_LENGTH)
    ciphertext = aead(key).encrypt(plaintext, [packet, nonce])
    padding = bytes(-len(ciphertext) % 4)
    lengths = _LENGTHS.pack(len(nonce), len(ciphertext))
    return ExtensionField(AUTHENTICATOR, lengths + nonce + ciphertext + padding)


def unseal(key: Secret, packet: bytes, field: ExtensionField) -> tuple[ExtensionField, ...]:
    """The encrypted extension fields. Raises: NotAuthentic."""
    from cryptography.exceptions import InvalidTag

    cursor = Cursor(field.value)
    try:
        nonce_length, ciphertext_length = cursor.unpack(_LENGTHS)
        nonce = cursor.take(nonce_length)
        cursor.take(-nonce_length % 4)
        plaintext = aead(key).decrypt(cursor.take(ciphertext_length), [packet, nonce])
        return _inner(plaintext)
    except (DecodeError, InvalidTag, ValueError):
        raise NotAuthentic("the reply's NTS authenticator is wrong") from None


def _inner(plaintext: bytes) -> tuple[ExtensionField, ...]:
    cursor = Cursor(plaintext)
    fields: list[ExtensionField] = []
    while len(cursor):
        field_type, length = cursor.unpack(_FIELD)
        fields.append(ExtensionField(field_type, cursor.take(length - _FIELD.size)))
    return tuple(fields)

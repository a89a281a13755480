"""The parts of X.509 certificates and revocation lists (RFC 5280), none before its use.

OpenSSL judges a certificate; what is read here is for names, and for what people are told. So one
part that cannot be read spoils nothing but itself: a subject in an odd character set, an extension
that is encoded as it should not be. A reader of X.509 that decodes all at once refuses such files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final, Self

from wire import der
from wire.cursor import DecodeError
from wire.der import BIT_STRING, OCTET_STRING, SEQUENCE, SET, Element

_VERSION: Final = 0xA0
_EXTENSIONS: Final = 0xA3
_BMP: Final = 0x1E
_UNIVERSAL: Final = 0x1C
_UTF8: Final = 0x0C

SUBJECT_ALT_NAME: Final = "2.5.29.17"
EXTENDED_KEY_USAGE: Final = "2.5.29.37"
KEY_USAGE: Final = "2.5.29.15"
RFC822_NAME: Final = 1  # GeneralName, RFC 5280, 4.2.1.6
DNS_NAME: Final = 2
URI: Final = 6
IP_ADDRESS: Final = 7
SERVER_AUTH: Final = "1.3.6.1.5.5.7.3.1"
CLIENT_AUTH: Final = "1.3.6.1.5.5.7.3.2"
ANY_USAGE: Final = "2.5.29.37.0"
_RSA: Final = ("1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10")

_DIGESTS: Final = {
    "1.2.840.113549.1.1.2": "MD2", "1.2.840.113549.1.1.3": "MD4", "1.2.840.113549.1.1.4": "MD5",
    "1.2.840.113549.1.1.5": "SHA1", "1.3.14.3.2.29": "SHA1", "1.2.840.10040.4.3": "SHA1",
    "1.2.840.10045.4.1": "SHA1", "1.2.840.113549.1.1.14": "SHA224",
    "1.2.840.113549.1.1.11": "SHA256", "1.2.840.113549.1.1.12": "SHA384",
    "1.2.840.113549.1.1.13": "SHA512", "1.2.840.10045.4.3.2": "SHA256",
    "1.2.840.10045.4.3.3": "SHA384", "1.2.840.10045.4.3.4": "SHA512",
}  # fmt: skip

ATTRIBUTES: Final = {
    "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L",
    "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title",
    "2.5.4.42": "GN", "2.5.4.43": "initials", "2.5.4.44": "generationQualifier",
    "2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym",
    "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress", "1.2.840.113549.1.9.2": "unstructuredName",
}  # fmt: skip
"""Names of attributes as OpenSSL has them; another is shown by its number."""

COMMON_NAME: Final = "2.5.4.3"


@dataclass(frozen=True, eq=False)
class Name:
    """A distinguished name; equal to another as OpenSSL has it: blanks and capitals apart."""

    der: bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Name) and self._canonical == other._canonical

    def __hash__(self) -> int:
        return hash(self._canonical)

    @cached_property
    def _canonical(self) -> object:
        rdns = [
            sorted((oid, " ".join(t.split()).lower()) for oid, t in rdn) for rdn in self.relative
        ]
        return tuple(map(tuple, rdns)) or self.der

    @cached_property
    def relative(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """RelativeDistinguishedNames, first to last: (number of the attribute, text) each."""
        try:
            outer = der.element(self.der).inside()
            return tuple(tuple(map(_attribute, rdn.inside(SET))) for rdn in outer)
        except DecodeError:
            return ()

    @property
    def attributes(self) -> Iterator[tuple[str, str]]:
        return (attribute for rdn in self.relative for attribute in rdn)

    def __str__(self) -> str:
        """RFC 4514: the last first."""
        return ",".join(
            "+".join(f"{ATTRIBUTES.get(oid, oid)}={_escaped(text)}" for oid, text in rdn)
            for rdn in reversed(self.relative)
        )


def _attribute(found: Element) -> tuple[str, str]:
    parts = found.inside()
    if len(parts) < 2:
        raise DecodeError("no attribute", 0)
    return der.dotted(parts[0]), _text(parts[1])


def _text(value: Element) -> str:
    """T61String, too, is read as Latin-1, which is what those who still use it mean."""
    encoding = {_BMP: "utf-16-be", _UNIVERSAL: "utf-32-be", _UTF8: "utf-8"}.get(value.tag)
    try:
        return value.contents.decode(encoding or "latin-1")
    except UnicodeDecodeError:
        return value.contents.decode("latin-1")


def _escaped(text: str) -> str:
    """RFC 4514, 2.4."""
    found = "".join(f"\\{c}" if c in '"+,;<>\\' else c for c in text)
    return f"\\{found}" if found[:1] in (" ", "#") and found else found


@dataclass(frozen=True)
class Certificate:
    """One certificate, equal to another of the same octets. A part that cannot be read is None."""

    der: bytes

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """The one that `octets` begin with. Raises: DecodeError if the outline is another's."""
        found = cls(der.element(octets).octets)
        _ = found.version, found.serial, found._parts
        return found

    @cached_property
    def _parts(self) -> list[Element]:
        """serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, ..."""
        parts = _signed(self.der)
        fields = parts[1:] if parts[0].tag == _VERSION else parts
        if len(fields) < 6:
            raise DecodeError("no certificate", 0)
        return fields

    @cached_property
    def version(self) -> int:
        head = _signed(self.der)[0]
        return der.integer(der.element(head.contents)) + 1 if head.tag == _VERSION else 1

    @property
    def serial(self) -> int:
        return der.integer(self._parts[0])

    @cached_property
    def issuer(self) -> Name:
        return Name(self._parts[2].octets)

    @cached_property
    def subject(self) -> Name:
        return Name(self._parts[4].octets)

    @property
    def is_self_issued(self) -> bool:
        return self.issuer == self.subject

    @property
    def public_key(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""
        return self._parts[5].octets

    @cached_property
    def begin(self) -> datetime | None:
        return _moment(self._parts[3], 0)

    @cached_property
    def end(self) -> datetime | None:
        return _moment(self._parts[3], 1)

    @cached_property
    def rsa_bits(self) -> int | None:
        """The length of its RSA key; None for other keys."""
        try:
            algorithm, key = self._parts[5].inside()[:2]
            if der.dotted(algorithm.inside()[0]) not in _RSA or key.tag != BIT_STRING:
                return None
            return der.integer(der.element(key.contents, 1).inside()[0]).bit_length()
        except (DecodeError, IndexError, ValueError):
            return None

    @cached_property
    def digest(self) -> str | None:
        """The digest in its signature, `SHA1`; None for one that is not known here."""
        try:
            return _DIGESTS.get(der.dotted(self._parts[1].inside()[0]))
        except (DecodeError, IndexError):
            return None

    @cached_property
    def _extensions(self) -> Mapping[str, list[bytes]]:
        found = [part for part in self._parts[6:] if part.tag == _EXTENSIONS]
        return _read_extensions(found[0].contents) if found else {}

    def extension(self, number: str) -> bytes | None:
        """What is in the extension. As for OpenSSL, one that appears twice is not there."""
        try:
            values = self._extensions.get(number, [])
        except (DecodeError, IndexError):
            return None
        return values[0] if len(values) == 1 else None

    @property
    def alternative_names(self) -> list[tuple[int, bytes]]:
        """GeneralNames (RFC 5280, 4.2.1.6), none if one is damaged: number of the kind, octets."""
        value = self.extension(SUBJECT_ALT_NAME)
        try:
            names = der.element(value).inside() if value is not None else []
        except DecodeError:
            return []
        return [(name.tag & 0x1F, name.contents) for name in names]

    @property
    def usages(self) -> list[str] | None:
        """KeyPurposeIds of the extended key usage; None without that extension."""
        value = self.extension(EXTENDED_KEY_USAGE)
        try:
            return None if value is None else list(map(der.dotted, der.element(value).inside()))
        except DecodeError:
            return None

    def allows(self, bit: int) -> bool:
        """Whether its key usage, if it says anything, has bit `bit` (RFC 5280, 4.2.1.3)."""
        value = self.extension(KEY_USAGE)
        if value is None:
            return True
        try:
            bits = der.element(value)
        except DecodeError:
            return False
        at, octets = divmod(bit, 8)[0] + 1, bits.contents
        return bits.tag == BIT_STRING and at < len(octets) and bool(octets[at] << bit % 8 & 0x80)


@dataclass(frozen=True)
class RevocationList:
    """A CRL; the same rules as for certificates."""

    der: bytes

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Raises: DecodeError, now and not later."""
        found = cls(der.element(octets).octets)
        _ = found.issuer, found._revoked
        return found

    @cached_property
    def _parts(self) -> list[Element]:
        """signature, issuer, thisUpdate, ..."""
        parts = _signed(self.der)
        fields = parts[1:] if parts[0].tag == der.INTEGER else parts
        if len(fields) < 3:
            raise DecodeError("no revocation list", 0)
        return fields

    @cached_property
    def issuer(self) -> Name:
        return Name(self._parts[1].octets)

    @property
    def this_update(self) -> datetime | None:
        return _time(self._parts[2])

    @property
    def next_update(self) -> datetime | None:
        return _time(self._parts[3]) if len(self._parts) > 3 else None

    @cached_property
    def _revoked(self) -> Mapping[int, datetime | None]:
        entries = [part for part in self._parts[3:] if part.tag == SEQUENCE]
        parts = [entry.inside() for entry in (entries[0].inside() if entries else [])]
        if any(len(each) < 2 for each in parts):
            raise DecodeError("an entry of the list is damaged", 0)
        return {der.integer(each[0]): _time(each[1]) for each in parts}

    def revokes(self, certificate: Certificate) -> bool:
        return self.issuer == certificate.issuer and certificate.serial in self._revoked

    def revoked_on(self, certificate: Certificate) -> datetime | None:
        return self._revoked.get(certificate.serial)


def _signed(octets: bytes) -> list[Element]:
    """The parts of what is signed: the first part of the whole. Raises: DecodeError."""
    whole = der.element(octets).inside()
    parts = whole[0].inside() if whole else []
    if not parts:
        raise DecodeError("nothing that is signed", 0)
    return parts


def _read_extensions(contents: bytes) -> Mapping[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for extension in der.element(contents).inside():
        parts = extension.inside()
        if len(parts) > 1 and parts[-1].tag == OCTET_STRING:
            found.setdefault(der.dotted(parts[0]), []).append(parts[-1].contents)
    return found


def _moment(validity: Element, which: int) -> datetime | None:
    try:
        return der.time(validity.inside()[which])
    except (DecodeError, IndexError):
        return None


def _time(found: Element) -> datetime | None:
    try:
        return der.time(found)
    except DecodeError:
        return None

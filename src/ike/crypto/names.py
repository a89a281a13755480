"""Distinguished names as peers send them: compared attribute by attribute (RFC 5280, 7.1).

racoon compares octets: a name in PrintableString does not match the same name in UTF8String. Here
the string type does not matter, nor do case and repeated blanks.
"""

import re
from collections.abc import Iterator
from typing import Final

from wire.cursor import Cursor, DecodeError

Name = tuple[tuple[bytes, str], ...]
"""Attributes in order: the object identifier in DER, and the value ready for comparison."""

_SEQUENCE, _SET, _OID = 0x30, 0x31, 0x06
_BMP_STRING, _UTF8_STRING, _PRINTABLE_STRING, _IA5_STRING = 0x1E, 0x0C, 0x13, 0x16
_TAGS: Final = {  # of those that are no UTF8String (RFC 5280, A.1)
    "C": _PRINTABLE_STRING,
    "serialNumber": _PRINTABLE_STRING,
    "dnQualifier": _PRINTABLE_STRING,
    "DC": _IA5_STRING,
    "E": _IA5_STRING,
}
# The first name of each is the one that is printed; all are OpenSSL's but E
_ATTRIBUTES: Final = (
    ("CN commonName", "550403"),
    ("SN surname", "550404"),
    ("serialNumber", "550405"),
    ("C countryName", "550406"),
    ("L localityName", "550407"),
    ("ST stateOrProvinceName", "550408"),
    ("STREET streetAddress", "550409"),
    ("O organizationName", "55040a"),
    ("OU organizationalUnitName", "55040b"),
    ("title", "55040c"),
    ("description", "55040d"),
    ("businessCategory", "55040f"),
    ("postalCode", "550411"),
    ("name", "550429"),
    ("GN givenName", "55042a"),
    ("initials", "55042b"),
    ("generationQualifier", "55042c"),
    ("x500UniqueIdentifier", "55042d"),
    ("dnQualifier", "55042e"),
    ("pseudonym", "550441"),
    ("DC domainComponent", "0992268993f22c640119"),
    ("UID userId", "0992268993f22c640101"),
    ("E emailAddress", "2a864886f70d010901"),
    ("unstructuredName", "2a864886f70d010902"),
    ("unstructuredAddress", "2a864886f70d010908"),
)
_OIDS: Final = {
    name.upper(): bytes.fromhex(oid) for names, oid in _ATTRIBUTES for name in names.split()
}
_NAMES: Final = {bytes.fromhex(oid): names.split()[0] for names, oid in _ATTRIBUTES}
_DOTTED: Final = re.compile(r"[0-2](\.[0-9]{1,9}){1,20}", re.ASCII)


def parse_name(der: bytes) -> Name:
    """Raises: DecodeError."""
    outer = Cursor(der)
    sets = _element(outer, _SEQUENCE)
    outer.finish()
    found: list[tuple[bytes, str]] = []
    while len(sets):
        members = _element(sets, _SET)
        while len(members):
            attribute = _element(members, _SEQUENCE)
            oid = _element(attribute, _OID).rest()
            tag = attribute.take(1)[0]
            found.append((oid, _folded(_text(tag, _content(attribute).rest()))))
    return tuple(found)


def written_name(text: str) -> Name:
    """A name as configured: `C=SE, O=Branch, CN=gw`. Raises: ValueError."""
    return tuple((oid, _folded(value)) for oid, value in _attributes(text))


def encoded_name(text: str) -> bytes:
    """A name as configured, in DER, with the string types of RFC 5280. Raises: ValueError."""
    sets = []
    for oid, value in _attributes(text):
        tag = _TAGS.get(_NAMES.get(oid, ""), _UTF8_STRING)
        attribute = _encoded(_OID, oid) + _encoded(tag, value.encode("utf-8", "surrogateescape"))
        sets.append(_encoded(_SET, _encoded(_SEQUENCE, attribute)))
    return _encoded(_SEQUENCE, b"".join(sets))


def _attributes(text: str) -> Iterator[tuple[bytes, str]]:
    """Object identifiers in DER, with the values as they are written. Raises: ValueError."""
    if not text.strip(" ,/"):
        raise ValueError("a name has attributes, such as C=SE, O=Branch, CN=gw")
    for part in text.replace("/", ",").split(","):
        if not part.strip():
            continue
        short, equals, value = part.partition("=")
        oid = _oid(short.strip())
        if oid is None or not equals:
            raise ValueError(f"{part.strip()!r} is not an attribute of a name")
        yield oid, value.strip()


def _oid(name: str) -> bytes | None:
    """In DER: of an attribute's name, or of its number, such as 2.5.4.5."""
    if not _DOTTED.fullmatch(name):
        return _OIDS.get(name.upper())
    first, second, *rest = map(int, name.split("."))
    return b"".join(_base128(part) for part in (40 * first + second, *rest))


def _base128(number: int) -> bytes:
    octets = bytes([number & 0x7F])
    while number := number >> 7:
        octets = bytes([number & 0x7F | 0x80]) + octets
    return octets


def name_matches(name: Name, expected: Name) -> bool:
    """Whether a name is the expected one, in which a value of `*` stands for any."""
    return len(name) == len(expected) and all(
        oid == wanted_oid and wanted in ("*", value)
        for (oid, value), (wanted_oid, wanted) in zip(name, expected, strict=True)
    )


def print_name(name: Name) -> str:
    return "/".join(["", *(f"{_NAMES.get(oid, oid.hex())}={value}" for oid, value in name)])


def _encoded(tag: int, contents: bytes) -> bytes:
    size = len(contents)
    if size < 0x80:
        return bytes([tag, size]) + contents
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + contents


def _element(cursor: Cursor, tag: int) -> Cursor:
    found = cursor.take(1)[0]
    if found != tag:
        raise DecodeError(f"tag 0x{found:02x}, not 0x{tag:02x}", cursor.offset)
    return _content(cursor)


def _content(cursor: Cursor) -> Cursor:
    length = cursor.take(1)[0]
    if length & 0x80:
        if not 0x81 <= length <= 0x84:
            raise DecodeError("length in an unknown form", cursor.offset)
        length = int.from_bytes(cursor.take(length & 0x7F))
    return cursor.sub(length)


def _text(tag: int, octets: bytes) -> str:
    if tag == _BMP_STRING:
        return octets.decode("utf-16-be", "replace")
    return octets.decode("utf-8" if tag == _UTF8_STRING else "latin-1", "replace")


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()

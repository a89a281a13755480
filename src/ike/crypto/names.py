"""Distinguished names as peers send them: compared attribute by attribute (RFC 5280, 7.1).

racoon compares octets: a name in PrintableString does not match the same name in UTF8String. Here
the string type does not matter, nor do case and repeated blanks.
"""

from typing import Final

from wire.cursor import Cursor, DecodeError

Name = tuple[tuple[bytes, str], ...]
"""Attributes in order: the object identifier in DER, and the value ready for comparison."""

_SEQUENCE, _SET, _OID = 0x30, 0x31, 0x06
_BMP_STRING, _UTF8_STRING = 0x1E, 0x0C
_SHORT: Final[dict[str, bytes]] = {
    "CN": bytes.fromhex("550403"),
    "SN": bytes.fromhex("550404"),
    "C": bytes.fromhex("550406"),
    "L": bytes.fromhex("550407"),
    "ST": bytes.fromhex("550408"),
    "STREET": bytes.fromhex("550409"),
    "O": bytes.fromhex("55040a"),
    "OU": bytes.fromhex("55040b"),
    "DC": bytes.fromhex("0992268993f22c640119"),
    "UID": bytes.fromhex("0992268993f22c640101"),
    "E": bytes.fromhex("2a864886f70d010901"),
    "EMAILADDRESS": bytes.fromhex("2a864886f70d010901"),
}
_LETTERS: Final = {oid: short for short, oid in reversed(_SHORT.items())}


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
    found: list[tuple[bytes, str]] = []
    for part in text.replace("/", ",").split(","):
        if not part.strip():
            continue
        short, equals, value = part.partition("=")
        oid = _SHORT.get(short.strip().upper())
        if oid is None or not equals:
            raise ValueError(f"{part.strip()!r} is not an attribute of a name")
        found.append((oid, _folded(value)))
    return tuple(found)


def name_matches(name: Name, expected: Name) -> bool:
    """Whether a name is the expected one, in which a value of `*` stands for any."""
    return len(name) == len(expected) and all(
        oid == wanted_oid and wanted in ("*", value)
        for (oid, value), (wanted_oid, wanted) in zip(name, expected, strict=True)
    )


def print_name(name: Name) -> str:
    return "/".join(["", *(f"{_LETTERS.get(oid, oid.hex())}={value}" for oid, value in name)])


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

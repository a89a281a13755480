"""Identities in racoon.conf: what follows my_identifier, peers_identifier, `from`, or is a side.

Each is looked at when the file is read: one that can match nobody is refused there.
"""

from collections.abc import Sequence
from typing import Final

from ike.conf.errors import ConfError
from ike.conf.reading import Notes
from ike.conf.values import address
from ike.config import Identifier
from ike.numbers.doi import IdType
from wire import files
from wire.source import Word

_TYPES: Final = {
    "fqdn": IdType.FQDN,
    "user_fqdn": IdType.USER_FQDN,
    "keyid": IdType.KEY_ID,
    "asn1dn": IdType.DER_ASN1_DN,
}
_LONGEST: Final = 4096  # octets of a keyid's file


def identifier(values: Sequence[Word], notes: Notes) -> Identifier:
    """Raises: ConfError."""
    kind, *rest = values
    if kind == "address":
        if not rest:
            return Identifier(IdType.IPV4_ADDR)
        mine = address(rest[0])
        return Identifier(IdType.IPV4_ADDR if mine.version == 4 else IdType.IPV6_ADDR, str(mine))
    value = rest[-1] if rest else None
    if value is not None and not value:
        raise ConfError(f"an empty {kind} identifies no peer", value.place)
    if kind == "keyid" and value is not None and not _is_tag(rest):
        return Identifier(IdType.KEY_ID, _content(value, notes))
    if kind == "asn1dn" and value is not None:
        _check_name(value)
    return Identifier(_TYPES[kind], "" if value is None else value.text)


def _is_tag(rest: Sequence[Word]) -> bool:
    return rest[0] == "tag" and not rest[0].quoted


def _content(name: Word, notes: Notes) -> str:
    """`keyid "FILE"` and `keyid file "FILE"`: the identity is all that the file holds."""
    path = notes.folders.below(notes.folders.include, name.text)
    try:
        octets = files.read(path, _LONGEST)
    except OSError as error:
        text = f"keyid names a file, and {path} cannot be read: {error.strerror}"
        tag = f'keyid tag "{name}" for the text itself'
        raise ConfError(text, name.place, [tag]) from None
    if not octets:
        raise ConfError(f"keyid names a file, and {path} is empty", name.place)
    return octets.decode("utf-8", "surrogateescape")


def _check_name(value: Word) -> None:
    from ike.crypto.names import written_name

    try:
        written_name(value)
    except ValueError as error:
        raise ConfError(f"asn1dn: {error}", value.place) from None

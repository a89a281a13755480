"""Attributes named, encoded by name, and decrypted by pyrad; the only module that imports it.

What comes in was checked by `radius.packet` before it gets here.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from pyrad.dictionary import Dictionary, ParseError
from pyrad.packet import AuthPacket, PacketError

from radius.errors import BadAttribute, Malformed
from radius.numbers import (
    LONGEST_VALUE,
    MICROSOFT,
    MS_MPPE_RECV_KEY,
    MS_MPPE_SEND_KEY,
    Code,
)
from radius.packet import Packet
from wire.secret import Secret
from wire.source import printable

OWN: Final = str(Path(__file__).with_name("dictionary"))

_UNSHOWN: Final = frozenset({"EAP-Message", "Message-Authenticator"})

_UNDECODABLE: Final = (PacketError, ValueError, KeyError, IndexError, TypeError)
"""What pyrad raises for values that are not what the dictionary says."""


@lru_cache(maxsize=4)
def dictionary(*more: str) -> Any:
    """Our names and those of the files `more`, in FreeRADIUS's syntax. Raises: BadAttribute."""
    try:
        return Dictionary(OWN, *more)
    except (ParseError, OSError, ValueError) as error:
        raise BadAttribute(f"{' '.join(more)}: cannot be read as a dictionary: {error}") from error


def mppe_keys(answer: Packet, authenticator: bytes, secret: Secret) -> tuple[Secret, Secret] | None:
    """MS-MPPE-Recv-Key and MS-MPPE-Send-Key (RFC 2548, 2.4), or None if one is missing or broken.

    `authenticator` is the request's.
    """
    found = _decoded(answer, secret)
    found.request_authenticator = authenticator
    keys = []
    for kind in (MS_MPPE_RECV_KEY, MS_MPPE_SEND_KEY):
        values = found.get((MICROSOFT, kind), [])
        if len(values) != 1:
            return None
        try:
            key = found.SaltDecrypt(values[0])
        except _UNDECODABLE:
            return None
        if not 0 < len(key) <= len(values[0]) - 3:
            return None
        keys.append(Secret(key))
    return keys[0], keys[1]


def named(answer: Packet, *dictionaries: str) -> tuple[tuple[str, str], ...]:
    """Name and value, for people, of what is no secret; without a name, number and hexadecimal.

    Secret is what the dictionary says is encrypted.
    """
    known = dictionary(*dictionaries).attributes
    try:
        found = _decoded(answer, Secret(b""), *dictionaries)
    except Malformed:  # attributes within an attribute (RFC 6929) that are none; ours have no such
        found = _decoded(answer, Secret(b""))
    shown: list[tuple[str, str]] = []
    for key in found.keys():  # noqa: SIM118 - pyrad's keys() has the names, its iterator numbers
        if key in _UNSHOWN or (isinstance(key, str) and known[key].encrypt):
            continue
        try:
            values = found[key]
        except _UNDECODABLE:
            values = found.get(found._EncodeKey(key), [])
        name = key if isinstance(key, str) else _numbered(key)
        shown += ((name, _text(value)) for value in values)
    return tuple(shown)


def attribute(name: str, value: str, *dictionaries: str) -> tuple[int, bytes]:
    """An attribute that an administrator wrote as a name and a value. Raises: BadAttribute."""
    known = dictionary(*dictionaries)
    if name.partition(":")[0] not in known.attributes:
        raise BadAttribute(f"{name}: no dictionary has this attribute; add the dictionary's file")
    made = AuthPacket(Code.ACCESS_REQUEST, 0, b"", bytes(16), dict=known)
    kind = known.attributes[name.partition(":")[0]].type
    given: object = int(value) if kind in ("integer", "date") and value.isdecimal() else value
    try:
        made.AddAttribute(name, given)
        octets = made._PktEncodeAttributes()
    except _UNDECODABLE as error:
        raise BadAttribute(f"{name}={value}: {error}") from error
    return octets[0], octets[2 : LONGEST_VALUE + 2]


def _decoded(answer: Packet, secret: Secret, *dictionaries: str) -> Any:
    try:
        return AuthPacket(
            packet=answer.octets, secret=secret.reveal(), dict=dictionary(*dictionaries)
        )
    except _UNDECODABLE as error:
        raise Malformed(str(error), 0) from error


def _numbered(key: int | tuple[int, int]) -> str:
    return f"Attr-{key}" if isinstance(key, int) else f"Attr-26.{key[0]}.{key[1]}"


def _text(value: object) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else printable(str(value))


def split(octets: bytes, size: int = LONGEST_VALUE) -> Sequence[bytes]:
    """As many attribute values as `octets` need."""
    return [octets[at : at + size] for at in range(0, len(octets), size)]

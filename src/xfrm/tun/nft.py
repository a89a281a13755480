"""Packet filter rules as octets (linux/netfilter/nf_tables.h): for dropping packets in clear.

A `Match` is a list of expressions in a row; all have to hold for the verdict at the end. Numbers
of netfilter's own are big-endian, those of netlink in the machine's order.
"""

import os
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from wire.cursor import Cursor, DecodeError
from xfrm.esp.packet import FRAGMENT

DROP: Final = 0  # linux/netfilter.h: NF_DROP, NF_ACCEPT
ACCEPT: Final = 1

_NFMSG: Final = struct.Struct("!BBH")  # nfgenmsg: family, version, resource
_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE: Final = struct.Struct("=HH")
_NESTED: Final = 0x8000
_INET: Final = 1  # NFPROTO_INET: IPv4 and IPv6
_SUBSYSTEM: Final = 10  # NFNL_SUBSYS_NFTABLES
_BEGIN, _END = 0x10, 0x11
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE, _NEW_SET, _GET_SET = 0, 2, 3, 6, 9, 10
_NEW_ELEMENT, _GET_ELEMENT, _DELETE_ELEMENT = 12, 13, 14
_DELETIONS: Final = frozenset(
    _SUBSYSTEM << 8 | command for command in (2, 5, 8, 11, _DELETE_ELEMENT)
)  # table, chain, rule, set, element
_REQUEST, _DUMP_INTERRUPTED, _DUMP, _CREATE, _APPEND = 0x1, 0x10, 0x300, 0x400, 0x800
_ERROR: Final = 2  # NLMSG_ERROR
_DONE: Final = 3  # NLMSG_DONE
_USERDATA: Final = 6  # NFTA_SET_ELEM_USERDATA: type, length, value; `nft` itself has types 0 and 1
_NOTE: Final = 77
LONGEST_NOTE: Final = 254  # octets: NFT_USERDATA_MAXLEN, without type and length
_REGISTER: Final = 1  # NFT_REG_1; 0 is the verdict's
_REGISTER32: Final = 8  # NFT_REG32_00: of 4 octets, as those behind it; a key is made in them
_AT_ONCE: Final = 150  # elements in a message, whose attribute ends at 64 KB
# Types of nft's own (datatype.h), by which it shows a set; 6 bits each in a concatenation.
_IPV4, _IPV6, _PROTOCOL, _SERVICE, _INTEGER = 7, 8, 12, 13, 4
_NETWORK, _TRANSPORT = 1, 2  # NFT_PAYLOAD_*_HEADER
_IIFNAME, _NFPROTO, _L4PROTO = 6, 15, 16  # NFT_META_*
_EQUAL, _UNEQUAL = 0, 1  # NFT_CMP_*
_IFNAMSIZ: Final = 16

Match = bytes


def batch(messages: Sequence[bytes]) -> bytes:
    """`messages` as one transaction: all are done, or none."""
    front = _message(_BEGIN, _NFMSG.pack(0, 0, _SUBSYSTEM))
    return front + b"".join(messages) + _message(_END, _NFMSG.pack(0, 0, _SUBSYSTEM))


def errors(octets: bytes) -> list[int]:
    """The error numbers in an answer; no confirmation is asked for."""
    found, at = [], 0
    while len(octets) - at >= _HEADER.size + 4:
        length, kind, _, _, _ = _HEADER.unpack_from(octets, at)
        (number,) = struct.unpack_from("=i", octets, at + _HEADER.size)
        if kind == _ERROR and number:
            found.append(-number)
        at += max(length + -length % 4, _HEADER.size)
    return found


def takes_away(octets: bytes, table: str, ours: int) -> bool:
    """Whether notifications report that another netlink port than `ours` removed something."""
    cursor = Cursor(octets)
    name = _text(1, table)  # in a message about a table, a chain or a rule the first attribute
    try:
        while len(cursor):
            length, kind, _, _, port = cursor.unpack(_HEADER)
            body = cursor.sub(length - _HEADER.size)
            cursor.take(min(-length % 4, len(cursor)))
            if kind in _DELETIONS and port != ours:
                body.unpack(_NFMSG)
                if body.rest().startswith(name):
                    return True
    except DecodeError:
        return True
    return False


def list_sets(table: str) -> bytes:
    """Asks for all sets of the table; `names` reads the answers."""
    return _of_table(_GET_SET, _text(1, table), _DUMP)


def list_elements(table: str, name: str) -> bytes:
    """Asks for all elements of a set; `notes` reads the answers."""
    return _of_table(_GET_ELEMENT, _text(1, table) + _text(2, name), _DUMP)


class Interrupted(Exception):
    """The table changed while it was listed: ask again."""


def names(octets: bytes) -> tuple[list[str], bool]:
    """The names of the sets in an answer, and whether it is the last one.

    Raises: DecodeError, Interrupted; OSError when it is a refusal.
    """
    bodies, last = _listed(octets)
    return [each[2].rstrip(b"\0").decode("ascii", "replace") for each in bodies if 2 in each], last


def notes(octets: bytes) -> tuple[list[bytes], bool]:
    """The notes on the elements in an answer, and whether it is the last one.

    Raises: as `names`.
    """
    bodies, last = _listed(octets)
    found: list[bytes] = []
    for body in bodies:
        listed = Cursor(body.get(3, b""))
        while len(listed):
            length, _ = listed.unpack(_ATTRIBUTE)
            note = _attributes(listed.sub(length - _ATTRIBUTE.size)).get(_USERDATA, b"")
            listed.take(min(-length % 4, len(listed)))
            if note[:2] == bytes((_NOTE, len(note) - 2 & 0xFF)):
                found.append(note[2:])
    return found, last


def _listed(octets: bytes) -> tuple[list[dict[int, bytes]], bool]:
    """The attributes of each message of an answer."""
    for number in errors(octets):
        raise OSError(number, os.strerror(number))
    found: list[dict[int, bytes]] = []
    cursor = Cursor(octets)
    while len(cursor):
        length, kind, flags, _, _ = cursor.unpack(_HEADER)
        body = cursor.sub(length - _HEADER.size)
        cursor.take(min(-length % 4, len(cursor)))
        if flags & _DUMP_INTERRUPTED:
            raise Interrupted
        if kind == _DONE:
            return found, True
        body.unpack(_NFMSG)
        found.append(_attributes(body))
    return found, False


def _attributes(cursor: Cursor) -> dict[int, bytes]:
    found = {}
    while len(cursor):
        length, kind = cursor.unpack(_ATTRIBUTE)
        found[kind & ~_NESTED] = cursor.take(length - _ATTRIBUTE.size)
        cursor.take(min(-length % 4, len(cursor)))
    return found


def add_table(table: str) -> bytes:
    return _of_table(_NEW_TABLE, _text(1, table), _CREATE)


def delete_table(table: str) -> bytes:
    return _of_table(_DELETE_TABLE, _text(1, table))


def add_chain(table: str, chain: str, hook: int) -> bytes:
    """A chain of type filter at `hook` (NF_INET_*), of priority 0; it accepts by itself."""
    base = _nest(4, _number(1, hook) + _number(2, 0)) + _text(7, "filter")
    return _of_table(_NEW_CHAIN, _text(1, table) + _text(3, chain) + base, _CREATE)


def add_rule(table: str, chain: str, match: Match, verdict: int) -> bytes:
    """At the end of `chain`. What is dropped is counted."""
    counted = _expression("counter", b"") if verdict == DROP else b""
    expressions = _nest(4, match + counted + _verdict(verdict))
    return _of_table(_NEW_RULE, _text(1, table) + _text(2, chain) + expressions, _CREATE | _APPEND)


class Field(NamedTuple):
    """One part of a set's key: `load(register)` puts it there, `size` octets of type `kind`."""

    kind: int
    size: int
    load: Callable[[int], bytes]


def source(version: int, prefix: int) -> Field:
    """The network of `prefix` bits that a packet's source is in."""
    return _network(version, prefix, 12 if version == 4 else 8)


def destination(version: int, prefix: int) -> Field:
    return _network(version, prefix, 16 if version == 4 else 24)


def protocol() -> Field:
    def load(register: int) -> bytes:
        return _expression("meta", _number(1, register) + _number(2, _L4PROTO))

    return Field(_PROTOCOL, 1, load)


def transport(offset: int, size: int) -> Field:
    """Octets of the header behind IP's. Never holds for a fragment that is not the first."""
    kind = _SERVICE if size == 2 else _INTEGER
    return Field(kind, size, lambda register: _payload(_TRANSPORT, offset, size, register))


def add_set(table: str, name: str, number: int, fields: Sequence[Field]) -> bytes:
    """A set of values of `fields`; `number` tells it apart in this transaction."""
    kind = 0
    for field in fields:
        kind = kind << 6 | field.kind
    size = sum(_padded(field.size) for field in fields)
    values = _number(3, 0) + _number(4, kind & 0xFFFFFFFF) + _number(5, size) + _number(10, number)
    return _of_table(_NEW_SET, _text(1, table) + _text(2, name) + values, _CREATE)


class Element(NamedTuple):
    """`note` is told by `list_elements`."""

    key: bytes
    note: bytes = b""


def add_elements(table: str, name: str, elements: Sequence[Element]) -> list[bytes]:
    return _elements(_NEW_ELEMENT, table, name, elements, _CREATE)


def delete_elements(table: str, name: str, keys: Iterable[bytes]) -> list[bytes]:
    return _elements(_DELETE_ELEMENT, table, name, [Element(key) for key in keys], 0)


def key(parts: Iterable[bytes]) -> bytes:
    """An element: the values of the set's fields, each filled to words of 4 octets."""
    return b"".join(part + bytes(-len(part) % 4) for part in parts)


def in_set(name: str, number: int, fields: Sequence[Field]) -> Match:
    """The packet's values of `fields` are in the set."""
    register, loads = _REGISTER32, b""
    for field in fields:
        loads += field.load(register)
        register += _padded(field.size) // 4
    looked_up = _text(1, name) + _number(2, _REGISTER32) + _number(4, number)
    return loads + _expression("lookup", looked_up)


def _elements(
    command: int, table: str, name: str, elements: Sequence[Element], flags: int
) -> list[bytes]:
    names = _text(1, table) + _text(2, name)
    messages = []
    for at in range(0, len(elements), _AT_ONCE):
        listed = b"".join(map(_element, elements[at : at + _AT_ONCE]))
        messages.append(_of_table(command, names + _nest(3, listed), flags))
    return messages


def _element(element: Element) -> bytes:
    note = element.note
    noted = _blob(_USERDATA, bytes((_NOTE, len(note))) + note) if note else b""
    return _nest(1, _nest(1, _blob(1, element.key)) + noted)


def _network(version: int, prefix: int, offset: int) -> Field:
    size = 4 if version == 4 else 16
    bits = size * 8
    mask = ((1 << bits) - (1 << (bits - prefix))).to_bytes(size, "big")

    def load(register: int) -> bytes:
        loaded = _payload(_NETWORK, offset, size, register)
        return loaded if prefix == bits else loaded + _masked(mask, register)

    return Field(_IPV4 if version == 4 else _IPV6, size, load)


def _padded(size: int) -> int:
    return size + -size % 4


def from_interface(name: str) -> Match:
    return _meta(_IIFNAME, name.encode().ljust(_IFNAMSIZ, b"\0"))


def of_version(version: int) -> Match:
    """IPv4 or IPv6; has to come before what looks at addresses."""
    return _meta(_NFPROTO, bytes((2 if version == 4 else 10,)))


def of_protocol(protocol: int) -> Match:
    return _meta(_L4PROTO, bytes((protocol,)))


def at_transport(offset: int, value: bytes) -> Match:
    """Octets of the header behind IP's. Never holds for a fragment that is not the first."""
    return _payload(_TRANSPORT, offset, len(value)) + _equals(value)


def later_fragment6() -> Match:
    """IPv6, a fragment header next, and its offset not 0 (RFC 8200, 4.5)."""
    next_header = _payload(_NETWORK, 6, 1) + _equals(bytes((FRAGMENT,)))
    offset = _payload(_NETWORK, 42, 2) + _masked(b"\xff\xf8") + _compare(_UNEQUAL, bytes(2))
    return of_version(6) + next_header + offset


def _masked(mask: bytes, register: int = _REGISTER) -> bytes:
    numbers = _number(1, register) + _number(2, register) + _number(3, len(mask))
    change = _nest(5, _blob(1, bytes(len(mask))))
    return _expression("bitwise", numbers + _nest(4, _blob(1, mask)) + change)


def _meta(key: int, value: bytes) -> Match:
    return _expression("meta", _number(1, _REGISTER) + _number(2, key)) + _equals(value)


def _payload(base: int, offset: int, size: int, register: int = _REGISTER) -> bytes:
    numbers = _number(1, register) + _number(2, base) + _number(3, offset) + _number(4, size)
    return _expression("payload", numbers)


def _equals(value: bytes) -> bytes:
    return _compare(_EQUAL, value)


def _compare(how: int, value: bytes) -> bytes:
    return _expression("cmp", _number(1, _REGISTER) + _number(2, how) + _nest(3, _blob(1, value)))


def _verdict(verdict: int) -> bytes:
    code = _nest(2, _nest(2, _number(1, verdict)))
    return _expression("immediate", _number(1, 0) + code)


def _expression(name: str, data: bytes) -> bytes:
    return _nest(1, _text(1, name) + _nest(2, data))


def _of_table(command: int, attributes: bytes, flags: int = 0) -> bytes:
    return _message(_SUBSYSTEM << 8 | command, _NFMSG.pack(_INET, 0, 0) + attributes, flags)


def _message(kind: int, body: bytes, flags: int = 0) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | _REQUEST, 0, 0) + body


def _blob(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def _nest(kind: int, value: bytes) -> bytes:
    return _blob(kind | _NESTED, value)


def _text(kind: int, value: str) -> bytes:
    return _blob(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _blob(kind, value.to_bytes(4, "big"))

"""The words of a setkey file: addresses, ports, numbers, protocols. All raise SetkeyError."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Final

from wire import source
from wire.addresses import Scoped, unscoped
from wire.grammar import Statement, shown
from wire.record import Record
from wire.source import Place, Word, nearest
from xfrm.model import Address, Network, Protocol
from xfrm.setkey.show import TYPE_AND_CODE, UPPER_PROTOCOLS
from xfrm.setkey.statements import SetkeyError

# HOST, HOST/PREFIX, each with [PORT] behind it or not
_END: Final = re.compile(r"([^\[\]/]+)(?:/([^\[\]/]*))?(?:\[([^\[\]]*)\])?")
_DECIMAL: Final = re.compile(r"[0-9]{1,20}")
_PROTOCOLS: Final = {
    "esp": Protocol.ESP,
    "esp-udp": Protocol.ESP,
    "ah": Protocol.AH,
    "ipcomp": Protocol.IPCOMP,
}
_NOT_IN_LINUX: Final = ("esp-old", "ah-old", "tcp")
_GRE: Final = 47
ANY_UPPER: Final = 255  # setkey's number of "any"


class Names(Record):
    """How names become numbers: without a network and files unless they are passed in."""

    addresses: Callable[[str], Sequence[Address]] = lambda _: ()
    upper_protocol: Callable[[str], int | None] = lambda _: None
    port: Callable[[str], int | None] = lambda _: None


class End(Record):
    """One end of an SA or a selector, as written; a name may have several addresses."""

    addresses: Sequence[Address]
    prefix: int | None
    port: int | None

    def network(self, address: Address) -> Network:
        prefix = address.max_prefixlen if self.prefix is None else self.prefix
        return ip_network((address.packed, prefix), strict=False)


def number(word: Word, what: str, low: int, high: int) -> int:
    """Decimal, or hexadecimal with 0x."""
    value = source.number(word, high, low)
    if value is None:
        raise SetkeyError(f"{what} is a number of {low} to {high}, not {shown(word)}", word.place)
    return value


def decimal(text: str, most: int) -> int | None:
    """A number of 0 to `most`, or None for anything else."""
    if not _DECIMAL.fullmatch(text):
        return None
    value = int(text)
    return value if value <= most else None


def end(statement: Statement, names: Names, families: set[int], *, numeric: bool) -> End:
    """HOST, HOST/PREFIX or either with [PORT]; `families` are the IP versions wanted."""
    word = statement.words[0]
    match = _END.fullmatch("".join("".join(statement.words).split()))
    if match is None:
        raise SetkeyError(
            f"'{word}' is not an address, address/prefix or address[port]", word.place
        )
    host, prefix, port = match.groups()
    addresses = [
        address for address in _addresses(word, host, names, numeric) if address.version in families
    ]
    if not addresses:
        raise SetkeyError(f"'{host}' has no address of the family of the other end", word.place)
    length = None
    if prefix is not None:
        most = min(address.max_prefixlen for address in addresses)
        length = decimal(prefix, most)
        if length is None:
            raise SetkeyError(f"a prefix is 0 to {most} bits, not '{prefix}'", word.place)
    return End(addresses, length, _port(word, port, names))


def pairs(src: End, dst: End, place: Place) -> list[tuple[Address, Address]]:
    """Every two addresses of one family. Raises if there are none."""
    found = [(a, b) for a in src.addresses for b in dst.addresses if a.version == b.version]
    if not found:
        raise SetkeyError("the two ends are addresses of different families", place)
    return found


def protocol(word: Word) -> tuple[Protocol, bool]:
    """An IPsec protocol, and whether it is encapsulated in UDP."""
    found = _PROTOCOLS.get(word)
    if found is None:
        if word in _NOT_IN_LINUX:
            raise SetkeyError(f"Linux has no '{word}' SAs", word.place)
        hint = nearest(str(word), _PROTOCOLS)
        raise SetkeyError(f"'{word}' is not one of esp, esp-udp, ah, ipcomp{hint}", word.place)
    return found, word == "esp-udp"


def upper(statement: Statement, names: Names) -> tuple[int, int | None, int | None]:
    """An upper-layer protocol with what takes the place of its ports: (number, first, second)."""
    word, *more = statement.words
    found = _upper_number(word, names)
    if not more:
        return found, None, None
    if found in TYPE_AND_CODE:
        kind, _, code = more[0].partition(",")
        pair = decimal(kind, 255), decimal(code, 255)
        if None in pair:
            raise SetkeyError(f"'{more[0]}' is not a TYPE,CODE such as 8,0", more[0].place)
        return found, *pair
    if found == _GRE:
        key = number(more[0], "a GRE key", 0, 0xFFFFFFFF)
        return found, key >> 16, key & 0xFFFF  # where the kernel looks for it
    raise SetkeyError(f"'{word}' allows no '{more[0]}' after it", more[0].place)


def _upper_number(word: Word, names: Names) -> int:
    if _DECIMAL.fullmatch(word):
        found = number(word, "an upper protocol", 0, 255)
        return 0 if found == ANY_UPPER else found
    known = UPPER_PROTOCOLS.get(word)
    if known is None:
        known = names.upper_protocol(str(word))
    if known is None:
        hint = nearest(str(word), UPPER_PROTOCOLS)
        raise SetkeyError(f"'{word}' is not an upper layer protocol{hint}", word.place)
    return known


def _addresses(word: Word, host: str, names: Names, numeric: bool) -> Sequence[Address]:
    try:
        return [unscoped(host)]
    except Scoped as error:
        raise SetkeyError(str(error), word.place) from None
    except ValueError:
        pass
    if numeric:
        raise SetkeyError(f"'{host}' is not an address, and -n forbids names", word.place)
    found = names.addresses(host)
    if not found:
        raise SetkeyError(f"'{host}' is not an address, and no host has that name", word.place)
    return found


def _port(word: Word, text: str | None, names: Names) -> int | None:
    if text is None or text == "any":
        return None
    found = decimal(text, 65535)
    if found is None and not text.isdecimal():
        found = names.port(text)
    if found is None:
        text = f"a port is 0 to 65535, a service's name, or any, not '{text}'"
        raise SetkeyError(text, word.place)
    return found

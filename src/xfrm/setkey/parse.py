"""setkey's language: text to statements (setkey(8) of ipsec-tools 0.9).

Differs: a file is looked at whole before anything is done, so that a mistake in its last line does
not leave half of it in the kernel. An `esp` SA with `-A` alone gets the null cipher, which Linux
needs explicitly. A replay window (`-r`) is in packets, as Linux counts it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from wire.grammar import Statement
from wire.source import Notices, Place, Source, Word
from xfrm.model import Address, Direction, Policy, Protocol, SaId, Selector
from xfrm.setkey import rules
from xfrm.setkey.associations import Options
from xfrm.setkey.statements import (
    AddPolicy,
    AddSa,
    DeleteAllSas,
    DeletePolicy,
    DeleteSa,
    DumpPolicies,
    DumpSas,
    FlushPolicies,
    FlushSas,
    GetSa,
    GetSpi,
    Operation,
    SetkeyError,
)
from xfrm.setkey.syntax import GRAMMAR, KEYS
from xfrm.setkey.words import End, Names, end, number, pairs, protocol, upper

NO_NAMES: Final = Names()
_BOTH: Final = frozenset({4, 6})
_EXIT: Final = re.compile(r"\b(exit|quit)\b")
_PIECE: Final = re.compile(r'"[^"\n]*"|#[^\n]*|;|[^\s;#"]+|"')


def parse(
    text: str,
    names: Names = NO_NAMES,
    *,
    kernel_semantics: bool = False,
    name: str = "stdin",
    notices: Notices | None = None,
) -> list[Operation]:
    """What the file called `name` asks for; a host name with several addresses makes several.

    An `in` policy brings its `fwd` twin, which forwarded packets need, unless `kernel_semantics`.
    Raises: SetkeyError.
    """
    reader = _Reader(names, kernel_semantics, Notices() if notices is None else notices)
    operations: list[Operation] = []
    for statement in GRAMMAR.parse(Source(name, _until_exit(text), secret=KEYS)):
        operations += reader.read(statement)
    return operations


def _until_exit(text: str) -> str:
    """What stands before `exit` or `quit`: setkey reads no further."""
    begins = True
    for match in _PIECE.finditer(text) if _EXIT.search(text) else ():
        piece = match[0]
        if begins and piece in ("exit", "quit"):
            return text[: match.start()]
        if not piece.startswith("#"):
            begins = piece == ";"
    return text


class _Head:
    """Flags, source and destination of a statement; `words` and `rest` are what follows."""

    def __init__(self, statement: Statement, names: Names) -> None:
        self.place = statement.place
        self.words: tuple[Word, ...] = statement.values
        self.rest = [part for part in statement.block if part.name not in ("family", "end")]
        flags = "".join(part.words[0] for part in statement.block if part.name == "family")
        families = {version for version in _BOTH if str(version) in flags} or set(_BOTH)
        numeric = "n" in flags
        src, dst = (part for part in statement.block if part.name == "end")
        self.src: End = end(src, names, families, numeric=numeric)
        self.dst: End = end(dst, names, families, numeric=numeric)
        self.pairs: list[tuple[Address, Address]] = pairs(self.src, self.dst, dst.place)


class _Reader:
    def __init__(self, names: Names, kernel_semantics: bool, notices: Notices) -> None:
        self._names = names
        self._notices = notices
        self._kernel_semantics = kernel_semantics

    def read(self, statement: Statement) -> Iterator[Operation]:
        match statement.name:
            case "add" | "update" as word:
                return self._add(statement, update=word == "update")
            case "get" | "delete" as word:
                return self._named(statement, delete=word == "delete")
            case "delete_all":
                return self._delete_all(statement)
            case "getspi":
                return self._getspi(statement)
            case "spd_add" | "spd_update" as word:
                return self._policy(statement, update=word == "spd_update")
            case "spd_delete":
                return self._delete_policy(statement)
            case "spd_tagged":
                raise SetkeyError("Linux has no tagged policies", statement.place)
            case _:
                return iter((_table(statement),))

    def _add(self, statement: Statement, *, update: bool) -> Iterator[Operation]:
        head = _Head(statement, self._names)
        kind, in_udp = protocol(head.words[0])
        spi = _spi(head.words[1], kind)
        options = Options()
        for part in head.rest:
            options.read(part, self._notices)
        for src, dst in head.pairs:
            sa = options.sa(
                (src, head.src.port),
                (dst, head.dst.port),
                spi,
                kind,
                in_udp=in_udp,
                place=head.words[0].place,
            )
            yield AddSa(sa=sa, update=update, place=head.place)

    def _named(self, statement: Statement, *, delete: bool) -> Iterator[Operation]:
        head = _Head(statement, self._names)
        kind, _ = protocol(head.words[0])
        spi = _spi(head.words[1], kind)
        for _, dst in head.pairs:
            sa = SaId(dst, kind, spi)
            yield DeleteSa(sa=sa, place=head.place) if delete else GetSa(sa=sa, place=head.place)

    def _delete_all(self, statement: Statement) -> Iterator[Operation]:
        head = _Head(statement, self._names)
        kind, _ = protocol(head.words[0])
        for src, dst in head.pairs:
            yield DeleteAllSas(src=src, dst=dst, protocol=kind, place=head.place)

    def _getspi(self, statement: Statement) -> Iterator[Operation]:
        head = _Head(statement, self._names)
        kind, _ = protocol(head.words[0])
        options = Options()
        for part in head.rest:
            options.read(part, self._notices)
        for src, dst in head.pairs:
            yield GetSpi(
                src=src,
                dst=dst,
                protocol=kind,
                mode=options.mode,
                reqid=options.reqid,
                place=head.place,
            )

    def _policy(self, statement: Statement, *, update: bool) -> Iterator[Operation]:
        head = _Head(statement, self._names)
        parts = [part for part in head.rest if part.name in ("priority", "rule")]
        direction, priority, action, templates = rules.policy(head.words, parts)
        for selector in self._selectors(head):
            policy = Policy(
                selector=selector,
                direction=direction,
                action=action,
                templates=templates,
                priority=priority,
            )
            twin = self._twin(policy)
            yield AddPolicy(policy=policy, twin=twin, update=update, place=head.place)

    def _delete_policy(self, statement: Statement) -> Iterator[Operation]:
        head = _Head(statement, self._names)
        direction = rules.direction(head.words[0])
        for selector in self._selectors(head):
            policy = Policy(selector=selector, direction=direction)
            yield DeletePolicy(policy=policy, twin=self._twin(policy), place=head.place)

    def _selectors(self, head: _Head) -> Iterator[Selector]:
        for part in head.rest:
            if part.name == "context":
                raise SetkeyError("security contexts (-ctx) are not supported", part.place)
        (statement,) = (part for part in head.rest if part.name == "upper")
        number_, first, second = upper(statement, self._names)
        src_port = head.src.port if first is None else first
        dst_port = head.dst.port if second is None else second
        for src, dst in head.pairs:
            yield Selector(
                src=head.src.network(src),
                dst=head.dst.network(dst),
                protocol=number_,
                src_port=src_port,
                dst_port=dst_port,
            )

    def _twin(self, policy: Policy) -> Policy | None:
        if self._kernel_semantics or policy.direction is not Direction.IN:
            return None
        return replace(policy, direction=Direction.FWD)


def _table(statement: Statement) -> Operation:
    """A statement about a whole table."""
    place: Place = statement.place
    kind: Protocol | None = protocol(statement.value)[0] if statement.values else None
    match statement.name:
        case "flush":
            return FlushSas(protocol=kind, place=place)
        case "dump":
            return DumpSas(protocol=kind, place=place)
        case "spd_flush":
            return FlushPolicies(place=place)
        case _:
            return DumpPolicies(place=place)


def _spi(word: Word, kind: Protocol) -> int:
    """A CPI has 16 bits (RFC 3173, 3.3). SPIs below 256 are IANA's (RFC 4303, 2.1), but taken."""
    if kind == Protocol.IPCOMP:
        return number(word, "a CPI", 1, 0xFFFF)
    return number(word, "an SPI", 1, 0xFFFFFFFF)

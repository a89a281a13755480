"""setkey's language: text to statements (setkey(8) of ipsec-tools 0.9).

Differs: a file is looked at whole before anything is done, so that a mistake in its last line does
not leave half of it in the kernel. An `esp` SA with `-A` alone gets the null cipher, which Linux
wants to be told. A replay window (`-r`) is in packets, as Linux counts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from xfrm.model import Address, Direction, Policy, Protocol, SaId, Selector
from xfrm.setkey import rules, syntax
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
    Place,
    SetkeyError,
    Statement,
)
from xfrm.setkey.syntax import place_of
from xfrm.setkey.words import End, Names, end, number, pairs, protocol, upper

if TYPE_CHECKING:
    from lark import Token, Tree

NO_NAMES: Final = Names()
_BOTH: Final = frozenset({4, 6})


def parse(text: str, names: Names = NO_NAMES, *, kernel_semantics: bool = False) -> list[Statement]:
    """The statements of a file; a host name with several addresses makes several.

    An `in` policy brings its `fwd` twin, which forwarded packets need, unless `kernel_semantics`.
    Raises: SetkeyError.
    """
    reader = _Reader(names, kernel_semantics)
    statements: list[Statement] = []
    for tree in syntax.parse(text):
        if tree.data == "exit":
            break
        statements += reader.read(tree)
    return statements


class _Head:
    """Flags, source, destination and the third word of a statement; `rest` is what follows."""

    def __init__(self, tree: Tree[Token], names: Names) -> None:
        flags = ""
        words: list[Token] = []
        self.rest: list[Token | Tree[Token]] = []
        self.place = place_of(tree)
        for child in tree.children:
            if isinstance(child, str):
                words.append(child)
            elif child.data == "family":
                flags += str(child.children[0])
            else:
                self.rest.append(child)
        families = {version for version in _BOTH if str(version) in flags} or set(_BOTH)
        numeric = "n" in flags
        _, src, dst, *self.words = words
        self.src: End = end(src, names, families, numeric=numeric)
        self.dst: End = end(dst, names, families, numeric=numeric)
        self.pairs: list[tuple[Address, Address]] = pairs(self.src, self.dst, dst)

    @property
    def trees(self) -> list[Tree[Token]]:
        return [part for part in self.rest if not isinstance(part, str)]


class _Reader:
    def __init__(self, names: Names, kernel_semantics: bool) -> None:
        self._names = names
        self._kernel_semantics = kernel_semantics

    def read(self, tree: Tree[Token]) -> Iterator[Statement]:
        match str(tree.data):
            case "add" | "update" as word:
                return self._add(tree, update=word == "update")
            case "get" | "delete" as word:
                return self._named(tree, delete=word == "delete")
            case "delete_all":
                return self._delete_all(tree)
            case "getspi":
                return self._getspi(tree)
            case "spd_add" | "spd_update" as word:
                return self._policy(tree, update=word == "spd_update")
            case "spd_delete":
                return self._delete_policy(tree)
            case "spd_tagged":
                raise SetkeyError("Linux has no tagged policies", place_of(tree))
            case _:
                return iter((_table(tree),))

    def _add(self, tree: Tree[Token], *, update: bool) -> Iterator[Statement]:
        head = _Head(tree, self._names)
        kind, in_udp = protocol(head.words[0])
        spi = _spi(head.words[1], kind)
        options = Options()
        for part in head.trees:
            options.read(part)
        for src, dst in head.pairs:
            sa = options.sa(
                (src, head.src.port),
                (dst, head.dst.port),
                spi,
                kind,
                in_udp=in_udp,
                place=place_of(head.words[0]),
            )
            yield AddSa(sa=sa, update=update, place=head.place)

    def _named(self, tree: Tree[Token], *, delete: bool) -> Iterator[Statement]:
        head = _Head(tree, self._names)
        kind, _ = protocol(head.words[0])
        spi = _spi(head.words[1], kind, low=1)
        for _, dst in head.pairs:
            sa = SaId(dst, kind, spi)
            yield DeleteSa(sa=sa, place=head.place) if delete else GetSa(sa=sa, place=head.place)

    def _delete_all(self, tree: Tree[Token]) -> Iterator[Statement]:
        head = _Head(tree, self._names)
        kind, _ = protocol(head.words[0])
        for src, dst in head.pairs:
            yield DeleteAllSas(src=src, dst=dst, protocol=kind, place=head.place)

    def _getspi(self, tree: Tree[Token]) -> Iterator[Statement]:
        head = _Head(tree, self._names)
        kind, _ = protocol(head.words[0])
        options = Options()
        for part in head.trees:
            options.read(part)
        for src, dst in head.pairs:
            yield GetSpi(
                src=src,
                dst=dst,
                protocol=kind,
                mode=options.mode,
                reqid=options.reqid,
                place=head.place,
            )

    def _policy(self, tree: Tree[Token], *, update: bool) -> Iterator[Statement]:
        head = _Head(tree, self._names)
        trees = [part for part in head.trees if part.data in ("priority", "rule")]
        direction, priority, action, templates = rules.policy([*head.words, *trees])
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

    def _delete_policy(self, tree: Tree[Token]) -> Iterator[Statement]:
        head = _Head(tree, self._names)
        direction = rules.direction(head.words[0])
        for selector in self._selectors(head):
            policy = Policy(selector=selector, direction=direction)
            yield DeletePolicy(policy=policy, twin=self._twin(policy), place=head.place)

    def _selectors(self, head: _Head) -> Iterator[Selector]:
        for part in head.trees:
            if part.data == "context":
                raise SetkeyError("security contexts (-ctx) are not supported", place_of(part))
        (tree,) = (part for part in head.trees if part.data == "upper")
        number_, first, second = upper(tree, self._names)
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


def _table(tree: Tree[Token]) -> Statement:
    """A statement about a whole table."""
    place: Place = place_of(tree)
    _, *words = (child for child in tree.children if isinstance(child, str))
    kind: Protocol | None = protocol(words[0])[0] if words else None
    match str(tree.data):
        case "flush":
            return FlushSas(protocol=kind, place=place)
        case "dump":
            return DumpSas(protocol=kind, place=place)
        case "spd_flush":
            return FlushPolicies(place=place)
        case _:
            return DumpPolicies(place=place)


def _spi(word: Token, kind: Protocol, low: int = 256) -> int:
    """SPIs below 256 are IANA's (RFC 4303, 2.1); a CPI has 16 bits (RFC 3173, 3.3)."""
    if kind == Protocol.IPCOMP:
        return number(word, "a CPI", 1, 0xFFFF)
    return number(word, "an SPI", low, 0xFFFFFFFF)

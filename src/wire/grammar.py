"""Languages with a grammar (lark, LALR): the text of a file as statements that know their places.

racoon.conf and setkey.conf are read so. A rule of the grammar that is not inlined is a statement;
its parts are the words of the file, each with its place, and the statements within it. lark is
imported when a file is parsed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from wire.source import Notices, Place, Source, SourceError, Word, nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lark import Lark, Token, Tree

_END: Final = "$END"


@dataclass(frozen=True, slots=True)
class Statement:
    """`name` is the grammar's rule, `words` the statement's own, its keyword first if it has one.

    `block` has the statements within it; `first` is the word with which it begins.
    """

    name: str
    words: tuple[Word, ...]
    block: tuple[Statement, ...]
    first: Word

    @property
    def place(self) -> Place:
        return self.first.place

    @property
    def values(self) -> tuple[Word, ...]:
        """The words after the keyword."""
        return self.words[1:]

    @property
    def value(self) -> Word:
        """The word after the keyword."""
        return self.words[1]


class Grammar:
    """A grammar file, and how its terminals are spoken of.

    `kinds`: words for terminals that are patterns; `quoted`: the terminal of a string in double
    quotes; `error`: what a refusal is raised as; `silent`: tokens that make no word, where unnamed
    terminals do; `stray`: a terminal that is ignored, and told of; `lexer`: lark's.
    """

    def __init__(
        self,
        path: Path,
        kinds: Mapping[str, str],
        *,
        quoted: str,
        error: type[SourceError],
        silent: Iterable[str] = (),
        stray: str = "",
        lexer: Literal["basic", "contextual"] = "contextual",
    ) -> None:
        self._path, self._lexer = path, lexer
        self._kinds = {_END: "the end of the file"} | dict(kinds)
        self._silent = frozenset(silent)
        self._quoted = quoted
        self._error = error
        self._stray = stray

    def parse(self, source: Source, notices: Notices | None = None) -> tuple[Statement, ...]:
        """The statements of the file. Raises: `error`, at the first word that is wrong."""
        from lark.exceptions import UnexpectedCharacters, UnexpectedToken

        if wrong := source.in_utf16:
            raise self._error(wrong, Place(source, 1, 1))
        try:
            tree = self._lark.parse(source.text)
        except UnexpectedToken as error:
            raise self._unexpected(source, error.token, error.accepts or error.expected) from None
        except UnexpectedCharacters as error:
            place = Place(source, error.line, error.column)
            raise self._error(_bad_character(error.char), place) from None
        if self._stray and notices is not None:
            self._tell_strays(source, notices)
        children = tree.children
        return tuple(self._statement(source, c) for c in children if not isinstance(c, str))

    @cached_property
    def _lark(self) -> Lark:
        from lark import Lark

        try:
            with self.table_path.open("rb") as file:
                return Lark.load(file)
        except OSError:
            return self._made()

    @property
    def table_path(self) -> Path:
        """Beside the grammar; another grammar, or another lark, has another name."""
        from hashlib import sha256
        from importlib.metadata import version

        key = sha256(self._path.read_bytes()).hexdigest()[:16]
        return self._path.with_suffix(f".{key}-{version('lark')}.table")

    def write_table(self) -> None:
        """Make the parser's tables ahead, as an installation does: to load them takes a tenth."""
        for old in self._path.parent.glob(f"{self._path.stem}.*.table"):
            old.unlink()
        with self.table_path.open("wb") as file:
            self._made().save(file)

    def _made(self) -> Lark:
        from lark import Lark

        text = self._path.read_text(encoding="ascii")
        return Lark(
            text,
            parser="lalr",
            lexer=self._lexer,
            keep_all_tokens=bool(self._silent),
            maybe_placeholders=False,
        )

    def _tell_strays(self, source: Source, notices: Notices) -> None:
        pattern = next(t.pattern for t in self._lark.terminals if t.name == self._stray)
        piece = re.compile(f'"[^"\\n]*"|#[^\\n]*|(?P<stray>{pattern.to_regexp()})')
        for number, line in enumerate(source.text.split("\n"), 1):
            for match in piece.finditer(line):
                if match["stray"]:
                    place = Place(source, number, match.start() + 1)
                    text = f"'{match['stray']}' has no meaning here and is passed over"
                    notices.passed_over(place, text)

    def _statement(self, source: Source, tree: Tree[Token]) -> Statement:
        words: list[Word] = []
        block: list[Statement] = []
        first: Word | None = None
        for child in tree.children:
            if not isinstance(child, str):
                inner = self._statement(source, child)
                block.append(inner)
                first = first if first is not None else inner.first
            elif child not in self._silent:
                word = self._word(source, child)
                words.append(word)
                first = first if first is not None else word
        assert first is not None  # every rule has a word
        return Statement(str(tree.data), tuple(words), tuple(block), first)

    def _word(self, source: Source, token: Token) -> Word:
        quoted = token.type == self._quoted
        text = token[1:-1] if quoted else str(token)
        return Word(text, source, token.line or 0, token.column or 0, quoted=quoted)

    def _unexpected(self, source: Source, token: Token, terminals: Iterable[str]) -> SourceError:
        expected = sorted({self._spelling(terminal) for terminal in terminals})
        if token.type == _END:
            return self._error("the file ends inside a statement", source.end(), expected)
        word = self._word(source, token)
        begins_line = not source.line(word.line)[: word.column - 1].strip()
        if "';'" in expected and (begins_line or len(expected) == 1):
            return self._error(f"there is no ';' before {shown(word)}", word.place, expected)
        text = f"{shown(word)} is not understood here{nearest(word, expected)}"
        return self._error(text, word.place, expected)

    def _spelling(self, terminal: str) -> str:
        from lark.lexer import PatternStr

        if terminal in self._kinds:
            return self._kinds[terminal]
        pattern = next(t.pattern for t in self._lark.terminals if t.name == terminal)
        if not isinstance(pattern, PatternStr):
            return terminal.lower()
        word = any(map(str.isalnum, pattern.value))
        return pattern.value if word else f"'{pattern.value}'"


def shown(word: Word) -> str:
    """The word in quotes; not if it may be a key, which belongs on no screen."""
    secret = word.quoted or len(word) > 40 or (word.startswith("0x") and len(word) > 18)
    return "this" if secret else f"'{word}'"


def _bad_character(character: str) -> str:
    if character == '"':
        return "the string that begins here has no closing quote on its line"
    return f"the character '{printable(character)}' has no meaning here"

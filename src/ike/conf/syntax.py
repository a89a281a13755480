"""racoon.conf as a list of statements that know their places. The grammar is racoon.lark."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ike.conf.errors import ConfError
from wire.source import Place, Source, Word, nearest

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

GRAMMAR: Final = Path(__file__).with_name("racoon.lark")

_PUNCTUATION: Final = frozenset("{};,[]-/")
_KINDS: Final = {
    "STRING": 'a "string"',
    "NUMBER": "a number",
    "IPV4": "an address",
    "IPV6": "an address",
    "WORD": "a name",
    "$END": "the end of the file",
}


@dataclass(frozen=True, slots=True)
class Statement:
    """`name` is the grammar's; `words` begin with the statement's own keyword."""

    name: str
    words: tuple[Word, ...]
    block: tuple[Statement, ...]
    place: Place

    @property
    def values(self) -> tuple[Word, ...]:
        """The words after the keyword."""
        return self.words[1:]

    @property
    def value(self) -> Word:
        """The word after the keyword."""
        return self.words[1]


def parse(source: Source) -> tuple[Statement, ...]:
    """The statements of a racoon.conf, includes not followed. Raises: ConfError."""
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    try:
        tree = _parser().parse(source.text)
    except UnexpectedToken as error:
        raise _unexpected(source, error.token, error.expected) from None
    except UnexpectedCharacters as error:
        place = Place(source, error.line, error.column)
        raise ConfError(_bad_character(error.char), place) from None
    return tuple(_statement(source, child) for child in tree.children if not isinstance(child, str))


@cache
def _parser() -> Lark:
    from lark import Lark

    return Lark(
        GRAMMAR.read_text(encoding="ascii"),
        parser="lalr",
        lexer="basic",  # a keyword is one wherever it stands: names are always in quotes
        keep_all_tokens=True,
        maybe_placeholders=False,
    )


def _statement(source: Source, tree: Tree[Token]) -> Statement:
    words: list[Word] = []
    block: list[Statement] = []
    for child in tree.children:
        if not isinstance(child, str):
            block.append(_statement(source, child))
        elif child not in _PUNCTUATION:
            quoted = child.type == "STRING"
            text, line, column = str(child), child.line or 0, child.column or 0
            words.append(Word(text[1:-1] if quoted else text, source, line, column, quoted=quoted))
    place = words[0].place if words else block[0].place
    return Statement(str(tree.data), tuple(words), tuple(block), place)


def _unexpected(source: Source, token: Token, terminals: set[str]) -> ConfError:
    expected = sorted({_spelling(terminal) for terminal in terminals})
    if token.type == "$END":
        return ConfError("the file ends inside a statement", source.end(), expected)
    place = Place(source, token.line or 0, token.column or 0)
    if "';'" in expected and len(expected) <= 3:
        return ConfError(f"there is no ';' before '{token}'", place, expected)
    hint = nearest(str(token), expected)
    return ConfError(f"'{token}' is not understood here{hint}", place, expected)


def _spelling(terminal: str) -> str:
    from lark.lexer import PatternStr

    if terminal in _KINDS:
        return _KINDS[terminal]
    pattern = next(t.pattern for t in _parser().terminals if t.name == terminal)
    if not isinstance(pattern, PatternStr):
        return terminal.lower()
    return f"'{pattern.value}'" if pattern.value in _PUNCTUATION else pattern.value


def _bad_character(character: str) -> str:
    if character == '"':
        return "the string that begins here has no closing quote on its line"
    return f"the character {character!r} has no meaning here"

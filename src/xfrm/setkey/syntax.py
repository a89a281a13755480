"""A setkey file as trees of words; the grammar is setkey.lark. lark is imported when it is used."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xfrm.setkey.statements import Place, SetkeyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lark import Lark, Token, Tree

GRAMMAR: Final = Path(__file__).with_name("setkey.lark")

_SPELLINGS: Final = {
    "WORD": "a word",
    "QUOTED": 'a "text"',
    "FAMILY": "-4 or -6",
    "SIGN": "+ or -",
    "$END": "the end of the file",
}


def parse(text: str) -> list[Tree[Token]]:
    """The statements of a file. Raises SetkeyError at the first word that cannot stand there."""
    from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

    try:
        tree = _parser().parse(text)
    except UnexpectedToken as error:
        raise _unexpected(text, error.token, error.accepts or error.expected) from None
    except UnexpectedCharacters as error:
        place = Place(error.line, error.column)
        if error.char == '"':
            raise SetkeyError('the "text" is not closed on its line', place) from None
        raise SetkeyError(f"the character {error.char!r} has no meaning here", place) from None
    except UnexpectedInput as error:
        raise SetkeyError("the file makes no sense here", Place(error.line, error.column)) from None
    return [child for child in tree.children if not isinstance(child, str)]


def place_of(part: Token | Tree[Token]) -> Place:
    """Where a word is, or the first one of a tree; every tree has one."""
    while not isinstance(part, str):
        part = part.children[0]
    return Place(part.line or 0, part.column or 0)


def shown(word: Token) -> str:
    """The word in quotes; not if it may be a key, which belongs on no screen."""
    secret = word.type == "QUOTED" or len(word) > 40 or (word.startswith("0x") and len(word) > 18)
    return "this" if secret else f"'{word}'"


def nearest(word: str, known: Iterable[str]) -> str:
    """A question about the nearest known word, or nothing."""
    close = get_close_matches(word, list(known), 1)
    return f"; did you mean '{close[0]}'?" if close else ""


@cache
def _parser() -> Lark:
    from lark import Lark

    grammar = GRAMMAR.read_text(encoding="ascii")
    return Lark(grammar, parser="lalr", maybe_placeholders=False)


def _unexpected(text: str, token: Token, terminals: Iterable[str]) -> SetkeyError:
    expected = sorted({_spelling(terminal) for terminal in terminals})
    listed = ", ".join(expected)
    if token.type == "$END":
        lines = text.splitlines() or [""]
        place = Place(len(lines), len(lines[-1]) + 1)
        return SetkeyError(f"the file ends inside a statement; expected: {listed}", place)
    place = place_of(token)
    hint = nearest(str(token), expected) or f"; expected: {listed}"
    return SetkeyError(f"{shown(token)} cannot stand here{hint}", place)


def _spelling(terminal: str) -> str:
    if terminal in _SPELLINGS:
        return _SPELLINGS[terminal]
    from lark.lexer import PatternStr

    pattern = next(each.pattern for each in _parser().terminals if each.name == terminal)
    return pattern.value if isinstance(pattern, PatternStr) else terminal.lower()

"""Grammars: statements with their places, and tables that are made ahead."""

from pathlib import Path

import pytest

from wire.grammar import Grammar, Statement
from wire.source import Notices, Source, SourceError

TEXT = """\
start: (_set | block)*
_set: set
set: "set" NAME (NUMBER | STRING) ";"
block: "block" "{" set* "}"
NAME: /[a-z]+/
NUMBER: /[0-9]+/
STRING: /"[^"\\n]*"/
STRAY: /[=!]+/
%ignore /\\s+/
%ignore /#[^\\n]*/
%ignore STRAY
"""


class OddError(SourceError):
    pass


def grammar(folder: Path, text: str = TEXT) -> Grammar:
    (folder / "odd.lark").write_text(text)
    kinds = {"NAME": "a name", "NUMBER": "a number", "STRING": 'a "string"'}
    return Grammar(
        folder / "odd.lark", kinds, quoted="STRING", error=OddError, silent="{};", stray="STRAY"
    )


def parse(made: Grammar, text: str) -> tuple[Statement, ...]:
    return made.parse(Source("a.conf", text))


@pytest.mark.parametrize("ahead", [False, True])
def test_words_and_blocks_know_their_places(tmp_path: Path, ahead: bool) -> None:
    made = grammar(tmp_path)
    if ahead:
        made.write_table()
    first, second = parse(made, 'set a 1;\nblock {\n  set b "x y"; }')
    assert (first.name, first.words, str(first.place)) == ("set", ("set", "a", "1"), "a.conf:1:1")
    (inner,) = second.block
    assert [(word, word.quoted, str(word.place)) for word in inner.values] == [
        ("b", False, "a.conf:3:7"),
        ("x y", True, "a.conf:3:9"),
    ]


def test_tables_made_ahead_are_used_and_those_of_another_grammar_are_not(tmp_path: Path) -> None:
    grammar(tmp_path).write_table()
    (table,) = tmp_path.glob("*.table")
    assert grammar(tmp_path).table_path == table
    other = grammar(tmp_path, TEXT.replace('"set"', '"let"'))
    assert other.table_path != table
    assert parse(other, "let a 1;")[0].words[0] == "let"
    other.write_table()
    assert list(tmp_path.glob("*.table")) == [other.table_path]


@pytest.mark.parametrize("ahead", [False, True])
def test_strays_are_named_but_those_in_strings_and_comments_are_text(
    tmp_path: Path, ahead: bool
) -> None:
    made = grammar(tmp_path)
    if ahead:
        made.write_table()
    notices = Notices()
    made.parse(Source("a.conf", 'set a = 1; # == !\nset b "=" !;'), notices)
    assert [str(notice) for notice in notices] == [
        "a.conf:1:7: '=' has no meaning here and is passed over",
        "a.conf:2:11: '!' has no meaning here and is passed over",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("set a 1", "a.conf:1:8: the file ends inside a statement"),
        ("set a 1\nset b 2;", "a.conf:2:1: there is no ';' before 'set'"),
        ("blck { }", "a.conf:1:1: 'blck' is not understood here; did you mean 'block'?"),
        ('set a "x', "a.conf:1:7: the string that begins here has no closing quote on its line"),
        ("set a %;", "a.conf:1:7: the character '%' has no meaning here"),
        ('set "hunter2" 1;', "a.conf:1:5: this is not understood here"),
    ],
)
def test_a_refusal_has_its_place_and_shows_no_string(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(OddError) as refused:
        parse(grammar(tmp_path), text)
    assert str(refused.value) == says

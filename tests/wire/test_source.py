"""The front end of all readers of text files: octets, places, words, numbers, notices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.source import (
    DIFFERS,
    Notices,
    Place,
    Source,
    SourceError,
    nearest,
    number,
    octets_of,
    printable,
    text_of,
)


@given(st.binary(max_size=80))
def test_octets_survive_as_text_but_for_a_byte_order_mark(octets: bytes) -> None:
    assert octets_of(text_of(octets)) == octets.removeprefix(b"\xef\xbb\xbf")


@given(st.binary(max_size=80))
def test_what_is_shown_can_be_printed_and_encoded(octets: bytes) -> None:
    shown = printable(text_of(octets))
    assert shown.isprintable()
    shown.encode("utf-8")


def test_an_octet_that_is_no_text_is_shown_as_its_number() -> None:
    assert printable(text_of(b"B\xfcro\x1b[2J")) == r"B\xfcro\x1b[2J"


def test_an_error_points_at_its_word() -> None:
    source = Source.of("a.conf", b"# one\r\nremote\tgw;\r\n")
    word = list(source.lines())[1].words()[1]
    error = SourceError("there is no gw", word.place, ["anonymous", "an address"])
    assert str(error) == "a.conf:2:8: there is no gw"
    assert error.report().split("\n") == [
        "a.conf:2:8: there is no gw",
        "    remote gw;",
        "           ^",
        "    expected: anonymous, an address",
    ]


def test_the_caret_stays_below_its_word_behind_octets_that_are_no_text() -> None:
    source = Source.of("a.conf", b'\xfc "x" bad')
    shown, caret = Place(source, 1, 7).excerpt().split("\n")
    assert shown[caret.index("^")] == "b"


def test_a_line_of_a_million_characters_is_cut_round_the_caret() -> None:
    source = Source("a.conf", "x" * 500_000 + "bad" + "y" * 500_000)
    shown, caret = Place(source, 1, 500_001).excerpt().split("\n")
    assert len(shown) < 200
    assert shown[caret.index("^") :].startswith("bady")


def test_an_excerpt_shows_no_secret() -> None:
    source = Source("keys", "1 SHA1 hunter2\n", secret=r"(?<=SHA1 ).+")
    assert "hunter2" not in Place(source, 1, 8).excerpt()


def test_words_know_their_columns() -> None:
    (line,) = Source("a", " server\t10.0.0.1  key 3").lines()
    assert [(word, word.column) for word in line.words()] == [
        ("server", 2),
        ("10.0.0.1", 9),
        ("key", 19),
        ("3", 23),
    ]


@given(st.integers(min_value=0, max_value=(1 << 64) - 1))
def test_numbers_are_decimal_or_hexadecimal(value: int) -> None:
    assert number(str(value), (1 << 64) - 1) == value
    assert number(hex(value), (1 << 64) - 1) == value


@pytest.mark.parametrize("text", ["", "-1", "1_0", "٣", "0x", "0xg", "1.5", "9" * 5000, "11", "1"])
def test_what_is_no_number_within_bounds_is_none(text: str) -> None:
    assert number(text, most=10, least=2) is None


def test_the_nearest_word_is_suggested_if_there_is_a_near_one() -> None:
    assert nearest("remtoe", ["remote", "sainfo"]) == "; did you mean 'remote'?"
    assert nearest("xyz", ["remote", "sainfo"]) == ""


def test_notices_keep_their_order_and_say_which_kind_they_are() -> None:
    source = Source("a", "b c")
    notices = Notices()
    notices.passed_over(Place(source, 1, 1), "b has no effect")
    notices.differs(Place(source, 1, 3), "c is 3\n")
    assert [str(notice) for notice in notices] == [
        "a:1:1: b has no effect",
        "a:1:3: c is 3\\x0a",
    ]
    assert [notice.kind for notice in notices][1] == DIFFERS

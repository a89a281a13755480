"""psk.txt as racoon reads it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ike.conf import psk
from ike.conf.errors import ConfError
from ike.config import PreSharedKeys
from wire.secret import Secret
from wire.source import DIFFERS, PASSED_OVER, Notices


def keys(text: bytes) -> dict[str, bytes]:
    return {entry.name: entry.key.reveal() for entry in psk.parse("psk.txt", text)}


def table(text: bytes) -> PreSharedKeys:
    return PreSharedKeys(tuple((entry.name, entry.key) for entry in psk.parse("psk.txt", text)))


def notices(text: bytes) -> list[str]:
    found = Notices()
    psk.parse("psk.txt", text, found)
    assert {notice.kind for notice in found} <= {PASSED_OVER}
    return [str(notice) for notice in found]


def test_the_key_is_the_rest_of_the_line_with_its_blanks() -> None:
    assert keys(b"10.0.0.1 \t two words  \n") == {"10.0.0.1": b"two words  "}


def test_a_hash_begins_a_comment_in_the_first_column_only() -> None:
    assert keys(b"# nobody nothing\n10.0.0.1 a#b\n\n") == {"10.0.0.1": b"a#b"}


def test_a_key_of_0x_is_hexadecimal_with_blanks_or_without() -> None:
    assert keys(b"a 0x00ff10\nb 0x00 ff 10\n") == {"a": b"\x00\xff\x10", "b": b"\x00\xff\x10"}


def test_a_key_keeps_its_octets_whatever_their_encoding() -> None:
    assert keys(b"b\xfcro \xfc\x00\r\n") == {r"b\xfcro": b"\xfc\x00\r"}


def test_the_first_line_with_a_name_counts_and_a_star_is_everybody(tmp_path: Path) -> None:
    file = tmp_path / "psk.txt"
    file.write_bytes(b"10.0.0.1 first\n10.0.0.1 second\n* all\n")
    file.chmod(0o600)
    found = psk.read(file)
    assert found.find("10.0.0.1") == Secret(b"first")
    assert found.find("10.0.0.2") == Secret(b"all")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"10.0.0.1", "this line has no effect: a line is a name, blanks, and a key"),
        (b"10.0.0.1 \t", "this line has no effect: a line is a name, blanks, and a key"),
        (b"  # offices", "this line has no effect: it begins with a blank"),
        (
            b"a 0xhunter2",
            "a has no key, because this line cannot be read: it begins with 0x, and is not"
            " hexadecimal",
        ),
        (
            b"a " + b"k" * 1022,
            "a has no key, because this line cannot be read: its line has more than 1023 octets",
        ),
    ],
)
def test_a_bad_line_is_named_without_its_key_and_stops_no_other(line: bytes, sentence: str) -> None:
    text = b"\n" + line + b"\n192.0.2.9 nine\n"
    assert notices(text) == [f"psk.txt:2:1: {sentence}"]
    assert table(text).find("192.0.2.9") == Secret(b"nine")


@pytest.mark.parametrize("later", [b"198.51.100.1 other", b"* everybody"])
def test_nothing_stands_in_for_a_key_that_cannot_be_read(later: bytes) -> None:
    found = table(b"198.51.100.1 0xnothex\n" + later + b"\n")
    assert found.find("198.51.100.1") is None


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    found = Notices()
    (entry,) = psk.parse("psk.txt", b"\xef\xbb\xbf192.0.2.9 nine\n", found)
    assert entry.name == "192.0.2.9"
    assert [notice.kind for notice in found] == [DIFFERS]


def test_a_file_open_to_others_is_refused_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "psk.txt"
    file.write_bytes(b"10.0.0.1 key\n")
    file.chmod(0o640)
    with pytest.raises(ConfError, match=f"'chmod 600 {file}' closes it"):
        psk.read(file)


@given(st.binary(max_size=200))
def test_any_octets_are_read_and_no_notice_has_a_control_character(content: bytes) -> None:
    assert all(text.isprintable() and text.startswith("psk.txt:") for text in notices(content))

"""psk.txt as racoon reads it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ike.conf import psk
from ike.conf.errors import ConfError
from wire.secret import Secret


def keys(text: bytes) -> dict[str, bytes]:
    return {entry.name: entry.key.reveal() for entry in psk.parse("psk.txt", text)}


def test_the_key_is_the_rest_of_the_line_with_its_blanks() -> None:
    assert keys(b"10.0.0.1 \t two words  \n") == {"10.0.0.1": b"two words  "}


def test_a_hash_begins_a_comment_in_the_first_column_only() -> None:
    assert keys(b"# nobody nothing\n10.0.0.1 a#b\n\n") == {"10.0.0.1": b"a#b"}


def test_a_key_of_0x_is_hexadecimal() -> None:
    assert keys(b"a 0x00ff10\n") == {"a": b"\x00\xff\x10"}


def test_the_first_line_with_a_name_counts_and_a_star_is_everybody(tmp_path: Path) -> None:
    file = tmp_path / "psk.txt"
    file.write_bytes(b"10.0.0.1 first\n10.0.0.1 second\n* all\n")
    file.chmod(0o600)
    found = psk.read(file)
    assert found.find("10.0.0.1") == Secret(b"first")
    assert found.find("10.0.0.2") == Secret(b"all")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"\n10.0.0.1\n", "psk.txt:2: a line is a name, blanks, and a key"),
        (b"a 0xhunter2\n", "psk.txt:1: the key begins with 0x but is not hexadecimal"),
        (b"a " + b"k" * 1022 + b"\n", "psk.txt:1: the line is longer than 1023 octets"),
    ],
)
def test_a_bad_line_is_named_without_its_key(text: bytes, sentence: str) -> None:
    with pytest.raises(ConfError) as caught:
        psk.parse("psk.txt", text)
    assert str(caught.value) == sentence


def test_a_file_open_to_others_is_refused_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "psk.txt"
    file.write_bytes(b"10.0.0.1 key\n")
    file.chmod(0o640)
    with pytest.raises(ConfError, match=f"'chmod 600 {file}' closes it"):
        psk.read(file)


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused_with_a_sentence(content: bytes) -> None:
    try:
        psk.parse("psk.txt", content)
    except ConfError as error:
        assert str(error).startswith("psk.txt:")

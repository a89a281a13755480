"""The bounded reader never reads past its end."""

from struct import Struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.cursor import Cursor, DecodeError

WORD = Struct("!I")


@given(st.binary(max_size=40), st.lists(st.integers(0, 12), max_size=8))
def test_what_is_taken_is_the_data_in_order_or_an_error_says_where(
    data: bytes, sizes: list[int]
) -> None:
    cursor = Cursor(data)
    taken = b""
    for size in sizes:
        try:
            taken += cursor.take(size)
        except DecodeError as error:
            assert error.offset == len(taken)
            assert size > len(data) - len(taken)
            break
    assert data.startswith(taken)
    assert taken + cursor.rest() == data


@given(st.binary(min_size=4, max_size=20), st.integers(0, 20))
def test_a_sub_cursor_ends_where_it_was_told_to(data: bytes, size: int) -> None:
    cursor = Cursor(data)
    if size > len(data):
        with pytest.raises(DecodeError):
            cursor.sub(size)
        return
    part = cursor.sub(size)
    assert part.rest() == data[:size]
    with pytest.raises(DecodeError):
        part.unpack(WORD)
    assert cursor.rest() == data[size:]


def test_octets_left_over_are_an_error_that_counts_them() -> None:
    cursor = Cursor(b"abcdef")
    cursor.unpack(WORD)
    with pytest.raises(DecodeError, match="2 octets left over at octet 4"):
        cursor.finish()

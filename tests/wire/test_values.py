"""Open enumerations keep unknown numbers; secrets keep their octets to themselves."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.open_enum import OpenEnum
from wire.secret import Secret


class Colour(OpenEnum):
    RED = 1


@given(st.integers(0, 2**32 - 1))
def test_any_number_becomes_a_member_and_stays_itself(number: int) -> None:
    member = Colour(number)
    assert isinstance(member, Colour)
    assert member == number
    assert member.known == (number == 1)
    assert str(member) == ("RED" if number == 1 else str(number))


@pytest.mark.parametrize("number", [-1, 2**32])
def test_a_number_that_no_field_can_hold_is_refused(number: int) -> None:
    with pytest.raises(ValueError):
        Colour(number)


@given(st.binary(min_size=4, max_size=64))
def test_a_secret_shows_its_length_and_nothing_else(octets: bytes) -> None:
    secret = Secret(octets)
    shown = f"{secret!r} {secret!s} {[secret]}"
    assert octets.hex() not in shown
    assert repr(octets)[2:-1] not in shown.replace(f"Secret({len(octets)} octets)", "")
    assert secret == Secret(octets)
    assert secret.reveal() == octets


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(b"key"))

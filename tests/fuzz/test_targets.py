"""Each fuzz target holds for arbitrary octets; `make fuzz` looks deeper."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run import targets

TARGETS = targets()


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.binary(max_size=400))
def test_arbitrary_octets_raise_nothing_but_the_packages_error(name: str, data: bytes) -> None:
    assert TARGETS[name](data) is None

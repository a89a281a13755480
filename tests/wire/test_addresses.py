"""Addresses for SAs and policies."""

import pytest

from wire.addresses import Scoped, unscoped


@pytest.mark.parametrize("text", ["10.0.0.1", "fd00::1", "fe80::1"])
def test_an_address_without_an_interface_is_taken(text: str) -> None:
    assert str(unscoped(text)) == text


@pytest.mark.parametrize("text", ["fe80::1%eth0", "fd00::1%2"])
def test_an_address_of_one_interface_is_refused_with_what_it_is(text: str) -> None:
    with pytest.raises(Scoped, match="no addresses of one interface"):
        unscoped(text)


@pytest.mark.parametrize("text", ["", "gateway", "10.0.0.300", "10.0.0.1%eth0", "fe80::1%"])
def test_what_is_no_address_is_an_error_of_another_kind(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        unscoped(text)
    assert not isinstance(refused.value, Scoped)

"""EAPOL frames: IEEE Std 802.1X-2004, 7.5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eapol.errors import MalformedFrame
from eapol.frame import Frame, PacketType


def frames() -> st.SearchStrategy[Frame]:
    types = st.integers(0, 255).map(PacketType)
    return st.builds(Frame, types, st.binary(max_size=2000), st.integers(0, 255))


@given(frames(), st.binary(max_size=46))
def test_a_frame_survives_the_wire_and_ethernet_padding(frame: Frame, padding: bytes) -> None:
    assert Frame.parse(bytes(frame) + padding) == frame


def test_the_start_frame_is_the_one_that_wpa_supplicant_sends() -> None:
    assert bytes(Frame(PacketType.START)) == bytes.fromhex("02010000")


@given(st.binary(max_size=64))
def test_arbitrary_octets_raise_only_the_packages_own_error(octets: bytes) -> None:
    try:
        Frame.parse(octets)
    except MalformedFrame as error:
        assert 0 <= error.offset <= len(octets)


def test_a_body_shorter_than_announced_is_refused() -> None:
    with pytest.raises(MalformedFrame):
        Frame.parse(bytes.fromhex("0200000501"))


@given(st.integers(6, 255))
def test_a_packet_type_without_a_name_keeps_its_number(number: int) -> None:
    frame = Frame.parse(bytes((2, number, 0, 0)))
    assert frame.packet_type == number
    assert not frame.packet_type.known

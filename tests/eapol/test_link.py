"""rtnetlink's link messages, of which only carrier, address and MTU matter here."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eapol.aio.link import LinkState, parse

UP, RUNNING, LOWER_UP, DORMANT = 0x1, 0x40, 0x10000, 0x20000
ADDRESS = bytes.fromhex("020000000001")


def message(flags: int, kind: int = 16, family: int = 0) -> bytes:
    """A link as the kernel reports it (rtnetlink(7))."""
    attributes = b""
    for number, value in {3: b"eth0\0", 1: ADDRESS, 4: struct.pack("=I", 1400)}.items():
        attribute = struct.pack("=HH", 4 + len(value), number) + value
        attributes += attribute.ljust((len(attribute) + 3) & ~3, b"\0")
    body = struct.pack("=BxHiII", family, 1, 7, flags, 0) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


@pytest.mark.parametrize(
    ("flags", "up"),
    [
        (UP | RUNNING | LOWER_UP, True),
        (UP | LOWER_UP | DORMANT, True),
        (UP, False),
        (LOWER_UP, False),
        (0, False),
    ],
)
def test_a_link_is_up_when_it_is_enabled_and_has_carrier(flags: int, up: bool) -> None:
    state = LinkState(index=7, name="eth0", up=up, address=ADDRESS, mtu=1400)
    assert list(parse(message(flags))) == [(False, state)]


def test_several_messages_in_one_datagram_are_told_in_order() -> None:
    octets = message(UP | LOWER_UP) + message(UP) + message(0, kind=17)
    assert [(gone, state.up) for gone, state in parse(octets)] == [
        (False, True),
        (False, False),
        (True, False),
    ]


def test_an_interface_that_leaves_a_bridge_is_not_gone() -> None:
    """The kernel says so by a DELLINK of the family AF_BRIDGE (7): of the port, not the link."""
    assert list(parse(message(UP | LOWER_UP, kind=17, family=7))) == []


@given(st.binary(max_size=200))
def test_arbitrary_octets_raise_nothing(octets: bytes) -> None:
    assert isinstance(list(parse(octets)), list)


@given(st.integers(0, 150))
def test_a_message_that_is_cut_short_tells_nothing(size: int) -> None:
    whole = message(UP)
    assert list(parse(whole[: min(size, len(whole) - 1)])) == []

"""Address messages of rtnetlink, as this kernel sends them and as it never would."""

import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from mgu.keying.addresses import read_changes
from wire.cursor import DecodeError


def message(kind: int, *attributes: tuple[int, bytes]) -> bytes:
    body = struct.pack("=BBBBI", 2, 24, 0, 0, 2)
    for number, value in attributes:
        body += struct.pack("=HH", 4 + len(value), number) + value + bytes(-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_the_local_address_is_told_with_what_happened_to_it() -> None:
    gone, came, far = (ip_address(text) for text in ("10.0.0.1", "fd00::1", "10.0.0.9"))
    octets = message(21, (1, far.packed), (2, gone.packed), (3, b"eth0\0"))
    octets += message(16) + message(20, (1, came.packed))
    assert list(read_changes(octets)) == [(21, gone), (20, came)]


@given(st.binary(max_size=200))
def test_octets_that_are_no_message_raise_only_decode_errors(octets: bytes) -> None:
    try:
        for kind, _ in read_changes(octets):
            assert kind in (20, 21)
    except DecodeError as error:
        assert str(error)

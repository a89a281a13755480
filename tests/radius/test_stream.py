"""RADIUS in a stream: packets are found whatever the stream is cut into."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.errors import Malformed
from radius.stream import Stream


def packet(body: bytes) -> bytes:
    return b"\2\1" + (20 + len(body)).to_bytes(2, "big") + bytes(16) + body


@given(st.lists(st.binary(max_size=100), max_size=5), st.integers(1, 50))
def test_packets_come_out_as_they_went_in(bodies: list[bytes], size: int) -> None:
    packets = [packet(body) for body in bodies]
    octets = b"".join(packets)
    stream = Stream()
    found: list[bytes] = []
    for at in range(0, len(octets), size):
        found += stream.feed(octets[at : at + size])
    assert found == packets


@pytest.mark.parametrize("length", [0, 19, 4097, 65535])
def test_a_packet_that_cannot_be_ends_the_stream(length: int) -> None:
    with pytest.raises(Malformed, match=f"a packet of {length} octets"):
        list(Stream().feed(b"\2\1" + length.to_bytes(2, "big")))

"""EAP-TLS packets and fragments: RFC 5216, 2.1.5 and 3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eapol.errors import MalformedFrame
from eapol.methods.fragments import MAX_MESSAGE, Incoming, Outgoing, TlsPacket


def packets() -> st.SearchStrategy[TlsPacket]:
    totals = st.none() | st.integers(0, 2**32 - 1)
    flags = st.booleans()
    return st.builds(TlsPacket, st.binary(max_size=200), totals, flags, flags, st.integers(0, 31))


@given(packets())
def test_a_packet_survives_the_wire(packet: TlsPacket) -> None:
    assert TlsPacket.parse(bytes(packet)) == packet


@given(st.binary(max_size=64))
def test_arbitrary_octets_raise_only_the_packages_own_error(octets: bytes) -> None:
    try:
        packet = TlsPacket.parse(octets)
    except MalformedFrame:
        return
    assert bytes(packet) == octets


@given(st.binary(min_size=1, max_size=5000), st.integers(1, 1500), st.booleans())
def test_a_message_arrives_whole_whatever_the_size_of_its_fragments(
    message: bytes, size: int, always_length: bool
) -> None:
    outgoing, incoming = Outgoing(message, size, always_length=always_length), Incoming()
    received = None
    while not outgoing.finished:
        assert received is None
        packet = outgoing.next()
        assert len(packet.data) <= size
        received = incoming.add(TlsPacket.parse(bytes(packet)))
    assert received == message


def test_the_length_stands_in_the_first_of_several_fragments_only() -> None:
    outgoing = Outgoing(bytes(250), 100)
    totals = [outgoing.next().total for _ in range(3)]
    assert totals == [250, None, None]
    assert Outgoing(bytes(100), 100).next().total is None


def test_more_octets_than_announced_are_refused() -> None:
    incoming = Incoming()
    incoming.add(TlsPacket(bytes(100), total=150, more=True))
    with pytest.raises(MalformedFrame):
        incoming.add(TlsPacket(bytes(51), more=False))


def test_more_octets_than_announced_are_refused_before_the_last_of_them_comes() -> None:
    incoming = Incoming()
    assert incoming.add(TlsPacket(bytes(100), total=150, more=True)) is None
    assert incoming.add(TlsPacket(bytes(50), more=True)) is None
    with pytest.raises(MalformedFrame, match="longer than announced or allowed"):
        incoming.add(TlsPacket(b"x", more=True))


def test_a_packet_says_no_more_than_it_has() -> None:
    assert bytes(TlsPacket()) == b"\x00"
    assert bytes(TlsPacket(b"ab", total=300, more=True)) == b"\xc0\x00\x00\x01\x2cab"
    assert bytes(TlsPacket(start=True)) == b"\x20"
    assert TlsPacket().acknowledges
    assert not TlsPacket(more=True).acknowledges
    assert not TlsPacket(start=True).acknowledges


def test_fewer_octets_than_announced_are_refused() -> None:
    with pytest.raises(MalformedFrame):
        Incoming().add(TlsPacket(bytes(100), total=150))


def test_a_message_without_end_is_refused_at_a_bound() -> None:
    incoming = Incoming()
    part = TlsPacket(bytes(1024), more=True)
    for _ in range(MAX_MESSAGE // 1024):
        assert incoming.add(part) is None
    with pytest.raises(MalformedFrame):
        incoming.add(part)


def test_after_a_refusal_the_next_message_is_taken() -> None:
    incoming = Incoming()
    with pytest.raises(MalformedFrame):
        incoming.add(TlsPacket(bytes(2), total=1))
    assert incoming.add(TlsPacket(b"whole", total=5)) == b"whole"

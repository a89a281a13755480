from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from ntp.errors import Malformed
from ntp.packet import ExtensionField, Header, Mac, Packet


def _unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << bits) - 1)


def _octets(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


headers = st.builds(
    Header,
    mode=_unsigned(3),
    version=st.just(4),
    leap=_unsigned(2),
    stratum=_unsigned(8),
    poll=st.integers(-128, 127),
    precision=st.integers(-128, 127),
    root_delay=_unsigned(32),
    root_dispersion=_unsigned(32),
    reference_id=st.binary(min_size=4, max_size=4),
    reference=_unsigned(64),
    origin=_unsigned(64),
    receive=_unsigned(64),
    transmit=_unsigned(64),
)
fields = st.builds(
    ExtensionField,
    field_type=_unsigned(16),
    value=st.integers(6, 40).flatmap(lambda words: _octets(words * 4)),
)
macs = st.builds(
    Mac,
    key_id=_unsigned(32),
    digest=st.sampled_from([0, 16, 20]).flatmap(
        lambda size: st.binary(min_size=size, max_size=size)
    ),
)
packets = st.builds(
    Packet, header=headers, extensions=st.lists(fields, max_size=4).map(tuple), mac=st.none() | macs
)


@given(packets)
def test_a_packet_survives_the_wire_with_numbers_that_nobody_knows(packet: Packet) -> None:
    assert Packet.parse(bytes(packet)) == packet


@given(st.binary(max_size=400))
def test_arbitrary_octets_raise_only_malformed(octets: bytes) -> None:
    with suppress(Malformed):
        assert bytes(Packet.parse(octets)) == octets


@given(headers, st.binary(min_size=1, max_size=200))
def test_whatever_follows_a_header_is_understood_to_its_last_octet_or_refused(
    header: Header, rest: bytes
) -> None:
    octets = bytes(header) + rest
    with suppress(Malformed):
        assert bytes(Packet.parse(octets)) == octets


@given(st.sampled_from([1, 2, 3]), st.binary(min_size=28, max_size=64))
def test_versions_before_4_have_no_extension_fields(version: int, rest: bytes) -> None:
    octets = bytes(Header(4, version=version)) + rest
    with suppress(Malformed):
        assert Packet.parse(octets).extensions == ()

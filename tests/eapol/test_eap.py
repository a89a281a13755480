"""EAP packets: RFC 3748, 4 and 5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eapol import eap
from eapol.eap import EapCode, EapType, Packet
from eapol.errors import MalformedFrame

octet = st.integers(0, 255)


def plain() -> st.SearchStrategy[Packet]:
    codes = st.sampled_from([EapCode.REQUEST, EapCode.RESPONSE])
    types = octet.filter(lambda number: number != EapType.EXPANDED).map(EapType)
    return st.builds(Packet, codes, octet, types, st.binary(max_size=1500))


def expanded() -> st.SearchStrategy[Packet]:
    codes = st.sampled_from([EapCode.REQUEST, EapCode.RESPONSE])
    types = st.integers(0, 2**32 - 1).map(EapType)
    vendors = st.integers(0, 2**24 - 1)
    return st.builds(Packet, codes, octet, types, st.binary(), vendors, st.just(True))


def untyped() -> st.SearchStrategy[Packet]:
    codes = octet.filter(lambda number: number not in (1, 2)).map(EapCode)
    return st.builds(Packet, codes, octet, st.none(), st.binary(max_size=40))


@given(st.one_of(plain(), expanded(), untyped()), st.binary(max_size=40))
def test_a_packet_survives_the_wire_and_what_follows_it(packet: Packet, padding: bytes) -> None:
    assert Packet.parse(bytes(packet) + padding) == packet


@given(st.binary(max_size=64))
def test_arbitrary_octets_raise_only_the_packages_own_error(octets: bytes) -> None:
    try:
        Packet.parse(octets)
    except MalformedFrame as error:
        assert 0 <= error.offset <= len(octets)


@pytest.mark.parametrize("octets", ["01010003", "0101000401", "01010009fe000001", "0101"])
def test_a_length_that_does_not_fit_is_refused(octets: str) -> None:
    with pytest.raises(MalformedFrame):
        Packet.parse(bytes.fromhex(octets))


def test_the_identity_exchange_has_the_octets_seen_on_a_real_switch() -> None:
    asked = Packet.parse(bytes.fromhex("016e000501"))
    assert asked == eap.request(110, EapType.IDENTITY)
    answer = eap.response(110, EapType.IDENTITY, b"gw-0001")
    assert bytes(answer) == bytes.fromhex("026e000c01") + b"gw-0001"


def test_a_nak_without_an_alternative_carries_zero() -> None:
    assert bytes(eap.nak(7, ())) == bytes.fromhex("02070006 0300")


def test_an_expanded_nak_has_the_layout_of_rfc_3748_5_3_2() -> None:
    answer = bytes(eap.expanded_nak(9, (EapType.TLS,)))
    assert answer == bytes.fromhex("02090014 fe00000000000003 fe0000000000000d")

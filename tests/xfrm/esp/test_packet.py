"""IP headers: scapy is the oracle."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, defragment
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.packet import Packet, Raw

from xfrm.esp.packet import (
    Flow,
    checksum,
    congestion_marked,
    flow,
    fragment_key,
    fragments,
    ip_header,
    total_length,
    traffic_class,
)
from xfrm.esp.reasons import Refused

A, B = "10.1.0.1", "10.2.0.9"
A6, B6 = "2001:db8::1", "2001:db8::2"
NUMBERS = int(ip_address(A)), int(ip_address(B))
NUMBERS6 = int(ip_address(A6)), int(ip_address(B6))


@given(st.binary(max_size=200))
def test_the_checksum_makes_the_sum_of_all_words_zero(octets: bytes) -> None:
    even = octets + b"\0" * (len(octets) % 2)
    assert checksum(even + checksum(octets).to_bytes(2, "big")) == 0


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (IP(src=A, dst=B) / UDP(sport=5, dport=6) / b"x", Flow(4, *NUMBERS, 17, 5, 6)),
        (IP(src=A, dst=B) / TCP(sport=5, dport=6), Flow(4, *NUMBERS, 6, 5, 6)),
        (IP(src=A, dst=B) / ICMP(type=8, code=3), Flow(4, *NUMBERS, 1, 8, 3)),
        (IP(src=A, dst=B, proto=47) / Raw(b"gre"), Flow(4, *NUMBERS, 47, 0, 0)),
        (IP(src=A, dst=B, frag=3, proto=17) / Raw(bytes(9)), Flow(4, *NUMBERS, 17, None, None)),
        (IPv6(src=A6, dst=B6) / TCP(sport=5, dport=6), Flow(6, *NUMBERS6, 6, 5, 6)),
        (
            IPv6(src=A6, dst=B6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt()
            / UDP(sport=5, dport=6),
            Flow(6, *NUMBERS6, 17, 5, 6),
        ),
        (IPv6(src=A6, dst=B6) / ICMPv6EchoRequest(), Flow(6, *NUMBERS6, 58, 128, 0)),
        (
            IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(offset=4, nh=17) / Raw(bytes(9)),
            Flow(6, *NUMBERS6, 17, None, None),
        ),
        (
            IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(offset=0, m=1) / UDP(sport=5, dport=6),
            Flow(6, *NUMBERS6, 17, 5, 6),
        ),
    ],
    ids=str,
)  # fmt: skip
def test_the_flow_is_what_selectors_look_at(packet: Packet, expected: Flow) -> None:
    assert flow(bytes(packet)) == expected
    assert flow(bytes(packet) + b"padding behind") == expected


@given(st.binary(max_size=120), st.sampled_from([b"", b"\x45\0\0\x20", b"\x60\0\0\0\0\x10"]))
def test_arbitrary_octets_are_a_flow_or_refused(octets: bytes, front: bytes) -> None:
    packet = front + octets
    try:
        flow(packet)
        fragment_key(packet)
        assert total_length(packet) <= len(packet)
    except Refused as refused:
        assert refused.reason == "XfrmInHdrError"


@given(size=st.integers(0, 4000), mtu=st.integers(68, 1500), more=st.booleans())
def test_fragments_make_the_packet_again(size: int, mtu: int, more: bool) -> None:
    offset = 185 if more else 0
    packet = bytes(
        IP(src=A, dst=B, id=77, flags="MF" if more else "", frag=offset, proto=50)
        / Raw(bytes(i & 0xFF for i in range(size)))
    )
    parts = list(fragments(packet, mtu))
    assert all(len(part) <= mtu and len(part) == total_length(part) for part in parts)
    assert all(checksum(part[:20]) == 0 for part in parts)
    assert b"".join(part[20:] for part in parts) == packet[20:]
    if more:
        assert all(part[6] & 0x20 for part in parts)
        assert [IP(part).frag for part in parts][:1] == [185]
    elif len(parts) > 1:
        whole = defragment([IP(part) for part in parts])
        assert bytes(whole[0])[20:] == packet[20:]


def test_a_header_is_scapys() -> None:
    built = ip_header(ip_address(A), ip_address(B), 50, 100, tos=0x28, ttl=9, identification=7)
    assert built == bytes(IP(src=A, dst=B, proto=50, len=120, tos=0x28, ttl=9, id=7))
    built = ip_header(ip_address(A6), ip_address(B6), 50, 100, tos=0x28, ttl=9)
    assert built == bytes(IPv6(src=A6, dst=B6, nh=50, plen=100, tc=0x28, hlim=9))


@pytest.mark.parametrize("outer", range(4))
@pytest.mark.parametrize("inner", range(4))
@pytest.mark.parametrize("ipv6", [False, True])
def test_congestion_on_the_path_reaches_the_inner_packet(
    outer: int, inner: int, ipv6: bool
) -> None:
    """RFC 6040, 4.2, figure 4, as far as CE is concerned; DSCP stays the inner's."""
    header = IPv6(src=A6, dst=B6, tc=0xB8 | inner) if ipv6 else IP(src=A, dst=B, tos=0xB8 | inner)
    packet = bytes(header / UDP() / b"content")
    if outer == 3 and inner == 0:
        with pytest.raises(Refused, match="Congestion"):
            congestion_marked(outer, packet)
        return
    marked = congestion_marked(outer, packet)
    assert traffic_class(marked) == 0xB8 | (3 if outer == 3 else inner)
    assert ipv6 or checksum(marked[:20]) == 0
    assert marked[20 if not ipv6 else 40 :] == packet[20 if not ipv6 else 40 :]


def test_fragments_of_ipv6_are_told_by_their_number_behind_other_extension_headers_too() -> None:
    def key(number: int, offset: int) -> bytes | None:
        head = IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrDestOpt()
        return fragment_key(bytes(head / IPv6ExtHdrFragment(id=number, offset=offset, m=1, nh=17)))

    assert key(7, 0) == key(7, 8) != key(8, 0)
    assert key(7, 0) is not None
    assert fragment_key(bytes(IPv6() / IPv6ExtHdrDestOpt() / UDP())) is None

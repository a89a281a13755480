"""Transport mode over a device of whole IP packets: scapy is the oracle."""

import os
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
from scapy.packet import Packet

from lab.esp_values import LEFT, RIGHT, sa
from xfrm.esp.packet import fragments
from xfrm.esp.reasons import Refused
from xfrm.model import Encapsulation, Mode
from xfrm.tun.transport import Joiner, rebuilt, upper_layer

FORTH = sa(LEFT, RIGHT, mode=Mode.TRANSPORT)


@given(
    size=st.integers(0, 6000), mtu=st.integers(100, 1500), data=st.data(),
)  # fmt: skip
def test_the_hosts_fragments_are_joined_in_any_order(
    size: int, mtu: int, data: st.DataObject
) -> None:
    payload = bytes(UDP(sport=1, dport=2) / os.urandom(size))
    packet = bytes(IP(src=LEFT, dst=RIGHT, id=7, proto=17)) + payload
    packet = packet[:2] + len(packet).to_bytes(2, "big") + packet[4:]
    parts = data.draw(st.permutations(list(fragments(packet, mtu))))
    joiner = Joiner()
    *early, last = [upper_layer(part, joiner) for part in parts]
    assert early == [None] * len(early)
    assert last == (17, payload)


def test_half_datagrams_do_not_pile_up() -> None:
    joiner = Joiner()
    for number in range(1000):
        first, second = fragment(IP(src=LEFT, dst=RIGHT, id=number) / UDP() / bytes(900), 500)[:2]
        assert upper_layer(bytes(first), joiner) is None
    assert upper_layer(bytes(second), joiner) is not None
    assert len(joiner._parts) <= 64


@pytest.mark.parametrize("transport", [UDP(sport=5, dport=6), TCP(sport=5, dport=6)], ids=str)
@given(content=st.binary(max_size=64))
def test_behind_a_nat_checksums_are_made_right(transport: Packet, content: bytes) -> None:
    """The peer made them for its own address, 10.0.0.9, which the NAT changed to LEFT."""
    original = IP(bytes(IP(src="10.0.0.9", dst=RIGHT) / transport / content))
    nat = replace(FORTH, encapsulation=Encapsulation())
    built = rebuilt(nat, original.proto, bytes(original.payload), 0)
    expected = IP(src=LEFT, dst=RIGHT, id=0) / original.payload.copy()
    del expected.payload.chksum
    assert built == bytes(expected)
    straight = rebuilt(FORTH, original.proto, bytes(original.payload), 0)
    assert straight[20:] == bytes(original.payload)


def test_ipv6_options_for_routers_are_refused() -> None:
    packet = bytes(IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrHopByHop() / UDP())
    with pytest.raises(Refused):
        upper_layer(packet, Joiner())
    plain = bytes(IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP())
    assert upper_layer(plain, Joiner()) == (17, plain[40:])


def test_the_header_is_made_of_the_sas_addresses() -> None:
    built = IP(rebuilt(FORTH, 17, bytes(UDP() / b"x"), 0xB8))
    assert (ip_address(built.src), ip_address(built.dst)) == (FORTH.src, FORTH.dst)
    assert (built.tos, built.proto, built.len) == (0xB8, 17, 29)

"""Notifications of rtnetlink, as octets; `interop/test_datapath_life.py` has the kernel's own."""

import struct
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from xfrm.tun.watch import Changes, read_changes

INDEX, TABLE = 7, 4500
SEEN_BY_NOBODY = struct.pack("=IHHII", 20, 24, 0, 1, 1) + bytes(4)  # RTM_NEWROUTE


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 1) + body


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value


def of_table(kind: int, table: int, dst: bytes, bits: int) -> bytes:
    family = 10 if len(dst) == 16 else 2
    attributes = attribute(15, struct.pack("=I", table)) + attribute(1, dst)
    return message(kind, struct.pack("=BB10x", family, bits) + attributes)


def link(index: int, flags: int) -> bytes:
    return message(16, struct.pack("=BxHiII", 0, 65534, index, flags, 0))


def read(octets: bytes) -> Changes:
    return read_changes(octets, INDEX, TABLE)


@given(st.binary(max_size=200))
def test_octets_that_are_no_messages_count_as_a_change_of_everything(junk: bytes) -> None:
    read(junk)  # raises nothing
    everything = Changes(addresses=True, everything=True)
    assert read(struct.pack("=I", 3) + junk[:12].ljust(12, b"\0")) == everything


def test_an_address_that_comes_or_goes_is_a_change() -> None:
    for kind in (20, 21):
        assert read(SEEN_BY_NOBODY + message(kind, bytes(8))) == Changes(addresses=True)


@given(st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(network="fd00::/8"))
def test_only_routes_of_our_table_are_ours(address: object) -> None:
    net = ip_network(f"{address}")
    dst, bits = net.network_address.packed, net.prefixlen
    assert read(of_table(25, TABLE, dst, bits)) == Changes(routes={net})
    assert not read(of_table(25, 254, dst, bits))
    assert not read(of_table(24, TABLE, dst, bits))  # a new one


def test_a_rule_that_went_and_a_device_that_is_up_again_mean_everything() -> None:
    assert read(of_table(33, TABLE, bytes(4), 0)).everything
    assert not read(of_table(33, 254, bytes(4), 0))
    assert read(link(INDEX, 1)).everything
    assert not read(link(INDEX, 0))
    assert not read(link(INDEX + 1, 1))

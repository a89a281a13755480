"""Messages of rtnetlink(7) as octets, and what a table makes of them."""

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.cursor import DecodeError
from wire.record import replace
from wire.rtnetlink import (
    Change,
    DumpEnd,
    Link,
    OwnAddress,
    Route,
    Rule,
    Table,
    Told,
    groups,
    parse,
    put_route,
    request,
)

NEWLINK, DELLINK, NEWADDR, DELADDR, NEWROUTE, DELROUTE, NEWRULE = 16, 17, 20, 21, 24, 25, 32
UP, RUNNING, LOWER_UP, DORMANT = 0x1, 0x40, 0x10000, 0x20000
REPLACE, CLONED = 0x100, 0x200
INET, INET6, BRIDGE = 2, 10, 7
MAC = bytes.fromhex("020000000001")


def message(kind: int, body: bytes, flags: int = 0) -> bytes:
    octets = struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body
    return octets + bytes(-len(octets) % 4)


def attributes(values: dict[int, bytes]) -> bytes:
    made = b""
    for kind, value in values.items():
        made += struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
    return made


def number(value: int) -> bytes:
    return struct.pack("=I", value)


def link(flags: int, kind: int = NEWLINK, family: int = 0) -> bytes:
    body = struct.pack("=BxHiII", family, 1, 7, flags, 0)
    return message(kind, body + attributes({3: b"eth0\0", 1: MAC, 4: number(1400)}))


def own(address: str, kind: int = NEWADDR, flags: int = 0, lifetime: int = 0) -> bytes:
    packed = ip_address(address).packed
    family = INET if len(packed) == 4 else INET6
    body = struct.pack("=BBBBI", family, 24, 0x80, 0, 7)
    cache = number(lifetime) * 4  # ifa_cacheinfo: preferred, valid, created, updated
    return message(kind, body + attributes({1: packed, 8: number(0x80 | flags), 6: cache}))


def route(
    network: str, *, kind: int = NEWROUTE, table: int = 4500, gateway: str = "", flags: int = 0,
    cloned: int = 0,
) -> bytes:  # fmt: skip
    net = ip_network(network)
    family = INET if net.version == 4 else INET6
    body = struct.pack("=BBBBBBBBI", family, net.prefixlen, 0, 0, table & 255, 3, 0, 1, cloned)
    values = {15: number(table), 1: net.network_address.packed, 4: number(7), 6: number(20)}
    if gateway:
        values[5] = ip_address(gateway).packed
    return message(kind, body + attributes(values), flags)


def told(*octets: bytes) -> list[Told]:
    return [each for each in parse(b"".join(octets)) if isinstance(each, Told)]


def taken(table: Table, *octets: bytes) -> list[Change]:
    return [change for each in told(*octets) if (change := table.take(each))]


ETH0 = Link(index=7, name="eth0", enabled=True, carrier=True, address=MAC, mtu=1400)


# Messages


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
    (found,) = told(link(flags))
    state = replace(ETH0, enabled=bool(flags & UP), carrier=bool(flags & LOWER_UP))
    assert found == Told(state, gone=False, alone=True)
    assert state.up is up


def test_several_messages_in_one_datagram_are_told_in_order() -> None:
    found = told(link(UP | LOWER_UP), own("10.0.0.1"), link(0, kind=DELLINK))
    assert [(type(each.item), each.gone) for each in found] == [
        (Link, False), (OwnAddress, False), (Link, True),
    ]  # fmt: skip


def test_an_interface_that_leaves_a_bridge_is_not_gone() -> None:
    """The kernel says so by a DELLINK of the family AF_BRIDGE: of the port, not the link."""
    assert told(link(UP | LOWER_UP, kind=DELLINK, family=BRIDGE)) == []


def test_the_local_address_counts_where_there_is_a_peers_beside_it() -> None:
    body = struct.pack("=BBBBI", INET, 32, 0, 0, 2)
    octets = attributes({1: bytes([10, 0, 0, 9]), 2: bytes([10, 0, 0, 1]), 3: b"ppp0\0"})
    (found,) = told(message(DELADDR, body + octets))
    assert found == Told(OwnAddress(2, IPv4Address("10.0.0.1"), 32, True), gone=True, alone=True)


@pytest.mark.parametrize(("flags", "usable"), [(0, True), (0x40, False), (0x08, False)])
def test_an_address_is_not_usable_while_or_when_another_may_have_it(
    flags: int, usable: bool
) -> None:
    (found,) = told(own("fd00::1", flags=flags))
    assert found.item == OwnAddress(7, IPv6Address("fd00::1"), 24, usable)


def test_a_route_is_told_with_its_table_of_32_bits_and_what_was_there_before() -> None:
    (found,) = told(route("10.1.0.0/16", gateway="10.0.0.9", flags=REPLACE))
    assert found.item == Route(
        table=4500, network=ip_network("10.1.0.0/16"), metric=20, tos=0, kind=1,
        gateway=bytes([10, 0, 0, 9]), index=7, paths=b"",
    )  # fmt: skip
    assert found.alone
    assert not told(route("10.1.0.0/16"))[0].alone


def test_what_the_kernel_remembers_of_one_host_is_no_route() -> None:
    assert told(route("fd00::7/128", cloned=CLONED)) == []


def test_a_default_route_has_no_destination_attribute() -> None:
    body = struct.pack("=BBBBBBBBI", INET6, 0, 0, 0, 254, 3, 0, 1, 0)
    (found,) = told(message(NEWROUTE, body))
    assert isinstance(found.item, Route)
    assert (found.item.network, found.item.table) == (ip_network("::/0"), 254)


def test_a_rule_is_told_with_its_mark_and_table() -> None:
    body = struct.pack("=BBBBBBBBI", INET, 0, 0, 0, 148, 0, 0, 1, 2)
    octets = attributes({15: number(4500), 6: number(450), 10: number(0x1000000)})
    (found,) = told(message(NEWRULE, body + octets))
    assert found.item == Rule(INET, table=4500, priority=450, mark=0x1000000)


def test_the_end_of_a_dump_says_whether_something_changed_meanwhile() -> None:
    assert list(parse(message(3, number(0)))) == [DumpEnd(error=0, sound=True)]
    interrupted = message(NEWLINK, bytes(16), flags=0x10) + message(3, number(0))
    assert list(parse(interrupted))[-1] == DumpEnd(error=0, sound=False)
    refused = struct.pack("=i", -1) + bytes(16)
    assert list(parse(message(2, refused))) == [DumpEnd(error=1, sound=True)]


@pytest.mark.parametrize(
    ("kind", "number"), [(Link, 18), (OwnAddress, 22), (Route, 26), (Rule, 34)]
)
def test_a_request_asks_for_all_of_a_kind(
    kind: type[Link | OwnAddress | Route | Rule], number: int
) -> None:
    octets = request(kind)
    length, asked, flags, _, port = struct.unpack_from("=IHHII", octets)
    assert (length, asked, flags, port) == (len(octets), number, 0x301, 0)
    assert not any(octets[16:])


def test_the_interface_of_a_link_local_source_is_no_part_of_its_octets() -> None:
    """The route has the interface by its index."""
    network, source = ip_network("fd01::/64"), IPv6Address("fe80::1%eth0")
    asked = put_route(network, 4500, index=3, source=source)
    assert asked == put_route(network, 4500, index=3, source=IPv6Address("fe80::1"))
    assert source.packed in asked


def test_the_groups_are_those_of_both_families() -> None:
    assert groups([Link]) == 0x1
    assert groups([OwnAddress, Route]) == 0x10 | 0x100 | 0x40 | 0x400
    assert groups([Rule]) == 1 << 7 | 1 << 18


@given(st.binary(max_size=200))
def test_octets_that_are_no_messages_raise_only_decode_errors(octets: bytes) -> None:
    for junk in (octets, struct.pack("=IHHII", 16 + len(octets), NEWROUTE, 0, 1, 0) + octets):
        try:
            assert all(isinstance(each, Told | DumpEnd) for each in parse(junk))
        except DecodeError as error:
            assert error.offset <= len(junk)


@given(st.data())
def test_a_message_that_is_cut_short_raises_a_decode_error(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([link(UP), own("10.0.0.1"), route("10.0.0.0/8")]))
    size = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(DecodeError):
        told(whole[:size])


# Changes


def test_a_refreshed_lifetime_of_an_address_is_no_change() -> None:
    table = Table()
    assert len(taken(table, own("fd00::1", lifetime=100))) == 1
    assert taken(table, own("fd00::1", lifetime=200), own("fd00::1", lifetime=50)) == []


def test_an_address_that_becomes_usable_is_a_change() -> None:
    table = Table()
    came, usable = taken(table, own("fd00::1", flags=0x40), own("fd00::1"))
    assert came == Change(None, OwnAddress(7, IPv6Address("fd00::1"), 24, usable=False))
    assert usable == Change(came.after, OwnAddress(7, IPv6Address("fd00::1"), 24, usable=True))


def test_a_carrier_that_goes_and_comes_is_told_with_what_was_before() -> None:
    table = Table()
    taken(table, link(UP | LOWER_UP))
    without = replace(ETH0, carrier=False)
    assert taken(table, link(UP | LOWER_UP | DORMANT), link(UP), link(UP), link(UP | LOWER_UP)) == [
        Change(ETH0, without),
        Change(without, ETH0),
    ]


def test_what_goes_is_told_once_and_what_was_never_known_is_not() -> None:
    table = Table()
    taken(table, own("10.0.0.1"))
    gone = own("10.0.0.1", kind=DELADDR)
    assert [change.after for change in taken(table, gone, gone)] == [None]


def test_a_route_that_replaces_another_is_a_change_back_and_forth() -> None:
    table = Table()
    first, second = (
        route("0.0.0.0/0", gateway=gateway, flags=REPLACE) for gateway in ("10.0.0.1", "10.0.0.2")
    )
    changes = taken(table, first, second, second, first)
    ends = [told(each)[0].item for each in (first, second, first)]
    assert [change.after for change in changes] == ends
    assert [change.before for change in changes] == [None, *ends[:2]]


def test_two_routes_side_by_side_are_known_both() -> None:
    table = Table()
    both = [route("::/0", gateway=gateway) for gateway in ("fe80::1", "fe80::2")]
    assert len(taken(table, *both)) == 2
    assert taken(table, *both, *both) == []
    assert len(taken(table, route("::/0", gateway="fe80::1", kind=DELROUTE))) == 1
    assert taken(table, both[1]) == []


@pytest.mark.parametrize("away", [link(0), link(0, kind=DELLINK), own("10.0.0.1", kind=DELADDR)])
def test_ipv4_routes_that_the_kernel_takes_away_without_a_word_are_news_when_they_are_back(
    away: bytes,
) -> None:
    table = Table()
    taken(table, link(UP | LOWER_UP), own("10.0.0.1"), route("0.0.0.0/0", gateway="10.0.0.9"))
    taken(table, away)
    (back,) = taken(table, route("0.0.0.0/0", gateway="10.0.0.9"))
    assert isinstance(back.after, Route)


items = st.builds(
    OwnAddress,
    index=st.integers(1, 2),
    address=st.sampled_from([ip_address("fd00::1"), ip_address("fd00::2")]),
    prefix=st.just(64),
    usable=st.booleans(),
)


def as_known(found: Iterable[OwnAddress]) -> dict[tuple[int, object], OwnAddress]:
    return {(item.index, item.address): item for item in found}


@given(st.lists(st.tuples(items, st.booleans())), st.lists(items))
def test_after_a_gap_a_full_list_makes_the_table_that_of_the_kernel_and_tells_each_difference(
    before: list[tuple[OwnAddress, bool]], now: list[OwnAddress]
) -> None:
    table = Table()
    for item, gone in before:
        table.take(Told(item, gone, alone=True))
    known = as_known(item for item in table.items() if isinstance(item, OwnAddress))
    listed = as_known(now)
    table.doubt(OwnAddress)
    changes = [table.take(Told(item, gone=False, alone=True)) for item in listed.values()]
    changes += table.settle()
    told_of = [(each.before, each.after) for each in changes if each]
    assert set(table.items()) == set(listed.values())
    assert len(told_of) == len(set(told_of))
    assert set(told_of) == {
        (known.get(key), listed.get(key))
        for key in known.keys() | listed.keys()
        if known.get(key) != listed.get(key)
    }


def test_a_table_is_bounded_and_what_is_beyond_is_told_each_time() -> None:
    table = Table()
    for count in range(Table.MOST):
        table.take(Told(replace(ETH0, index=count), gone=False, alone=True))
    more = Told(replace(ETH0, index=Table.MOST), gone=False, alone=True)
    assert table.take(more) == table.take(more) == Change(None, more.item)
    assert sum(1 for _ in table.items()) == Table.MOST

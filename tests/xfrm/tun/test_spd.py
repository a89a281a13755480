"""The policy database."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lab.esp_values import LEFT, RIGHT, policy
from xfrm.dataplane import NoSuchEntry, Unsupported
from xfrm.esp.packet import Flow
from xfrm.model import Direction, Mark, Mode, Policy, Protocol, Selector, Template
from xfrm.tun.spd import Matcher, PolicyEntry, Spd, UnknownPorts

FLOW = Flow(4, int(ip_address("10.1.0.5")), int(ip_address("10.2.0.5")), 6, 1000, 80)
OUT = Direction.OUT


@given(
    host=st.integers(0, (1 << 32) - 1), network=st.integers(0, (1 << 32) - 1),
    prefix=st.integers(0, 32),
)  # fmt: skip
def test_an_address_matches_exactly_when_it_is_in_the_network(
    host: int, network: int, prefix: int
) -> None:
    net = ip_network((network, prefix), strict=False)
    any_net = ip_network("0.0.0.0/0")
    expected = ip_address(host) in net
    flow = Flow(4, host, 0, 17, 1, 2)
    assert Matcher(Selector(src=net, dst=any_net)).matches(flow) == expected
    flow = Flow(4, 0, host, 17, 1, 2)
    assert Matcher(Selector(src=any_net, dst=net)).matches(flow) == expected


def test_the_lowest_priority_number_decides_then_the_older_policy() -> None:
    spd = Spd()
    wide = policy(OUT, "10.0.0.0/8", "10.0.0.0/8", priority=20)
    narrow = policy(OUT, "10.1.0.0/16", "10.2.0.0/16", priority=10)
    later = policy(OUT, "10.1.0.0/24", "10.2.0.0/24", priority=10)
    for each in (wide, narrow, later):
        spd.put(each, 0)
    found = spd.find(OUT, FLOW)
    assert found is not None
    assert found.policy.selector == narrow.selector
    assert spd.find(Direction.IN, FLOW) is None
    spd.remove(narrow)
    spd.remove(later)
    found = spd.find(OUT, FLOW)
    assert found is not None
    assert found.policy.selector == wide.selector


def test_a_policy_replaces_the_one_with_its_selector_and_direction() -> None:
    spd = Spd()
    first = spd.put(policy(OUT, "10.0.0.0/8", "10.0.0.0/8", priority=20), 0)
    spd.put(policy(OUT, "10.0.0.0/8", "10.0.0.0/8", priority=30), 0)
    assert [entry.policy.priority for entry in spd] == [30]
    spd.remove(first.policy)
    with pytest.raises(NoSuchEntry, match=r"10\.0\.0\.0/8"):
        spd.remove(first.policy)


def test_indexes_differ_and_say_the_direction() -> None:
    spd = Spd()
    directions = [Direction.IN, Direction.OUT, Direction.FWD]
    for direction in directions:
        spd.put(policy(direction, "10.0.0.0/8", "10.0.0.0/8"), 0)
    indexes = [entry.snapshot().index for entry in spd]
    assert len(set(indexes)) == 3
    assert [index & 7 for index in indexes] == directions


def test_ports_decide_and_a_fragment_without_them_is_nobodys() -> None:
    spd = Spd()
    web = policy(OUT, "10.0.0.0/8", "10.0.0.0/8", of_protocol=6, of_dst_port=80)
    spd.put(web, 0)
    assert spd.find(OUT, FLOW) is not None
    assert spd.find(OUT, FLOW._replace(dst_port=81)) is None
    assert spd.find(OUT, FLOW._replace(protocol=17)) is None
    with pytest.raises(UnknownPorts):
        spd.find(OUT, FLOW._replace(src_port=None, dst_port=None))


def test_what_the_data_path_does_not_do_is_refused_in_one_sentence() -> None:
    spd = Spd()
    ends = (LEFT, RIGHT)
    good = policy(OUT, "10.0.0.0/8", "10.0.0.0/8", ends)
    bundle = replace(good, templates=good.templates * 2)
    beet = replace(good, templates=(Template(mode=Mode(4)),))
    ipcomp = policy(OUT, "10.0.0.0/8", "10.0.0.0/8", ends, protocol=Protocol.IPCOMP)
    endless = replace(good, templates=(Template(mode=Mode.TUNNEL),))
    for each, text in (
        (bundle, "one transform"), (beet, "mode 4"), (ipcomp, "IPCOMP"),
        (endless, "end points"), (replace(good, mark=Mark(value=1)), "kernel with ESP"),
        (replace(good, direction=Direction.SOCKET_OUT), "per-socket policies"),
    ):  # fmt: skip
        with pytest.raises(Unsupported, match=text):
            spd.put(each, 0)
    assert list(spd) == []


NETWORKS = st.sampled_from(
    ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.0.5/32", "10.2.0.0/16", "::/0", "fd00::/64"]
)
PORTS = st.sampled_from([None, 80, 1000])


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    src, dst = draw(NETWORKS), draw(NETWORKS)
    assume((":" in src) == (":" in dst))
    protocol = draw(st.sampled_from([0, 6, 17]))
    return policy(
        OUT, src, dst, priority=draw(st.integers(1, 3)), of_protocol=protocol,
        of_src_port=draw(PORTS) if protocol else None,
        of_dst_port=draw(PORTS) if protocol else None,
    )  # fmt: skip


FLOWS = st.builds(
    lambda version, src, dst, protocol, ports: Flow(
        version,
        int(ip_address(src if version == 4 else "fd00::1")),
        int(ip_address(dst if version == 4 else "fd00::2")),
        protocol,
        *(ports or (None, None)),
    ),
    st.sampled_from([4, 4, 6]),
    st.sampled_from(["10.1.0.5", "10.1.9.9", "10.2.0.5", "192.0.2.1"]),
    st.sampled_from(["10.1.0.5", "10.2.0.5", "192.0.2.1"]),
    st.sampled_from([6, 17, 1]),
    st.sampled_from([(1000, 80), (80, 1000), (7, 7), None]),
)


def decided(spd: Spd, flow: Flow) -> tuple[PolicyEntry | None, bool]:
    """By the index: the policy, and whether the flow's ports are needed and unknown."""
    try:
        return spd.find(OUT, flow), False
    except UnknownPorts as unknown:
        return unknown.entry, True


def asked_one_by_one(spd: Spd, flow: Flow) -> tuple[PolicyEntry | None, bool]:
    for entry in sorted(spd, key=lambda each: each.rank):
        matches = entry.matcher.matches(flow)
        if matches is not False:
            return entry, matches is None
    return None, False


@given(st.lists(st.tuples(policies(), st.booleans()), max_size=12), st.lists(FLOWS, min_size=1))
def test_the_index_finds_what_asking_one_by_one_finds(
    changes: list[tuple[Policy, bool]], flows: list[Flow]
) -> None:
    spd = Spd()
    for made, stays in changes:
        spd.put(made, 0)
        if not stays:
            spd.remove(made)
    for flow in flows:
        assert decided(spd, flow) == asked_one_by_one(spd, flow)
    assert list(spd.ordered(OUT)) == sorted(spd, key=lambda each: each.rank)


def test_one_of_two_policies_that_look_at_the_same_bits_goes_and_the_other_stays() -> None:
    spd = Spd()
    one, other = (policy(OUT, "10.1.0.0/16", net) for net in ("10.2.0.0/16", "10.3.0.0/16"))
    for each in (one, other):
        spd.put(each, 0)
    spd.remove(other)
    found = spd.find(OUT, FLOW)
    assert found is not None
    assert found.policy.selector == one.selector
    spd.remove(one)
    assert spd.find(OUT, FLOW) is None
    spd.put(other, 0)
    assert spd.find(OUT, FLOW) is None

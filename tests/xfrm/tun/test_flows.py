"""Decisions that are remembered: always those that would be made anew, and no more than needed."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP

from lab.esp_values import LEFT, LEFT_NET, RIGHT, RIGHT_NET, policy, sa
from lab.forward_pair import BACK, FORTH, A, B, Host, connected
from xfrm.esp.packet import IPIP, Flow
from xfrm.esp.reasons import Reason, Refused
from xfrm.esp.sad import ends_of
from xfrm.model import Direction, Policy, SecurityAssociation
from xfrm.tun.flows import Flows
from xfrm.tun.forward import Forwarder
from xfrm.tun.spd import PolicyEntry, Spd

ENDS = (LEFT, RIGHT)
SELECTORS = [
    {}, {"of_protocol": 17}, {"of_protocol": 17, "of_dst_port": 7},
    {"of_protocol": 17, "of_dst_port": 9}, {"of_protocol": 17, "of_src_port": 5},
]  # fmt: skip
PACKETS = [
    bytes(IP(src=A, dst=dst) / UDP(sport=sport, dport=dport) / b"x")
    for dst in (B, "10.2.0.9", "10.9.0.1")
    for sport in (5, 6)
    for dport in (7, 8, 9)
] + [bytes(IP(src=A, dst=B, proto=17, frag=9) / b"fragment")]

policies = st.builds(
    lambda way, dst, fields, priority, ends, **_: policy(
        way, LEFT_NET if way == Direction.OUT else "0.0.0.0/0", dst, ends,
        priority=priority, **fields,
    ),
    way=st.sampled_from([Direction.IN, Direction.OUT, Direction.FWD]),
    dst=st.sampled_from([RIGHT_NET, "10.2.0.0/28", "0.0.0.0/0"]),
    fields=st.sampled_from(SELECTORS),
    priority=st.integers(1, 3),
    ends=st.sampled_from([ENDS, (LEFT, "192.0.2.3"), None]),
)  # fmt: skip
sas = st.builds(
    lambda number, dst, reqid: sa(LEFT, dst, 0x1000 + number, reqid=reqid),
    st.integers(0, 3), st.sampled_from([RIGHT, "192.0.2.3"]), st.sampled_from([0, 0, 1]),
)  # fmt: skip
changes = st.lists(st.tuples(st.booleans(), policies | sas), max_size=12)


def refusals(forwarder: Forwarder) -> int:
    """But for those of packets that wait in vain."""
    return forwarder.counters.total() - forwarder.counters[Reason.OUT_NO_STATES]


def what_becomes_of(host: Host, forwarder: Forwarder, packet: bytes) -> str:
    """Where `forwarder` has one packet go: to the peer by which SA, in clear, or kept."""
    before = [(entry, entry.outbound.packets) for entry in host.sad]
    clear, counted = len(host.clear), refusals(forwarder)
    forwarder.outbound((packet,))
    if len(host.clear) > clear:
        return "in clear"
    if refusals(forwarder) > counted:
        return "refused"
    used = [hex(entry.sa.spi) for entry, packets in before if entry.outbound.packets > packets]
    return used[0] if used else "waits"


def change(host: Host, comes: bool, what: Policy | SecurityAssociation) -> None:
    if isinstance(what, Policy):
        if comes:
            host.put(what)
        elif host.spd.get(what) is not None:
            host.remove(what)
    elif comes and host.sad.get(what.id) is None:
        host.add(what)
    elif not comes and host.sad.get(what.id) is not None:
        gone = host.sad.delete(what.id).sa
        host.changed(gone)


@given(changes)
def test_after_any_changes_each_packet_goes_where_a_fresh_decision_sends_it(
    made: list[tuple[bool, Policy | SecurityAssociation]],
) -> None:
    host = Host(LEFT, A)
    for comes, what in made:
        change(host, comes, what)
        for packet in PACKETS:
            kept = what_becomes_of(host, host.forwarder, packet)
            fresh = Forwarder(host.sad, host.spd, host.ports)
            assert kept == what_becomes_of(host, fresh, packet)


def arrives(forwarder: Forwarder, host: Host, packet: bytes) -> bool:
    """Whether `packet` is let in by the first SA."""
    entry = host.sad.get(BACK.id)
    assert entry is not None
    try:
        forwarder._admitted(entry, IPIP, packet)
    except Refused:
        return False
    return True


@given(changes)
def test_after_any_changes_each_packet_comes_in_where_a_fresh_decision_lets_it_in(
    made: list[tuple[bool, Policy | SecurityAssociation]],
) -> None:
    left, _ = connected()
    back = [
        bytes(IP(src=src, dst=A) / UDP(sport=sport, dport=7))
        for src in (B, "10.2.0.9", "10.9.0.1")
        for sport in (5, 80)
    ]
    for comes, what in made:
        if isinstance(what, Policy) and what.direction != Direction.OUT:
            selector = replace(what.selector, src=what.selector.dst, dst=what.selector.src)
            change(left, comes, replace(what, selector=selector))
        else:
            change(left, comes, what)
        for packet in back:
            fresh = Forwarder(left.sad, left.spd, left.ports)
            assert arrives(left.forwarder, left, packet) == arrives(fresh, left, packet)


# What is forgotten

FLOW = Flow(4, int(ip_address(A)), int(ip_address(B)), 17, 5, 7)


def entry(**fields: Any) -> PolicyEntry:
    return Spd().put(policy(Direction.OUT, LEFT_NET, RIGHT_NET, ENDS, **fields), 0)


def remembered(flows: Flows[int, str], *keys: int) -> list[int]:
    return [key for key in keys if flows.get(key)]


def test_a_change_of_one_sa_or_policy_forgets_no_flow_of_others() -> None:
    flows: Flows[int, str] = Flows(10)
    one, other = entry(), entry()
    flows.put(1, "a", FLOW, one, ends_of(FORTH))
    flows.put(2, "b", FLOW, one, ends_of(BACK))
    flows.put(3, "c", FLOW, other, ends_of(BACK))
    flows.forget_sa(ends_of(FORTH))
    assert remembered(flows, 1, 2, 3) == [2, 3]
    flows.forget_policy(other)
    assert remembered(flows, 1, 2, 3) == [2]
    flows.forget_sa(ends_of(FORTH))
    flows.forget_policy(other)
    assert len(flows) == 1


def test_a_new_policy_takes_over_only_flows_that_it_matches_and_decides() -> None:
    flows: Flows[int, str] = Flows(10)
    before, behind = entry(priority=1), entry(priority=9)
    flows.put(1, "x", FLOW, before, None)
    flows.put(2, "x", FLOW, behind, None)
    flows.put(3, "x", FLOW._replace(protocol=6), behind, None)
    flows.put(4, "x", FLOW, Direction.OUT, None)
    flows.put(5, "x", FLOW, Direction.IN, None)
    flows.put(6, "x", FLOW._replace(src_port=None, dst_port=None), behind, None)
    flows.forget_taken_over(entry(priority=5, of_protocol=17, of_dst_port=7))
    assert remembered(flows, 1, 2, 3, 4, 5, 6) == [1, 3, 5]


def test_the_oldest_flow_goes_when_there_is_no_room_and_only_that() -> None:
    flows: Flows[int, str] = Flows(3)
    for key in (1, 2, 3, 2, 4):
        flows.put(key, "x", FLOW, Direction.OUT, None)
    assert remembered(flows, 1, 2, 3, 4) == [2, 3, 4]
    flows.put(5, "x", FLOW, Direction.OUT, None)
    assert (len(flows), remembered(flows, 3)) == (3, [])

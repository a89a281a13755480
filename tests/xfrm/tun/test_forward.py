"""The packet path in memory: two hosts, each a `Forwarder` and an `Inlet`, joined by calls."""

import os
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from lab.esp_values import LEFT, LEFT_NET, RIGHT, RIGHT_NET, ends, policy, sa
from lab.forward_pair import FORTH, A, B, Host, carry, connected, pair
from xfrm.esp.reasons import Reason
from xfrm.model import Action, Direction, Mode, Protocol
from xfrm.tun.waiting import ACQUIRE_SECONDS, HELD_PACKETS, HELD_SECONDS


def test_a_packet_goes_through_and_keeps_its_tos() -> None:
    left, right = connected()
    packet = IP(src=A, dst=B, tos=0xB8) / UDP(sport=1, dport=2) / b"content"
    left.out(packet)
    assert left.sent[0][1] == 0xB8
    carry(left, right)
    assert right.delivered == [bytes(packet)]
    assert not left.counters
    assert not right.counters


def test_usage_counts_inner_octets_as_linux_does() -> None:
    left, right = connected()
    for _ in range(3):
        left.out(IP(src=A, dst=B) / ICMP() / bytes(56))
    carry(left, right)
    for host in (left, right):
        (usage,) = [entry.snapshot().usage for entry in host.sad if entry.sa.spi == FORTH.spi]
        assert (usage.octets, usage.packets, usage.used) == (3 * 84, 3, 1_700_000_000)


def test_ipv6_goes_through_a_tunnel_of_ipv4() -> None:
    left, right = connected()
    net, far = "2001:db8:1::/64", "2001:db8:2::/64"
    left.spd.put(policy(Direction.OUT, net, far, (LEFT, RIGHT)), 0)
    right.spd.put(policy(Direction.FWD, net, far, (LEFT, RIGHT)), 0)
    packet = IPv6(src="2001:db8:1::1", dst="2001:db8:2::1", tc=0x28) / UDP() / b"content"
    left.out(packet)
    assert left.sent[0][1] == 0x28
    carry(left, right)
    assert right.delivered == [bytes(packet)]


def test_a_replayed_packet_is_counted_and_dropped() -> None:
    left, right = connected()
    left.out(IP(src=A, dst=B) / ICMP())
    left.sent *= 3
    carry(left, right)
    assert len(right.delivered) == 1
    assert right.counters == {Reason.IN_SEQUENCE: 2}


@given(st.binary(min_size=12, max_size=100))
def test_forged_packets_release_nothing(octets: bytes) -> None:
    _, right = connected()
    right.inlet.esp(ip_address(RIGHT).packed, 0, FORTH.spi.to_bytes(4, "big") + octets)
    right.inlet.esp(ip_address(RIGHT).packed, 0, octets)
    right.inlet.encapsulated(octets, ip_address(LEFT), 4500)
    right.inlet.ah(ip_address(RIGHT).packed, 0, octets, 0)
    assert right.delivered == []


@given(st.binary(max_size=100))
def test_whatever_the_host_sends_is_counted_or_sent(octets: bytes) -> None:
    left, _ = connected()
    left.forwarder.outbound((octets,))
    assert left.counters.total() + len(left.sent) + len(left.clear) <= 1


# Policies


def test_without_a_policy_packets_go_in_clear_as_with_the_kernel() -> None:
    left, _ = connected()
    packet = IP(src="10.9.0.1", dst=B) / UDP()
    left.out(packet)
    assert left.clear == [bytes(packet)]
    assert left.sent == []


def test_the_hosts_own_multicast_does_not_leave_by_us() -> None:
    left, _ = connected()
    left.out(IPv6(src="fe80::1", dst="ff02::2") / UDP())
    assert (left.clear, left.sent, left.counters) == ([], [], {})


def test_a_policy_for_one_port_protects_that_port_alone() -> None:
    left, right = pair()
    for host in (left, right):
        for entry in list(host.spd):
            host.spd.remove(entry.policy)
    only = {"of_protocol": 6, "of_dst_port": 80}
    left.spd.put(policy(Direction.OUT, LEFT_NET, RIGHT_NET, (LEFT, RIGHT), **only), 0)
    right.spd.put(policy(Direction.IN, LEFT_NET, RIGHT_NET, (LEFT, RIGHT), **only), 0)
    left.add(FORTH)
    right.add(FORTH)
    left.out(IP(src=A, dst=B) / TCP(dport=80))
    left.out(IP(src=A, dst=B) / TCP(dport=81))
    left.out(IP(src=A, dst=B) / UDP(dport=80))
    assert (len(left.sent), len(left.clear)) == (1, 2)
    carry(left, right)
    assert len(right.delivered) == 1


def test_a_peer_cannot_send_what_the_policy_does_not_allow_by_its_sa() -> None:
    """RFC 4301, 5.2: authentic, but not from the network that the tunnel is for."""
    _, right = connected()
    sender, _ = ends(FORTH, os.urandom)
    for number, (src, dst, reason) in enumerate(
        [
            ("10.9.0.1", B, Reason.IN_NO_POLICY),
            (A, "10.9.0.1", Reason.IN_NO_POLICY),
            (B, A, Reason.IN_NO_POLICY),
        ],
        1,
    ):
        inner = bytes(IP(src=src, dst=dst) / UDP())
        right.inlet.esp(ip_address(RIGHT).packed, 0, sender.seal(inner, 4))
        assert right.counters == {reason: number}
    assert right.delivered == []


def test_a_packet_by_the_wrong_sa_is_refused() -> None:
    _, right = pair(reqid=1)
    stranger = replace(FORTH, reqid=2)
    right.add(stranger)
    sender, _ = ends(stranger, os.urandom)
    packet = sender.seal(bytes(IP(src=A, dst=B) / UDP()), 4)
    right.inlet.esp(ip_address(RIGHT).packed, 0, packet)
    assert right.counters == {Reason.IN_TEMPLATE: 1}


def test_what_is_not_for_this_host_needs_a_forward_policy() -> None:
    left, right = connected()
    packet = IP(src=A, dst="10.2.0.77") / UDP()
    left.out(packet)
    carry(left, right)
    assert right.delivered == [bytes(packet)]
    (forward,) = [each.policy for each in right.spd if each.policy.direction == Direction.FWD]
    right.remove(forward)
    left.out(packet)
    carry(left, right)
    assert right.counters == {Reason.IN_NO_POLICY: 1}


def test_blocked_means_blocked_both_ways() -> None:
    left, right = connected()
    for host, direction in ((left, Direction.OUT), (right, Direction.IN)):
        block = policy(direction, LEFT_NET, RIGHT_NET, of_protocol=17, of_dst_port=53)
        host.spd.put(replace(block, action=Action.BLOCK, priority=-1), 0)
    left.out(IP(src=A, dst=B) / UDP(dport=53))
    assert left.counters == {Reason.OUT_BLOCKED: 1}
    sender, _ = ends(FORTH, os.urandom)
    inner = bytes(IP(src=A, dst=B) / UDP(dport=53))
    right.inlet.esp(ip_address(RIGHT).packed, 0, sender.seal(inner, 4))
    assert right.counters == {Reason.IN_BLOCKED: 1}


def test_a_bypass_of_higher_priority_lets_packets_go_in_clear() -> None:
    left, _ = connected(priority=10)
    bypass = policy(Direction.OUT, LEFT_NET, RIGHT_NET, of_protocol=17, of_dst_port=53)
    left.spd.put(replace(bypass, priority=5), 0)
    left.out(IP(src=A, dst=B) / UDP(sport=5353, dport=53))
    assert len(left.clear) == 1


def test_a_later_fragment_follows_its_first_and_an_unknown_one_is_dropped() -> None:
    left, _ = pair()
    for entry in list(left.spd):
        left.spd.remove(entry.policy)
    only = {"of_protocol": 17, "of_dst_port": 53}
    left.spd.put(policy(Direction.OUT, LEFT_NET, RIGHT_NET, (LEFT, RIGHT), **only), 0)
    left.add(FORTH)
    first = IP(src=A, dst=B, id=9, flags="MF") / UDP(dport=53, sport=7) / bytes(16)
    left.out(first)
    left.out(IP(src=A, dst=B, id=9, frag=3, proto=17) / bytes(8))
    assert len(left.sent) == 2
    left.out(IP(src=A, dst=B, id=10, frag=3, proto=17) / bytes(8))
    assert len(left.sent) == 2
    assert left.clear == []
    assert left.counters == {Reason.OUT_BLOCKED: 1}


# Acquire


def test_the_first_packets_wait_for_the_sa_and_are_sent() -> None:
    left, right = pair()
    right.add(FORTH)
    packets = [IP(src=A, dst=B) / UDP(sport=7, dport=9) / bytes((i,)) for i in range(3)]
    for packet in packets:
        left.out(packet)
    (acquire,) = left.acquired
    assert (acquire.src, acquire.dst) == (ip_address(LEFT), ip_address(RIGHT))
    assert str(acquire.selector.src) == f"{A}/32"
    assert (acquire.selector.protocol, acquire.selector.dst_port) == (17, 9)
    assert acquire.policy.direction == Direction.OUT
    left.add(FORTH)
    carry(left, right)
    assert right.delivered == [bytes(packet) for packet in packets]


def test_it_is_asked_again_only_after_a_while() -> None:
    left, _ = pair()
    for seconds in (0.0, 1.0, ACQUIRE_SECONDS - 2, 1.0, 1.0):
        left.now += seconds
        left.out(IP(src=A, dst=B) / UDP(sport=int(left.now)))
    assert len(left.acquired) == 2


def test_no_more_than_so_many_packets_wait_and_old_ones_are_not_sent() -> None:
    left, _ = pair()
    left.out(IP(src=A, dst=B) / UDP(sport=9999))
    left.now += HELD_SECONDS
    for _ in range(HELD_PACKETS + 5):
        left.out(IP(src=A, dst=B) / UDP())
    assert left.counters == {Reason.OUT_NO_STATES: 6}
    left.add(FORTH)
    assert len(left.sent) == HELD_PACKETS


def test_after_a_hard_expiry_it_is_asked_at_once() -> None:
    left, _ = connected()
    left.out(IP(src=A, dst=B) / UDP())
    left.sad.delete(FORTH.id)
    left.changed(FORTH)
    left.out(IP(src=A, dst=B) / UDP())
    assert (len(left.sent), len(left.acquired)) == (1, 1)


def test_an_optional_template_lets_packets_go_in_clear_meanwhile() -> None:
    left, _ = pair()
    for entry in list(left.spd):
        template = replace(entry.policy.templates[0], optional=True)
        left.spd.put(replace(entry.policy, templates=(template,)), 0)
    left.out(IP(src=A, dst=B) / UDP())
    assert len(left.clear) == 1


def test_our_own_packets_that_come_back_are_dropped_and_told() -> None:
    """A packet filter took our mark off them; protected, or sent again, they would never end."""
    left, _ = connected()
    ike = UDP(sport=500, dport=500) / b"ike"
    udp = UDP(sport=4500, dport=4500) / b"esp"
    for packet in (
        IP(src=LEFT, dst=RIGHT) / ike,
        IP(src=A, dst=B) / udp,
        IP(src=LEFT, dst=RIGHT, proto=50) / (0x1001).to_bytes(4, "big") / bytes(20),
    ):
        left.out(packet)
    assert (left.sent, left.clear) == ([], [])
    assert left.counters == {Reason.OUT_LOOP: 3}
    assert [str(peer) for peer in left.returned] == [RIGHT, B, RIGHT]


def test_ike_and_esp_of_others_behind_us_are_traffic_as_any_other() -> None:
    left, _ = connected()
    for packet in (
        IP(src="10.1.0.77", dst=B) / UDP(sport=500, dport=500),
        IP(src=A, dst=B) / UDP(sport=501, dport=500),
        IP(src=A, dst=B, proto=50) / (0x1003).to_bytes(4, "big") / bytes(20),
    ):
        left.out(packet)
    assert (len(left.sent), left.returned) == (3, [])


def test_packets_that_wait_too_long_are_dropped_and_counted() -> None:
    left, _ = pair()
    left.out(IP(src=A, dst=B) / UDP(sport=1))
    left.now += HELD_SECONDS / 2
    left.out(IP(src=A, dst=B) / UDP(sport=2))
    assert left.forwarder.deadline == left.now + HELD_SECONDS / 2
    left.now += HELD_SECONDS / 2
    left.forwarder.age()
    assert left.counters == {Reason.OUT_NO_STATES: 1}
    left.add(FORTH)
    assert len(left.sent) == 1


def test_after_the_last_packet_and_the_last_question_nothing_is_waited_for() -> None:
    left, _ = pair()
    left.out(IP(src=A, dst=B) / UDP())
    for _ in range(40):
        if left.forwarder.deadline is None:
            break
        left.now = left.forwarder.deadline
        left.forwarder.age()
    assert (left.forwarder.deadline, left.now) == (None, 100.0 + ACQUIRE_SECONDS)
    left.out(IP(src=A, dst=B) / UDP())
    assert len(left.acquired) == 2


def test_each_peer_of_a_transport_policy_is_asked_for_and_has_its_own_queue() -> None:
    left = Host(LEFT)
    left.put(policy(Direction.OUT, LEFT, "192.0.2.0/24", None, mode=Mode.TRANSPORT))
    for number in (2, 3, 2):
        left.out(IP(src=LEFT, dst=f"192.0.2.{number}") / UDP())
    assert [str(acquire.dst) for acquire in left.acquired] == ["192.0.2.2", "192.0.2.3"]
    left.add(sa(LEFT, "192.0.2.3", mode=Mode.TRANSPORT))
    assert len(left.sent) == 1


def test_a_policy_can_be_made_to_ask_again_at_once() -> None:
    left, _ = pair()
    for again in (False, True, False):
        if again:
            (entry,) = (each for each in left.spd if each.policy.direction == Direction.OUT)
            left.forwarder.ask_again(entry)
        left.out(IP(src=A, dst=B) / UDP())
    assert len(left.acquired) == 2


def test_a_policy_that_goes_takes_its_waiting_packets_to_the_next_or_drops_them() -> None:
    left, _ = pair()
    (entry,) = (each for each in left.spd if each.policy.direction == Direction.OUT)
    left.out(IP(src=A, dst=B) / UDP())
    left.put(entry.policy)
    assert len(left.acquired) == 2
    left.add(FORTH)
    assert len(left.sent) == 1


def test_so_many_packets_wait_in_all() -> None:
    left = Host(LEFT)
    left.put(policy(Direction.OUT, LEFT, "10.0.0.0/8", None, mode=Mode.TRANSPORT))
    for number in range(1030):
        left.out(IP(src=LEFT, dst=f"10.0.{number >> 8}.{number & 255}") / UDP())
    assert left.counters == {Reason.OUT_NO_STATES: 6}
    assert len(left.acquired) == 1030


@pytest.mark.parametrize("protocol", [Protocol.ESP, Protocol.AH])
@pytest.mark.parametrize("ipv6", [False, True])
def test_a_packet_of_our_own_sa_that_comes_back_is_not_sent_again(
    protocol: Protocol, ipv6: bool
) -> None:
    """Somebody took its mark off: it would come back for ever."""
    left, _ = pair()
    ends = ("2001:db8::1", "2001:db8::2") if ipv6 else (LEFT, RIGHT)
    left.own |= set(map(ip_address, ends))
    left.add(sa(*ends, 0x1234, protocol=protocol))
    outer = IPv6(src=ends[0], dst=ends[1], nh=protocol) if ipv6 else (
        IP(src=ends[0], dst=ends[1], proto=protocol)
    )  # fmt: skip
    head = bytes(4) if protocol == Protocol.AH else b""  # next header, length, reserved
    for spi, ours in ((0x1234, True), (0x1235, False)):
        left.clear.clear()
        left.out(outer / (head + spi.to_bytes(4, "big") + bytes(8)))
        assert bool(left.clear) != ours, (protocol, ipv6, spi)

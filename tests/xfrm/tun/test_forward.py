"""The packet path in memory: two hosts, each a `Forwarder` and an `Inlet`, joined by calls."""

import os
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

from lab.esp_values import (
    LEFT,
    LEFT_NET,
    RIGHT,
    RIGHT_NET,
    ends,
    policy,
    sa,
    tunnel_policies,
)
from xfrm.dataplane import Acquire
from xfrm.esp.reasons import Reason
from xfrm.esp.sad import Entry, Sad
from xfrm.model import Action, Address, Direction, Encapsulation, SecurityAssociation, Selector
from xfrm.tun.forward import ACQUIRE_SECONDS, HELD_SECONDS, Forwarder, Ports, Send
from xfrm.tun.inlet import Inlet
from xfrm.tun.spd import HELD_PACKETS, Spd

A, B = "10.1.0.1", "10.2.0.1"


class Host:
    """One end: what left for the peer, what was given to the host, what went in clear."""

    def __init__(self, *own: str) -> None:
        self.own = {ip_address(address) for address in own}
        self.sad, self.spd = Sad(os.urandom), Spd()
        self.sent: list[tuple[bytes, int]] = []
        self.delivered: list[bytes] = []
        self.clear: list[bytes] = []
        self.acquired: list[Acquire] = []
        self.moved: list[Entry] = []
        self.now = 100.0
        ports = Ports(
            to_host=self.delivered.append, to_peer=self._to_peer, in_clear=self.clear.append,
            is_local=self._is_local, acquire=self.acquired.append, now=lambda: self.now,
            date=lambda: 1_700_000_000,
        )  # fmt: skip
        self.forwarder = Forwarder(self.sad, self.spd, ports)
        self.inlet = Inlet(self.sad, self.forwarder, self._is_local, self.moved.append)
        self.counters = self.forwarder.counters

    def _to_peer(self, _: SecurityAssociation) -> Send:
        return lambda packet, tos: self.sent.append((packet, tos))

    def _is_local(self, address: Address) -> bool:
        return address in self.own

    def add(self, *sas: SecurityAssociation) -> None:
        for each in sas:
            self.sad.add(each, self.now, 1_700_000_000)
        self.forwarder.forget()
        self.inlet.forget()
        self.forwarder.release()

    def out(self, packet: Packet) -> None:
        self.forwarder.outbound((bytes(packet),))

    def esp(self, packet: bytes, tos: int = 0) -> None:
        """ESP arrives for the first of our addresses."""
        self.inlet.esp(min(self.own, key=int).packed, tos, packet)


FORTH, BACK = sa(LEFT, RIGHT, 0x1001), sa(RIGHT, LEFT, 0x1002)


def _pair(**fields: Any) -> tuple[Host, Host]:
    """Two hosts with the tunnel between them, and no SA yet."""
    left, right = Host(LEFT), Host(RIGHT)
    left.own.add(ip_address(A))
    right.own.add(ip_address(B))
    for host, ends_ in (
        (left, ((LEFT, LEFT_NET), (RIGHT, RIGHT_NET))),
        (right, ((RIGHT, RIGHT_NET), (LEFT, LEFT_NET))),
    ):
        for each in tunnel_policies(*ends_, **fields):
            host.spd.put(each, 0)
        host.own = {ip_address(LEFT), ip_address(A)} if host is left else {
            ip_address(RIGHT), ip_address(B)
        }  # fmt: skip
    return left, right


def _connected(**fields: Any) -> tuple[Host, Host]:
    left, right = _pair(**fields)
    left.add(FORTH, BACK)
    right.add(FORTH, BACK)
    return left, right


def _carry(left: Host, right: Host) -> None:
    for packet, tos in left.sent:
        right.inlet.esp(ip_address(RIGHT).packed, tos, packet)
    left.sent.clear()


def test_a_packet_goes_through_and_keeps_its_tos() -> None:
    left, right = _connected()
    packet = IP(src=A, dst=B, tos=0xB8) / UDP(sport=1, dport=2) / b"content"
    left.out(packet)
    assert left.sent[0][1] == 0xB8
    _carry(left, right)
    assert right.delivered == [bytes(packet)]
    assert not left.counters
    assert not right.counters


def test_usage_counts_inner_octets_as_linux_does() -> None:
    left, right = _connected()
    for _ in range(3):
        left.out(IP(src=A, dst=B) / ICMP() / bytes(56))
    _carry(left, right)
    for host in (left, right):
        (usage,) = [entry.snapshot().usage for entry in host.sad if entry.sa.spi == FORTH.spi]
        assert (usage.octets, usage.packets, usage.used) == (3 * 84, 3, 1_700_000_000)


def test_ipv6_goes_through_a_tunnel_of_ipv4() -> None:
    left, right = _connected()
    net, far = "2001:db8:1::/64", "2001:db8:2::/64"
    left.spd.put(policy(Direction.OUT, net, far, (LEFT, RIGHT)), 0)
    right.spd.put(policy(Direction.FWD, net, far, (LEFT, RIGHT)), 0)
    packet = IPv6(src="2001:db8:1::1", dst="2001:db8:2::1", tc=0x28) / UDP() / b"content"
    left.out(packet)
    assert left.sent[0][1] == 0x28
    _carry(left, right)
    assert right.delivered == [bytes(packet)]


def test_a_replayed_packet_is_counted_and_dropped() -> None:
    left, right = _connected()
    left.out(IP(src=A, dst=B) / ICMP())
    left.sent *= 3
    _carry(left, right)
    assert len(right.delivered) == 1
    assert right.counters == {Reason.IN_SEQUENCE: 2}


@given(st.binary(min_size=12, max_size=100))
def test_forged_packets_release_nothing(octets: bytes) -> None:
    _, right = _connected()
    right.inlet.esp(ip_address(RIGHT).packed, 0, FORTH.spi.to_bytes(4, "big") + octets)
    right.inlet.esp(ip_address(RIGHT).packed, 0, octets)
    right.inlet.encapsulated(octets, ip_address(LEFT), 4500)
    right.inlet.ah(ip_address(RIGHT).packed, 0, octets, 0)
    assert right.delivered == []


@given(st.binary(max_size=100))
def test_whatever_the_host_sends_is_counted_or_sent(octets: bytes) -> None:
    left, _ = _connected()
    left.forwarder.outbound((octets,))
    assert left.counters.total() + len(left.sent) + len(left.clear) <= 1


# Policies


def test_without_a_policy_packets_go_in_clear_as_with_the_kernel() -> None:
    left, _ = _connected()
    packet = IP(src="10.9.0.1", dst=B) / UDP()
    left.out(packet)
    assert left.clear == [bytes(packet)]
    assert left.sent == []


def test_the_hosts_own_multicast_does_not_leave_by_us() -> None:
    left, _ = _connected()
    left.out(IPv6(src="fe80::1", dst="ff02::2") / UDP())
    assert (left.clear, left.sent, left.counters) == ([], [], {})


def test_a_policy_for_one_port_protects_that_port_alone() -> None:
    left, right = _pair()
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
    _carry(left, right)
    assert len(right.delivered) == 1


def test_a_peer_cannot_send_what_the_policy_does_not_allow_by_its_sa() -> None:
    """RFC 4301, 5.2: authentic, but not from the network that the tunnel is for."""
    _, right = _connected()
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
    _, right = _pair(reqid=1)
    stranger = replace(FORTH, reqid=2)
    right.add(stranger)
    sender, _ = ends(stranger, os.urandom)
    packet = sender.seal(bytes(IP(src=A, dst=B) / UDP()), 4)
    right.inlet.esp(ip_address(RIGHT).packed, 0, packet)
    assert right.counters == {Reason.IN_TEMPLATE: 1}


def test_what_is_not_for_this_host_needs_a_forward_policy() -> None:
    left, right = _connected()
    packet = IP(src=A, dst="10.2.0.77") / UDP()
    left.out(packet)
    _carry(left, right)
    assert right.delivered == [bytes(packet)]
    (forward,) = [each.policy for each in right.spd if each.policy.direction == Direction.FWD]
    right.spd.remove(forward)
    right.forwarder.forget()
    left.out(packet)
    _carry(left, right)
    assert right.counters == {Reason.IN_NO_POLICY: 1}


def test_blocked_means_blocked_both_ways() -> None:
    left, right = _connected()
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
    left, _ = _connected(priority=10)
    bypass = policy(Direction.OUT, LEFT_NET, RIGHT_NET, of_protocol=17, of_dst_port=500)
    left.spd.put(replace(bypass, priority=5), 0)
    left.out(IP(src=A, dst=B) / UDP(sport=500, dport=500))
    assert len(left.clear) == 1


def test_a_later_fragment_follows_its_first_and_an_unknown_one_is_dropped() -> None:
    left, _ = _pair()
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


# What arrives with other content


@pytest.mark.parametrize(
    ("next_header", "payload", "reason"),
    [
        (59, bytes(40), Reason.IN_DUMMY),
        (17, bytes(40), Reason.IN_MODE),
        (41, bytes(IP(src=A, dst=B) / UDP()), Reason.IN_MODE),
        (4, bytes(IPv6() / UDP()), Reason.IN_MODE),
        (4, b"", Reason.IN_HEADER),
        (4, bytes(IP(src=A, dst=B, len=1000) / UDP()), Reason.IN_HEADER),
    ],
)
def test_what_is_no_packet_of_a_tunnel_is_dropped(
    next_header: int, payload: bytes, reason: Reason
) -> None:
    _, right = _connected()
    sender, _ = ends(FORTH, os.urandom)
    right.inlet.esp(ip_address(RIGHT).packed, 0, sender.seal(payload, next_header))
    assert (right.counters, right.delivered) == ({reason: 1}, [])


def test_flow_confidentiality_padding_is_cut_off() -> None:
    """RFC 4303, 2.7: what is behind the inner packet."""
    _, right = _connected()
    sender, _ = ends(FORTH, os.urandom)
    inner = bytes(IP(src=A, dst=B) / UDP())
    right.inlet.esp(ip_address(RIGHT).packed, 0, sender.seal(inner + bytes(100), 4))
    assert right.delivered == [inner]


def test_congestion_of_the_outer_path_marks_the_inner_packet() -> None:
    left, right = _connected()
    left.out(IP(src=A, dst=B, tos=2) / UDP())
    left.sent[0] = (left.sent[0][0], 3)
    _carry(left, right)
    assert IP(right.delivered[0]).tos == 3


def test_encapsulated_and_native_are_not_mixed_up() -> None:
    _, right = _pair()
    right.add(replace(FORTH, encapsulation=Encapsulation()), BACK)
    sender, _ = ends(FORTH, os.urandom)
    packet = sender.seal(bytes(IP(src=A, dst=B) / UDP()), 4)
    right.inlet.esp(ip_address(RIGHT).packed, 0, packet)
    assert right.counters == {Reason.IN_MISMATCH: 1}
    right.inlet.encapsulated(packet, ip_address(LEFT), 4500)
    assert len(right.delivered) == 1


def test_a_peer_whose_nat_changed_is_told_of_once_and_only_if_authentic() -> None:
    _, right = _pair()
    forth = replace(FORTH, encapsulation=Encapsulation())
    right.add(forth)
    sender, _ = ends(forth, os.urandom)
    elsewhere = ip_address("192.0.2.77")

    def arrive(source: Address, port: int, damage: bytes = b"") -> None:
        packet = sender.seal(bytes(IP(src=A, dst=B) / UDP()), 4)
        right.inlet.encapsulated(packet[: len(packet) - len(damage)] + damage, source, port)

    arrive(ip_address(LEFT), 4500)
    arrive(elsewhere, 1024, damage=b"forged")
    assert right.moved == []
    for _ in range(3):
        arrive(elsewhere, 1024)
    (moved,) = right.moved
    assert (moved.peer, moved.peer_port) == (elsewhere, 1024)
    assert len(right.delivered) == 4


def test_a_keepalive_is_no_error() -> None:
    _, right = _connected()
    right.inlet.encapsulated(b"\xff", ip_address(LEFT), 4500)
    assert not right.counters


def test_an_sas_own_selector_is_checked() -> None:
    _, right = _pair()
    selector = Selector(
        src=policy(Direction.IN, LEFT_NET, RIGHT_NET).selector.src,
        dst=policy(Direction.IN, LEFT_NET, RIGHT_NET).selector.dst,
        protocol=6,
    )
    right.add(replace(FORTH, selector=selector))
    sender, _ = ends(FORTH, os.urandom)
    packet = sender.seal(bytes(IP(src=A, dst=B) / UDP()), 4)
    right.inlet.esp(ip_address(RIGHT).packed, 0, packet)
    assert right.counters == {Reason.IN_MISMATCH: 1}


# Acquire


def test_the_first_packets_wait_for_the_sa_and_are_sent() -> None:
    left, right = _pair()
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
    _carry(left, right)
    assert right.delivered == [bytes(packet) for packet in packets]


def test_it_is_asked_again_only_after_a_while() -> None:
    left, _ = _pair()
    for seconds in (0.0, 1.0, ACQUIRE_SECONDS - 2, 1.0, 1.0):
        left.now += seconds
        left.out(IP(src=A, dst=B) / UDP(sport=int(left.now)))
    assert len(left.acquired) == 2


def test_no_more_than_so_many_packets_wait_and_old_ones_are_not_sent() -> None:
    left, _ = _pair()
    left.out(IP(src=A, dst=B) / UDP(sport=9999))
    left.now += HELD_SECONDS
    for _ in range(HELD_PACKETS + 5):
        left.out(IP(src=A, dst=B) / UDP())
    assert left.counters == {Reason.OUT_NO_STATES: 6}
    left.add(FORTH)
    assert len(left.sent) == HELD_PACKETS


def test_after_a_hard_expiry_it_is_asked_at_once() -> None:
    left, _ = _connected()
    left.out(IP(src=A, dst=B) / UDP())
    left.sad.delete(FORTH.id)
    left.forwarder.forget()
    left.out(IP(src=A, dst=B) / UDP())
    assert (len(left.sent), len(left.acquired)) == (1, 1)


def test_an_optional_template_lets_packets_go_in_clear_meanwhile() -> None:
    left, _ = _pair()
    for entry in list(left.spd):
        template = replace(entry.policy.templates[0], optional=True)
        left.spd.put(replace(entry.policy, templates=(template,)), 0)
    left.out(IP(src=A, dst=B) / UDP())
    assert len(left.clear) == 1

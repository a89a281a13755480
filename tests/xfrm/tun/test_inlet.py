"""What arrives by an SA and is not a plain packet of its tunnel."""

import os
import socket
import struct
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6

from lab.esp_values import LEFT, LEFT_NET, RIGHT, RIGHT_NET, ends, policy, sa
from lab.forward_pair import BACK, FORTH, A, B, carry, connected, pair
from xfrm.esp.reasons import Reason
from xfrm.model import Address, Direction, Encapsulation, Protocol, Selector
from xfrm.tun.inlet import BURST


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
    _, right = connected()
    sender, _ = ends(FORTH, os.urandom)
    right.inlet.esp(ip_address(RIGHT).packed, 0, sender.seal(payload, next_header))
    assert (right.counters, right.delivered) == ({reason: 1}, [])


def test_flow_confidentiality_padding_is_cut_off() -> None:
    """RFC 4303, 2.7: what is behind the inner packet."""
    _, right = connected()
    sender, _ = ends(FORTH, os.urandom)
    inner = bytes(IP(src=A, dst=B) / UDP())
    right.inlet.esp(ip_address(RIGHT).packed, 0, sender.seal(inner + bytes(100), 4))
    assert right.delivered == [inner]


def test_congestion_of_the_outer_path_marks_the_inner_packet() -> None:
    left, right = connected()
    left.out(IP(src=A, dst=B, tos=2) / UDP())
    left.sent[0] = (left.sent[0][0], 3)
    carry(left, right)
    assert IP(right.delivered[0]).tos == 3


def test_encapsulated_and_native_are_not_mixed_up() -> None:
    _, right = pair()
    right.add(replace(FORTH, encapsulation=Encapsulation()), BACK)
    sender, _ = ends(FORTH, os.urandom)
    packet = sender.seal(bytes(IP(src=A, dst=B) / UDP()), 4)
    right.inlet.esp(ip_address(RIGHT).packed, 0, packet)
    assert right.counters == {Reason.IN_MISMATCH: 1}
    right.inlet.encapsulated(packet, ip_address(LEFT), 4500)
    assert len(right.delivered) == 1


def test_a_peer_whose_nat_changed_is_told_of_once_and_only_if_authentic() -> None:
    _, right = pair()
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
    _, right = connected()
    right.inlet.encapsulated(b"\xff", ip_address(LEFT), 4500)
    assert not right.counters


def test_an_sas_own_selector_is_checked() -> None:
    _, right = pair()
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


class Raw:
    """A raw socket with these packets; then it would block, or fails with `error`."""

    def __init__(self, *packets: object, error: OSError | None = None) -> None:
        self.packets = list(packets)
        self.error = error or BlockingIOError()

    def recv(self, size: int) -> object:
        assert size >= 65535
        if not self.packets:
            raise self.error
        return self.packets.pop(0)

    def recvmsg(self, size: int, control: int) -> object:
        assert control >= 64
        return self.recv(size)


def drained(right: Any, raw: Raw, protocol: Protocol, reader: str) -> int:
    """Run a reader once; how often it said that it was done."""
    done: list[None] = []
    getattr(right.inlet, reader)(raw, protocol, lambda: done.append(None))()
    return len(done)


def test_raw_ipv4_sockets_are_read_until_they_are_empty() -> None:
    _, right = connected()
    sender, _ = ends(FORTH, os.urandom)
    inner = [bytes(IP(src=A, dst=B, id=number) / UDP()) for number in range(3)]
    outer = [bytes(IP(src=LEFT, dst=RIGHT, proto=50) / sender.seal(each, 4)) for each in inner]
    raw = Raw(*outer)
    assert drained(right, raw, Protocol.ESP, "reader4") == 1
    assert [bytes(IP(each)[UDP]) for each in right.delivered] == [bytes(IP(inner[0])[UDP])] * 3
    assert raw.packets == []
    assert not right.counters


def test_a_burst_that_does_not_end_gives_others_their_turn() -> None:
    _, right = connected()
    raw = Raw(*[bytes(IP(src=LEFT, dst=RIGHT, proto=50) / bytes(4))] * (BURST + 5))
    assert drained(right, raw, Protocol.ESP, "reader4") == 1
    assert len(raw.packets) == 5


@pytest.mark.parametrize("reader", ["reader4", "reader6"])
def test_an_icmp_error_is_counted_and_nothing_else(reader: str) -> None:
    _, right = connected()
    raw = Raw(error=OSError(111, "Connection refused"))
    assert drained(right, raw, Protocol.ESP, reader) == 1
    assert right.counters == {Reason.OUT_ERROR: 1}


def test_esp_and_ah_over_ipv6_are_taken_with_the_header_that_the_kernel_kept() -> None:
    left6, right6 = "2001:db8::1", "2001:db8::2"
    control = [
        (41, socket.IPV6_PKTINFO, ip_address(right6).packed + bytes(4)),
        (41, socket.IPV6_TCLASS, struct.pack("=i", 3)),
    ]
    for protocol in (Protocol.ESP, Protocol.AH):
        _, right = pair()
        forth = sa(left6, right6, 0x1001, protocol=protocol)
        right.add(forth)
        sender, _ = ends(forth, os.urandom)
        packet = sender.seal(bytes(IP(src=A, dst=B) / UDP()), 4)
        if protocol == Protocol.AH:
            packet = packet[40:]  # the socket leaves the IPv6 header out
        raw = Raw((packet, control, 0, (left6 + "%eth0", 0, 0, 0)))
        assert drained(right, raw, protocol, "reader6") == 1
        (entry,) = right.sad
        assert entry.inbound.packets == 1  # the integrity check is right

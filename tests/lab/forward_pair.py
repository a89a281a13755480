"""Two hosts in memory, each a `Forwarder` and an `Inlet`, joined by calls."""

import os
from ipaddress import ip_address
from typing import Any

from scapy.packet import Packet

from lab.esp_values import LEFT, LEFT_NET, RIGHT, RIGHT_NET, sa, tunnel_policies
from xfrm.dataplane import Acquire
from xfrm.esp.sad import Entry, Sad
from xfrm.model import Address, Policy, SecurityAssociation
from xfrm.tun.forward import Forwarder, Ports, Send
from xfrm.tun.inlet import Inlet
from xfrm.tun.spd import Spd

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
        self.returned: list[Address] = []
        self.now = 100.0
        self.ports = Ports(
            to_host=self.delivered.append, to_peer=self._to_peer, in_clear=self.clear.append,
            returned=self.returned.append,
            is_local=self._is_local, acquire=self.acquired.append, now=lambda: self.now,
            date=lambda: 1_700_000_000,
        )  # fmt: skip
        self.forwarder = Forwarder(self.sad, self.spd, self.ports, frozenset({500, 4500}))
        self.inlet = Inlet(self.sad, self.forwarder, self._is_local, self.moved.append)
        self.counters = self.forwarder.counters

    def _to_peer(self, _: SecurityAssociation) -> Send:
        return lambda packet, tos: self.sent.append((packet, tos))

    def _is_local(self, address: Address) -> bool:
        return address in self.own

    def add(self, *sas: SecurityAssociation) -> None:
        for each in sas:
            self.sad.add(each, self.now, 1_700_000_000)
            self.changed(each)

    def changed(self, sa: SecurityAssociation) -> None:
        self.inlet.sa_changed(sa.id)
        self.forwarder.sa_changed(sa)

    def put(self, policy: Policy) -> None:
        old, entry = self.spd.get(policy), self.spd.put(policy, 0)
        if old is not None:
            self.forwarder.policy_removed(old)
        self.forwarder.policy_added(entry)

    def remove(self, policy: Policy) -> None:
        self.forwarder.policy_removed(self.spd.remove(policy))

    def out(self, packet: Packet) -> None:
        self.forwarder.outbound((bytes(packet),))

    def esp(self, packet: bytes, tos: int = 0) -> None:
        """ESP arrives for the first of our addresses."""
        self.inlet.esp(min(self.own, key=int).packed, tos, packet)


FORTH, BACK = sa(LEFT, RIGHT, 0x1001), sa(RIGHT, LEFT, 0x1002)


def pair(**fields: Any) -> tuple[Host, Host]:
    """Two hosts with the tunnel between them, and no SA yet."""
    left, right = Host(LEFT, A), Host(RIGHT, B)
    here, there = (LEFT, LEFT_NET), (RIGHT, RIGHT_NET)
    for host, ends in ((left, (here, there)), (right, (there, here))):
        for each in tunnel_policies(*ends, **fields):
            host.spd.put(each, 0)
    return left, right


def connected(**fields: Any) -> tuple[Host, Host]:
    left, right = pair(**fields)
    left.add(FORTH, BACK)
    right.add(FORTH, BACK)
    return left, right


def carry(left: Host, right: Host) -> None:
    for packet, tos in left.sent:
        right.inlet.esp(ip_address(RIGHT).packed, tos, packet)
    left.sent.clear()

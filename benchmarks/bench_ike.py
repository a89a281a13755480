"""IKE: CPU per handshake of both ends, of its cryptography alone, of the codec.

Main Mode with a pre-shared key and Quick Mode without PFS, group 2, AES-128, SHA-1, between two
engines in memory. Compared to: strongSwan 5.9.8, 12.75 ms CPU for both ends of a Main Mode, Quick
Mode and delete with group 14 (with kernel-libipsec, without the updown script, measured on a like
machine; its share of TUN handling, vici and logging is in that figure); scapy, for the codec.
"""

import os
from collections.abc import Callable
from ipaddress import ip_address, ip_network

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ike.commands import (
    AllocateSpi,
    Command,
    EventKind,
    InstallSa,
    Report,
    SendDatagram,
)
from ike.config import Config, Phase1Proposal, PreSharedKeys, Remote, Sainfo
from ike.crypto.groups import MODP, KeyPair
from ike.crypto.modexp import plain_power, power
from ike.engine import Engine
from ike.events import (
    Acquire,
    DatagramReceived,
    Event,
    PolicyAdded,
    SaInstalled,
    SpiAllocated,
)
from ike.isakmp.header import Header
from ike.isakmp.message import Message
from ike.isakmp.payloads import SaBody
from ike.numbers.doi import Group
from ike.values import Address, PolicyEntry, Protection, Selector
from wire.secret import Secret

LEFT, RIGHT = ip_address("10.0.0.1"), ip_address("10.0.0.2")


def _engine(group: Group) -> Engine:
    remote = Remote(name="all", address=None, proposals=(Phase1Proposal(group=group),))
    keys = PreSharedKeys((("*", Secret(b"a pre-shared key")),))
    config = Config(remotes=(remote,), sainfos=(Sainfo(),), keys=keys)
    return Engine(config, entropy=os.urandom)


def _policy(local: Address, remote: Address) -> PolicyEntry:
    selector = Selector(local=ip_network(local), remote=ip_network(remote))
    return PolicyEntry(selector=selector, local=local, remote=remote, protections=(Protection(),))


POLICIES = (_policy(LEFT, RIGHT), _policy(RIGHT, LEFT))


def handshake(group: Group) -> list[bytes]:
    """From an ACQUIRE to SAs at both ends; the messages that were sent."""
    engines = (_engine(group), _engine(group))
    events: list[tuple[int, Event]] = [
        (1, PolicyAdded(policy=POLICIES[1])),
        (0, Acquire(policy=POLICIES[0])),
    ]
    messages: list[bytes] = []
    up = 0
    while events:
        side, event = events.pop(0)
        for command in engines[side].handle(event, 0.0):
            answer = _answer(side, command)
            if answer is not None:
                events.append(answer)
            if isinstance(command, SendDatagram):
                messages.append(command.octets)
            up += isinstance(command, Report) and command.kind is EventKind.PHASE2_UP
    assert up == 2
    return messages


def _answer(side: int, command: Command) -> tuple[int, Event] | None:
    match command:
        case SendDatagram():
            event = DatagramReceived(octets=command.octets, source=command.local, local=command.to)
            return 1 - side, event
        case AllocateSpi():
            return side, SpiAllocated(ask=command.ask, spi=int.from_bytes(os.urandom(3)) + 256)
        case InstallSa():
            return side, SaInstalled(ask=command.ask)
        case _:
            return None


@pytest.mark.parametrize("group", [Group.MODP1024, Group.MODP2048])
def test_main_and_quick_mode_both_ends(benchmark: BenchmarkFixture, group: Group) -> None:
    benchmark(handshake, group)


def _exchange(group: Group) -> None:
    here, there = KeyPair.generate(group, os.urandom), KeyPair.generate(group, os.urandom)
    assert here.shared(there.public) == there.shared(here.public)


@pytest.mark.parametrize("group", [Group.MODP1024, Group.MODP2048])
def test_its_diffie_hellman_both_ends(benchmark: BenchmarkFixture, group: Group) -> None:
    benchmark(_exchange, group)


@pytest.mark.parametrize("way", [power, plain_power])
def test_one_exponentiation_in_group_2(
    benchmark: BenchmarkFixture, way: Callable[[int, bytes, int], bytes]
) -> None:
    benchmark(way, 2**500 + 1, os.urandom(32), MODP[Group.MODP1024].prime)


def _parse(octets: bytes) -> SaBody:
    message = Message.parse(Header.parse(octets), octets)
    return SaBody.parse(message.payloads[0].body)


def test_parse_the_first_message(benchmark: BenchmarkFixture) -> None:
    benchmark(_parse, handshake(Group.MODP1024)[0])


def test_parse_the_first_message_with_scapy(benchmark: BenchmarkFixture) -> None:
    from scapy.layers.isakmp import ISAKMP

    benchmark(ISAKMP, handshake(Group.MODP1024)[0])

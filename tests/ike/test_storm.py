"""Everybody at once after a power cut, and strangers in between: who is honest gets in.

The gateway's CPU takes 2 ms for each message. Nobody helps by hand: each peer has one packet to
send, which is asked for once.
"""

import random
from dataclasses import replace
from ipaddress import ip_address
from itertools import cycle

import pytest

from ike.commands import EventKind, Level, SendDatagram
from ike.config import Config, GeneratePolicy, Limits, PreSharedKeys, Remote, Sainfo
from ike.events import Acquire
from ike.isakmp.header import Header
from ike.isakmp.message import Message, Payload
from ike.isakmp.payloads import Notification
from ike.numbers.isakmp import ExchangeType, Flags, NotifyType, PayloadType, ProtocolId
from ike.values import Address
from lab.ike_world import PSK, Node, World, config, transport
from wire.secret import Secret

COST = 0.002  # seconds of CPU for each message
LINES_EACH = 9  # of log about one peer that comes up
LINES_A_SECOND = 15  # about strangers: five times two for a beginning, five complaints
GATEWAY = {4: ip_address("10.0.0.1"), 6: ip_address("fd00::1")}


def _addresses(first: str, number: int, step: int = 1) -> list[Address]:
    start = ip_address(first)
    return [start + at * step for at in range(number)]


def _configuration(remote: str, addresses: list[Address], limits: Limits) -> Config:
    """`remote`: "named", one for each; "anonymous", with a key for each or with "*" for all."""
    if remote == "named":
        remotes = tuple(Remote(name=str(a), address=a) for a in addresses)
    else:
        generate = GeneratePolicy.ON
        remotes = (Remote(name="anonymous", address=None, generate_policy=generate),)
    names = ["*"] if remote == "anonymous, *" else [str(a) for a in addresses]
    keys = PreSharedKeys(tuple((name, PSK) for name in names))
    return Config(remotes=remotes, sainfos=(Sainfo(),), keys=keys, limits=limits)


def _gateway(
    world: World, remote: str, addresses: list[Address], limits: Limits | None = None
) -> Node:
    here = GATEWAY[addresses[0].version]
    node = world.node("gateway", here, _configuration(remote, addresses, limits or Limits()))
    if remote == "named":
        node.policies += [transport(here, there) for there in addresses]
    assert node.station is not None
    node.station.cost = COST
    return node


def _peer(world: World, address: Address, key: Secret = PSK) -> Node:
    gateway = GATEWAY[address.version]
    keys = PreSharedKeys(((str(gateway), key),))
    node = world.node(str(address), address, config(gateway, keys=keys))
    node.policies.append(transport(address, gateway))
    return node


def _begin(world: World, nodes: list[Node], within: float = 0.0) -> None:
    moments = random.Random("storm")
    for node in nodes:
        world.tell(node, Acquire(policy=node.policies[0]), moments.random() * within)


def _is_up(gateway: Node, node: Node) -> bool:
    return bool(node.sas) and all(
        sa in gateway.sas and gateway.sas[sa].encryption_key == node.sas[sa].encryption_key
        for sa in node.sas
    )


def _all_come_up(world: World, gateway: Node, nodes: list[Node], within: float) -> bool:
    """Whether they do, within so many seconds."""
    while within > 0 and not all(_is_up(gateway, node) for node in nodes):
        world.run(0.5)
        within -= 0.5
    return all(_is_up(gateway, node) for node in nodes)


def _lines(node: Node) -> list[str]:
    return [log.text for log in node.logs if log.level >= Level.INFO]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("remote", "first", "number", "within", "step"),
    [
        pytest.param("named", "10.16.0.1", 1000, 2.0, 256, marks=pytest.mark.long),
        pytest.param("anonymous", "10.16.0.1", 1000, 2.0, 256, marks=pytest.mark.long),
        pytest.param("anonymous, *", "10.16.0.1", 1000, 2.0, 1, marks=pytest.mark.long),
        pytest.param("anonymous, *", "fd00:1::1", 1000, 2.0, 1 << 64, marks=pytest.mark.long),
        ("named", "10.16.0.1", 100, 0.2, 1),
        ("anonymous", "10.16.0.1", 100, 0.2, 256),
        ("anonymous, *", "10.16.0.1", 400, 0.0, 1),
    ],
)
def test_after_a_power_cut_all_peers_come_up_within_30_seconds(
    remote: str, first: str, number: int, within: float, step: int
) -> None:
    """`step`: one network each, or side by side in the same ones."""
    world = World()
    addresses = _addresses(first, number, step)
    gateway = _gateway(world, remote, addresses)
    peers = [_peer(world, address) for address in addresses]
    _begin(world, peers, within)
    assert _all_come_up(world, gateway, peers, 30.0)
    assert len(gateway.sas) == 2 * number
    messages = sum(datagram.to.address == gateway.address for datagram in world.datagrams)
    assert messages >= 5 * number
    lines = _lines(gateway)
    assert len(lines) <= LINES_EACH * number + 1, "repeats and refusals leave no line"


class Strangers:
    """Each sends message 1 and a message 3 with some KE, and then nothing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sent: dict[Address, set[bytes]] = {}
        world.rewrite = self._pass

    def _pass(self, datagram: SendDatagram) -> SendDatagram | None:
        source = datagram.local.address
        sent = self._sent.get(source)
        if sent is None:
            return datagram
        if datagram.octets in sent or datagram.octets[19] & Flags.ENCRYPTED or len(sent) == 2:
            return None
        sent.add(datagram.octets)
        return datagram

    def arrive(self, addresses: list[Address]) -> None:
        for address in addresses:
            if address in self._world.nodes:
                self._world.remove(self._world.nodes[address])
            self._sent[address] = set()
            _begin(self._world, [_peer(self._world, address, Secret(b"no idea"))])


@pytest.mark.parametrize(
    ("strangers", "newcomer"),
    [
        ("fd00:bad::1", "fd00:1::1"),
        ("fd00:bad::1", "fd00:bad::9:1"),  # from the same network
        ("10.66.6.0", "10.16.0.1"),
    ],
)
def test_strangers_of_one_network_do_not_keep_a_newcomer_out(strangers: str, newcomer: str) -> None:
    """512 datagrams from 256 addresses, and 9 a second after that, for two minutes."""
    world = World()
    start = world.now - 1.0
    first = _addresses(strangers, 256)
    later = cycle(_addresses(strangers, 512)[256:] if "::" in strangers else first)
    crowd = Strangers(world)
    honest = [ip_address(newcomer) + at for at in range(4)]
    gateway = _gateway(world, "anonymous, *", honest)
    crowd.arrive(first)
    for address, pause in zip(honest, (0.0, 2.0, 20.0, 60.0), strict=True):
        for _ in range(int(pause * 9 / 2)):
            crowd.arrive([next(later)])
            world.run(2 / 9)
        peer = _peer(world, address)
        begun = world.now
        _begin(world, [peer])
        assert world.run(30.0, lambda node=peer: _is_up(gateway, node))  # type: ignore[misc]
        assert world.now - begun <= (1.5 if pause else 2.5), "512 datagrams take a second"
    assert len(_lines(gateway)) <= LINES_EACH * len(honest) + LINES_A_SECOND * (world.now - start)


def test_all_come_up_while_strangers_send() -> None:
    world = World()
    addresses = _addresses("10.16.0.1", 400, 256)
    bad = _addresses("fd00:bad::1", 256)
    gateway = _gateway(world, "anonymous, *", addresses)
    world.nodes[GATEWAY[6]] = gateway  # it has an address of the other family, too
    crowd = Strangers(world)
    peers = [_peer(world, address) for address in addresses]
    crowd.arrive(bad)
    _begin(world, peers)
    assert _all_come_up(world, gateway, peers, 30.0)


@pytest.mark.parametrize(("times", "comes_up"), [(2, True), (99, False)])
def test_an_initiator_that_is_told_invalid_cookie_begins_anew_a_few_times(
    times: int, comes_up: bool
) -> None:
    """The responder had no place for it any more: message 3 and its repeats are answered so."""
    world = World()
    here, there = GATEWAY[4], ip_address("10.0.0.2")
    world.node("gateway", here, config(there)).policies.append(transport(here, there))
    peer = _peer(world, there)
    forgotten: set[bytes] = set()

    def forget(datagram: SendDatagram) -> SendDatagram | None:
        octets = datagram.octets
        header = Header.parse(octets)
        third = header.responder_cookie != bytes(8) and not header.flags & Flags.ENCRYPTED
        if datagram.local.address != there or not third:
            return datagram
        if octets[:8] not in forgotten and len(forgotten) == times:
            return datagram
        forgotten.add(octets[:8])
        refusal = Notification(NotifyType.INVALID_COOKIE, ProtocolId.ISAKMP, octets[:16])
        answer = Message(
            initiator_cookie=header.initiator_cookie,
            responder_cookie=header.responder_cookie,
            exchange=ExchangeType.INFORMATIONAL,
            payloads=(Payload(PayloadType.NOTIFY, bytes(refusal)),),
            message_id=1,
        )
        return replace(datagram, octets=bytes(answer), to=datagram.local, local=datagram.to)

    world.rewrite = forget
    _begin(world, [peer])
    world.run(29.0)
    assert bool(peer.sas) is comes_up
    assert len(forgotten) == (times if comes_up else 3)
    assert (EventKind.PHASE2_UP in peer.kinds()) is comes_up
    world.run(120.0)
    assert len(forgotten) <= 3, "not for ever"

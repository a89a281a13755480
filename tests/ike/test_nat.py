"""NAT traversal (RFC 3947) with NATs in memory."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from ike.commands import SendDatagram
from ike.config import Switch
from ike.events import Acquire, SaExpired, Stop
from ike.numbers.isakmp import ProtocolId
from ike.phase1.nat import KEEPALIVE
from ike.values import Address, Direction, Endpoint, Mode, PolicyEntry
from lab.ike_world import (
    LEFT,
    RIGHT,
    Node,
    World,
    config,
    connect,
    mirrored,
    network_to_network,
    pair,
    transport,
    tunnel,
)

OUTSIDE = ip_address("203.0.113.7")


class NatBox:
    """Hides all but RIGHT behind OUTSIDE, and gives out ports of its own."""

    def __init__(self, first_port: int = 40000) -> None:
        self.first_port = first_port
        self.mappings: dict[Endpoint, int] = {}

    def __call__(self, datagram: SendDatagram) -> SendDatagram | None:
        if datagram.local.address != RIGHT:
            outside = self.first_port + len(self.mappings)
            outside = self.mappings.setdefault(datagram.local, outside)
            return replace(datagram, local=Endpoint(OUTSIDE, outside))
        if datagram.to.address != OUTSIDE:
            return None
        for inside, outside in self.mappings.items():
            if outside == datagram.to.port:
                return replace(datagram, to=inside)
        return None

    @property
    def ports(self) -> dict[int, int]:
        """LEFT's, by its own port."""
        return {end.port: port for end, port in self.mappings.items() if end.address == LEFT}


def _behind_nat(
    policies: Callable[[Address, Address], PolicyEntry] = transport,
    version: Switch = Switch.ON,
) -> tuple[World, Node, Node, NatBox]:
    world = World()
    box = NatBox()
    left = world.node("left", LEFT, config(RIGHT, nat_traversal=version))
    right = world.node("right", RIGHT, config(OUTSIDE, nat_traversal=Switch.ON))
    left.policies.append(policies(LEFT, RIGHT))
    right.policies.append(policies(RIGHT, OUTSIDE))
    world.rewrite = box
    return world, left, right, box


def _translated(left: Node, right: Node) -> bool:
    """As `mirrored`, but for the addresses, which differ."""
    keys = {(sa.spi, sa.encryption_key.reveal()) for sa in left.sas.values()}
    return keys == {(sa.spi, sa.encryption_key.reveal()) for sa in right.sas.values()}


def _site_to_site(local: Address, remote: Address) -> PolicyEntry:
    policy = network_to_network(LEFT if remote == RIGHT else RIGHT, RIGHT)
    if remote == RIGHT:
        return policy
    return replace(network_to_network(RIGHT, LEFT), local=RIGHT, remote=OUTSIDE)


@pytest.mark.parametrize("policies", [transport, _site_to_site])
def test_behind_a_nat_everything_moves_to_port_4500_and_into_udp(
    policies: Callable[[Address, Address], PolicyEntry],
) -> None:
    world, left, right, box = _behind_nat(policies)
    assert connect(world, left)
    world.run(1)
    assert _translated(left, right)
    (out,) = left.of(Direction.OUT)
    assert (out.udp_source, out.udp_destination) == (4500, 4500)
    (out,) = right.of(Direction.OUT)
    assert (out.udp_source, out.udp_destination) == (4500, box.ports[4500])
    assert out.destination == OUTSIDE
    assert "NAT detected: ME " in left.texts()
    assert "NAT detected: PEER" in right.texts()
    quick = [d for d in world.datagrams if d.local.port == 4500]
    assert quick
    assert all(d.octets == KEEPALIVE or d.octets.startswith(bytes(4)) for d in quick)


def test_transport_mode_behind_a_nat_is_for_the_addresses_that_packets_carry() -> None:
    world, left, right, _ = _behind_nat()
    assert connect(world, left)
    world.run(1)
    (sa,) = right.of(Direction.IN)
    assert sa.mode is Mode.TRANSPORT
    assert sa.selector.remote == ip_network(OUTSIDE)
    assert (sa.nat_oa_source, sa.nat_oa_destination) == (LEFT, RIGHT)


def test_ah_behind_a_nat_is_refused_with_the_reason() -> None:
    def ah(here: Address, there: Address) -> PolicyEntry:
        return transport(here, there, protocol=ProtocolId.AH)

    world, left, right, _ = _behind_nat(ah)
    assert not connect(world, left, 5)
    assert any("AH cannot pass the NAT" in text for text in left.texts())
    world.tell(right, Acquire(policy=right.policies[0]))
    world.run(5)
    assert any("AH cannot pass the NAT" in text for text in right.texts())


def test_who_is_behind_the_nat_keeps_its_mapping_alive() -> None:
    world, left, right, _ = _behind_nat()
    assert connect(world, left)
    sent = len(world.datagrams)
    world.run(100)
    keepalives = [d for d in world.datagrams[sent:] if d.octets == KEEPALIVE]
    assert len(keepalives) == 5  # every 20 s
    assert all(d.to == Endpoint(RIGHT, 4500) for d in keepalives)
    assert "KA list add: 10.0.0.1[4500]->10.0.0.2[4500]" in left.texts()
    assert not any("KA list" in text for text in right.texts())


def test_a_new_mapping_is_followed_when_an_authenticated_message_shows_it() -> None:
    world, left, right, box = _behind_nat()
    assert connect(world, left)
    world.run(1)
    world.rewrite = NatBox(50000)
    world.tell(left, SaExpired(sa=left.of(Direction.IN)[0].id, hard=False))
    world.run(5)
    assert right.engine.isakmp_sas()[0].remote == Endpoint(OUTSIDE, 50000)
    assert box.ports[4500] != 50000
    assert _translated(left, right)


SECOND = ip_address("10.0.0.9")


def _two_gateways(**changes: object) -> tuple[World, dict[Address, Node], Node]:
    """Behind one NAT, both connected."""
    inner = {LEFT: "192.168.1.0/24", SECOND: "192.168.9.0/24"}
    world = World()
    world.rewrite = NatBox()
    right = world.node("right", RIGHT, config(OUTSIDE, nat_traversal=Switch.ON, **changes))
    nodes = {}
    for address, network in inner.items():
        nodes[address] = world.node(network, address, config(RIGHT, nat_traversal=Switch.ON))
        nodes[address].policies.append(tunnel(address, RIGHT, network, "192.168.2.0/24"))
        right.policies.append(tunnel(RIGHT, OUTSIDE, "192.168.2.0/24", network))
    for node in nodes.values():
        assert connect(world, node)
    world.run(1)
    assert len(right.sas) == 4
    return world, nodes, right


def test_two_gateways_behind_one_nat_do_not_get_in_each_others_way() -> None:
    world, nodes, right = _two_gateways()
    ports = {sa.udp_destination for sa in right.of(Direction.OUT)}
    assert len(ports) == 2  # each is reached by its own mapping
    world.tell(right, SaExpired(sa=right.of(Direction.IN)[1].id, hard=False))
    world.tell(nodes[LEFT], Stop())
    world.run(30)
    (out,) = right.of(Direction.OUT)
    assert out.id.spi in {sa.spi for sa in nodes[SECOND].of(Direction.IN)}
    assert len(right.engine.isakmp_sas()) == 1


@pytest.mark.parametrize("dead", [LEFT, SECOND])
def test_of_two_gateways_behind_one_nat_the_dead_one_is_forgotten(dead: Address) -> None:
    world, nodes, right = _two_gateways(dpd_delay=10.0, dpd_retry=2.0, dpd_maxfail=3)
    gone = nodes.pop(dead)
    world.remove(gone)
    world.run(60)
    (alive,) = nodes.values()
    assert set(right.sas) >= {sa.id for sa in alive.of(Direction.OUT)}
    assert {sa.spi for sa in right.sas.values()} == {sa.spi for sa in alive.sas.values()}


def test_forced_traversal_uses_udp_without_any_nat() -> None:
    world = World()
    left, right = pair(
        world,
        left=config(RIGHT, nat_traversal=Switch.FORCE),
        right=config(LEFT, nat_traversal=Switch.ON),
    )
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)
    assert {sa.udp_source for sa in left.sas.values()} == {4500}


def test_without_a_nat_nothing_moves() -> None:
    world = World()
    left, right = pair(
        world,
        left=config(RIGHT, nat_traversal=Switch.ON),
        right=config(LEFT, nat_traversal=Switch.ON),
    )
    assert connect(world, left)
    world.run(1)
    assert {d.local.port for d in world.datagrams} == {500}
    assert {sa.udp_source for sa in left.sas.values()} == {None}
    assert "NAT not detected " in right.texts()

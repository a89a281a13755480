"""What one authenticated peer can make the gateway hold and do, however often it asks (K12).

The insider has its own key and policy; it is stopped by bounds, not by trust.
"""

import time
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ike.commands import AllocateSpi, SendDatagram
from ike.config import GeneratePolicy, Limits, PreSharedKeys, Remote
from ike.events import Acquire, EstablishIsakmp, Reload
from ike.isakmp.header import Header
from ike.isakmp.message import Payload
from ike.isakmp.payloads import Delete, Notification
from ike.numbers.isakmp import ExchangeType, NotifyType, PayloadType, ProtocolId
from ike.peer.connection import MAX_BUNDLES
from ike.peer.pad import SLICE
from ike.peer.peer import MAX_ISAKMP_SAS
from ike.sa.exchanges import MAX_LINGERING
from ike.sa.isakmp_sa import IsakmpSa
from ike.values import Endpoint, PolicyEntry
from lab.ike_world import LEFT, PSK, RIGHT, Node, World, config, connect, mirrored, transport
from wire.timer import TimerFired

INSIDER, GATEWAY = LEFT, RIGHT
LONGEST = 0.25  # seconds of CPU for one event; it was 3.4


def _gateway(world: World, limits: Limits | None = None) -> tuple[Node, Node]:
    """The gateway, which generates policies for whoever has a key, and the insider."""
    serving = config(INSIDER, generate_policy=GeneratePolicy.ON, limits=limits or Limits())
    gateway = world.node("gateway", GATEWAY, serving)
    insider = world.node("insider", INSIDER, config(GATEWAY))
    insider.policies.append(_of_port(9999))
    return gateway, insider


def _of_port(port: int) -> PolicyEntry:
    policy = transport(INSIDER, GATEWAY)
    return replace(policy, selector=replace(policy.selector, protocol=17, local_port=port))


def _isakmp_sas(node: Node) -> list[IsakmpSa]:
    return [sa for peer in node.engine._pad for sa in peer.isakmp_sas]


def _says(world: World, insider: Node, payload: Payload) -> float:
    """Let the insider say something under its ISAKMP SA. Returns: the CPU's seconds for all."""
    (sa,) = _isakmp_sas(insider)
    sa.say([payload])
    world.tell(insider, TimerFired())
    before = time.thread_time()
    world.run(0.1)
    return time.thread_time() - before


@pytest.mark.parametrize("known", [False, True])
def test_a_delete_of_60_kilobytes_takes_no_time(known: bool) -> None:
    """15,000 SPIs, of which the gateway knows none, or 200."""
    world = World()
    gateway, insider = _gateway(world, Limits(connections_per_peer=200))
    assert connect(world, insider)
    for port in range(1, 200 if known else 2):
        world.tell(insider, Acquire(policy=_of_port(port)), port * 0.01)
    world.run(4)
    bundles = len(gateway.engine.ipsec_sas())
    assert bundles == (200 if known else 2)
    spis = [sa.spi for sa in insider.sas.values()] + list(range(1 << 20, (1 << 20) + 15000))
    delete = Delete(ProtocolId.ESP, tuple(spi.to_bytes(4) for spi in spis[:15000]))
    assert _says(world, insider, Payload(PayloadType.DELETE, bytes(delete))) < LONGEST
    assert not gateway.engine.ipsec_sas()
    assert not gateway.sas


@pytest.mark.parametrize("protocol", [ProtocolId.ISAKMP, ProtocolId.AH])
def test_a_delete_of_what_never_was_takes_no_time_and_nothing_else(protocol: ProtocolId) -> None:
    world = World()
    gateway, insider = _gateway(world)
    assert connect(world, insider)
    world.run(1)
    size = 16 if protocol == ProtocolId.ISAKMP else 4
    delete = Delete(protocol, tuple(n.to_bytes(size) for n in range(60000 // size)))
    assert _says(world, insider, Payload(PayloadType.DELETE, bytes(delete))) < LONGEST
    assert mirrored(gateway, insider)
    assert len(gateway.engine.isakmp_sas()) == 1


def test_quick_mode_after_quick_mode_keeps_the_youngest_sas_only() -> None:
    world = World()
    gateway, insider = _gateway(world)
    assert connect(world, insider)
    for number in range(290):
        world.tell(insider, Acquire(policy=insider.policies[0]), number * 0.02)
    most = 0
    while not world.run(0.5, lambda: world.now > 1009):
        most = max(most, len(gateway.sas))
        assert len(gateway.engine._context.timers) < 4 * MAX_LINGERING
    assert 2 < most <= 2 * MAX_BUNDLES + 2
    (sa,) = _isakmp_sas(gateway)
    assert len(sa.exchanges) <= MAX_LINGERING + 1
    world.run(60)
    assert mirrored(gateway, insider)
    assert len(gateway.engine.ipsec_sas()) == 1


def test_sas_of_one_peer_are_bounded_over_all_its_connections() -> None:
    world = World()
    gateway, insider = _gateway(world, Limits(sas_per_peer=40, connections_per_peer=64))
    assert connect(world, insider)
    for port in range(1, 60):
        world.tell(insider, Acquire(policy=_of_port(port)), port * 0.1)
    world.run(20)
    assert len(gateway.sas) == 40
    assert len(gateway.policies) == 20
    assert mirrored(gateway, insider)


def test_quick_modes_that_are_never_ended_are_bounded_at_once() -> None:
    world = World()
    gateway, insider = _gateway(world, Limits(negotiations_per_peer=10))
    assert connect(world, insider)
    world.run(1)
    settled = len(gateway.sas)

    def only_first(datagram: SendDatagram) -> SendDatagram | None:
        quick = Header.parse(datagram.octets).exchange == ExchangeType.QUICK
        return None if quick and datagram.local.address == GATEWAY else datagram

    world.rewrite = only_first
    for port in range(1, 100):
        world.tell(insider, Acquire(policy=_of_port(port)), port * 0.01)
    world.run(5)
    assert settled < len(gateway.sas) <= settled + 10
    assert len(gateway.policies) <= 11
    world.rewrite = lambda datagram: datagram
    world.run(120)
    assert len(gateway.reserved) == 0
    assert mirrored(gateway, insider)


def test_phase_1_after_phase_1_keeps_the_youngest_only() -> None:
    """Each time as if it knew nothing of the time before, but without INITIAL-CONTACT."""
    world = World()
    gateway, insider = _gateway(world)
    for _ in range(40):
        world.remove(insider)
        insider = world.node("insider", INSIDER, config(GATEWAY, initial_contact=False))
        world.tell(insider, EstablishIsakmp(local=Endpoint(INSIDER, 500), remote=GATEWAY))
        world.run(0.5)
        assert insider.engine.isakmp_sas()
        assert len(gateway.engine.isakmp_sas()) <= MAX_ISAKMP_SAS
        assert len(gateway.engine._context.timers) < 200
    assert len(gateway.engine.isakmp_sas()) == MAX_ISAKMP_SAS
    assert len(gateway.engine._db.cookies) == MAX_ISAKMP_SAS


def test_notifications_without_end_cost_message_ids_and_nothing_else() -> None:
    world = World()
    gateway, insider = _gateway(world)
    assert connect(world, insider)
    world.run(1)
    kept = len(gateway.engine._context.timers)
    for _ in range(100):
        kind = Notification(NotifyType(40001), ProtocolId.ISAKMP, b"")
        _says(world, insider, Payload(PayloadType.NOTIFY, bytes(kind)))
    assert len(gateway.engine._context.timers) == kept
    assert mirrored(gateway, insider)


def test_many_peers_whose_remotes_are_gone_are_disconnected_in_slices() -> None:
    """So that none of the others waits. Meanwhile nothing is negotiated with them."""
    world = World()
    addresses = [ip_address("10.16.0.1") + at for at in range(2 * SLICE + 1)]
    serving = replace(
        config(INSIDER),
        remotes=tuple(Remote(name=str(a), address=a) for a in addresses),
        keys=PreSharedKeys((("*", PSK),)),
    )
    gateway = world.node("gateway", GATEWAY, serving)
    gateway.policies += [transport(GATEWAY, address) for address in addresses]
    peers = [world.node(str(a), a, config(GATEWAY)) for a in addresses]
    for peer in peers:
        peer.policies.append(transport(peer.address, GATEWAY))
        assert connect(world, peer)
    world.run(1)
    assert len(gateway.engine.ipsec_sas()) == len(peers)
    last = peers[-1]
    assert gateway.station is not None
    world.lab.give(gateway.station, Reload(config=replace(serving, remotes=())))
    assert len(gateway.engine.ipsec_sas()) == len(peers) - SLICE
    commands = len(gateway.commands)
    world.lab.give(gateway.station, Acquire(policy=transport(GATEWAY, last.address)))
    assert not [c for c in gateway.commands[commands:] if isinstance(c, AllocateSpi)]
    world.rewrite = lambda datagram: datagram if datagram.local.address != GATEWAY else None
    world.tell(last, Acquire(policy=last.policies[0]))
    world.run(1)
    assert not gateway.engine.ipsec_sas()
    assert not gateway.engine.isakmp_sas()
    assert not gateway.sas
    assert not gateway.reserved

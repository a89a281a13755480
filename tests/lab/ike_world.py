"""Two or more IKE engines in memory: a virtual clock, a network that loses, doubles and reorders,
NATs, and data planes that are dictionaries. Nothing sleeps; minutes pass in milliseconds.
"""

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from itertools import count

from ike.commands import (
    AddPolicy,
    AllocateSpi,
    Command,
    DeleteSa,
    ExportKeys,
    FindPolicy,
    InstallSa,
    Log,
    RemovePolicy,
    Report,
    SendDatagram,
    Stopped,
)
from ike.engine import Engine
from ike.events import (
    Acquire,
    DatagramReceived,
    Event,
    NoPolicy,
    PolicyFound,
    SaInstalled,
    SaRefused,
    SpiAllocated,
)
from ike.policy import Config, PreSharedKeys, Remote, Sainfo, Timers
from ike.sa import (
    Address,
    Direction,
    IpsecSa,
    Mode,
    PolicyEntry,
    Protection,
    SaId,
    Selector,
)
from wire.secret import Secret
from wire.timer import TimerFired

LEFT, RIGHT = ip_address("10.0.0.1"), ip_address("10.0.0.2")
PSK = Secret(b"mekmitasdigoat")


def config(peer: Address, **changes: object) -> Config:
    """A configuration for one peer, with racoon's defaults."""
    remote_changes = {k: v for k, v in changes.items() if k in Remote.__dataclass_fields__}
    sainfo_changes = {k: v for k, v in changes.items() if k in SAINFO_ONLY}
    rest = {k: v for k, v in changes.items() if k in Config.__dataclass_fields__}
    base = Config(
        remotes=(replace(Remote(name=str(peer), address=peer), **remote_changes),),  # type: ignore[arg-type]
        sainfos=(replace(Sainfo(), **sainfo_changes),),  # type: ignore[arg-type]
        keys=PreSharedKeys(((str(peer), PSK),)),
    )
    return replace(base, **rest)  # type: ignore[arg-type]


SAINFO_ONLY = {"pfs_group", "encryption", "integrity", "lifetime_kilobytes"}


def transport(local: Address, remote: Address, **changes: object) -> PolicyEntry:
    selector = Selector(local=ip_network(local), remote=ip_network(remote))
    protection = Protection(**changes)  # type: ignore[arg-type]
    return PolicyEntry(selector=selector, local=local, remote=remote, protections=(protection,))


def tunnel(local: Address, remote: Address, inner: str, outer: str) -> PolicyEntry:
    return PolicyEntry(
        selector=Selector(local=ip_network(inner), remote=ip_network(outer)),
        local=local,
        remote=remote,
        protections=(Protection(mode=Mode.TUNNEL, reqid=7),),
    )


@dataclass
class Node:
    """An engine with its data plane."""

    name: str
    address: Address
    engine: Engine
    policies: list[PolicyEntry] = field(default_factory=list)
    sas: dict[SaId, IpsecSa] = field(default_factory=dict)
    reserved: set[SaId] = field(default_factory=set)
    logs: list[Log] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    exported: list[ExportKeys] = field(default_factory=list)
    refuse: Callable[[IpsecSa], bool] = lambda _: False
    stopped: bool = False

    def texts(self) -> list[str]:
        return [log.text for log in self.logs]

    def kinds(self) -> list[int]:
        return [report.kind for report in self.reports]

    def of(self, direction: Direction) -> list[IpsecSa]:
        return [sa for sa in self.sas.values() if sa.direction is direction]


@dataclass
class Link:
    """What the network does to a datagram."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    delay: float = 0.01
    cut: bool = False


Rewrite = Callable[[SendDatagram], SendDatagram | None]


class World:
    def __init__(self, seed: int = 1, install_delay: float = 0.001) -> None:
        self.now = 1000.0
        self.random = random.Random(seed)
        self.link = Link()
        self.nodes: dict[Address, Node] = {}
        self.datagrams: list[SendDatagram] = []
        self.rewrite: Rewrite = lambda datagram: datagram
        self.install_delay = install_delay
        self._queue: list[tuple[float, int, Node, Event]] = []
        self._number = count()
        self._spi = count(0x1000)

    def node(self, name: str, address: Address, configuration: Config) -> Node:
        entropy = random.Random(f"{name} {self.random.random()}")
        node = Node(name, address, Engine(configuration, entropy=entropy.randbytes))
        self.nodes[address] = node
        return node

    def tell(self, node: Node, event: Event, delay: float = 0.0) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._number), node, event))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass. True as soon as `until` holds."""
        end = self.now + seconds
        steps = 0
        while not until():
            at = self._next()
            if at is None or at > end:
                self.now = end
                return until()
            self.now = max(self.now, at)
            self._step()
            steps += 1
            assert steps < 200_000, "the engines never rest"
        return True

    def _next(self) -> float | None:
        times = [node.engine.deadline for node in self.nodes.values() if not node.stopped]
        if self._queue:
            times.append(self._queue[0][0])
        return min((t for t in times if t is not None), default=None)

    def _step(self) -> None:
        if self._queue and self._queue[0][0] <= self.now:
            _, _, node, event = heapq.heappop(self._queue)
            self._handle(node, event)
            return
        for node in self.nodes.values():
            deadline = node.engine.deadline
            if not node.stopped and deadline is not None and deadline <= self.now:
                self._handle(node, TimerFired())

    def _handle(self, node: Node, event: Event) -> None:
        for command in node.engine.handle(event, self.now):
            node.commands.append(command)
            self._perform(node, command)

    def _perform(self, node: Node, command: Command) -> None:
        match command:
            case SendDatagram():
                self._send(command)
            case Log():
                node.logs.append(command)
            case Report():
                node.reports.append(command)
            case AllocateSpi():
                spi = next(self._spi)
                node.reserved.add(SaId(command.local, command.protocol, spi))
                self.tell(node, SpiAllocated(ask=command.ask, spi=spi), self.install_delay)
            case InstallSa():
                self._install(node, command)
            case DeleteSa():
                node.sas.pop(command.sa, None)
                node.reserved.discard(command.sa)
            case FindPolicy():
                self.tell(node, self._find(node, command), self.install_delay)
            case AddPolicy():
                node.policies.append(command.policy)
            case RemovePolicy():
                node.policies.remove(command.policy)
            case ExportKeys():
                node.exported.append(command)
            case Stopped():
                node.stopped = True

    def _install(self, node: Node, command: InstallSa) -> None:
        sa = command.sa
        if node.refuse(sa):
            self.tell(node, SaRefused(ask=command.ask, reason="no such algorithm"))
            return
        if sa.direction is Direction.IN:
            assert sa.id in node.reserved, "an inbound SA without a reserved SPI"
            node.reserved.remove(sa.id)
        assert sa.id not in node.sas, "an SA is installed twice"
        node.sas[sa.id] = sa
        self.tell(node, SaInstalled(ask=command.ask), self.install_delay)

    def _find(self, node: Node, command: FindPolicy) -> PolicyFound | NoPolicy:
        for policy in node.policies:
            if policy.selector.covers(command.selector):
                return PolicyFound(ask=command.ask, policy=policy)
        return NoPolicy(ask=command.ask)

    def _send(self, datagram: SendDatagram) -> None:
        self.datagrams.append(datagram)
        link = self.link
        if link.cut:
            return
        copies = 1 + (self.random.random() < link.duplication)
        for _ in range(copies):
            if self.random.random() < link.loss:
                continue
            arrived = self.rewrite(datagram)
            if arrived is None:
                continue
            node = self.nodes.get(arrived.to.address)
            if node is None:
                continue
            delay = link.delay
            if self.random.random() < link.reordering:
                delay += self.random.random()
            event = DatagramReceived(octets=arrived.octets, source=arrived.local, local=arrived.to)
            self.tell(node, event, delay)


def pair(
    world: World,
    policies: Callable[[Address, Address], PolicyEntry] = transport,
    left: Config | None = None,
    right: Config | None = None,
) -> tuple[Node, Node]:
    """Two nodes with mirrored policies."""
    a = world.node("left", LEFT, left or config(RIGHT))
    b = world.node("right", RIGHT, right or config(LEFT))
    a.policies.append(policies(LEFT, RIGHT))
    b.policies.append(policies(RIGHT, LEFT))
    return a, b


def network_to_network(local: Address, remote: Address) -> PolicyEntry:
    networks = {LEFT: "192.168.1.0/24", RIGHT: "192.168.2.0/24"}
    return tunnel(local, remote, networks[local], networks[remote])


def connect(world: World, node: Node, seconds: float = 60.0) -> bool:
    """Acquire the node's first policy, and wait for it to be established."""
    before = node.kinds().count(0x201)
    world.tell(node, Acquire(policy=node.policies[0]))
    return world.run(seconds, lambda: node.kinds().count(0x201) > before)


def mirrored(a: Node, b: Node) -> bool:
    """Whether each SA of one side has its twin at the other, with the same keys."""
    return _twins(a.sas.values(), b.sas) and _twins(b.sas.values(), a.sas)


def _twins(sas: Iterable[IpsecSa], others: dict[SaId, IpsecSa]) -> bool:
    for sa in sas:
        twin = others.get(sa.id)
        if twin is None or twin.direction is sa.direction:
            return False
        same = (twin.encryption_key, twin.integrity_key, twin.mode, twin.encryption)
        if same != (sa.encryption_key, sa.integrity_key, sa.mode, sa.encryption):
            return False
    return True


def fast_timers(**changes: float) -> Timers:
    return replace(Timers(), **changes)  # type: ignore[arg-type]

"""IKE engines on the network in memory (`lab.virtual`), with data planes that are dictionaries."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import ip_address, ip_network
from itertools import count

from ike.commands import (
    AddPolicy,
    AllocateSpi,
    AskAgain,
    Command,
    DeleteSa,
    EventKind,
    ExportKeys,
    InstallSa,
    Level,
    Log,
    RemovePolicy,
    Report,
    SendDatagram,
    Stopped,
)
from ike.config import Config, PreSharedKeys, Remote, Sainfo, SainfoId, Timers
from ike.engine import Engine
from ike.events import (
    Acquire,
    DatagramReceived,
    Event,
    PolicyAdded,
    PolicyRemoved,
    SaInstalled,
    SaRefused,
    SpiAllocated,
)
from ike.values import (
    Address,
    Direction,
    IpsecSa,
    Mode,
    PolicyEntry,
    Protection,
    SaId,
    Selector,
)
from lab.virtual import FAIR, Lab, Station, Weather
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
        log=Level.DEBUG2,  # so that every test of messages tests what is shown of them
    )
    return replace(base, **rest)  # type: ignore[arg-type]


def lasting(peer: Address, seconds: int = 100, phase1: int = 3600, **changes: object) -> Config:
    """Phase 2 lasts `seconds`, phase 1 `phase1`."""
    made = config(peer, lifetime_seconds=phase1, **changes)
    return replace(made, sainfos=tuple(replace(s, lifetime_seconds=seconds) for s in made.sainfos))


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
    announced: list[PolicyEntry] = field(default_factory=list)
    sas: dict[SaId, IpsecSa] = field(default_factory=dict)
    reserved: set[SaId] = field(default_factory=set)
    logs: list[Log] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    exported: list[ExportKeys] = field(default_factory=list)
    refuse: Callable[[IpsecSa], bool] = lambda _: False
    stopped: bool = False
    station: Station | None = None

    def texts(self) -> list[str]:
        return [log.text for log in self.logs]

    def kinds(self) -> list[int]:
        return [report.kind for report in self.reports]

    def of(self, direction: Direction) -> list[IpsecSa]:
        return [sa for sa in self.sas.values() if sa.direction is direction]


Rewrite = Callable[[SendDatagram], SendDatagram | None]
ROUGH = Weather(loss=0.2, duplication=0.2, delay=0.01, jitter=1.0)


class World:
    """Nodes on one network. `rewrite` is what a NAT or an attacker does to datagrams."""

    def __init__(
        self, seed: int = 1, weather: Weather = FAIR, install_delay: float = 0.001
    ) -> None:
        self.lab = Lab(weather, seed=seed, now=1000.0)
        self.nodes: dict[Address, Node] = {}
        self.datagrams: list[SendDatagram] = []
        self.rewrite: Rewrite = lambda datagram: datagram
        self.install_delay = install_delay
        self.date: datetime | None = None
        self._spi: Iterator[int] = count(0x1000)

    @property
    def now(self) -> float:
        return self.lab.now

    def node(self, name: str, address: Address, configuration: Config) -> Node:
        entropy = random.Random(f"{name} {self.lab.entropy(8).hex()}")
        node = Node(name, address, Engine(configuration, entropy=entropy.randbytes))
        self.nodes[address] = node
        node.station = self.lab.add(
            name, node.engine, lambda command: self._perform(node, command), TimerFired()
        )
        return node

    def remove(self, node: Node) -> None:
        """Power off."""
        assert node.station is not None
        self.lab.remove(node.station)
        del self.nodes[node.address]

    def suspend(self, node: Node) -> None:
        """It sleeps: its clock goes on, nothing else does."""
        assert node.station is not None
        self.lab.remove(node.station)

    def wake(self, node: Node) -> None:
        assert node.station is not None
        self.lab.resume(node.station)

    def tell(self, node: Node, event: Event, delay: float = 0.0) -> None:
        assert node.station is not None
        self.lab.tell(node.station, event, delay)

    def _announce_policies(self) -> None:
        """The data planes tell of the policies that a test put there, or took away."""
        for node in self.nodes.values():
            if node.policies == node.announced:
                continue
            there, announced = set(node.policies), set(node.announced)
            for policy in node.policies:
                if policy not in announced:
                    self._deliver(node, PolicyAdded(policy=policy))
            for policy in node.announced:
                if policy not in there:
                    self._deliver(node, PolicyRemoved(policy=policy))
            node.announced = list(node.policies)

    def _deliver(self, node: Node, event: Event) -> None:
        assert node.station is not None
        self.lab.give(node.station, event)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass. True as soon as `until` holds."""
        self._announce_policies()
        end = self.now + seconds
        if self.lab.run(until, seconds):
            return True
        self.lab.now = end
        return until()

    def _perform(self, node: Node, command: Command) -> None:
        node.commands.append(command)
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
            case AddPolicy():
                for policies in (node.policies, node.announced):  # one for the same traffic
                    same = [p for p in policies if p.selector == command.policy.selector]
                    policies[:] = [p for p in policies if p not in same] + [command.policy]
            case RemovePolicy():
                node.policies.remove(command.policy)
                node.announced.remove(command.policy)
            case AskAgain():
                pass  # here every packet asks
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

    def _send(self, datagram: SendDatagram) -> None:
        self.datagrams.append(datagram)
        arrived = self.rewrite(datagram)
        node = self.nodes.get(arrived.to.address) if arrived is not None else None
        if arrived is None or node is None or node.station is None:
            return
        self.lab.send(
            node.station,
            DatagramReceived(
                octets=arrived.octets, source=arrived.local, local=arrived.to, date=self.date
            ),
        )


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
    policy = node.policies[0]

    def established() -> int:
        up = (report for report in node.reports if report.kind == EventKind.PHASE2_UP)
        return sum(report.selector == policy.selector for report in up)

    before = established()
    world.tell(node, Acquire(policy=policy))
    return world.run(seconds, lambda: established() > before)


def naming(configuration: Config, *policies: PolicyEntry) -> Config:
    """With a sainfo for the traffic of each policy, so that it may be generated."""
    like = configuration.sainfos[0]
    named = (
        replace(
            like,
            local=SainfoId(network=policy.selector.local),
            remote=SainfoId(network=policy.selector.remote),
        )
        for policy in policies
    )
    return replace(configuration, sainfos=(*configuration.sainfos, *named))


def mirrored(a: Node, b: Node) -> bool:
    """Whether each SA of one side has its twin at the other, with the same keys."""
    return _twins(a.sas.values(), b.sas) and _twins(b.sas.values(), a.sas)


def receivable(a: Node, b: Node) -> bool:
    """Whether what either side may send at this moment finds its SA at the other."""
    return _twins(a.of(Direction.OUT), b.sas) and _twins(b.of(Direction.OUT), a.sas)


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

"""The keying daemon's core: what one event costs among 10, 1,000 and 10,000 peers, and memory.

Each peer has a remote, an entry in psk.txt, a policy, and SAs that are established. Compared to
itself: among 10,000 peers an event may cost 1.2 times what it costs among 10. Only the gateway's
time is counted, without the data plane and the sockets.
"""

import gc
import os
import time
import tracemalloc
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from itertools import count
from statistics import median

import pytest

from ike.commands import AllocateSpi, Command, InstallSa, SendDatagram
from ike.config import Config, PreSharedKeys, Remote, Sainfo
from ike.engine import Engine
from ike.events import (
    Acquire,
    DatagramReceived,
    DeleteIpsec,
    Event,
    PolicyAdded,
    Reload,
    SaExpired,
    SaInstalled,
    SpiAllocated,
)
from ike.values import Address, Direction, Endpoint, IpsecSa, PolicyEntry, Protection, Selector
from wire.secret import Secret
from wire.timer import TimerFired

SIZES = (10, 1_000, 10_000)
ROUNDS = 5
EACH = 10  # events of a kind in a round
MOST = 1.2  # times the cost among 10 peers
PAUSE = 0.050  # seconds for which a reload may hold the daemon up
HERE = ip_address("192.0.2.1")
KEY = Secret(b"a pre-shared key")
_spis = count(0x1000)


def _policy(local: Address, remote: Address) -> PolicyEntry:
    selector = Selector(local=ip_network(local), remote=ip_network(remote))
    return PolicyEntry(selector=selector, local=local, remote=remote, protections=(Protection(),))


class End:
    """An engine with a data plane that answers at once."""

    def __init__(self, config: Config) -> None:
        self.engine = Engine(config, entropy=os.urandom)
        self.sas: list[IpsecSa] = []
        self.spent = 0.0

    def handle(self, event: Event | TimerFired, now: float) -> list[SendDatagram]:
        sent: list[SendDatagram] = []
        events: list[Event | TimerFired] = [event]
        while events:
            before = time.thread_time()
            commands = self.engine.handle(events.pop(0), now)
            self.spent += time.thread_time() - before
            for command in commands:
                self._carry_out(command, sent, events)
        return sent

    def _carry_out(
        self, command: Command, sent: list[SendDatagram], events: list[Event | TimerFired]
    ) -> None:
        match command:
            case SendDatagram():
                sent.append(command)
            case AllocateSpi():
                events.append(SpiAllocated(ask=command.ask, spi=next(_spis)))
            case InstallSa():
                self.sas.append(command.sa)
                events.append(SaInstalled(ask=command.ask))
            case _:
                pass


class Gateway:
    """One with so many peers, of which the last `EACH` are at hand."""

    def __init__(self, number: int) -> None:
        self.now = 1000.0
        self.addresses = [ip_address(0x0A000001 + at) for at in range(number)]
        self.config = _named(self.addresses)
        self.end = End(self.config)
        self.peers: dict[Address, End] = {}
        self.strangers = count()
        for address in self.addresses:
            self.end.handle(PolicyAdded(policy=_policy(HERE, address)), self.now)

    def establish(self) -> None:
        for address in self.addresses:
            if len(self.peers) > EACH:
                self.peers.clear()
            self.handshake(address)
        for address in self.addresses[-EACH:]:
            self.handshake(address)

    def handshake(self, address: Address) -> None:
        keys = PreSharedKeys(((str(HERE), KEY),))
        remote = Remote(name="gateway", address=HERE)
        peer = End(Config(remotes=(remote,), sainfos=(Sainfo(),), keys=keys))
        self.peers[address] = peer
        self.let(peer, Acquire(policy=_policy(address, HERE)))

    def renew(self, address: Address) -> None:
        peer = self.peers[address]
        self.let(peer, SaExpired(sa=peer.sas[-1].id, hard=False))

    def delete(self, address: Address) -> None:
        """The peer deletes what it had before its renewal."""
        peer = self.peers[address]
        inbound = [sa for sa in peer.sas if sa.direction is Direction.IN]
        self.let(peer, DeleteIpsec(sa=inbound[0].id))

    def acquire(self, address: Address) -> None:
        sent = self.end.handle(Acquire(policy=_policy(HERE, address)), self.now)
        self._carry(self.peers[address], [], sent)

    def stranger(self, address: Address) -> None:  # noqa: ARG002
        """A first message from nowhere, and a message of no ISAKMP SA."""
        source = Endpoint(ip_address(0x14000000 + 256 * next(self.strangers)), 500)
        header = os.urandom(8) + bytes(8) + bytes([1, 0x10, 2, 0]) + bytes(4)
        length = (28).to_bytes(4)
        for octets in (header + length, os.urandom(16) + header[16:] + length):
            event = DatagramReceived(octets=octets, source=source, local=Endpoint(HERE, 500))
            self.end.handle(event, self.now)

    def reload(self, config: Config) -> float:
        """The longest time, in seconds, that it holds up."""
        event: Reload | TimerFired = Reload(config=config)
        longest, end = 0.0, self.now + 5.0
        while self.now < end:
            self.end.spent = 0.0
            self.end.handle(event, self.now)
            longest = max(longest, self.end.spent)
            event, self.now = TimerFired(), self.now + 0.002
        return longest

    def let(self, peer: End, event: Event) -> None:
        self._carry(peer, peer.handle(event, self.now), [])

    def _carry(self, peer: End, to_us: list[SendDatagram], to_peer: list[SendDatagram]) -> None:
        while to_us or to_peer:
            self.now += 0.001
            coming, going = to_us, to_peer
            to_us = [d for one in going for d in peer.handle(_arrives(one), self.now)]
            to_peer = [d for one in coming for d in self.end.handle(_arrives(one), self.now)]

    def cost(self, act: Callable[["Gateway", Address], None]) -> float:
        """Microseconds of the gateway for one `act`."""
        self.now += 1.0
        self.end.handle(TimerFired(), self.now)
        gc.collect()
        gc.disable()
        self.end.spent = 0.0
        for address in self.addresses[-EACH:]:
            act(self, address)
        gc.enable()
        return self.end.spent / EACH * 1e6


def _named(addresses: list[Address]) -> Config:
    return Config(
        remotes=tuple(Remote(name=str(a), address=a) for a in addresses),
        sainfos=(Sainfo(),),
        keys=PreSharedKeys(tuple((str(a), KEY) for a in addresses)),
    )


def _arrives(sent: SendDatagram) -> DatagramReceived:
    return DatagramReceived(octets=sent.octets, source=sent.local, local=sent.to)


@pytest.fixture(scope="module")
def gateways() -> dict[int, Gateway]:
    made = {size: Gateway(size) for size in SIZES}
    for gateway in made.values():
        gateway.establish()
    return made


ACTS = {
    "handshake": Gateway.handshake,
    "renewal": Gateway.renew,
    "delete": Gateway.delete,
    "acquire": Gateway.acquire,
    "stranger's datagrams": Gateway.stranger,
}


@pytest.mark.timeout(1800)
def test_an_event_costs_the_same_among_any_number_of_peers(gateways: dict[int, Gateway]) -> None:
    costs: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS):
        for name, act in ACTS.items():
            for size, gateway in gateways.items():
                costs.setdefault((name, size), []).append(gateway.cost(act))
    grown = []
    for name in ACTS:
        each = [median(costs[name, size]) for size in SIZES]
        print(f"\n{name:22}", *(f"{cost:9.1f} us" for cost in each), f"x{each[-1] / each[0]:.2f}")
        if each[-1] > MOST * each[0]:
            grown.append(name)
    assert not grown


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("number", "all_gone"), [(1_000, False), (10_000, False), (1_000, True)])
def test_a_reload_holds_the_core_up_for_a_moment(number: int, all_gone: bool) -> None:
    """The same remotes read again, or none any more: each peer with a tunnel is told so."""
    gateway = Gateway(number)
    if all_gone:
        gateway.establish()
    longest = []
    for _ in range(1 if all_gone else ROUNDS):
        config = Config() if all_gone else _named(gateway.addresses)
        longest.append(gateway.reload(config))
    print(
        f"\nreload of {number} remotes, gone: {all_gone}: {median(longest) * 1e3:.1f} ms at a time"
    )
    assert not all_gone or not gateway.end.engine.isakmp_sas()
    assert median(longest) < PAUSE


@pytest.mark.timeout(1800)
def test_tunnels_made_at_once_cost_the_same_each() -> None:
    runs: dict[int, list[float]] = {100: [], 1_000: []}
    for _ in range(ROUNDS):
        for number, costs in runs.items():
            gateway = Gateway(number)
            gateway.end.spent = 0.0
            gateway.establish()
            costs.append(gateway.end.spent / (number + EACH) * 1e6)
    each = {number: median(costs) for number, costs in runs.items()}
    for number, cost in each.items():
        print(f"\n{number} tunnels at once: {cost:.0f} us each")
    assert each[1_000] <= MOST * each[100]


@pytest.mark.timeout(1800)
def test_memory_of_a_tunnel() -> None:
    gateway = Gateway(1_000)
    gateway.handshake(gateway.addresses[0])
    gc.collect()
    tracemalloc.start()
    for address in gateway.addresses[1:]:
        gateway.handshake(address)
        gateway.peers.clear()
    gc.collect()
    octets = tracemalloc.get_traced_memory()[0] / (len(gateway.addresses) - 1)
    tracemalloc.stop()
    print(f"\nmemory of a tunnel beyond the first: {octets / 1024:.1f} kB")
    assert octets < 32 * 1024

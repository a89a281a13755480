"""Any sequence of what an insider, a stranger, an honest peer and the network may do.

The insider has a key of its own, sends in anybody's name, and hears what the others are sent. The
stranger has no key: it replays what it has heard, from anywhere, and makes up first messages.
Whatever they do: no SA of a connection has keys that its peer's identity did not negotiate; what
the gateway holds stays bounded; the honest peer gets through within a stated time.
"""

import os
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ike.commands import InstallSa, SendDatagram
from ike.config import Config, GeneratePolicy, Limits, PreSharedKeys, Remote, Sainfo, Switch
from ike.events import Acquire, DatagramReceived, DeleteIsakmp, Flush, SaExpired
from ike.isakmp.message import Payload
from ike.isakmp.payloads import Delete, Notification
from ike.numbers.isakmp import NotifyType, PayloadType, ProtocolId
from ike.peer.peer import MAX_ISAKMP_SAS
from ike.values import Address, Direction, Endpoint, Mode, PolicyEntry, Protection
from lab.ike_world import Node, World, config, connect, naming, tunnel
from lab.virtual import Weather
from wire.secret import Secret

GATEWAY, HONEST, INSIDER = map(ip_address, ("192.0.2.1", "198.51.100.2", "198.51.100.3"))
OFFICE: Final = "10.0.0.0/16"
NETS: Final = {HONEST: "10.2.0.0/24", INSIDER: "10.3.0.0/24"}
KEYS: Final = {HONEST: Secret(b"of the honest"), INSIDER: Secret(b"of the insider")}
LIMITS: Final = Limits(half_open=40, half_open_per_prefix=20, half_open_per_address=4)
KEPT_OUT: Final = 90.0
"""Seconds for which what insiders and strangers did may keep an honest peer out at most."""
MAX_TIMERS: Final = 400


def _served(nat: Switch, *, generate: bool) -> Config:
    remote = Remote(
        name="anonymous",
        address=None,
        nat_traversal=nat,
        dpd_delay=20.0,
        dpd_retry=2.0,
        dpd_maxfail=3,
        lifetime_seconds=900,
        generate_policy=GeneratePolicy.ON if generate else GeneratePolicy.OFF,
    )
    keys = PreSharedKeys(tuple((str(address), key) for address, key in KEYS.items()))
    made = Config(remotes=(remote,), sainfos=(Sainfo(),), keys=keys, limits=LIMITS)
    if not generate:
        return made
    # Whose a network is, is said by `remoteid`; else it would be of who asks first.
    remotes = [
        replace(remote, name=str(address), address=address, ph1id=number)
        for number, address in enumerate(NETS, 1)
    ]
    named = naming(made, *(tunnel(GATEWAY, a, OFFICE, net) for a, net in NETS.items()))
    sainfos = (
        replace(sainfo, remoteid=number) for number, sainfo in enumerate(named.sainfos[1:], 1)
    )
    return replace(made, remotes=tuple(remotes), sainfos=tuple(sainfos))


def _client(address: Address, nat: Switch) -> Config:
    keys = PreSharedKeys(((str(GATEWAY), KEYS[address]),))
    return replace(config(GATEWAY, nat_traversal=nat, lifetime_seconds=900), keys=keys)


def _static(address: Address, reqid: int) -> PolicyEntry:
    policy = tunnel(GATEWAY, address, OFFICE, NETS[address])
    return replace(policy, protections=(Protection(mode=Mode.TUNNEL, reqid=reqid),))


SOURCES = st.sampled_from(
    [HONEST, HONEST, INSIDER, ip_address("198.51.100.77"), ip_address("203.0.113.9")]
)
PORTS = st.sampled_from([500, 4500, 40000])


class Insiders(RuleBasedStateMachine):
    @initialize(
        seed=st.integers(0, 2**32),
        nat=st.sampled_from(list(Switch)),
        generate=st.booleans(),
        both=st.booleans(),
    )
    def begin(self, seed: int, nat: Switch, generate: bool, both: bool) -> None:
        self.world = World(seed)
        self.nat = nat
        self.gateway = self.world.node("gateway", GATEWAY, _served(nat, generate=generate))
        if not generate:
            self.gateway.policies.append(_static(HONEST, 71))
            if both:
                self.gateway.policies.append(_static(INSIDER, 72))
        self.honest = self._new("honest", HONEST)
        self.insider = self._new("insider", INSIDER)
        self.insider.policies.append(tunnel(INSIDER, GATEWAY, NETS[HONEST], OFFICE))
        self.insider.policies.append(tunnel(INSIDER, GATEWAY, "0.0.0.0/0", "0.0.0.0/0"))
        self.honest_first = 0  # of the insider's next datagrams
        self.forged: list[Endpoint] = []  # and the sources of those after them
        self.taped: list[bytes] = []
        self.insiders_keys: set[bytes] = set()
        self.world.rewrite = self._carry

    def _new(self, name: str, address: Address) -> Node:
        node = self.world.node(name, address, _client(address, self.nat))
        node.policies.append(tunnel(address, GATEWAY, NETS[address], OFFICE))
        return node

    def _carry(self, datagram: SendDatagram) -> SendDatagram | None:
        """The insider and the stranger hear everything; the insider's source may be a lie."""
        if datagram.to.address == GATEWAY:
            self.taped = [*self.taped[-200:], datagram.octets]
        if datagram.local.address == INSIDER and self.honest_first:
            self.honest_first -= 1
        elif datagram.local.address == INSIDER and self.forged:
            return replace(datagram, local=self.forged.pop(0))
        if datagram.local.address == GATEWAY and datagram.to.address != INSIDER:
            heard = DatagramReceived(
                octets=datagram.octets,
                source=datagram.local,
                local=Endpoint(INSIDER, 4500 if datagram.local.port == 4500 else 500),
            )
            self.world.tell(self.insider, heard, 0.001)
        return datagram

    # --- the honest ---

    @rule(side=st.booleans())
    def traffic(self, side: bool) -> None:
        node = self.gateway if side and self.gateway.policies else self.honest
        self.world.tell(node, Acquire(policy=node.policies[0]))

    @rule(seconds=st.sampled_from([0.002, 0.02, 0.5, 5.0, 40.0, 800.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.run(seconds)

    @rule()
    def the_honest_peer_restarts(self) -> None:
        self.world.remove(self.honest)
        self.honest = self._new("honest again", HONEST)

    @rule(loss=st.sampled_from([0.0, 0.3]))
    def weather_changes(self, loss: float) -> None:
        self.world.lab.weather = Weather(loss=loss, jitter=loss)

    @rule(which=st.integers(0, 9))
    def an_sa_of_the_gateway_ages(self, which: int) -> None:
        if self.gateway.sas:
            sa = sorted(self.gateway.sas, key=lambda sa: sa.spi)[which % len(self.gateway.sas)]
            self.world.tell(self.gateway, SaExpired(sa=sa, hard=False))

    @rule()
    def an_administrator_disconnects_the_honest_peer(self) -> None:
        self.world.tell(self.gateway, DeleteIsakmp(remote=HONEST))

    # --- the insider ---

    @rule(
        which=st.integers(0, 2),
        anew=st.booleans(),
        honest_first=st.integers(0, 4),
        forged=st.integers(0, 8),
        source=SOURCES,
        port=PORTS,
    )
    def the_insider_wants(
        self,
        which: int,
        anew: bool,
        honest_first: int,
        forged: int,
        source: IPv4Address,
        port: int,
    ) -> None:
        """SAs for its own traffic or for others'; some of its datagrams come from elsewhere."""
        if anew:
            self.world.tell(self.insider, Flush())
        self.world.run(0.01)
        self.honest_first = honest_first
        self.forged = [Endpoint(source, port)] * forged
        self.world.tell(self.insider, Acquire(policy=self.insider.policies[which]))
        self.world.run(1)

    @rule(kind=st.sampled_from(["esp", "isakmp", "spi", "contact"]), which=st.integers(0, 9))
    def the_insider_speaks_of_what_is_not_its_own(self, kind: str, which: int) -> None:
        found = [s for p in self.insider.engine._pad for s in p.isakmp_sas if s.established]
        spis = [sa.spi.to_bytes(4) for sa in self.gateway.sas.values()] or [b"\0\0\1\0"]
        views = self.gateway.engine.isakmp_sas()
        for sa in found[:1]:
            spi = spis[which % len(spis)]
            if kind == "esp":
                payload = Payload(PayloadType.DELETE, bytes(Delete(ProtocolId.ESP, (spi,))))
            elif kind == "isakmp":
                pairs = tuple(v.initiator_cookie + v.responder_cookie for v in views)
                theirs = tuple(pair for pair in pairs if pair != bytes(sa.cookies)) or (bytes(16),)
                payload = Payload(PayloadType.DELETE, bytes(Delete(ProtocolId.ISAKMP, theirs)))
            else:
                type_ = NotifyType.INVALID_SPI if kind == "spi" else NotifyType.INITIAL_CONTACT
                note = Notification(type_, ProtocolId.ESP, spi)
                payload = Payload(PayloadType.NOTIFY, bytes(note))
            sa.say([payload])

    @rule()
    def the_insider_forgets(self) -> None:
        self.world.tell(self.insider, Flush())

    # --- the stranger ---

    @rule(which=st.integers(0, 200), source=SOURCES, port=PORTS)
    def the_stranger_replays(self, which: int, source: IPv4Address, port: int) -> None:
        if self.taped:
            self._forge(self.taped[-1 - which % len(self.taped)], Endpoint(source, port))

    @rule(count=st.integers(1, 60), source=SOURCES, spread=st.booleans())
    def the_stranger_begins(self, count: int, source: IPv4Address, spread: bool) -> None:
        first = next((o for o in self.taped if len(o) > 60 and o[8:16] == bytes(8)), None)
        if first is not None:
            for number in range(count):
                octets = os.urandom(8) + first[8:]
                address = source + number // 3 if spread else source
                self._forge(octets, Endpoint(address, 500))

    @rule(at=st.integers(0, 400), bits=st.integers(1, 255), source=SOURCES)
    def the_stranger_bends(self, at: int, bits: int, source: IPv4Address) -> None:
        if self.taped:
            bent = bytearray(self.taped[-1])
            bent[at % len(bent)] ^= bits
            self._forge(bytes(bent), Endpoint(source, 500))

    def _forge(self, octets: bytes, source: Endpoint) -> None:
        marked = octets.startswith(bytes(4))
        local = Endpoint(GATEWAY, 4500 if marked else 500)
        self.world.tell(
            self.gateway, DatagramReceived(octets=octets, source=source, local=local), 0.001
        )

    # --- what always holds ---

    @invariant()
    def no_connection_has_keys_of_somebody_else(self) -> None:
        if not hasattr(self, "world"):
            return
        for command in self.insider.commands:
            if isinstance(command, InstallSa):
                self.insiders_keys.add(command.sa.encryption_key.reveal())
        self.insider.commands.clear()
        for peer in self.gateway.engine._pad:
            of_insider = peer.identity is not None and str(INSIDER) in peer.identity.proof
            for _, bundle in peer.bundles():
                for pair in bundle.pairs:
                    known = pair.inbound.encryption_key.reveal() in self.insiders_keys
                    assert known is of_insider or not known
        for sa in self.gateway.sas.values():
            if sa.encryption_key.reveal() in self.insiders_keys:
                assert sa.reqid != 71
                assert HONEST not in (sa.source, sa.destination)

    @invariant()
    def what_is_held_stays_bounded(self) -> None:
        if not hasattr(self, "world"):
            return
        engine = self.gateway.engine
        assert len(engine._db.half_open) <= LIMITS.half_open + 4
        assert len(engine.schedule()) < MAX_TIMERS
        peers = list(engine._pad)
        assert len(peers) <= 6
        assert all(len(p.isakmp_sas) <= 2 * MAX_ISAKMP_SAS for p in peers)

    def teardown(self) -> None:
        """The insider may go on as it is; the honest peer gets through all the same."""
        if not hasattr(self, "world"):
            return
        self.world.lab.weather = Weather()
        self.honest_first, self.forged = 0, []
        began = self.world.now
        while not connect(self.world, self.honest, 5):
            assert self.world.now - began < KEPT_OUT, self.gateway.texts()[-12:]
        self.world.run(30)
        self.no_connection_has_keys_of_somebody_else()
        usable = [sa for sa in self.honest.of(Direction.OUT) if sa.id in self.gateway.sas]
        assert usable


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def test_no_sequence_of_an_insider_and_a_stranger_gets_or_keeps_what_is_anothers() -> None:
    run_state_machine_as_test(Insiders, settings=_settings(300))


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_no_sequence_does_in_ten_thousand_runs() -> None:
    run_state_machine_as_test(Insiders, settings=_settings(10_000))

"""Two engines under any sequence of events: nothing raises, nothing leaks, nothing stays stuck."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ike.config import GeneratePolicy
from ike.events import (
    Acquire,
    AddressGone,
    DeleteIpsec,
    DeleteIsakmp,
    DeletePolicySas,
    EstablishIsakmp,
    Flush,
    Reload,
    SaExpired,
    SaGone,
)
from ike.values import Direction, Endpoint
from lab.ike_world import (
    LEFT,
    RIGHT,
    Node,
    World,
    config,
    connect,
    naming,
    network_to_network,
    transport,
)
from lab.virtual import Weather

SIDES = st.sampled_from([0, 1])
SHORT = {"lifetime_seconds": 900, "dpd_delay": 20.0, "dpd_retry": 2.0, "dpd_maxfail": 3}


class Peers(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 2**32), generate=st.sampled_from(list(GeneratePolicy)))
    def begin(self, seed: int, generate: GeneratePolicy) -> None:
        self.world = World(seed)
        self.configs = (
            config(RIGHT, **SHORT),
            naming(
                config(LEFT, generate_policy=generate, **SHORT), network_to_network(RIGHT, LEFT)
            ),
        )
        self.nodes: list[Node] = [
            self.world.node("left", LEFT, self.configs[0]),
            self.world.node("right", RIGHT, self.configs[1]),
        ]
        for node, here, there in zip(self.nodes, (LEFT, RIGHT), (RIGHT, LEFT), strict=True):
            node.policies += [transport(here, there), network_to_network(here, there)]

    @rule(side=SIDES, which=st.sampled_from([0, 1]))
    def traffic(self, side: int, which: int) -> None:
        node = self.nodes[side]
        self.world.tell(node, Acquire(policy=node.policies[which]))

    @rule(seconds=st.sampled_from([0.001, 0.02, 0.5, 5.0, 40.0, 800.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.run(seconds)

    @rule(
        weather=st.sampled_from(
            [
                Weather(),
                Weather(loss=0.3, duplication=0.3, jitter=0.5),
                Weather(loss=1.0),
                Weather(delay=3.0),
            ]
        )
    )
    def weather_changes(self, weather: Weather) -> None:
        self.world.lab.weather = weather

    @rule(side=SIDES, hard=st.booleans(), which=st.integers(0, 9))
    def an_sa_expires(self, side: int, hard: bool, which: int) -> None:
        node = self.nodes[side]
        if node.sas:
            sa = sorted(node.sas.values(), key=lambda sa: sa.spi)[which % len(node.sas)]
            if hard:
                node.sas.pop(sa.id)
            self.world.tell(node, SaExpired(sa=sa.id, hard=hard))

    @rule(side=SIDES, which=st.integers(0, 9), gone=st.booleans())
    def an_sa_is_deleted(self, side: int, which: int, gone: bool) -> None:
        node = self.nodes[side]
        if node.sas:
            sa = sorted(node.sas.values(), key=lambda sa: sa.spi)[which % len(node.sas)]
            if gone:
                node.sas.pop(sa.id)
            self.world.tell(node, (SaGone if gone else DeleteIpsec)(sa=sa.id))

    @rule(side=SIDES, children=st.booleans())
    def an_administrator_deletes_the_peer(self, side: int, children: bool) -> None:
        peer = RIGHT if side == 0 else LEFT
        self.world.tell(self.nodes[side], DeleteIsakmp(remote=peer, children=children))

    @rule(side=SIDES, isakmp=st.booleans(), ipsec=st.booleans())
    def an_administrator_flushes(self, side: int, isakmp: bool, ipsec: bool) -> None:
        self.world.tell(self.nodes[side], Flush(isakmp=isakmp, ipsec=ipsec))

    @rule(side=SIDES)
    def other_things_happen(self, side: int) -> None:
        node, peer = self.nodes[side], RIGHT if side == 0 else LEFT
        self.world.tell(node, EstablishIsakmp(local=Endpoint(node.address, 500), remote=peer))
        self.world.tell(node, DeletePolicySas(policy=node.policies[1]))
        self.world.tell(node, Reload(config=self.configs[side]))

    @rule(side=SIDES)
    def an_address_goes_and_comes(self, side: int) -> None:
        node = self.nodes[side]
        self.world.tell(node, AddressGone(address=node.address))

    @rule(side=SIDES, direction=st.sampled_from([*Direction, None]))
    def the_data_plane_refuses(self, side: int, direction: Direction | None) -> None:
        self.nodes[side].refuse = lambda sa: sa.direction is direction

    @rule(side=SIDES)
    def a_restart(self, side: int) -> None:
        old = self.nodes[side]
        self.world.remove(old)
        new = self.world.node("new", old.address, self.configs[side])
        new.policies = old.policies
        self.nodes[side] = new

    @invariant()
    def what_is_shown_is_what_is_installed(self) -> None:
        for node in getattr(self, "nodes", ()):
            shown = {view.spi_in for view in node.engine.ipsec_sas()}
            assert len(node.engine.schedule()) < 200
            assert len(shown) == len(node.engine.ipsec_sas())

    def teardown(self) -> None:
        """In fair weather, with a willing data plane, all comes up again."""
        if not hasattr(self, "world"):
            return
        self.world.lab.weather = Weather()
        for node in self.nodes:
            node.refuse = lambda _: False
        self.world.run(200)
        assert connect(self.world, self.nodes[0], 120), self.nodes[0].texts()[-8:]
        self.world.run(60)
        for node in self.nodes:
            assert not node.reserved
            spis = {spi for view in node.engine.ipsec_sas() for spi in (view.spi_in, view.spi_out)}
            assert spis == {sa.spi for sa in node.sas.values()}
        assert self.nodes[0].sas
        usable = [sa for sa in self.nodes[0].of(Direction.OUT) if sa.id in self.nodes[1].sas]
        assert usable


Peers.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestPeers = Peers.TestCase

"""Two engines renew short-lived SAs while anything happens: what is sent is receivable, nothing is
left over in the end, and everything can be had again.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ike.config import GeneratePolicy, Switch
from ike.events import (
    Acquire,
    DeleteIpsec,
    DeleteIsakmp,
    DeletePolicySas,
    Event,
    Flush,
    Reload,
    SaExpired,
    SaGone,
)
from ike.numbers.isakmp import ProtocolId
from ike.values import Address, Direction, Mode, PolicyEntry, Protection, SaId
from lab.ike_world import (
    LEFT,
    RIGHT,
    Node,
    World,
    connect,
    lasting,
    naming,
    network_to_network,
    transport,
    tunnel,
)
from lab.virtual import Weather

SIDES = st.sampled_from([0, 1])
PAUSE: Final = 0.05  # seconds between two looks
BRIEF: Final = 0.4  # seconds for which a delete may be under way
FINE: Final = Weather(delay=0.01)  # a delete is not answered: lost or late, it does not count


def _both(local: Address, remote: Address) -> PolicyEntry:
    """AH and ESP."""
    inner = {LEFT: "192.168.3.0/24", RIGHT: "192.168.4.0/24"}
    protections = (
        Protection(mode=Mode.TUNNEL, reqid=8),
        Protection(protocol=ProtocolId.AH, reqid=9),
    )
    policy = tunnel(local, remote, inner[local], inner[remote])
    return replace(policy, protections=protections)


POLICIES: Final = (transport, network_to_network, _both)


class Renewals(RuleBasedStateMachine):
    @initialize(
        seed=st.integers(0, 2**32),
        seconds=st.sampled_from([1, 2, 3, 10, 30]),
        phase1=st.sampled_from([20, 60, 3600]),
        passive=st.booleans(),
        generate=st.booleans(),
    )
    def begin(self, seed: int, seconds: int, phase1: int, passive: bool, generate: bool) -> None:
        """With an ISAKMP SA at all times, so that deletes can be said."""
        self.world = World(seed, FINE, install_delay=0.005)
        self.generate = generate
        self.configs = (
            lasting(RIGHT, seconds, phase1, rekey=Switch.FORCE),
            naming(
                lasting(
                    LEFT,
                    seconds,
                    phase1,
                    rekey=Switch.FORCE,
                    passive=passive,
                    generate_policy=GeneratePolicy.ON if generate else GeneratePolicy.OFF,
                ),
                *(policy(RIGHT, LEFT) for policy in POLICIES[1:]),
            ),
        )
        self.nodes: list[Node] = [
            self.world.node("left", LEFT, self.configs[0]),
            self.world.node("right", RIGHT, self.configs[1]),
        ]
        self.nodes[0].policies += [policy(LEFT, RIGHT) for policy in POLICIES]
        if not generate:
            self.nodes[1].policies += [policy(RIGHT, LEFT) for policy in POLICIES]
        self.unheard: dict[SaId, float] = {}
        self.fair = True

    def _look(self) -> None:
        """Note since when what a side may send finds no SA at the other."""
        left, right = self.nodes
        astray = {
            sa.id
            for here, there in ((left, right), (right, left))
            for sa in here.of(Direction.OUT)
            if sa.id not in there.sas
        }
        self.unheard = {sa: self.unheard.get(sa, self.world.now) for sa in astray}
        if self.fair:
            for sa, since in self.unheard.items():
                assert self.world.now - since < BRIEF, sa

    def _run(self, seconds: float) -> None:
        end = self.world.now + seconds
        while self.world.now < end:
            self.world.run(min(PAUSE, end - self.world.now))
            self._look()

    @rule(which=st.integers(0, 2))
    def traffic(self, which: int) -> None:
        node = self.nodes[0]
        self.world.tell(node, Acquire(policy=node.policies[which]))

    @rule(which=st.integers(0, 2))
    def traffic_from_the_other_side(self, which: int) -> None:
        node = self.nodes[1]
        if which < len(node.policies):
            self.world.tell(node, Acquire(policy=node.policies[which]))

    @rule(seconds=st.sampled_from([0.005, 0.02, 0.06, 0.5, 1.0, 2.0, 7.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self._run(seconds)

    @rule(side=SIDES, which=st.integers(0, 20))
    def an_sa_ages(self, side: int, which: int) -> None:
        self._about_an_sa(side, which, lambda sa: SaExpired(sa=sa, hard=False))

    @rule(which=st.integers(0, 20))
    def an_sa_ages_at_both_ends(self, which: int) -> None:
        for side in (0, 1):
            self._about_an_sa(side, which, lambda sa: SaExpired(sa=sa, hard=False))

    @rule(side=SIDES, which=st.integers(0, 20))
    def an_sa_ends(self, side: int, which: int) -> None:
        self._about_an_sa(side, which, lambda sa: SaExpired(sa=sa, hard=True), gone=True)

    @rule(side=SIDES, which=st.integers(0, 20))
    def an_sa_vanishes(self, side: int, which: int) -> None:
        self._about_an_sa(side, which, lambda sa: SaGone(sa=sa), gone=True)

    @rule(side=SIDES, which=st.integers(0, 20))
    def an_sa_is_deleted(self, side: int, which: int) -> None:
        self._about_an_sa(side, which, lambda sa: DeleteIpsec(sa=sa))

    def _about_an_sa(
        self, side: int, which: int, event: Callable[[SaId], Event], *, gone: bool = False
    ) -> None:
        node = self.nodes[side]
        if node.sas:
            sa = sorted(node.sas, key=lambda sa: sa.spi)[-1 - which % len(node.sas)]
            if gone:
                del node.sas[sa]
            self.world.tell(node, event(sa))

    @rule(side=SIDES, which=st.integers(0, 2))
    def a_policy_goes_and_comes(self, side: int, which: int) -> None:
        node = self.nodes[side]
        if which < len(node.policies):
            self.world.tell(node, DeletePolicySas(policy=node.policies[which]))

    @rule(side=SIDES, isakmp=st.booleans())
    def an_administrator_flushes(self, side: int, isakmp: bool) -> None:
        self.world.tell(self.nodes[side], Flush(isakmp=isakmp))

    @rule(side=SIDES)
    def an_administrator_disconnects(self, side: int) -> None:
        self.world.tell(self.nodes[side], DeleteIsakmp(remote=(RIGHT, LEFT)[side]))

    @rule(side=SIDES)
    def the_configuration_is_read_again(self, side: int) -> None:
        self.world.tell(self.nodes[side], Reload(config=self.configs[side]))

    @rule(seconds=st.sampled_from([0.015, 0.1, 3.0, 40.0]))
    def the_network_is_down(self, seconds: float) -> None:
        self.fair = False
        self.world.lab.weather = Weather(loss=1.0)
        self._run(seconds)
        self.world.lab.weather = FINE

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self._run(10)
        for policy in POLICIES:
            self.nodes[0].policies.insert(0, policy(LEFT, RIGHT))
            tries = 1 if self.fair else 3  # a phase 1 that the peer forgot is given up after 60 s
            up = any(connect(self.world, self.nodes[0], 60) for _ in range(tries))
            assert up, self.nodes[0].texts()[-8:]
            del self.nodes[0].policies[0]
        self._run(5)
        for node in self.nodes[: 1 if self.fair else 2]:
            self.world.tell(node, Flush())
        self._run(5 if self.fair else 60)
        for node in self.nodes:
            assert not node.reserved
            assert not node.sas
            assert not node.engine.ipsec_sas()
        assert len(self.nodes[1].policies) == (0 if self.generate else len(POLICIES))


Renewals.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestRenewals = Renewals.TestCase

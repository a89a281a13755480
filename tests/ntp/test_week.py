"""A week with servers that do whatever they like, and an hour after they are honest again.

They lie, by any amount and all with one voice, vanish, repeat what they said, send kiss codes, say
that they are not synchronised, change their mind with each answer; power is cut at any moment.
Whatever happened: once a majority of the servers configured is honest (or the only one, or those
that prove it), the date is right within an hour, and nobody had to lend a hand.
"""

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lab.ntp_adversary import bent, in_place_of, kiss, replaying, shifted
from lab.ntp_gateway import Gateway
from lab.ntp_memory import DATE, Responder, honest, peer, server
from ntp.auth import Algorithm, Key
from ntp.peer import Peer
from ntp.timestamp import SECOND
from wire.secret import Secret

DAY = 86_400.0
WEEK = 7 * DAY
HOUR = 3600.0
RELEASED = DATE - 100 * 86_400 * SECOND
SAVED = DATE - 10 * 86_400 * SECOND
KEY = Key(7, Algorithm.AES128CMAC, Secret(bytes(range(16))))
HOSTS = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5")
LIES = (1, -1, 10, -3600, 3600, 86_400, -86_400 * 200, 30 * 31_556_952, 60 * 31_556_952)  # s


def clock(off: int = 0) -> Responder:
    """A server that is so many s off, and has the key."""
    return honest(server(DATE + off * SECOND, keys={KEY.key_id: KEY}))


def changing_its_mind(seed: int) -> Responder:
    """Another lie with each answer, and the truth now and then."""
    random = Random(seed)
    clocks = [clock(by) for by in (0, *LIES)]

    def respond(octets: bytes, now: float) -> Iterable[bytes]:
        return random.choice(clocks)(octets, now)

    return respond


def silent(_: bytes, __: float) -> Iterable[bytes]:
    return ()


WHIMS: dict[str, Responder] = {
    "honest": clock(),
    "silent": silent,
    "replaying": replaying(),
    "changing its mind": changing_its_mind(1),
    "denying": in_place_of(kiss(b"DENY")),
    "restricting": in_place_of(kiss(b"RSTR")),
    "slowing us down": in_place_of(kiss(b"RATE")),
    "not yet set": in_place_of(kiss(b"INIT")),
    "not synchronised": in_place_of(bent(leap=3)),
    "of no stratum": in_place_of(bent(stratum=16)),
    "far off by its own account": in_place_of(bent(root_dispersion=1 << 16)),
    "bending what it signed": in_place_of(shifted(3600 * SECOND), server(keys={7: KEY})),
    **{f"{by} s off": clock(by) for by in LIES},
}
whims = st.sampled_from(sorted(WHIMS))
spans = st.sampled_from([10.0, 60.0, 600.0, HOUR, 6 * HOUR, DAY])


class Week(RuleBasedStateMachine):
    """`count` servers; those of `keyed` share a key with us, and they alone decide."""

    count = 1
    keyed = 0

    def __init__(self) -> None:
        super().__init__()
        hosts = HOSTS[: self.count]
        peers: list[Peer] = [
            peer(host, key=KEY if number < self.keyed else None)
            for number, host in enumerate(hosts)
        ]
        self.servers: dict[str, Responder] = dict.fromkeys(hosts, WHIMS["honest"])
        self.gateway = Gateway(peers, self.servers, released=RELEASED, saved=SAVED)
        self.liars: set[str] = set()

    @rule(which=st.integers(0, 4), whim=whims)
    def behaves(self, which: int, whim: str) -> None:
        host = HOSTS[which % self.count]
        self.servers[host] = WHIMS[whim]
        if " off" in whim or whim.startswith(("changing", "bending")):
            self.liars.add(host)

    @rule(whim=whims)
    def all_behave(self, whim: str) -> None:
        for which in range(self.count):
            self.behaves(which, whim)

    @precondition(lambda self: self.gateway.now < WEEK)
    @rule(span=spans)
    def passes(self, span: float) -> None:
        self.gateway.run(span)

    @rule()
    def power_is_cut(self) -> None:
        self.gateway.boot()

    @rule()
    def it_is_stopped_and_started(self) -> None:
        self.gateway.stop()
        self.gateway.boot()

    @invariant()
    def one_that_lies_never_puts_the_floor_ahead(self) -> None:
        if len(self.liars) <= 1 and not self.keyed:
            assert self.gateway.saved <= DATE + round(self.gateway.now * SECOND)

    @invariant()
    def a_lone_server_moves_the_floor_by_no_more_than_has_passed(self) -> None:
        if self.count == 1 and not self.keyed:
            assert 0 <= self.gateway.saved - SAVED <= self.gateway.now * SECOND

    def teardown(self) -> None:
        decisive = self.keyed or self.count
        for number in range(decisive // 2 + 1):  # the others go on as they are
            self.servers[HOSTS[number]] = clock()
        self.gateway.run(HOUR)
        assert abs(self.gateway.error) < 2 * SECOND
        assert self.gateway.trust is not None
        for _ in range(3):
            self.gateway.run(HOUR)
            assert abs(self.gateway.error) < 2 * SECOND


def week_of(count: int, keyed: int = 0) -> type[Week]:
    return type(f"WeekOf{count}With{keyed}Keys", (Week,), {"count": count, "keyed": keyed})


KINDS = pytest.mark.parametrize(("count", "keyed"), [(1, 0), (3, 0), (5, 0), (1, 1), (3, 1)])


def try_weeks(count: int, keyed: int, weeks: int, steps: int) -> None:
    bounds = settings(
        max_examples=weeks,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(week_of(count, keyed), settings=bounds)


@KINDS
def test_the_date_is_right_within_an_hour_after_a_week_of_lies(count: int, keyed: int) -> None:
    try_weeks(count, keyed, weeks=10, steps=12)


@pytest.mark.long
@pytest.mark.timeout(1800)
@KINDS
def test_the_date_is_right_within_an_hour_after_many_weeks_of_lies(count: int, keyed: int) -> None:
    try_weeks(count, keyed, weeks=200, steps=40)

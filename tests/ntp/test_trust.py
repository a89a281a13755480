"""How far a date may be trusted, and what it may do to the floor."""

from hypothesis import given
from hypothesis import strategies as st

from lab.ntp_memory import DATE, FLOOR, Network, honest, peer, server
from ntp.errors import KissOfDeath
from ntp.messages import Outcome, Verdict
from ntp.sample import Sample
from ntp.select import agree
from ntp.timestamp import SECOND
from ntp.trust import Floor, Level, Trust, error_after, may_be_saved
from ntp.turn import Policy

HOUR = 3600 * SECOND
A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
WRONG_FLOOR = Floor(released=FLOOR, saved=DATE + 1000 * HOUR)

dates = st.integers(FLOOR, FLOOR + 10**18)
passing = st.floats(0, 10**7)


def trust(level: Level, error: int = 0) -> Trust:
    return Trust(level=level, by=(A,), since=DATE, error=error)


def sample(offset: int, error: int) -> Sample:
    return Sample(offset=offset, delay=0, error=error, date=DATE, at=0.0, stratum=1, leap=0)


@given(dates, dates, passing)
def test_an_unconfirmed_date_moves_the_floor_by_no_more_than_has_passed(
    date: int, saved: int, passed: float
) -> None:
    floor = Floor(released=FLOOR, saved=saved)
    moved = may_be_saved(date, trust(Level.UNCONFIRMED), floor, passed) - floor.latest
    assert 0 <= moved <= passed * SECOND


@given(dates, dates, passing, st.sampled_from([Level.AGREED, Level.AUTHENTICATED]))
def test_a_better_date_is_the_floor_less_its_error(
    date: int, saved: int, passed: float, level: Level
) -> None:
    floor = Floor(released=FLOOR, saved=saved)
    assert may_be_saved(date, trust(level, 77), floor, passed) == date - 77


def test_what_an_honest_lone_server_says_is_saved_as_far_as_time_has_passed() -> None:
    floor = Floor(released=FLOOR, saved=DATE)
    saved = may_be_saved(DATE + HOUR, trust(Level.UNCONFIRMED), floor, 3600.0)
    assert HOUR - 2 * SECOND < saved - DATE < HOUR


def test_an_error_bound_grows_as_the_kernels() -> None:
    assert error_after(1000, 2.0) == 1000 + 2 * 500_000


def test_one_server_of_one_is_unconfirmed_and_a_majority_of_those_configured_is_agreed() -> None:
    servers = {host: honest(server()) for host in (A, B, C)}
    assert level(Network(servers).run([peer(A)])) == (Level.UNCONFIRMED, (A,))
    reached, by = level(Network(servers).run([peer(A), peer(B), peer(C)]))
    assert reached is Level.AGREED
    assert set(by) == {A, B, C}


def level(outcome: Outcome) -> tuple[Level, tuple[str, ...]]:
    assert outcome.trust is not None
    assert outcome.why == ""
    assert outcome.trust.error == outcome.error
    assert outcome.trust.since == outcome.date
    return outcome.trust.level, outcome.trust.by


def test_two_that_agree_of_five_of_whom_three_are_silent_are_unconfirmed() -> None:
    network = Network({A: honest(server()), B: honest(server())})
    outcome = network.run([peer(f"10.0.0.{n}") for n in range(1, 6)])
    assert outcome.verdict is Verdict.UNCONFIRMED
    assert level(outcome) == (Level.UNCONFIRMED, (A, B))


def test_two_names_of_one_address_are_one_server() -> None:
    names: dict[str, tuple[str, ...]] = {"one.example": (A,), "two.example": (A,)}
    network = Network({A: honest(server())}, names=names)
    outcome = network.run([peer("one.example"), peer("two.example")])
    assert level(outcome) == (Level.UNCONFIRMED, ("one.example",))
    assert outcome.servers[1].why == f"another server has the same address, {A}; both count as one"


def test_two_names_of_one_address_do_not_outvote_two_servers() -> None:
    servers = {A: honest(server(DATE + HOUR)), B: honest(server()), C: honest(server())}
    names: dict[str, tuple[str, ...]] = {f"{n}.example": (A,) for n in range(3)}
    asked = [peer(host) for host in (*names, B, C)]
    outcome = Network(servers, names=names).run(asked)
    assert level(outcome) == (Level.AGREED, (B, C))


def test_each_address_of_a_pool_is_a_server() -> None:
    servers = {A: honest(server()), B: honest(server()), C: honest(server(DATE + HOUR))}
    network = Network(servers, names={"pool.example": (A, B, C)})
    pool = peer("pool.example", pool=True)
    outcome = network.run([pool])
    assert level(outcome) == (
        Level.AGREED,
        (f"pool.example ({A})", f"pool.example ({B})"),
    )
    network.names.clear()
    assert network.run([pool]).verdict is Verdict.AGREED  # nobody is looked up again


def test_a_pool_is_four_servers_at_most() -> None:
    hosts = tuple(f"10.0.0.{n}" for n in range(1, 9))
    network = Network({host: honest(server()) for host in hosts}, names={"pool.example": hosts})
    assert len(network.run([peer("pool.example", pool=True)]).servers) == 4


def test_a_pool_that_fell_silent_or_lost_a_member_is_looked_up_anew() -> None:
    network = Network({A: honest(server())}, names={"pool.example": (A,)})
    pool = peer("pool.example", pool=True)
    network.run([pool])
    network.servers, network.names = {B: honest(server())}, {"pool.example": (B, C)}
    assert network.run([pool]).verdict is Verdict.NO_ANSWER
    for _ in range(8):
        assert network.run([pool]).verdict is Verdict.UNCONFIRMED
    network.servers[A], network.names = honest(server()), {"pool.example": (A, B)}
    assert network.run([pool]).verdict is Verdict.AGREED


def test_a_majority_is_heard_below_the_saved_floor_and_one_server_is_not() -> None:
    network = Network({A: honest(server()), B: honest(server())})
    one = network.run([peer(A)], floor=WRONG_FLOOR)
    assert one.verdict is Verdict.REFUSED
    assert "before the floor" in one.why
    assert "no majority confirms it" in one.why
    assert level(network.run([peer(A), peer(B)], floor=WRONG_FLOOR))[0] is Level.AGREED


def test_nobody_is_heard_before_the_release() -> None:
    servers = {host: honest(server(FLOOR - SECOND)) for host in (A, B)}
    outcome = Network(servers).run([peer(A), peer(B)])
    assert outcome.verdict is Verdict.REFUSED
    assert outcome.trust is None


def test_fewer_than_minsources_set_nothing() -> None:
    servers = {host: honest(server()) for host in (A, B)}
    asked = [peer(A), peer(B), peer(C)]
    assert Network(servers).run(asked, Policy(minsources=2)).trust
    outcome = Network(servers).run([peer(A)], Policy(minsources=2))
    assert outcome.verdict is Verdict.NO_MAJORITY
    assert outcome.why == "1 agree, but minsources asks for 2"


def test_a_server_that_may_be_too_far_off_votes_only_where_maxdistance_allows_it() -> None:
    windows = honest(server(root_dispersion=9 * SECOND))
    outcome = Network({A: windows}).run([peer(A)])
    assert outcome.verdict is Verdict.NO_ANSWER
    assert "more than maxdistance, 1.5 s" in outcome.why
    outcome = Network({A: windows}).run([peer(A)], Policy(maxdistance=12.0))
    assert outcome.verdict is Verdict.UNCONFIRMED
    assert outcome.error > 9 * SECOND


def test_one_that_fits_two_that_contradict_each_other_bounds_the_date_by_both() -> None:
    """As RFC 5905, 11.2.1: a majority is right in either place, so the truth can be in both."""
    votes = {"wide": sample(0, 1000), "left": sample(-900, 10), "right": sample(900, 20)}
    agreement = agree(votes)
    assert agreement is not None
    low, high = agreement.offset - agreement.error, agreement.offset + agreement.error
    assert low <= -910
    assert high >= 920


intervals = st.lists(st.tuples(st.integers(-1000, 1000), st.integers(1, 500)), min_size=1)


@given(intervals, st.integers(-1000, 1000))
def test_what_a_majority_holds_true_is_within_the_bound(
    others: list[tuple[int, int]], truth: int
) -> None:
    honest_ones = {f"h{n}": sample(truth + n, n + 1) for n in range(len(others) + 1)}
    liars = {f"l{n}": sample(*other) for n, other in enumerate(others)}
    agreement = agree({**honest_ones, **liars})
    assert agreement is not None
    assert abs(agreement.offset - truth) <= agreement.error


def test_kiss_codes_that_mean_not_yet_are_told_from_refusals() -> None:
    assert [code for code in (b"INIT", b"STEP", b"DROP", b"DENY") if KissOfDeath(code).is_for_now]
    assert not KissOfDeath(b"DENY").is_for_now

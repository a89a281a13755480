"""Every lie ends in the right verdict, and what can be forged delays nothing but the forger."""

import itertools
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import md5
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.ntp_adversary import (
    FORGERIES,
    KISSES,
    USELESS,
    Attack,
    before,
    bent,
    dated,
    in_place_of,
    kiss,
    origin_flipped,
    replaying,
    with_mac,
)
from lab.ntp_memory import DATE, FLOOR, Network, honest, peer, server
from ntp.auth import Algorithm, Key
from ntp.errors import NtpError
from ntp.messages import Outcome, Verdict
from ntp.packet import Header, Mac
from ntp.peer import BANISHED, reference_id
from ntp.sample import Stamps
from ntp.timestamp import SECOND
from ntp.turn import Policy
from wire.secret import Secret

HOST, OTHER = "10.0.0.1", "10.0.0.2"
NOT_YET = (b"INIT", b"STEP", b"DROP")
YEAR = 31_556_952 * SECOND
CMAC = Key(7, Algorithm.AES128CMAC, Secret(bytes(range(16))))
SHA1 = Key(8, Algorithm.SHA1, Secret(b"twenty octets of key"))
MD5 = Key(9, Algorithm.MD5, Secret(b"sixteen octets.."))


@pytest.mark.parametrize("attack", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forgery_is_passed_over_until_the_deadline(attack: Attack) -> None:
    network = Network({HOST: in_place_of(attack)})
    outcome = network.run([peer(HOST)])
    assert outcome.verdict is Verdict.NO_ANSWER
    assert "did not answer our request" in outcome.why
    assert network.now == 5.0


@pytest.mark.parametrize("attack", FORGERIES.values(), ids=FORGERIES.keys())
def test_the_answer_behind_a_forgery_counts(attack: Attack) -> None:
    outcome = Network({HOST: before(attack)}, local=0).run([peer(HOST)])
    assert outcome.verdict is Verdict.UNCONFIRMED
    assert abs(outcome.offset - DATE) < 1000


@given(st.integers(0, 63))
def test_every_bit_of_the_origin_is_compared(bit: int) -> None:
    network = Network({HOST: in_place_of(origin_flipped(bit))})
    assert network.run([peer(HOST)]).verdict is Verdict.NO_ANSWER


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_every_version_that_servers_speak_is_heard(version: int) -> None:
    network = Network({HOST: in_place_of(bent(version=version))})
    assert network.run([peer(HOST)]).verdict is Verdict.UNCONFIRMED


def test_a_replayed_answer_is_passed_over() -> None:
    assert Network({HOST: replaying()}).run([peer(HOST)]).verdict is Verdict.NO_ANSWER


def test_a_repeated_answer_counts_once() -> None:
    network = Network({HOST: honest(server())}, duplicates=1.0)
    outcome = network.run([peer(HOST)], Policy(samples=2, spacing=0.01))
    assert outcome.verdict is Verdict.UNCONFIRMED
    assert len(network.sent) == 2


@pytest.mark.parametrize("attack", USELESS.values(), ids=USELESS.keys())
def test_an_answer_that_cannot_be_true_sets_nothing(attack: Attack) -> None:
    outcome = Network({HOST: in_place_of(attack)}).run([peer(HOST)])
    assert outcome.verdict is Verdict.NO_ANSWER
    assert outcome.why.startswith(HOST)


@pytest.mark.parametrize("attack", USELESS.values(), ids=USELESS.keys())
def test_a_broken_server_does_not_keep_three_others_from_agreeing(attack: Attack) -> None:
    servers = {f"10.0.0.{n}": honest(server()) for n in (2, 3, 4)}
    outcome = Network({HOST: in_place_of(attack), **servers}).run(
        [peer(host) for host in (HOST, *servers)]
    )
    assert outcome.verdict is Verdict.AGREED


def test_one_implausible_answer_is_asked_for_again() -> None:
    attacks = iter([USELESS["negative delay"], bent()])
    respond = honest(server())

    def first_wrong(request: bytes, now: float) -> Iterator[bytes]:
        for octets in respond(request, now):
            yield next(attacks)(Header.parse(request), Header.parse(octets))

    network = Network({HOST: first_wrong})
    assert network.run([peer(HOST)]).verdict is Verdict.UNCONFIRMED
    assert network.times == pytest.approx([0.0, 1.01])


@pytest.mark.parametrize("code", [code for code in KISSES if code not in NOT_YET])
def test_a_kiss_code_is_a_refusal(code: bytes) -> None:
    outcome = Network({HOST: in_place_of(kiss(code))}).run([peer(HOST)])
    assert outcome.verdict is Verdict.REFUSED
    assert outcome.why


@pytest.mark.parametrize("code", NOT_YET)
def test_a_server_that_is_not_synchronised_yet_has_not_refused(code: bytes) -> None:
    outcome = Network({HOST: in_place_of(kiss(code))}).run([peer(HOST)])
    assert outcome.verdict is Verdict.NO_ANSWER
    assert f"it is not synchronised yet (kiss code {code.decode()})" in outcome.why


@pytest.mark.parametrize("code", [b"DENY", b"RSTR"])
def test_a_server_that_denies_is_asked_once_in_the_longest_interval(code: bytes) -> None:
    """It may have been somebody on the way, once; see ntp.peer.Peer.forbid."""
    network = Network({HOST: in_place_of(kiss(code))})
    asked = peer(HOST)
    outcome = network.run([asked])
    assert outcome.why == f"{HOST}: it gives no time (kiss code {code.decode()})"
    assert asked.refused == code.decode()
    network.run([asked])
    assert len(network.sent) == 1
    network.servers[HOST] = honest(server())
    network.now += BANISHED
    assert network.run([asked]).verdict is Verdict.UNCONFIRMED
    assert not asked.refused


def test_rate_at_least_doubles_the_interval_each_time() -> None:
    network = Network({HOST: in_place_of(kiss(b"RATE"))})
    asked = peer(HOST)
    network.run([asked], Policy(timeout=100.0, spacing=2.0))
    gaps = [later - earlier for earlier, later in pairwise(network.times)]
    assert gaps == pytest.approx([4.0, 8.0, 16.0, 32.0], abs=0.02)
    assert asked.at_least == 64.0


def test_rate_doubles_the_interval_between_rounds_too() -> None:
    asked = peer(HOST)
    Network({HOST: in_place_of(kiss(b"RATE"))}).run([asked], Policy(interval=64.0))
    assert asked.at_least == 128.0


def test_what_a_server_said_before_rate_still_counts() -> None:
    core, count = honest(server()), itertools.count()

    def respond(octets: bytes, now: float) -> Iterable[bytes]:
        return (in_place_of(kiss(b"RATE")) if next(count) == 2 else core)(octets, now)

    policy = Policy(samples=4, timeout=16.0, interval=64.0)
    outcome = Network({HOST: respond}).run([peer(HOST)], policy)
    assert outcome.verdict is Verdict.UNCONFIRMED


def test_rate_of_one_server_keeps_nobody_from_asking_the_others() -> None:
    network = Network({HOST: in_place_of(kiss(b"RATE"))})
    peers = [peer(HOST), peer(OTHER)]
    network.run(peers, Policy(interval=64.0))
    network.servers[OTHER] = honest(server())
    network.sent.clear()
    outcome = network.run(peers, Policy(interval=64.0))
    assert outcome.verdict is Verdict.UNCONFIRMED
    assert [send.to.host for send in network.sent] == [OTHER]
    assert "RATE" in next(report for report in outcome.servers if report.server == HOST).why


def test_a_server_that_said_rate_is_asked_no_oftener_than_it_wants() -> None:
    network = Network({HOST: in_place_of(kiss(b"RATE"))})
    asked = peer(HOST)
    network.run([asked], Policy(interval=64.0))
    network.servers[HOST] = honest(server())
    for _ in range(40):
        network.now += 10.0
        network.run([asked], Policy(samples=4, timeout=16.0, interval=64.0), trusted=True)
    gaps = [later - earlier for earlier, later in pairwise(network.times)]
    assert len(gaps) >= 2
    assert min(gaps) >= 128.0


@pytest.mark.parametrize("year", [1970, 1971, 1999, 2025])
def test_a_server_before_the_floor_is_refused(year: int) -> None:
    network = Network({HOST: dated((year - 1970) * YEAR + SECOND)})
    outcome = network.run([peer(HOST)])
    assert outcome.verdict is Verdict.REFUSED
    assert "before the floor" in outcome.why


@pytest.mark.parametrize("year", [2027, 2036, 2037, 2040, 2094])
@pytest.mark.parametrize("local", [0, DATE, 2**31 * SECOND, 4 * 10**18])
def test_a_server_after_the_floor_is_read_right_from_any_clock(year: int, local: int) -> None:
    date = (year - 1970) * YEAR + SECOND
    outcome = Network({HOST: dated(date)}, local=local).run([peer(HOST)])
    assert abs(local + outcome.offset - date) < 1000


def test_a_stamp_of_1900_means_2036_as_the_era_demands() -> None:
    """The two are the same 64 bits, and no clock of ours can show a date before 1970."""
    of_1900 = -70 * 365 * 86_400 * SECOND
    outcome = Network({HOST: dated(of_1900)}).run([peer(HOST)])
    assert abs(outcome.date - (of_1900 + 2**32 * SECOND)) < SECOND


@pytest.mark.parametrize("key", [CMAC, SHA1, MD5], ids=lambda key: key.algorithm.name)
def test_a_shared_key_confirms_a_single_server(key: Key) -> None:
    outcome = Network({HOST: honest(server(keys={key.key_id: key}))}).run([peer(HOST, key=key)])
    assert outcome.verdict is Verdict.AGREED
    assert outcome.authenticated


def test_two_plain_liars_do_not_outvote_a_server_with_a_key() -> None:
    lie = dated(DATE + 3600 * SECOND)
    servers = {HOST: honest(server(keys={7: CMAC})), OTHER: lie, "10.0.0.3": lie}
    outcome = Network(servers).run([peer(HOST, key=CMAC), peer(OTHER), peer("10.0.0.3")])
    assert outcome.authenticated
    assert abs(outcome.offset) < 1000
    assert "does not count; it contradicts that" in outcome.servers[1].why


def test_plain_servers_set_nothing_where_a_server_with_a_key_is_configured() -> None:
    servers = {OTHER: honest(server()), "10.0.0.3": honest(server())}
    outcome = Network(servers).run([peer(HOST, key=CMAC), peer(OTHER), peer("10.0.0.3")])
    assert outcome.verdict is Verdict.NO_ANSWER


def test_a_crypto_nak_is_no_answer_to_a_request_without_a_key() -> None:
    """As RFC 5905's receive() and chronyd: 48 octets and four zeros."""
    nak = with_mac(Mac(0, b""))
    assert Network({HOST: in_place_of(nak)}).run([peer(HOST)]).verdict is Verdict.NO_ANSWER
    assert Network({HOST: before(nak)}).run([peer(HOST)]).verdict is Verdict.UNCONFIRMED


WRONG = {
    "none": bent(),
    "wrong": with_mac(Mac(7, bytes(16))),
    "another key": with_mac(Mac(8, bytes(20))),
    "of a length that the key does not have": with_mac(Mac(7, bytes(20))),
    "crypto-NAK": with_mac(Mac(0, b"")),
}


@pytest.mark.parametrize("attack", WRONG.values(), ids=WRONG.keys())
def test_a_reply_whose_mac_is(attack: Attack) -> None:
    keyed = server(keys={7: CMAC})
    outcome = Network({HOST: in_place_of(attack, keyed)}).run([peer(HOST, key=CMAC)])
    assert outcome.verdict is Verdict.REFUSED
    outcome = Network({HOST: before(attack, keyed)}).run([peer(HOST, key=CMAC)])
    assert outcome.verdict is Verdict.AGREED


def test_an_unauthenticated_kiss_cannot_silence_a_keyed_server() -> None:
    keyed = server(keys={7: CMAC})
    asked = peer(HOST, key=CMAC)
    outcome = Network({HOST: before(kiss(b"DENY"), keyed)}).run([asked])
    assert outcome.verdict is Verdict.AGREED
    assert not asked.refused


def test_two_forgers_with_the_same_lie_are_two_votes_and_one_is_none() -> None:
    lie = dated(DATE + 3600 * SECOND)
    servers = {HOST: honest(server()), "10.0.0.2": honest(server()), "10.0.0.3": lie}
    outcome = Network(servers).run([peer(host) for host in servers])
    assert abs(outcome.offset) < 1000


@given(st.binary(max_size=300), st.integers(0, 2**63), st.integers(-(10**10), 10**10))
def test_arbitrary_answers_raise_only_our_own_errors(octets: bytes, sent: int, took: int) -> None:
    on_wire = peer(HOST).on_wire
    request = on_wire.request(0.0)
    stamps = Stamps(sent=sent, received=sent + took)
    # With our own bits in the place of the origin, the deeper checks are reached too
    for answer in (octets, octets[:24] + request.octets[40:48] + octets[32:]):
        with suppress(NtpError):
            on_wire.receive(request, answer, stamps, 1.0)


@given(st.binary(min_size=48, max_size=48))
def test_no_answer_of_48_octets_ends_in_anything_but_a_verdict(octets: bytes) -> None:
    def respond(request: bytes, _: float) -> list[bytes]:
        return [b"\x24" + octets[1:24] + request[40:48] + octets[32:]]

    outcome = Network({HOST: respond}).run([peer(HOST)])
    assert isinstance(outcome, Outcome)
    if outcome.verdict.usable:
        assert outcome.date >= FLOOR


def test_a_server_that_takes_its_time_from_us_is_known_by_our_address() -> None:
    """RFC 5905, 7.3: the address, or the first octets of the MD5 of an IPv6 address."""
    assert reference_id("192.0.2.99") == bytes((192, 0, 2, 99))
    assert reference_id("fe80::1%eth0") == reference_id("fe80::1")
    assert reference_id("fe80::1") == md5(bytes.fromhex("fe80") + bytes(13) + b"\1").digest()[:4]
    assert reference_id("") == bytes(4)

"""The client and servers in memory: repetition, several servers, liars, a thousand at once."""

from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.eapol_pair import server_context
from lab.radius_pair import IDENTITY, Office, server_value
from lab.radius_server import RadiusServer
from lab.virtual import Weather
from radius.client import Client
from radius.errors import Fault, NoSecret
from radius.events import (
    Answered,
    Ask,
    Cause,
    Failed,
    Forget,
    OpenPort,
    PortFailed,
    PortOpened,
    Received,
    Send,
    Server,
    Transport,
)
from radius.numbers import Code
from radius.packet import Packet
from radius.settings import Timers
from wire.secret import Secret
from wire.timer import TimerFired


def server(**more: object) -> RadiusServer:
    return RadiusServer(server_context(), lambda: datetime.now(UTC), **more)  # type: ignore[arg-type]


def office(*servers: RadiusServer, **more: object) -> Office:
    return Office(servers or [server()], **more)  # type: ignore[arg-type]


def failed(answer: Answered | Failed) -> Failed:
    assert isinstance(answer, Failed)
    return answer


def code(answer: Answered | Failed) -> Code:
    assert isinstance(answer, Answered)
    return answer.packet.code


def test_a_server_without_a_secret_is_none() -> None:
    with pytest.raises(NoSecret, match="the secret is empty, so answers are not authenticated"):
        Server(address=ip_address("192.0.2.1"), port=1812, secret=Secret(b""))


# Repetition (RFC 5080, 2.2)


def test_the_answer_comes() -> None:
    here = office()
    here.ask()
    assert code(here.wait()) == Code.ACCESS_CHALLENGE
    assert len(here.sent) == 1


def test_a_silent_server_is_asked_five_times_with_the_same_octets_and_doubled_waits() -> None:
    here = office(server(silent=True))
    here.ask()
    answer = failed(here.wait())
    assert answer.cause is Cause.SILENT
    assert "no answer from 192.0.2.1:1812/UDP within 30 s" in answer.reason
    assert len({(port, octets) for _, _, port, octets in here.sent}) == 1
    times = [when for when, *_ in here.sent]
    waits = [b - a for a, b in pairwise(times)]
    for wait, nominal in zip(waits, (2.0, 4.0, 8.0), strict=False):
        assert nominal * 0.8 <= wait <= nominal * 1.25
    assert here.lab.now == pytest.approx(30.0)


def test_waits_differ_from_client_to_client() -> None:
    def second(seed: int) -> float:
        here = office(server(silent=True), seed=seed)
        here.ask()
        here.run_for(3.0)
        return here.sent[1][0]

    assert len({second(seed) for seed in range(5)}) == 5


def test_a_patience_that_ends_earlier_ends_the_request() -> None:
    here = office(server(silent=True))
    here.ask(until=3.0)
    assert failed(here.wait()).cause is Cause.SILENT
    assert here.lab.now == pytest.approx(3.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1 << 16))
def test_over_a_bad_line_each_request_is_answered_once(seed: int) -> None:
    weather = Weather(loss=0.3, duplication=0.3, delay=0.05, jitter=0.2)
    here = office(weather=weather, seed=seed)
    for number in range(20):
        here.ask(number)
    assert here.lab.run(lambda: len(here.answers) == 20, 60.0)
    # one that is lost four times ends unanswered: about one in twenty
    assert sum(isinstance(each, Answered) for each in here.answers.values()) >= 10


def test_what_nobody_waits_for_is_not_repeated() -> None:
    here = office(server(silent=True))
    here.ask()
    here.give(Forget(ask=1))
    here.run_for(60.0)
    assert len(here.sent) == 1
    assert here.client.deadline is None


# Identifiers and ports


def test_a_thousand_at_once_take_four_ports_and_all_are_answered() -> None:
    here = office()
    for number in range(1000):
        here.ask(number)
    assert len(here.ports) == 4
    assert here.lab.run(lambda: len(here.answers) == 1000, 60.0)
    assert len({(port, octets[1]) for _, _, port, octets in here.sent}) == 1000
    assert all(isinstance(each, Answered) for each in here.answers.values())
    assert here.client.deadline is None


def test_too_many_requests_fail_with_the_reason() -> None:
    here = office(server(silent=True), timers=Timers())
    for number in range(256 * 64 + 1):
        here.ask(number)
    assert failed(here.answers[256 * 64]).cause is Cause.UNREACHABLE
    assert "too many requests" in failed(here.answers[256 * 64]).reason


def test_identifiers_go_round_and_authenticators_are_new() -> None:
    here = office()
    for number in range(300):
        here.ask(number)
        here.wait(number)
    assert [octets[1] for *_, octets in here.sent] == [n % 256 for n in range(300)]
    assert len({octets[4:20] for *_, octets in here.sent}) == 300
    assert len(here.ports) == 1


def test_a_request_that_no_packet_can_hold_fails_with_the_reason_and_disturbs_nothing() -> None:
    here = office(server(), server())
    here.ask(1, ((79, bytes(253)),) * 17)
    answer = failed(here.wait(1))
    assert answer.cause is Cause.UNREACHABLE
    assert "more than 4096 (RFC 2865, 3)" in answer.reason
    here.ask(2)
    assert code(here.wait(2)) == Code.ACCESS_CHALLENGE


# Several servers


def test_the_next_server_is_asked_with_a_new_identifier_port_and_authenticator() -> None:
    here = office(server(silent=True), server())
    here.ask()
    answer = here.wait()
    assert code(answer) == Code.ACCESS_CHALLENGE
    assert isinstance(answer, Answered)
    assert answer.server == 1
    first, *_, last = here.sent
    assert first[2] != last[2]
    assert first[3][4:20] != last[3][4:20]
    assert here.lab.now < 20.0


def test_a_server_that_was_silent_is_asked_last_until_status_server_finds_it_up() -> None:
    silent = server(silent=True)
    here = office(silent, server())
    here.ask(1)
    here.wait(1)
    here.ask(2)
    here.wait(2)
    assert here.sent[-1][1] == 1  # at once
    silent.silent = False
    here.run_for(40.0)
    probes = [octets for _, to, _, octets in here.sent if octets[0] == Code.STATUS_SERVER]
    assert len(probes) == 1
    here.ask(3)
    answer = here.wait(3)
    assert isinstance(answer, Answered)
    assert answer.server == 0


def test_a_conversation_stays_with_its_server() -> None:
    here = office(server(silent=True), server())
    here.ask(server=0)
    assert failed(here.wait()).cause is Cause.SILENT
    assert {to for _, to, *_ in here.sent} == {0}


def test_all_servers_silent_is_one_failure() -> None:
    here = office(server(silent=True), server(silent=True))
    here.ask()
    assert failed(here.wait()).cause is Cause.SILENT


# Causes


def test_another_secret_is_said() -> None:
    values = [server_value(0, b"ours")]
    here = office(server(secret=b"radius"), values=values)
    here.servers[0].secret = b"ours"
    here.servers[0].tamper = lambda octets: [octets[:-3] + b"xyz"]
    here.ask()
    answer = failed(here.wait())
    assert answer.cause is Cause.UNPROVEN
    assert "is the secret the same" in answer.reason


def test_a_server_without_message_authenticator_is_said() -> None:
    here = office(server(signed=False))
    here.ask()
    answer = failed(here.wait())
    assert answer.cause is Cause.UNSIGNED
    assert "CVE-2024-3596" in answer.reason


def test_a_server_without_message_authenticator_is_taken_where_it_is_allowed() -> None:
    here = office(server(signed=False), values=[server_value(signed=False)])
    here.ask()
    assert code(here.wait()) == Code.ACCESS_CHALLENGE


def test_icmp_refusals_end_a_request_the_second_time() -> None:
    here = office(server(silent=True))
    here.ask()
    here.refuse()
    assert not here.answers
    here.run_for(3.0)
    here.refuse()
    answer = failed(here.wait())
    assert answer.cause is Cause.REFUSED
    assert "no program listens" in answer.reason


def test_an_icmp_refusal_moves_to_the_next_server_at_once() -> None:
    here = office(server(silent=True), server())
    here.ask()
    here.refuse()
    assert code(here.wait()) == Code.ACCESS_CHALLENGE
    assert here.lab.now < 1.0


# Liars


def forged(octets: bytes) -> Sequence[bytes]:
    """An acceptance by somebody without the secret, before the true answer."""
    return [bytes([Code.ACCESS_ACCEPT]) + octets[1:], octets]


def test_a_forged_acceptance_changes_nothing_and_the_true_answer_counts() -> None:
    here = office(server(tamper=forged))
    here.ask()
    assert code(here.wait()) == Code.ACCESS_CHALLENGE
    assert here.client.discarded == {Fault.BAD_MESSAGE_AUTHENTICATOR: 1}


def test_a_replayed_answer_is_nobodys() -> None:
    here = office()
    here.ask(1)
    answer = here.wait(1)
    assert isinstance(answer, Answered)
    here.inject(answer.packet.octets)
    assert here.client.discarded == {Fault.UNASKED: 1}
    for number in range(2, 257):  # the same identifier again
        here.ask(number)
        here.wait(number)
    here.servers[0].silent = True
    here.ask(257)
    assert here.sent[-1][3][1] == answer.packet.identifier
    here.inject(answer.packet.octets)
    assert here.client.discarded[Fault.BAD_MESSAGE_AUTHENTICATOR] == 1
    assert 257 not in here.answers


def test_an_answer_with_anothers_identifier_is_nobodys() -> None:
    here = office(server(tamper=lambda octets: [octets[:1] + b"\x63" + octets[2:]]))
    here.ask(until=5.0)
    assert failed(here.wait()).cause is Cause.SILENT
    assert here.client.discarded[Fault.UNASKED] > 0


def test_an_answer_on_anothers_port_is_nobodys() -> None:
    here = office()
    for number in range(257):
        here.ask(number)
    true = here.servers[0].answered
    here.run_for(0.0015)  # the server has them, the client has none yet
    octets = true[1, 0, here.sent[0][3][4:20]]
    here.inject(octets, port=2)
    assert here.client.discarded == {Fault.BAD_MESSAGE_AUTHENTICATOR: 1}
    here.inject(octets, port=99)
    assert here.lab.run(lambda: len(here.answers) == 257, 60.0)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=20))
def test_noise_answers_nothing(noise: list[bytes]) -> None:
    here = office(server(silent=True))
    here.ask()
    for octets in noise:
        here.inject(octets)
        here.inject(b"\2\0" + (20 + len(octets)).to_bytes(2, "big") + bytes(16) + octets)
    assert not here.answers
    assert here.client.discarded.total() == 2 * len(noise)


# Over TLS (RFC 6614)


TLS = Server(
    address=ip_address("192.0.2.1"), port=2083, secret=Secret(b"radsec"), transport=Transport.TLS
)


class Connection:
    """A client of one server over TLS, without a network."""

    def __init__(self) -> None:
        self.client = Client([TLS], entropy=lambda size: bytes(size))
        self.now = 0.0

    def give(self, event: object) -> list[object]:
        return list(self.client.handle(event, self.now))  # type: ignore[arg-type]


def test_over_tls_a_request_waits_for_the_connection_and_is_sent_once() -> None:
    here = Connection()
    assert here.give(Ask(ask=1, attributes=IDENTITY)) == [OpenPort(port=1, server=TLS)]
    (sent,) = here.give(PortOpened(port=1))
    assert isinstance(sent, Send)
    assert here.client.deadline == 30.0
    here.now = 30.0
    (failure,) = here.give(TimerFired())
    assert isinstance(failure, Failed)
    assert failure.cause is Cause.SILENT


def test_a_broken_connection_fails_what_is_open_and_the_next_request_connects_again() -> None:
    here = Connection()
    here.give(Ask(ask=1, attributes=IDENTITY))
    here.give(PortOpened(port=1))
    said = here.give(PortFailed(port=1, reason="certificate verify failed"))
    assert isinstance(said[-1], Failed)
    assert said[-1].cause is Cause.UNREACHABLE
    assert "certificate verify failed" in said[-1].reason
    assert here.give(Ask(ask=2, attributes=IDENTITY)) == [OpenPort(port=2, server=TLS)]


def test_what_comes_of_a_port_that_was_closed_is_nobodys() -> None:
    here = Connection()
    here.give(Ask(ask=1, attributes=IDENTITY))
    here.give(PortFailed(port=1, reason="gone"))
    assert here.give(Received(port=1, octets=b"late")) == []
    assert Packet.parse(bytes((2, 0, 0, 20)) + bytes(16)).attributes == ()

"""Client core against server core, in memory, on a virtual clock."""

from collections.abc import Iterator
from random import Random

import pytest

from lab.ntp_memory import DATE, FLOOR, Network, honest, peer, server
from ntp.client import Client
from ntp.errors import ClockStepped
from ntp.messages import Address, Command, Finished, Received, Send, Start, Verdict
from ntp.onwire import INTERLEAVE_WITHIN
from ntp.packet import Header
from ntp.sample import Sample, Stamps
from ntp.server import Datagram, Sent
from ntp.timestamp import SECOND, from_unix_ns
from ntp.trust import Floor
from ntp.turn import Policy
from wire.record import replace
from wire.timer import TimerFired

MILLISECOND = SECOND // 1000
CLIENT = Address("192.0.2.99", 40000)


def test_one_server_gives_offset_delay_and_bound_and_is_called_unconfirmed() -> None:
    network = Network({"10.0.0.1": honest(server())}, local=DATE - 5 * SECOND, delay=0.02)
    outcome = network.run([peer("10.0.0.1")])
    assert outcome.verdict is Verdict.UNCONFIRMED
    assert abs(outcome.offset - 5 * SECOND) < 1000
    assert abs(outcome.delay - 20 * MILLISECOND) < 1000
    assert 10 * MILLISECOND <= outcome.error < 11 * MILLISECOND


@pytest.mark.parametrize("year", [1970, 2008, 2027, 2036, 2040, 2094])
def test_any_clock_is_set_right_from_any_date(year: int) -> None:
    local = (year - 1970) * 31_556_952 * SECOND
    network = Network({"10.0.0.1": honest(server())}, local=local)
    outcome = network.run([peer("10.0.0.1")])
    assert abs(local + outcome.offset - DATE) < 1000


def test_a_right_clock_is_measured_like_any_other() -> None:
    network = Network({"10.0.0.1": honest(server())})
    outcome = network.run([peer("10.0.0.1")], Policy(samples=4, timeout=20.0), trusted=True)
    assert outcome.verdict is Verdict.UNCONFIRMED
    assert len(network.sent) == 4


def test_the_request_tells_nothing_about_us() -> None:
    network = Network({"10.0.0.1": honest(server())}, local=0)
    network.run([peer("10.0.0.1")])
    octets = network.sent[0].octets
    assert len(octets) == 48
    assert octets[0] == 0x23
    assert octets[1:40] == bytes(39)


def test_three_of_four_outvote_a_liar() -> None:
    servers = {f"10.0.0.{n}": honest(server()) for n in (1, 2, 3)}
    servers["10.0.0.4"] = honest(server(DATE + 3600 * SECOND))
    network = Network(servers, local=0)
    outcome = network.run([peer(host) for host in servers])
    assert outcome.verdict is Verdict.AGREED
    assert abs(outcome.offset - DATE) < MILLISECOND
    liar = next(report for report in outcome.servers if report.server == "10.0.0.4")
    assert not liar.survivor
    assert liar.why


def test_two_that_disagree_are_refused() -> None:
    servers = {"10.0.0.1": honest(server()), "10.0.0.2": honest(server(DATE + 10 * SECOND))}
    outcome = Network(servers).run([peer(host) for host in servers])
    assert outcome.verdict is Verdict.NO_MAJORITY


def test_a_silent_server_does_not_hold_up_a_majority() -> None:
    servers = {f"10.0.0.{n}": honest(server()) for n in (1, 2, 3)}
    network = Network(servers)
    outcome = network.run([peer(host) for host in (*servers, "10.0.0.4")])
    assert outcome.verdict is Verdict.AGREED
    assert network.now < 0.2


def test_silence_ends_at_the_deadline_and_says_so() -> None:
    network = Network({})
    outcome = network.run([peer("10.0.0.1")], Policy(timeout=5.0))
    assert outcome.verdict is Verdict.NO_ANSWER
    assert network.now == 5.0
    assert len(network.sent) == 3  # at 0, 1 and 3 s


def test_a_date_before_the_floor_is_refused() -> None:
    network = Network({"10.0.0.1": honest(server(FLOOR - SECOND))})
    outcome = network.run([peer("10.0.0.1")])
    assert outcome.verdict is Verdict.REFUSED
    assert "floor" in outcome.why


def test_a_name_is_resolved_and_its_addresses_are_tried_in_turn() -> None:
    network = Network(
        {"10.0.0.2": honest(server())}, names={"time.example": ("10.0.0.1", "10.0.0.2")}
    )
    outcome = network.run([peer("time.example")])
    assert outcome.verdict is Verdict.UNCONFIRMED
    assert [send.to.host for send in network.sent] == ["10.0.0.1", "10.0.0.2"]


def test_a_name_whose_addresses_are_silent_is_looked_up_anew_in_the_next_round() -> None:
    network = Network({"10.0.0.2": honest(server())}, names={"time.example": ("10.0.0.1",)})
    asked = peer("time.example")
    assert network.run([asked]).verdict is Verdict.NO_ANSWER
    network.names = {"time.example": ("10.0.0.2",)}
    assert network.run([asked]).verdict is Verdict.UNCONFIRMED


def test_an_unknown_name_does_not_hold_up_the_numeric_servers() -> None:
    network = Network({f"10.0.0.{n}": honest(server()) for n in (1, 2)})
    outcome = network.run([peer("10.0.0.1"), peer("10.0.0.2"), peer("nowhere.example")])
    assert outcome.verdict is Verdict.AGREED
    assert network.now < 0.2


def test_interleaved_samples_take_the_servers_own_send_path_out() -> None:
    core = server()

    def respond(octets: bytes, now: float) -> Iterator[bytes]:
        """A server whose packets leave 1 ms after it wrote the time into them."""
        came, left = now - 0.0005, now + 0.0005
        for reply in core.handle(Datagram(octets=octets, source=CLIENT, received=came), came):
            core.handle(Sent(to=reply.to, receive=reply.receive, at=left), left)
            yield reply.octets

    def measured(policy: Policy) -> Sample:
        outcome = Network({"10.0.0.1": respond}).run([peer("10.0.0.1")], policy)
        sample = outcome.servers[0].sample
        assert sample is not None
        return sample

    assert abs(measured(Policy()).offset) > 200_000
    interleaved = measured(Policy(samples=3, spacing=0.5))
    assert interleaved.interleaved
    assert abs(interleaved.offset) < 100


def test_a_loss_takes_interleaving_back_to_basic_mode() -> None:
    asked = peer("10.0.0.1").on_wire
    core = server()

    def exchange(now: float) -> Sample:
        request = asked.request(now)
        datagram = Datagram(octets=request.octets, source=CLIENT)
        (reply,) = core.handle(datagram, now + 0.001)
        core.handle(Sent(to=CLIENT, receive=reply.receive, at=now + 0.001), now + 0.001)
        date = DATE + round(now * SECOND)
        stamps = Stamps(sent=date, received=date + 2 * MILLISECOND, by_kernel=True)
        return asked.receive(request, reply.octets, stamps, now + 0.002)

    assert [exchange(now).interleaved for now in (0.0, 1.0, 2.0)] == [False, True, True]
    asked.request(3.0)
    asked.lost()
    assert [exchange(now).interleaved for now in (4.0, 5.0)] == [False, True]
    assert not exchange(5.0 + INTERLEAVE_WITHIN + 1).interleaved


def test_a_server_that_is_set_between_two_interleaved_answers_is_heard() -> None:
    """The check of its reference time belongs to the exchange that is measured."""
    asked = peer("10.0.0.1").on_wire
    core = server()
    for now in (0.0, 1.0, 2.0):
        request = asked.request(now)
        (reply,) = core.handle(Datagram(octets=request.octets, source=CLIENT), now + 0.001)
        core.handle(Sent(to=CLIENT, receive=reply.receive, at=now + 0.001), now + 0.001)
        set_now = from_unix_ns(DATE + round((now + 0.0005) * SECOND))
        header = replace(Header.parse(reply.octets), reference=set_now)
        date = DATE + round(now * SECOND)
        stamps = Stamps(sent=date, received=date + 2 * MILLISECOND, by_kernel=True)
        sample = asked.receive(request, bytes(header), stamps, now + 0.002)
        assert sample.interleaved == (now > 0)


def test_a_clock_that_is_set_all_the_time_is_no_reason_to_ask_all_the_time() -> None:
    core, client = server(), Client([peer("10.0.0.1")], floor=Floor(released=FLOOR))
    times: list[float] = []
    ended: list[Command] = []
    commands, now = client.handle(Start(date=DATE), 0.0), 0.0
    while client.deadline is not None:
        for command in commands:
            if isinstance(command, Send):
                times.append(now)
                datagram = Datagram(octets=command.octets, source=CLIENT)
                (reply,) = core.handle(datagram, now)
                stamps = Stamps(sent=DATE, received=DATE + 10 * SECOND, by_kernel=True)
                came = Received(request=command.request, octets=reply.octets, stamps=stamps)
                ended = [*client.handle(came, now)][-1:]
        now = client.deadline or now
        commands = client.handle(TimerFired(), now)
    assert times == [0.0, 1.0, 2.0, 3.0, 4.0]
    (finished,) = ended
    assert isinstance(finished, Finished)
    assert "our clock was set" in finished.outcome.why


def test_stamps_of_the_program_are_never_interleaved() -> None:
    asked = peer("10.0.0.1").on_wire
    for now in (0.0, 1.0):
        request = asked.request(now)
        (reply,) = server().handle(Datagram(octets=request.octets, source=CLIENT), now + 0.001)
        date = DATE + round(now * SECOND)
        stamps = Stamps(sent=date, received=date + 2 * MILLISECOND)
        assert not asked.receive(request, reply.octets, stamps, now + 0.002).by_kernel
        assert request.receive == 0


def test_a_clock_that_is_set_during_a_request_spoils_it() -> None:
    asked = peer("10.0.0.1").on_wire
    request = asked.request(0.0)
    (reply,) = server().handle(Datagram(octets=request.octets, source=CLIENT), 0.001)
    for by in (SECOND, -SECOND):
        stamps = Stamps(sent=DATE, received=DATE + 2 * MILLISECOND + by, by_kernel=True)
        with pytest.raises(ClockStepped):
            asked.receive(request, reply.octets, stamps, 0.002)


@pytest.mark.parametrize("loss", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(20))
def test_a_bad_network_delays_the_answer_or_ends_in_a_reported_failure(
    loss: float, seed: int
) -> None:
    servers = {f"10.0.0.{n}": honest(server()) for n in (1, 2, 3)}
    network = Network(servers, loss=loss, duplicates=0.3, jitter=0.05, random=Random(seed), local=0)
    outcome = network.run([peer(host) for host in servers])
    assert network.now <= 5.0
    if outcome.verdict.usable:
        assert abs(outcome.offset - DATE) <= outcome.error
    else:
        assert outcome.why

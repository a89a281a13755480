"""Both drivers on real sockets of the loopback interface, against servers and liars."""

import asyncio
import socket
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from os import getpid, urandom
from pathlib import Path

import pytest

import ntp
from lab.ntp_sockets import served
from lab.ntp_stamps import stamps_on
from lab.process import Process
from ntp.aio import driver
from ntp.aio.server import ServerSocket
from ntp.client import Client
from ntp.messages import Address, Outcome, Verdict
from ntp.onwire import OnWire
from ntp.peer import Peer
from ntp.server import Datagram, Server, Settings
from ntp.system import oneshot
from ntp.trust import Floor
from ntp.turn import Policy

HERE = "127.0.0.1"
FLOOD = Path(__file__).parents[1] / "lab" / "ntp_flood.py"
_ports = count(20000 + getpid() % 20000)

Run = Callable[[Client], Outcome]


def by_asyncio(client: Client) -> Outcome:
    return asyncio.run(driver.run(client))


@pytest.fixture(autouse=True)
def _stamps() -> Iterator[None]:
    with stamps_on():
        yield


@pytest.fixture(params=[oneshot.run, by_asyncio], ids=["poll", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    chosen: Run = request.param
    return chosen


def client(*names: str, port: int, policy: Policy | None = None) -> Client:
    peers = [
        Peer(name=name, port=port, on_wire=OnWire(urandom, pivot=time.time_ns())) for name in names
    ]
    return Client(peers, floor=Floor(released=0), policy=policy)


def honest_answer(octets: bytes, source: Address) -> bytes:
    server = Server(Settings(date=time.time_ns(), at=time.monotonic()))
    (reply,) = server.handle(Datagram(octets=octets, source=source), time.monotonic())
    return reply.octets


def test_a_server_is_asked_with_stamps_of_the_kernel(run: Run) -> None:
    with served(honest_answer) as port:
        outcome = run(client(HERE, port=port))
    sample = outcome.servers[0].sample
    assert sample is not None
    assert sample.by_kernel
    assert abs(outcome.offset) <= outcome.error


def test_a_name_is_resolved(run: Run) -> None:
    with served(honest_answer) as port:
        outcome = run(client("localhost", port=port))
    assert outcome.verdict is Verdict.UNCONFIRMED


def test_a_name_that_is_none_is_reported(run: Run) -> None:
    outcome = run(client("no such name", port=1, policy=Policy(timeout=0.5)))
    assert outcome.verdict is Verdict.NO_ANSWER
    assert "no such name" in outcome.why


def test_a_port_without_a_server_is_reported(run: Run) -> None:
    outcome = run(client(HERE, port=next(_ports), policy=Policy(timeout=0.3)))
    assert outcome.verdict is Verdict.NO_ANSWER
    assert "no time server listens there" in outcome.why


def test_an_address_without_a_route_is_reported(run: Run) -> None:
    outcome = run(client("240.0.0.1", port=123, policy=Policy(timeout=0.3)))
    assert outcome.verdict is Verdict.NO_ANSWER


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.66"])
def test_an_answer_from_another_port_or_address_is_not_heard(run: Run, address: str) -> None:
    def spoof(octets: bytes, source: Address) -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((address, 0))
            other.sendto(honest_answer(octets, source), (source.host, source.port))
        return b"junk"

    with served(spoof) as port:
        outcome = run(client(HERE, port=port, policy=Policy(timeout=0.3)))
    assert outcome.verdict is Verdict.NO_ANSWER


def test_an_endless_flood_does_not_move_the_deadline(run: Run) -> None:
    port = next(_ports)
    with Process([sys.executable, str(FLOOD), str(port)], name="flood") as flood:
        flood.wait_line("ready")
        begun = time.monotonic()
        outcome = run(client(HERE, port=port, policy=Policy(timeout=1.0, retry=10.0)))
        took = time.monotonic() - begun
    assert outcome.verdict is Verdict.NO_ANSWER
    assert 1.0 <= took < 1.1


def test_the_honest_answer_behind_a_flood_counts(run: Run) -> None:
    port = next(_ports)
    with Process([sys.executable, str(FLOOD), str(port), "200"], name="flood") as flood:
        flood.wait_line("ready")
        outcome = run(client(HERE, port=port, policy=Policy(timeout=5.0)))
    assert outcome.verdict is Verdict.UNCONFIRMED


async def test_the_library_asks_one_server_or_several() -> None:
    core = Server(Settings(date=time.time_ns(), at=time.monotonic()))
    with ServerSocket(core, Address("0.0.0.0", 0)) as bound:
        port = bound.address.port
        one = await ntp.query(HERE, port=port)
        several = await ntp.agree(["127.0.0.1", "127.0.0.2", "127.0.0.3"], port=port)
    assert one.verdict is Verdict.UNCONFIRMED
    assert several.verdict is Verdict.AGREED
    assert len(several.servers) == 3


async def test_our_server_answers_interleaved_over_sockets() -> None:
    core = Server(Settings(date=time.time_ns(), at=time.monotonic()))
    with ServerSocket(core, Address(HERE, 0)) as bound:
        asked = client(HERE, port=bound.address.port, policy=Policy(samples=4, spacing=0.01))
        outcome = await driver.run(asked)
    sample = outcome.servers[0].sample
    assert sample is not None
    assert sample.interleaved


async def test_a_cancelled_round_leaves_no_socket_open() -> None:
    asked = client("127.0.0.1", port=next(_ports), policy=Policy(timeout=60))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await driver.run(asked)


def test_the_round_waits_for_its_timer_and_does_not_turn_meanwhile() -> None:
    """What a round of 0.5 s costs in time of the processor."""
    begun, spent = time.monotonic(), time.process_time()
    outcome = oneshot.run(client(HERE, port=next(_ports), policy=Policy(timeout=0.5, retry=0.1)))
    assert outcome.verdict is Verdict.NO_ANSWER
    assert 0.5 <= time.monotonic() - begun < 2.0
    assert time.process_time() - spent < 0.2

"""The service on real sockets of the loopback interface, on a machine that only takes notes."""

import asyncio
import errno
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lab.ntp_adversary import kiss
from lab.ntp_sockets import served
from lab.ntp_stamps import stamps_on
from ntp.aio.service import serve
from ntp.messages import Address, Outcome, Verdict
from ntp.onwire import OnWire
from ntp.packet import Header
from ntp.peer import Peer
from ntp.server import Datagram, Server, Settings
from ntp.service import Service, SetClock, State
from ntp.system.errors import ClockRefused, NotPermitted
from ntp.timestamp import SECOND
from ntp.trust import Floor, Level
from ntp.turn import Policy

HERE, THERE = "127.0.0.1", "127.0.0.2"
DISK_FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/var/lib/mgu/time")


class Machine:
    """What it was told, in order; `fails`: what a call raises, by its name."""

    shift = 0

    def __init__(self, **fails: Exception) -> None:
        self.fails = fails
        self.notes: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    def _note(self, what: str, value: object) -> None:
        self.notes.put_nowait((what, value))
        if what in self.fails:
            raise self.fails[what]

    def set_right(self, command: SetClock) -> None:
        self._note("set", command)

    def lose_trust(self) -> None:
        self._note("lost", None)

    def save(self, date: int) -> None:
        self._note("saved", date)

    def told(self, state: State, outcome: Outcome | None) -> None:
        self._note("told", (state, outcome))

    async def until(self, what: str, holds: Callable[[Any], bool] = lambda _: True) -> Any:
        """The first note of that kind that `holds`."""
        async with asyncio.timeout(10):
            while True:
                kind, value = await self.notes.get()
                if kind == what and holds(value):
                    return value


def honest_answer(octets: bytes, source: Address) -> bytes:
    server = Server(Settings(date=time.time_ns(), at=time.monotonic()))
    (reply,) = server.handle(Datagram(octets=octets, source=source), time.monotonic())
    return reply.octets


def denying(octets: bytes, source: Address) -> bytes:
    return kiss(b"DENY")(Header.parse(octets), Header.parse(honest_answer(octets, source)))


@asynccontextmanager
async def running(
    machine: Machine, port: int, hosts: Sequence[str] = (HERE,), policy: Policy | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """The service; it is stopped in an orderly way, and what ended it is raised."""
    peers = [
        Peer(name=host, port=port, on_wire=OnWire(os.urandom, pivot=time.time_ns()))
        for host in hosts
    ]
    core = Service(lambda: 0.0, floor=Floor(released=1))
    stop = asyncio.Event()
    with stamps_on():
        service = asyncio.create_task(serve(core, peers, machine, stop, policy=policy or Policy()))
        try:
            yield service
        finally:
            stop.set()
            async with asyncio.timeout(5):
                await service


async def test_what_two_servers_say_sets_the_clock_is_told_and_is_saved() -> None:
    machine = Machine()
    with served(honest_answer) as port, served(honest_answer, THERE, port):
        async with running(machine, port, (HERE, THERE)):
            _, nothing = await machine.until("told")
            assert nothing is None  # it asks for the first time
            command = await machine.until("set")
            assert not command.step
            assert command.trust.level is Level.AGREED
            state, outcome = await machine.until("told")
            assert state.trust == command.trust
            assert outcome.verdict is Verdict.AGREED
            assert abs(await machine.until("saved") - time.time_ns()) < 10 * SECOND
    await machine.until("saved")  # at the stop
    state, _ = await machine.until("told")
    assert state.next_round is None


async def test_a_round_without_an_answer_is_told_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = Machine()
    with served(denying) as port:
        async with running(machine, port):
            state, outcome = await machine.until("told", lambda told: told[1] is not None)
    assert outcome.verdict is Verdict.REFUSED
    assert state.trust is None
    assert state.next_round is not None  # told at the end of the round, not of the next one
    assert any("DENY" in record.message for record in caplog.records)


async def test_the_limits_of_the_policy_hold_in_every_round() -> None:
    machine = Machine()
    with served(honest_answer) as port:
        async with running(machine, port, policy=Policy(minsources=2)):
            _, outcome = await machine.until("told", lambda told: told[1] is not None)
    assert outcome.verdict is Verdict.NO_MAJORITY


async def test_a_date_that_the_kernel_does_not_take_ends_no_service(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = Machine(set=ClockRefused("no such date"))
    with served(honest_answer) as port:
        async with running(machine, port) as service:
            await machine.until("lost")
            state, _ = await machine.until("told")
            assert state.trust is None
            assert not service.done()
    assert "no such date" in caplog.text


async def test_without_permission_to_set_the_clock_the_service_ends_and_says_so() -> None:
    machine = Machine(set=NotPermitted("root is needed"))
    with served(honest_answer) as port, pytest.raises(NotPermitted, match="root is needed"):
        async with running(machine, port) as service:
            await asyncio.wait([service], timeout=10)


async def test_what_nobody_foresaw_in_a_round_ends_the_service_with_it() -> None:
    class Odd(OnWire):
        def request(self, now: float) -> Any:  # noqa: ARG002
            raise RuntimeError("unforeseen")

    stop = asyncio.Event()
    peers = [Peer(name=HERE, on_wire=Odd(os.urandom, pivot=time.time_ns()))]
    core = Service(lambda: 0.0, floor=Floor(released=1))
    with pytest.raises(RuntimeError, match="unforeseen"):
        async with asyncio.timeout(10):
            await serve(core, peers, Machine(), stop, policy=Policy())


@pytest.mark.parametrize("what", ["set", "saved", "told"])
async def test_a_full_disk_is_logged_and_stops_nothing(
    caplog: pytest.LogCaptureFixture, what: str
) -> None:
    caplog.set_level(logging.INFO, "ntp")
    machine = Machine(**{what: DISK_FULL})
    with served(honest_answer) as port, served(honest_answer, THERE, port):
        async with running(machine, port, (HERE, THERE)) as service:
            await machine.until("saved")
            assert not service.done()
    assert "/var/lib/mgu/time: No space left on device" in caplog.text

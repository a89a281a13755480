"""Drives the service core from asyncio: rounds, the clock, and the watches on network and clock."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from typing import Any, Final, Protocol

from ntp.aio import driver, watch
from ntp.client import Client
from ntp.messages import Outcome
from ntp.peer import Peer
from ntp.service import (
    Begin,
    CancelRound,
    ClockChanged,
    Command,
    Event,
    LoseTrust,
    NetworkChanged,
    NotSet,
    RoundEnded,
    SaveDate,
    Service,
    SetClock,
    StartRound,
    State,
    Stop,
)
from ntp.system.errors import ClockRefused, NotPermitted
from ntp.system.exchange import stamping
from ntp.turn import Policy
from wire.record import replace
from wire.runner import clock, run

_OWN: Final = 100_000_000  # ns; news of the clock that move it less are of our own making

log = logging.getLogger("ntp")


class Host(Protocol):
    """What the service needs of the machine it runs on. Dates and offsets: ns."""

    @property
    def shift(self) -> int:
        """By how much the date is ahead of what the kernel stamps packets with."""

    def set_right(self, command: SetClock) -> None:
        """Set the clock and tell who waits for it. Raises: ClockRefused, OSError."""

    def lose_trust(self) -> None:
        """Publish that it is not known whether the date is right. Raises: OSError."""

    def save(self, date: int) -> None:
        """Save `date` as the floor. Raises: OSError."""

    def told(self, state: State, outcome: Outcome | None) -> None:
        """This is how things are; `outcome`: of the last round. Raises: OSError."""


async def serve(
    core: Service,
    peers: Sequence[Peer],
    host: Host,
    stop: asyncio.Event,
    *,
    policy: Policy,
    ca: str = "",
) -> None:
    """Keep the clock right until `stop` is set; then save the date.

    Args: `policy`: maxdistance and minsources of it. Raises: NotPermitted.
    """
    service = _Running(core, peers, host, policy, ca)
    await service.run(stop)


class _Running:
    def __init__(
        self, core: Service, peers: Sequence[Peer], host: Host, policy: Policy, ca: str
    ) -> None:
        self._core = core
        self._policy = policy
        self._last: Outcome | None = None
        self._peers = peers
        self._host = host
        self._ca = ca
        self._inbox: asyncio.Queue[Event] = asyncio.Queue()
        self._round: asyncio.Task[None] | None = None
        self._refused: asyncio.Future[None] | None = None
        self._date_gap = _date_gap()

    async def run(self, stop: asyncio.Event) -> None:
        self._inbox.put_nowait(Begin())
        self._refused = asyncio.get_running_loop().create_future()
        with ExitStack() as watches:
            watches.enter_context(stamping())
            watches.enter_context(watch.network(self._on_network))
            watches.enter_context(watch.clock(self._on_clock))
            running = asyncio.create_task(run(self, self._inbox, self._perform))
            waiting = asyncio.create_task(stop.wait())
            ends: set[asyncio.Future[Any]] = {running, waiting, self._refused}
            try:
                done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for end in done:
                    end.result()
                for command in self._core.handle(Stop(), clock()):
                    self._perform(command)
                self._tell()
            finally:
                await _end(running, waiting, self._round)

    @property
    def deadline(self) -> float | None:
        return self._core.deadline

    def handle(self, event: Event, now: float) -> Sequence[Command]:
        """The core's commands; where a round led to none, what is known of it is told here."""
        commands = self._core.handle(event, now)
        if isinstance(event, RoundEnded) and not commands:
            self._tell()
        return commands

    def _on_network(self) -> None:
        self._inbox.put_nowait(NetworkChanged())

    def _on_clock(self) -> None:
        gap, self._date_gap = self._date_gap, _date_gap()
        if abs(gap - self._date_gap) < _OWN:
            return
        log.info("the clock was set by another program, or the machine was suspended")
        self._forget_offsets()
        self._inbox.put_nowait(ClockChanged())

    def _perform(self, command: Command) -> Coroutine[Any, Any, Event] | None:
        match command:
            case StartRound():
                self._round = asyncio.create_task(self._ask(command))
                self._round.add_done_callback(self._asked)
            case CancelRound():
                if self._round:
                    self._round.cancel()
            case SetClock():
                self._set(command)
            case LoseTrust():
                log.warning("whether the date is right is no longer known")
                self._guarded(self._host.lose_trust)
            case SaveDate():
                self._guarded(lambda: self._host.save(command.date))
        if isinstance(command, StartRound | SetClock | LoseTrust):
            self._tell()
        return None

    def _tell(self) -> None:
        self._guarded(lambda: self._host.told(self._core.state, self._last))

    def _asked(self, task: asyncio.Task[None]) -> None:
        """What went wrong in a round must not be lost with its task."""
        if not task.cancelled() and (error := task.exception()):
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        if self._refused and not self._refused.done():
            self._refused.set_exception(error)

    async def _ask(self, command: StartRound) -> None:
        log.debug("asking %s", ", ".join(peer.name for peer in self._peers))
        client = Client(
            self._peers,
            floor=command.floor,
            policy=replace(
                self._policy,
                samples=command.samples,
                timeout=8.0 + 2.0 * command.samples,
                interval=command.interval,
            ),
            trusted=command.trusted,
        )
        outcome = await driver.run(client, self._host.shift, self._ca)
        if outcome.trust is None:
            log.warning("%s", outcome.why)
        self._last = outcome
        self._inbox.put_nowait(RoundEnded(outcome=outcome))

    def _set(self, command: SetClock) -> None:
        # Not read again afterwards: another program may have set the clock by then.
        gap = _date_gap() + (command.outcome.offset if command.step else 0)
        try:
            self._host.set_right(command)
        except NotPermitted as error:
            self._give_up(error)
            return
        except ClockRefused as error:
            log.error("%s", error)
            self._inbox.put_nowait(NotSet())
            return
        except OSError as error:
            log.error("%s: %s", error.filename, error.strerror)
        self._date_gap = gap
        if command.step:
            self._forget_offsets()

    def _forget_offsets(self) -> None:
        for peer in self._peers:
            peer.clock_was_set()

    def _guarded(self, action: Callable[[], None]) -> None:
        """A full disk must not stop the clock from being right."""
        try:
            action()
        except OSError as error:
            log.error("%s: %s", error.filename, error.strerror)


def _date_gap() -> int:
    """Date less monotonic time, ns: constant while the clock is not set and the machine is not
    suspended.
    """
    return time.time_ns() - time.monotonic_ns()


async def _end(*tasks: "asyncio.Task[Any] | None") -> None:
    """Cancel and await them, whatever state they are in."""
    alive = [task for task in tasks if task is not None and not task.done()]
    for task in alive:
        task.cancel()
    await asyncio.gather(*alive, return_exceptions=True)

"""Drives a core without I/O from asyncio: one inbox, one deadline, two kinds of commands.

A core turns an event into commands. What it *tells* (send this datagram) is carried out at once,
in list order. What it *asks* (allocate an SPI) takes time: it runs as a task, and its result comes
back through the inbox as an event, so that a slow kernel delays no other event.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar

from wire.timer import TimerFired

E = TypeVar("E")
E_contra = TypeVar("E_contra", contravariant=True)
C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)


PULSE: Final = 5.0
"""Seconds until the clock is looked at again: waiting does not count time in suspend."""


def clock() -> float:
    """Monotonic seconds, including time in suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Core(Protocol[E_contra, C_co]):
    """A protocol without I/O. `deadline` and `now` are monotonic seconds."""

    @property
    def deadline(self) -> float | None: ...

    def handle(self, event: E_contra | TimerFired, now: float) -> Sequence[C_co]: ...


async def run(
    core: Core[E, C],
    inbox: asyncio.Queue[E],
    perform: Callable[[C], Coroutine[Any, Any, E] | None],
    *,
    clock: Callable[[], float] = clock,
) -> None:
    """Drive `core` until cancelled, or until `perform` raises.

    `perform` carries out a told command and returns None, or returns the coroutine of an asked
    one, whose result is the answering event. Asked commands still running are cancelled at exit.
    """

    async def answer(asked: Coroutine[Any, Any, E]) -> None:
        inbox.put_nowait(await asked)

    async with asyncio.TaskGroup() as tasks:
        while True:
            event = await _next(inbox, core.deadline, clock)
            for command in core.handle(event, clock()):
                try:
                    asked = perform(command)
                except Exception as error:
                    error.add_note(f"while carrying out {type(command).__name__}")
                    raise
                if asked is not None:
                    tasks.create_task(answer(asked))
            await asyncio.sleep(0)  # a full inbox must not starve the other tasks


async def _next(
    inbox: asyncio.Queue[E], deadline: float | None, clock: Callable[[], float]
) -> E | TimerFired:
    while True:
        wait = asyncio.timeout(None if deadline is None else min(deadline - clock(), PULSE))
        try:
            async with wait:
                return await inbox.get()
        except TimeoutError:
            if not wait.expired():
                raise
            if deadline is not None and deadline <= clock():
                return TimerFired()

"""Drives one round of the client core from asyncio.

Not on `wire.runner`: each datagram goes from the socket to the core at once, so that a flood waits
in the kernel's buffer and not in a queue of ours, and a query costs no more than the core does.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable

from ntp.client import Client
from ntp.messages import Event, Outcome
from ntp.system.ask import Answer, Asked, answer
from ntp.system.exchange import Exchange
from ntp.system.round import Round
from wire.timer import TimerFired


async def run(client: Client, shift: int = 0, ca: str = "") -> Outcome:
    """Run the round to its end. `shift`: see Exchange; `ca`: see ask.answer."""
    return await _Round(client, shift, ca).run()


class _Round(Round):
    def __init__(self, client: Client, shift: int, ca: str) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(client, self._loop.time, shift)
        self._ca = ca
        self._done: asyncio.Future[Outcome] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> Outcome:
        try:
            self.begin()
            return await self._done
        finally:
            if self._timer:
                self._timer.cancel()
            self.close()
            for task in self._tasks:
                task.cancel()

    def handle(self, event: Event) -> None:
        super().handle(event)
        if self.outcome is not None and not self._done.done():
            self._done.set_result(self.outcome)
        self._set_timer()

    def watch(self, exchange: Exchange) -> None:
        """One datagram a turn of the loop, so that a flood leaves time for timers and others."""
        self._loop.add_reader(exchange.fileno(), self.read, exchange)

    def unwatch(self, exchange: Exchange) -> None:
        self._loop.remove_reader(exchange.fileno())

    def ask(self, command: Asked) -> None:
        task = self._loop.create_task(self._answer(command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, command: Asked) -> None:
        self.handle(await _in_thread(lambda: answer(command, self._ca)))

    def _set_timer(self) -> None:
        deadline = None if self._done.done() else self.client.deadline
        if self._timer and self._timer.when() != deadline:
            self._timer.cancel()
            self._timer = None
        if deadline is not None and self._timer is None:
            self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.handle(TimerFired())


async def _in_thread(work: Callable[[], Answer]) -> Answer:
    """As asyncio.to_thread, in a daemon thread: a resolver that hangs must not hold up the exit."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Answer] = loop.create_future()

    def done(answered: Answer) -> None:
        if not result.done():
            result.set_result(answered)

    def run() -> None:
        answered = work()
        with contextlib.suppress(RuntimeError):  # the loop has ended, nobody waits any more
            loop.call_soon_threadsafe(done, answered)

    threading.Thread(target=run, daemon=True).start()
    return await result

"""Drives one round of the client core from asyncio.

Not on `wire.runner`: each datagram goes from the socket to the core at once, so that a flood waits
in the kernel's buffer and not in a queue of ours, and a query costs no more than the core does.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable

from ntp.aio.ask import Answer, Asked, answer
from ntp.aio.exchange import Exchange
from ntp.aio.oneshot import reason
from ntp.client import Client
from ntp.messages import (
    Command,
    Event,
    ExchangeKeys,
    Finished,
    Forget,
    Outcome,
    Resolve,
    Send,
    SendFailed,
    Start,
)
from wire.timer import TimerFired


async def run(client: Client, shift: int = 0, ca: str = "") -> Outcome:
    """Run the round to its end. `shift`: see Exchange; `ca`: see ask.answer."""
    return await _Round(client, shift, ca).run()


class _Round:
    def __init__(self, client: Client, shift: int, ca: str) -> None:
        self._client = client
        self._shift = shift
        self._ca = ca
        self._loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[Outcome] = self._loop.create_future()
        self._requests: dict[int, Exchange] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> Outcome:
        try:
            self._handle(Start(date=time.time_ns() + self._shift))
            return await self._outcome
        finally:
            if self._timer:
                self._timer.cancel()
            for number in list(self._requests):
                self._forget(number)
            for task in self._tasks:
                task.cancel()

    def _handle(self, event: Event) -> None:
        events = deque([event])
        while events and not self._outcome.done():
            for command in self._client.handle(events.popleft(), self._loop.time()):
                followed = self._perform(command)
                if followed:
                    events.append(followed)
        self._set_timer()

    def _perform(self, command: Command) -> Event | None:
        """Carry out `command`; the event that it leads to at once, if any."""
        match command:
            case Send():
                return self._send(command)
            case Forget():
                self._forget(command.request)
            case Resolve() | ExchangeKeys():
                task = self._loop.create_task(self._ask(command))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Finished():
                if not self._outcome.done():
                    self._outcome.set_result(command.outcome)
        return None

    def _send(self, command: Send) -> Event | None:
        try:
            exchange = Exchange(command.request, command.to, command.octets, self._shift)
        except OSError as error:
            return SendFailed(request=command.request, why=reason(error))
        self._requests[command.request] = exchange
        self._loop.add_reader(exchange.fileno(), self._read, exchange)
        return None

    def _forget(self, number: int) -> None:
        exchange = self._requests.pop(number, None)
        if exchange:
            self._loop.remove_reader(exchange.fileno())
            exchange.close()

    def _read(self, exchange: Exchange) -> None:
        """One datagram a turn of the loop, so that a flood leaves time for timers and others."""
        try:
            event: Event | None = exchange.read()
        except OSError as error:
            event = SendFailed(request=exchange.number, why=reason(error))
        if event:
            self._handle(event)

    async def _ask(self, command: Asked) -> None:
        self._handle(await _in_thread(lambda: answer(command, self._ca)))

    def _set_timer(self) -> None:
        deadline = None if self._outcome.done() else self._client.deadline
        if self._timer and self._timer.when() != deadline:
            self._timer.cancel()
            self._timer = None
        if deadline is not None and self._timer is None:
            self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._handle(TimerFired())


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

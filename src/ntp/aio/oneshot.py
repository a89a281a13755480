"""Drives one round of the client core by poll(2), for a command that runs once.

asyncio would do as well; its import alone takes longer than a whole query on a LAN.
"""

import math
import os
import select
import time
from collections import deque
from typing import Final

from ntp.aio.ask import Answer, Asked, answer
from ntp.aio.exchange import Exchange
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

_AT_ONCE: Final = 16  # datagrams of one socket before the others and the clock have their turn


def run(client: Client, shift: int = 0, ca: str = "") -> Outcome:
    """Run the round to its end. `shift`: see Exchange; `ca`: see ask.answer."""
    return _Round(client, shift, ca).run()


class _Round:
    def __init__(self, client: Client, shift: int, ca: str) -> None:
        self._client = client
        self._shift = shift
        self._ca = ca
        self._poll = select.poll()
        self._sockets: dict[int, Exchange] = {}  # by file descriptor
        self._requests: dict[int, Exchange] = {}
        self._answers: deque[Answer] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._wake, select.POLLIN)
        self._outcome: Outcome | None = None

    def run(self) -> Outcome:
        try:
            self._handle(Start(date=time.time_ns() + self._shift))
            while self._outcome is None:
                self._wait()
            return self._outcome
        finally:
            for exchange in self._sockets.values():
                exchange.close()
            os.close(self._wake)

    def _wait(self) -> None:
        deadline = self._client.deadline
        left = None if deadline is None else max(deadline - time.monotonic(), 0) * 1000
        ready = self._poll.poll(None if left is None else math.ceil(left))
        if not ready:
            self._handle(TimerFired())
        for descriptor, _ in ready:
            if descriptor == self._wake:
                os.eventfd_read(self._wake)
                while self._answers:
                    self._handle(self._answers.popleft())
            else:
                self._read(descriptor)

    def _read(self, descriptor: int) -> None:
        for _ in range(_AT_ONCE):
            exchange = self._sockets.get(descriptor)
            if exchange is None or self._outcome is not None:
                return
            try:
                event = exchange.read()
            except OSError as error:
                self._handle(SendFailed(request=exchange.number, why=reason(error)))
                continue
            if event is None:
                return
            self._handle(event)

    def _handle(self, event: Event) -> None:
        events = deque([event])
        while events and self._outcome is None:
            for command in self._client.handle(events.popleft(), time.monotonic()):
                followed = self._perform(command)
                if followed:
                    events.append(followed)

    def _perform(self, command: Command) -> Event | None:
        """Carry out `command`; the event that it leads to at once, if any."""
        match command:
            case Send():
                return self._send(command)
            case Forget():
                self._forget(command)
            case Resolve() | ExchangeKeys():
                from threading import Thread  # late: an address needs none

                Thread(target=self._ask, args=(command,), daemon=True).start()
            case Finished():
                self._outcome = command.outcome
        return None

    def _send(self, command: Send) -> Event | None:
        try:
            exchange = Exchange(command.request, command.to, command.octets, self._shift)
        except OSError as error:
            return SendFailed(request=command.request, why=reason(error))
        self._requests[command.request] = self._sockets[exchange.fileno()] = exchange
        self._poll.register(exchange.fileno(), select.POLLIN)
        return None

    def _forget(self, command: Forget) -> None:
        exchange = self._requests.pop(command.request, None)
        if exchange:
            del self._sockets[exchange.fileno()]
            self._poll.unregister(exchange.fileno())
            exchange.close()

    def _ask(self, command: Asked) -> None:
        self._answers.append(answer(command, self._ca))
        try:
            os.eventfd_write(self._wake, 1)
        except OSError:
            return  # the round is over, nobody waits any more


def reason(error: OSError) -> str:
    """Why a request could not leave or came back, for people."""
    if isinstance(error, ConnectionRefusedError):
        return "no time server runs there (port unreachable)"
    return (error.strerror or str(error)).lower()

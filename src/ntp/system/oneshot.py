"""Drives one round of the client core by poll(2), for a command that runs once.

asyncio would do as well; its import alone takes longer than a whole query on a LAN.
"""

import math
import os
import select
import time
from collections import deque

from ntp.client import Client
from ntp.messages import Outcome
from ntp.system.ask import Answer, Asked, answer
from ntp.system.exchange import Exchange
from ntp.system.round import Round
from wire.lean import Final
from wire.timer import TimerFired

_AT_ONCE: Final = 16  # datagrams of one socket before the others and the clock have their turn


def run(client: Client, shift: int = 0, ca: str = "") -> Outcome:
    """Run the round to its end. `shift`: see Exchange; `ca`: see ask.answer."""
    return _Round(client, shift, ca).run()


class _Round(Round):
    def __init__(self, client: Client, shift: int, ca: str) -> None:
        super().__init__(client, time.monotonic, shift)
        self._ca = ca
        self._poll = select.poll()
        self._sockets: dict[int, Exchange] = {}  # by file descriptor
        self._answers: deque[Answer] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._wake, select.POLLIN)

    def run(self) -> Outcome:
        try:
            self.begin()
            while self.outcome is None:
                self._wait()
            return self.outcome
        finally:
            self.close()
            os.close(self._wake)

    def _wait(self) -> None:
        deadline = self.client.deadline
        left = None if deadline is None else max(deadline - time.monotonic(), 0) * 1000
        ready = self._poll.poll(None if left is None else math.ceil(left))
        if not ready:
            self.handle(TimerFired())
        for descriptor, _ in ready:
            if descriptor == self._wake:
                os.eventfd_read(self._wake)
                while self._answers:
                    self.handle(self._answers.popleft())
            else:
                self._read(descriptor)

    def _read(self, descriptor: int) -> None:
        for _ in range(_AT_ONCE):
            exchange = self._sockets.get(descriptor)
            if exchange is None or self.outcome is not None or not self.read(exchange):
                return

    def watch(self, exchange: Exchange) -> None:
        self._sockets[exchange.fileno()] = exchange
        self._poll.register(exchange.fileno(), select.POLLIN)

    def unwatch(self, exchange: Exchange) -> None:
        del self._sockets[exchange.fileno()]
        self._poll.unregister(exchange.fileno())

    def ask(self, command: Asked) -> None:
        from threading import Thread  # late: an address needs none

        Thread(target=self._answer, args=(command,), daemon=True).start()

    def _answer(self, command: Asked) -> None:
        self._answers.append(answer(command, self._ca))
        try:
            os.eventfd_write(self._wake, 1)
        except OSError:
            return  # the round is over, nobody waits any more

"""What both drivers do with a round of the client core; they differ in how they wait."""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

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
from ntp.system.ask import Asked
from ntp.system.exchange import Exchange


class Round(ABC):
    """Feeds the core and carries out what it says, until there is an `outcome`.

    Args: `clock` gives monotonic s; `shift`: see Exchange.
    """

    def __init__(self, client: Client, clock: Callable[[], float], shift: int) -> None:
        self.client = client
        self.outcome: Outcome | None = None
        self._clock = clock
        self._shift = shift
        self._requests: dict[int, Exchange] = {}

    @abstractmethod
    def watch(self, exchange: Exchange) -> None:
        """Have `read` called when `exchange` is readable."""

    @abstractmethod
    def unwatch(self, exchange: Exchange) -> None:
        """Its socket is about to be closed."""

    @abstractmethod
    def ask(self, command: Asked) -> None:
        """Have ask.answer called in a thread, and `handle` with what it returns."""

    def begin(self) -> None:
        self.handle(Start(date=time.time_ns() + self._shift))

    def close(self) -> None:
        for number in list(self._requests):
            self._forget(number)

    def handle(self, event: Event) -> None:
        events = deque([event])
        while events and self.outcome is None:
            for command in self.client.handle(events.popleft(), self._clock()):
                followed = self._perform(command)
                if followed:
                    events.append(followed)

    def read(self, exchange: Exchange) -> bool:
        """Handle one datagram; whether there was one, or an error in its place."""
        try:
            event: Event | None = exchange.read()
        except OSError as error:
            event = SendFailed(request=exchange.number, why=reason(error))
        if event:
            self.handle(event)
        return event is not None

    def _perform(self, command: Command) -> Event | None:
        """Carry out `command`; the event that it leads to at once, if any."""
        match command:
            case Send():
                return self._send(command)
            case Forget():
                self._forget(command.request)
            case Resolve() | ExchangeKeys():
                self.ask(command)
            case Finished():
                self.outcome = command.outcome
        return None

    def _send(self, command: Send) -> Event | None:
        try:
            exchange = Exchange(command.request, command.to, command.octets, self._shift)
        except OSError as error:
            return SendFailed(request=command.request, why=reason(error))
        self._requests[command.request] = exchange
        self.watch(exchange)
        return None

    def _forget(self, number: int) -> None:
        exchange = self._requests.pop(number, None)
        if exchange:
            self.unwatch(exchange)
            exchange.close()


def reason(error: OSError) -> str:
    """Why a request could not leave or came back, for people."""
    if isinstance(error, ConnectionRefusedError):
        return "no time server listens there (port unreachable)"
    return (error.strerror or str(error)).lower()

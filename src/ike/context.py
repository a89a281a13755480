"""What all parts of the engine share: time, configuration, entropy, timers, commands so far."""

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import count

from ike import trace
from ike.commands import Command, EventKind, Level, Log, Report, SendDatagram
from ike.config import Config
from ike.doi.sainfo import SainfoIndex
from ike.events import (
    SaInstalled,
    SaRefused,
    SpiAllocated,
    SpiRefused,
)
from ike.isakmp.message import Message
from ike.printable import printable
from ike.timers import Timer, TimerQueue
from ike.values import Address, Endpoint, Selector

Answer = SpiAllocated | SpiRefused | SaInstalled | SaRefused

NON_ESP_MARKER = bytes(4)  # RFC 3948, 2.2
MAX_DETAIL = 200
"""Lines of one message, or of its proposals."""


class Context:
    """`now` is set at the start of each `handle`, `date` with each datagram; `commands` are taken
    at its end.
    """

    def __init__(self, config: Config, entropy: Callable[[int], bytes]) -> None:
        self.config = config
        self.entropy = entropy
        self.now = 0.0
        self.date: datetime | None = None
        self.padded = 0  # messages in the clear with octets behind their last payload or their end
        self.timers = TimerQueue()
        self.commands: list[Command] = []
        self._asks = count(1)
        self._waiting: dict[int, Callable[[Answer], None]] = {}

    @property
    def config(self) -> Config:
        return self._config

    @config.setter
    def config(self, config: Config) -> None:
        self._config = config
        self.sainfos = SainfoIndex(config.sainfos)

    def take_commands(self) -> list[Command]:
        commands, self.commands = self.commands, []
        return commands

    def emit(self, command: Command) -> None:
        self.commands.append(command)

    def send(self, octets: bytes, to: Endpoint, local: Endpoint) -> None:
        """A message; the non-ESP marker goes in front on the NAT-T port (RFC 3947, 4)."""
        if local.port == self.config.natt_port:
            octets = NON_ESP_MARKER + octets
        self.emit(SendDatagram(octets=octets, to=to, local=local))

    def info(self, text: str, peer: Address | None = None) -> None:
        self._log(Level.INFO, text, peer)

    def debug(self, text: str, peer: Address | None = None) -> None:
        self.detail([text], peer)

    def detail(
        self, lines: Iterable[str], peer: Address | None = None, level: Level = Level.DEBUG
    ) -> None:
        """What only who asked for it reads (`log debug`). `lines` may be a generator: at a lower
        log level it is not even started.
        """
        if level < self.config.log:
            return
        for number, line in enumerate(lines):
            if number == MAX_DETAIL:
                self._log(level, "further lines are not logged", peer)
                return
            self._log(level, line, peer)

    def shows(self, what: str, message: Message, where: Endpoint) -> None:
        """A message as it is read: its payloads, with `log debug2` decoded."""
        self.detail(trace.summary(what, message, where), where.address)
        self.detail(trace.decoded(message), where.address, Level.DEBUG2)

    def warning(self, text: str, peer: Address | None = None) -> None:
        self._log(Level.WARNING, text, peer)

    def error(self, text: str, peer: Address | None = None) -> None:
        self._log(Level.ERROR, text, peer)

    def _log(self, level: Level, text: str, peer: Address | None) -> None:
        self.emit(Log(level=level, text=printable(text), peer=peer))

    def report(
        self,
        kind: EventKind,
        local: Endpoint | None = None,
        remote: Endpoint | None = None,
        message_id: int = 0,
        selector: Selector | None = None,
    ) -> None:
        self.emit(
            Report(kind=kind, local=local, remote=remote, message_id=message_id, selector=selector)
        )

    def later(self, name: str, delay: float, action: Callable[[], None]) -> Timer:
        return self.timers.add(name, self.now, delay, action)

    def ask(self, make: Callable[[int], Command], answered: Callable[[Answer], None]) -> None:
        """Emit the asked command that `make(ask)` gives; `answered` gets the event that answers."""
        ask = next(self._asks)
        self._waiting[ask] = answered
        self.emit(make(ask))

    @property
    def asking(self) -> bool:
        """Whether an answer is due."""
        return bool(self._waiting)

    def answer(self, event: Answer) -> None:
        """An answer to a question that was never asked is ignored."""
        waiting = self._waiting.pop(event.ask, None)
        if waiting is not None:
            waiting(event)

    def random_number(self) -> int:
        """A message ID: 32 random bits, not zero (RFC 2409, 5.5)."""
        return int.from_bytes(self.entropy(4)) or 1

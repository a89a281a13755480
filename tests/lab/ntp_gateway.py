"""The service as it runs for weeks, in memory: its core, rounds of the client core, a clock that it
sets, a floor that it saves, servers that may do anything. Virtual time; a week takes a second."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from lab.ntp_memory import DATE, Network, Responder
from ntp.peer import Peer
from ntp.service import (
    Begin,
    CancelRound,
    Command,
    Event,
    LoseTrust,
    RoundEnded,
    SaveDate,
    Service,
    SetClock,
    StartRound,
    Stop,
)
from ntp.timestamp import SECOND
from ntp.trust import Floor, Trust
from ntp.turn import Policy
from wire.timer import TimerFired


@dataclass
class Gateway:
    """`peers` ask `servers`, by address; `saved` is what outlives a reboot. Seconds."""

    peers: Sequence[Peer]
    servers: dict[str, Responder]
    released: int
    saved: int = 0
    trust: Trust | None = None
    rounds: int = 0
    network: Network = field(init=False)
    core: Service = field(init=False)

    def __post_init__(self) -> None:
        self.network = Network(self.servers, local=0)
        self.boot()

    @property
    def now(self) -> float:
        return self.network.now

    @property
    def error(self) -> int:
        """By how much the gateway's date is ahead of the true one, ns."""
        return self.network.local - DATE

    def boot(self) -> None:
        """A power cut, and the clock back at 1970; what is saved is left."""
        floor = Floor(released=self.released, saved=self.saved)
        self.core = Service(Random(7).random, floor=floor)
        self.trust = None
        self.network.local = floor.latest - round(self.now * SECOND)
        for peer in self.peers:
            peer.not_before, peer.at_least, peer.refused = float("-inf"), 0.0, ""
            peer.clock_was_set()
        self.handle(Begin())

    def stop(self) -> None:
        self.handle(Stop())

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.now + seconds
        while (deadline := self.core.deadline) is not None and deadline <= end:
            self.network.now = max(self.now, deadline)
            self.handle(TimerFired())
        self.network.now = max(self.now, end)

    def handle(self, event: Event) -> None:
        for command in self.core.handle(event, self.now):
            self._perform(command)

    def _perform(self, command: Command) -> None:
        match command:
            case StartRound():
                self._ask(command)
            case SetClock():
                self.network.local += command.outcome.offset
                self.trust = command.trust
                if command.step:
                    for peer in self.peers:
                        peer.clock_was_set()
            case LoseTrust():
                self.trust = None
            case SaveDate():
                self.saved = command.date
            case CancelRound():
                pass  # a round is over here before anything else happens

    def _ask(self, command: StartRound) -> None:
        self.rounds += 1
        policy = Policy(
            samples=command.samples,
            timeout=8.0 + 2.0 * command.samples,
            interval=command.interval,
        )
        outcome = self.network.run(self.peers, policy, floor=command.floor, trusted=command.trusted)
        self.handle(RoundEnded(outcome=outcome))

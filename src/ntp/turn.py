"""One peer during one round: what was asked, what came, what is due."""

from enum import Enum, auto

from ntp.messages import Address
from ntp.onwire import Request
from ntp.peer import Peer
from ntp.sample import MAXDIST, Sample
from ntp.select import best_of
from ntp.timestamp import SECOND
from wire.lean import Final
from wire.record import Record

LONGEST_RETRY: Final = 8.0  # s


class Policy(Record, kw_only=True):
    """How a round asks. Seconds; `samples` from each peer.

    `retry` doubles with each silence. `grace`: how long the others may take once a majority agrees.
    `interval`: between two rounds, for what RATE doubles; 0 if there is but one. `maxdistance`: a
    server that may be further from the truth has no vote. `minsources`: so many must agree.
    """

    samples: int = 1
    timeout: float = 5.0
    retry: float = 1.0
    spacing: float = 2.0
    grace: float = 0.1
    interval: float = 0.0
    maxdistance: float = MAXDIST
    minsources: int = 1


class Failure(Enum):
    """Why a peer has no say: decides the verdict when nobody has."""

    SILENT = auto()
    UNUSABLE = auto()
    REFUSED = auto()  # floor, kiss code, authentication


class Turn:
    """`next_at`: when the next request is due, monotonic s; None while there is none to send."""

    def __init__(self, peer: Peer, policy: Policy) -> None:
        self.peer = peer
        self.policy = policy
        self._farthest = policy.maxdistance * SECOND
        self.next_at: float | None = None
        self.pending: Request | None = None
        self.number = 0  # of the pending request
        self.last: Address | None = None  # whom it went to
        self.answered: Address | None = None  # whose the samples are
        self.samples: list[Sample] = []
        self.silences = 0
        self.passed_over = 0
        self.failure = Failure.SILENT
        self.why = "no answer"
        self.settled = False
        self.keyed = False  # the keys were exchanged in this round

    @property
    def name(self) -> str:
        return self.peer.name

    @property
    def address(self) -> Address | None:
        """Where to ask now: after each silence the next of the addresses."""
        hosts = self.peer.hosts
        return Address(hosts[self.silences % len(hosts)], self.peer.port) if hosts else None

    @property
    def best(self) -> Sample | None:
        return best_of(self.samples)

    @property
    def vote(self) -> Sample | None:
        """The best sample, if it is good enough to vote."""
        best = self.best
        if best is None or best.error >= self._farthest or self.failure is Failure.REFUSED:
            return None
        return best

    def asked(self, request: Request, number: int, address: Address, now: float) -> None:
        self.pending, self.number, self.last = request, number, address
        self.peer.asked(now)
        wait = self.policy.retry * 2 ** min(self.silences, 8)
        self.next_at = max(now + min(wait, LONGEST_RETRY), self.peer.not_before)

    def unanswered(self) -> None:
        """The pending request was in vain."""
        self.pending = None
        self.silences += 1
        self.peer.on_wire.lost()

    def took(self, sample: Sample) -> None:
        """An answer is in: one more sample, or enough of them."""
        self.pending, self.failure, self.why = None, Failure.SILENT, ""
        self.samples.append(sample)
        self.answered = self.last
        if sample.error >= self._farthest:
            self.failure = Failure.UNUSABLE
            self.why = (
                f"it may be {sample.error / SECOND:.1f} s wrong by its own root distance, more"
                " than "
                f"maxdistance, {self.policy.maxdistance:g} s"
            )
        if len(self.samples) >= self.policy.samples:
            self.stop()

    def give_up(self, failure: Failure, why: str) -> None:
        """No use to ask again in this round."""
        self.stop()
        self.failure, self.why = failure, why

    def stop(self) -> None:
        """It has said what it will say in this round."""
        self.pending = self.next_at = None
        self.settled = True

    def begin_again(self, now: float) -> None:
        """Ask anew, now under keys; what was said before no longer counts."""
        self.samples.clear()
        self.pending, self.next_at, self.settled = None, now, False
        self.silences = self.passed_over = 0
        self.failure, self.why = Failure.SILENT, "no authenticated answer"

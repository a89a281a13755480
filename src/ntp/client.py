"""The client core: asks several servers at once and says what they agree on.

One `Client` is one round. It sends each peer as many requests as the policy wants samples, one at
a time, and ends when all have answered, when a majority agrees and the others had their grace, or
when the time is over. It has no socket and no clock: see ntp.messages for what goes in and out, and
ntp.aio for the drivers.

With NTS the round has two phases, because a certificate can be verified only at a known date, and
the date is what we lack: plain answers give a candidate date, at or above the floor; the keys are
exchanged with the certificate verified *at that date*; authenticated answers must then agree with
the candidate. An attacker can only choose among the dates at which a certificate it holds is valid.
"""

from collections.abc import Sequence

from ntp.conclude import candidate_of, conclude, deciding, majority_of
from ntp.errors import (
    ClockStepped,
    Implausible,
    KissOfDeath,
    NotAuthentic,
    NtsNak,
    ServerError,
    Skip,
)
from ntp.messages import (
    Command,
    Event,
    ExchangeKeys,
    Finished,
    Forget,
    KeysAgreed,
    KeysRefused,
    Received,
    Resolve,
    Resolved,
    Send,
    SendFailed,
    Start,
)
from ntp.peer import Peer, reference_id
from ntp.select import Agreement
from ntp.timestamp import SECOND, date_text
from ntp.trust import Floor
from ntp.turn import Failure, Policy, Turn
from wire.lean import Final
from wire.timer import TimerFired

_RATE: Final = "it asks for fewer requests (RATE)"


class Client:
    """Events in, commands out; see ntp.messages.

    Args: `floor`: no date before it is accepted (ntp.trust); `trusted`: our own date is right
    within hours, so that certificates can be verified at it and no plain phase is needed.
    """

    def __init__(
        self,
        peers: Sequence[Peer],
        *,
        floor: Floor,
        policy: Policy | None = None,
        trusted: bool = False,
    ) -> None:
        self._policy = policy or Policy()
        self._floor = floor
        self._trusted = trusted
        self._turns = [
            Turn(each, self._policy) for peer in peers for each in peer.members or (peer,)
        ]
        self._pools = [peer for peer in peers if peer.pool]
        self._needs_nts = bool([peer for peer in peers if peer.nts])
        self._commands: list[Command] = []
        self._requests: dict[int, Turn] = {}
        self._count = 0
        self._started = 0.0
        self._date = 0
        self._end: float | None = None
        self._begun = False
        self._grace_end: float | None = None
        self._candidate: Agreement | None = None
        self._secured = False  # the second phase has begun

    @property
    def deadline(self) -> float | None:
        """When `handle` must be called if nothing comes before: monotonic s; None: not begun, or
        finished."""
        if self._end is None:
            return None
        times = [turn.next_at for turn in self._turns if turn.next_at is not None]
        if self._grace_end is not None:
            times.append(self._grace_end)
        return min(self._end, *times) if times else self._end

    def handle(self, event: Event, now: float) -> Sequence[Command]:
        """What is to be done, in this order. `now`: monotonic s."""
        self._commands = []
        if isinstance(event, Start) and not self._begun:
            self._begin(event, now)
        if self._end is None:
            return ()
        if now >= self._end:
            self._finish()
        else:
            self._take(event, now)
            self._drive(now)
        return self._commands

    def _begin(self, start: Start, now: float) -> None:
        self._begun, self._started, self._date = True, now, start.date
        self._end = now + self._policy.timeout
        for turn in self._turns:
            if turn.peer.is_forbidden(now):
                why = f"it refuses further requests ({turn.peer.refused})"
                turn.give_up(Failure.REFUSED, why)
            else:
                if turn.peer.nts and not self._trusted:
                    turn.peer.on_wire.authentication = None
                self._ask_at(turn, now)
                if turn.settled:
                    turn.give_up(Failure.REFUSED, _RATE)
        self._secured = self._trusted and self._needs_nts

    def _take(self, event: Event, now: float) -> None:
        match event:
            case Received():
                self._received(event, now)
            case SendFailed():
                self._send_failed(event, now)
            case Resolved():
                self._resolved(event, now)
            case KeysAgreed():
                self._keys_agreed(event, now)
            case KeysRefused():
                failure = Failure.REFUSED if event.untrusted else Failure.SILENT
                self._turn(event.server).give_up(failure, event.why)
            case Start() | TimerFired():
                pass

    def _turn(self, name: str) -> Turn:
        return next(turn for turn in self._turns if turn.name == name)

    # Asking

    def _drive(self, now: float) -> None:
        for turn in self._turns:
            if turn.next_at is not None and turn.next_at <= now:
                self._ask(turn, now)
        if not self._is_over(now):
            return
        if self._secured or not self._needs_nts:
            self._finish()
            return
        self._candidate = candidate_of(self._turns)
        if self._candidate is None:
            self._finish()
        else:
            self._secure(now)

    def _ask_at(self, turn: Turn, at: float) -> None:
        """Ask at `at`, or when the server allows it; too late for this round: not any more."""
        turn.next_at = max(at, turn.peer.not_before)
        if self._end is not None and turn.next_at >= self._end:
            turn.stop()

    def _ask(self, turn: Turn, now: float) -> None:
        if turn.pending:
            self._forget(turn)
            turn.unanswered()
        address = turn.address
        if address is None:
            host = turn.peer.lookup
            self._commands.append(Resolve(server=turn.name, host=host))
            turn.next_at = None
            return
        authentication = turn.peer.on_wire.authentication
        has_keys = authentication is not None and authentication.ready
        if self._secured and turn.peer.nts and not has_keys:
            self._exchange_keys(turn, now)
            return
        self._count += 1
        self._requests[self._count] = turn
        request = turn.peer.on_wire.request(now)
        turn.asked(request, self._count, address, now)
        self._commands.append(Send(request=self._count, to=address, octets=request.octets))

    def _forget(self, turn: Turn) -> None:
        if self._requests.pop(turn.number, None):
            self._commands.append(Forget(request=turn.number))

    def _resolved(self, event: Resolved, now: float) -> None:
        turn = self._turn(event.server)
        turn.peer.found(event.hosts)
        if turn.settled:
            return
        if turn.peer.members:
            members = [Turn(member, self._policy) for member in turn.peer.members]
            at = self._turns.index(turn)
            self._turns[at : at + 1] = members
            for member in members:
                self._ask_at(member, now)
        elif event.hosts:
            self._ask_at(turn, now)
        else:
            turn.why = event.why
            self._ask_at(turn, now + self._policy.retry)

    def _send_failed(self, event: SendFailed, now: float) -> None:
        """The network may be late at boot, and an ICMP message may be forged: ask again later."""
        turn = self._requests.get(event.request)
        if turn is None:
            return
        turn.why = event.why
        hosts = turn.peer.hosts
        if turn.silences + 1 < len(hosts):  # another address has not been tried yet
            turn.next_at = now

    # Listening

    def _received(self, event: Received, now: float) -> None:
        turn = self._requests.get(event.request)
        if turn is None or turn.pending is None:
            return
        on_wire = turn.peer.on_wire
        own = reference_id(event.own)
        try:
            sample = on_wire.receive(turn.pending, event.octets, event.stamps, now, own)
        except NotAuthentic as error:
            turn.failure, turn.why = Failure.REFUSED, str(error)
            return
        except Skip:
            turn.passed_over += 1
            return
        except ServerError as error:
            self._forget(turn)
            self._refused(turn, error, now)
            return
        self._forget(turn)
        if sample.date < self._floor.released:
            said, floor = date_text(sample.date), date_text(self._floor.released)
            turn.give_up(Failure.REFUSED, f"it says {said}, which is before the floor, {floor}")
        else:
            turn.took(sample)
            if not turn.settled:
                self._ask_at(turn, now + self._policy.spacing)
            self._watch_majority(now)

    def _refused(self, turn: Turn, error: ServerError, now: float) -> None:
        turn.pending = None
        match error:
            case NtsNak():
                turn.peer.on_wire.authentication = None
                self._exchange_keys(turn, now)
            case ClockStepped():
                turn.failure, turn.why = Failure.UNUSABLE, str(error)
                self._ask_at(turn, now + self._policy.retry)
            case Implausible():
                turn.failure, turn.why = Failure.UNUSABLE, str(error)
                self._ask_at(turn, now + self._policy.retry)
            case KissOfDeath(code=b"RATE"):
                turn.peer.slow_down(max(self._policy.spacing, self._policy.interval), now)
                if not turn.samples:  # else what it said before still counts
                    turn.failure, turn.why = Failure.REFUSED, _RATE
                self._ask_at(turn, now)
            case KissOfDeath(is_for_now=True):
                turn.give_up(Failure.UNUSABLE, f"it is not synchronised yet ({error})")
            case KissOfDeath():
                if error.is_final:
                    turn.peer.forbid(error.code.decode("ascii"), now)
                turn.give_up(Failure.REFUSED, f"it gives no time ({error})")
            case _:
                turn.give_up(Failure.UNUSABLE, str(error))

    def _watch_majority(self, now: float) -> None:
        """Once more than half of all agree, the others have but a moment."""
        waited_for = self._waited_for()
        settled = [turn for turn in waited_for if turn.settled]
        if self._grace_end is not None or len(settled) == len(waited_for):
            return  # known already; or nobody is left to wait for
        if majority_of(waited_for, among=settled):
            slowest = max(turn.vote.delay for turn in settled if turn.vote)
            self._grace_end = now + max(self._policy.grace, 2 * slowest / SECOND)

    # The second phase: NTS

    def _secure(self, now: float) -> None:
        self._secured, self._grace_end = True, None
        for turn in self._turns:
            if not turn.peer.nts:
                if not turn.settled:
                    self._forget(turn)
                    turn.stop()
            elif not turn.peer.is_forbidden(now):
                self._forget(turn)
                turn.begin_again(now)

    def _exchange_keys(self, turn: Turn, now: float) -> None:
        if turn.keyed:  # once a round
            turn.give_up(Failure.REFUSED, "it does not accept the keys that it gave us")
            return
        turn.keyed = True
        turn.next_at = turn.pending = None
        offset = self._candidate.offset if self._candidate else 0
        at = self._date + round((now - self._started) * SECOND) + offset
        peer = turn.peer
        self._commands.append(
            ExchangeKeys(server=peer.name, host=peer.nts_host, port=peer.nts_port, at=at)
        )

    def _keys_agreed(self, event: KeysAgreed, now: float) -> None:
        from ntp.nts.session import Session  # late: most gateways ask without NTS

        turn = self._turn(event.server)
        on_wire = turn.peer.on_wire
        on_wire.authentication = Session(event.material, on_wire.entropy)
        turn.peer.serve_from(event.material.host, event.material.port)
        if not turn.settled:
            turn.next_at = now

    # The end

    def _is_over(self, now: float) -> bool:
        if self._grace_end is not None and now >= self._grace_end:
            return True
        waiting = [turn for turn in self._turns if not turn.settled]
        if not waiting:
            return True
        if self._grace_end is None and all(turn.settled for turn in self._waited_for()):
            self._grace_end = now + self._policy.grace  # for those who decide nothing
        return False

    def _waited_for(self) -> Sequence[Turn]:
        """Whose word this phase waits for."""
        return deciding(self._turns) if self._secured or not self._needs_nts else self._turns

    def _finish(self) -> None:
        for turn in self._turns:
            if turn.pending:
                self._forget(turn)
                turn.unanswered()
            if turn.last:
                turn.peer.round_ended(turn.best)
            if not turn.samples:
                turn.peer.forget_addresses()
                if turn.passed_over and turn.failure is Failure.SILENT:
                    turn.why += (
                        "; datagrams from there that did not answer our request: "
                        f"{turn.passed_over}"
                    )
        for pool in self._pools:
            pool.forget_addresses()
        self._end = None
        outcome = conclude(
            self._turns, floor=self._floor, secured=self._secured, candidate=self._candidate
        )
        self._commands.append(Finished(outcome=outcome))

"""The client core: asks several servers at once and says what they agree on.

One `Client` is one round. It sends each source as many requests as the policy wants samples, one at
a time, and ends when all have answered, when a majority agrees and the others had their grace, or
when the time is over. It has no socket and no clock: see ntp.messages for what goes in and out, and
ntp.aio for the drivers.

With NTS the round has two phases, because a certificate can be verified only at a known date, and
the date is what we lack: plain answers give a candidate date, at or above the floor; the keys are
exchanged with the certificate verified *at that date*; authenticated answers must then agree with
the candidate. A liar can only choose among the dates at which a certificate it holds is valid.
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
from ntp.peer import Failure, Peer, Policy
from ntp.select import Agreement
from ntp.source import Source, reference_id
from ntp.timestamp import SECOND, date_text
from ntp.trust import Floor
from wire.lean import Final
from wire.timer import TimerFired

_RATE: Final = "it asks us to slow down (RATE)"


class Client:
    """Events in, commands out; see ntp.messages.

    Args: `floor`: no date before it is believed (ntp.trust); `trusted`: our own date is right
    within hours, so that certificates can be verified at it and no plain phase is needed.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        floor: Floor,
        policy: Policy | None = None,
        trusted: bool = False,
    ) -> None:
        self._policy = policy or Policy()
        self._floor = floor
        self._trusted = trusted
        self._peers = [
            Peer(each, self._policy) for source in sources for each in source.members or (source,)
        ]
        self._pools = [source for source in sources if source.pool]
        self._needs_nts = bool([source for source in sources if source.nts])
        self._commands: list[Command] = []
        self._requests: dict[int, Peer] = {}
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
        times = [peer.next_at for peer in self._peers if peer.next_at is not None]
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
        for peer in self._peers:
            if peer.source.is_forbidden(now):
                why = f"it refuses further requests ({peer.source.refused})"
                peer.give_up(Failure.REFUSED, why)
            else:
                if peer.source.nts and not self._trusted:
                    peer.source.association.authentication = None
                self._ask_at(peer, now)
                if peer.settled:
                    peer.give_up(Failure.REFUSED, _RATE)
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
                self._peer(event.server).give_up(failure, event.why)
            case Start() | TimerFired():
                pass

    def _peer(self, name: str) -> Peer:
        return next(peer for peer in self._peers if peer.name == name)

    # Asking

    def _drive(self, now: float) -> None:
        for peer in self._peers:
            if peer.next_at is not None and peer.next_at <= now:
                self._ask(peer, now)
        if not self._is_over(now):
            return
        if self._secured or not self._needs_nts:
            self._finish()
            return
        self._candidate = candidate_of(self._peers)
        if self._candidate is None:
            self._finish()
        else:
            self._secure(now)

    def _ask_at(self, peer: Peer, at: float) -> None:
        """Ask at `at`, or when the server allows it; too late for this round: not any more."""
        peer.next_at = max(at, peer.source.not_before)
        if self._end is not None and peer.next_at >= self._end:
            peer.stop()

    def _ask(self, peer: Peer, now: float) -> None:
        if peer.pending:
            self._forget(peer)
            peer.unanswered()
        address = peer.address
        if address is None:
            host = peer.source.lookup
            self._commands.append(Resolve(server=peer.name, host=host))
            peer.next_at = None
            return
        authentication = peer.source.association.authentication
        has_keys = authentication is not None and authentication.ready
        if self._secured and peer.source.nts and not has_keys:
            self._exchange_keys(peer, now)
            return
        self._count += 1
        self._requests[self._count] = peer
        request = peer.source.association.request(now)
        peer.asked(request, self._count, address, now)
        self._commands.append(Send(request=self._count, to=address, octets=request.octets))

    def _forget(self, peer: Peer) -> None:
        if self._requests.pop(peer.number, None):
            self._commands.append(Forget(request=peer.number))

    def _resolved(self, event: Resolved, now: float) -> None:
        peer = self._peer(event.server)
        peer.source.found(event.hosts)
        if peer.settled:
            return
        if peer.source.members:
            members = [Peer(member, self._policy) for member in peer.source.members]
            at = self._peers.index(peer)
            self._peers[at : at + 1] = members
            for member in members:
                self._ask_at(member, now)
        elif event.hosts:
            self._ask_at(peer, now)
        else:
            peer.why = event.why
            self._ask_at(peer, now + self._policy.retry)

    def _send_failed(self, event: SendFailed, now: float) -> None:
        """The network may be late at boot, and an ICMP message may be forged: ask again later."""
        peer = self._requests.get(event.request)
        if peer is None:
            return
        peer.why = event.why
        hosts = peer.source.hosts
        if peer.silences + 1 < len(hosts):  # another address has not been tried yet
            peer.next_at = now

    # Listening

    def _received(self, event: Received, now: float) -> None:
        peer = self._requests.get(event.request)
        if peer is None or peer.pending is None:
            return
        association = peer.source.association
        own = reference_id(event.own)
        try:
            sample = association.receive(peer.pending, event.octets, event.stamps, now, own)
        except NotAuthentic as error:
            peer.failure, peer.why = Failure.REFUSED, str(error)
            return
        except Skip:
            peer.passed_over += 1
            return
        except ServerError as error:
            self._forget(peer)
            self._refused(peer, error, now)
            return
        self._forget(peer)
        if sample.date < self._floor.released:
            said, floor = date_text(sample.date), date_text(self._floor.released)
            peer.give_up(Failure.REFUSED, f"it says {said}, which is before the floor, {floor}")
        else:
            peer.took(sample)
            if not peer.settled:
                self._ask_at(peer, now + self._policy.spacing)
            self._watch_majority(now)

    def _refused(self, peer: Peer, error: ServerError, now: float) -> None:
        peer.pending = None
        match error:
            case NtsNak():
                peer.source.association.authentication = None
                self._exchange_keys(peer, now)
            case ClockStepped():
                peer.failure, peer.why = Failure.UNUSABLE, str(error)
                self._ask_at(peer, now + self._policy.retry)
            case Implausible():
                peer.failure, peer.why = Failure.UNUSABLE, str(error)
                self._ask_at(peer, now + self._policy.retry)
            case KissOfDeath(code=b"RATE"):
                peer.source.slow_down(max(self._policy.spacing, self._policy.interval), now)
                if not peer.samples:  # else what it said before still counts
                    peer.failure, peer.why = Failure.REFUSED, _RATE
                self._ask_at(peer, now)
            case KissOfDeath(is_for_now=True):
                peer.give_up(Failure.UNUSABLE, f"it is not synchronised yet ({error})")
            case KissOfDeath():
                if error.is_final:
                    peer.source.forbid(error.code.decode("ascii"), now)
                peer.give_up(Failure.REFUSED, f"it gives no time ({error})")
            case _:
                peer.give_up(Failure.UNUSABLE, str(error))

    def _watch_majority(self, now: float) -> None:
        """Once more than half of all agree, the others have but a moment."""
        waited_for = self._waited_for()
        settled = [peer for peer in waited_for if peer.settled]
        if self._grace_end is not None or len(settled) == len(waited_for):
            return  # known already; or nobody is left to wait for
        if majority_of(waited_for, among=settled):
            slowest = max(peer.vote.delay for peer in settled if peer.vote)
            self._grace_end = now + max(self._policy.grace, 2 * slowest / SECOND)

    # The second phase: NTS

    def _secure(self, now: float) -> None:
        self._secured, self._grace_end = True, None
        for peer in self._peers:
            if not peer.source.nts:
                if not peer.settled:
                    self._forget(peer)
                    peer.stop()
            elif not peer.source.is_forbidden(now):
                self._forget(peer)
                peer.begin_again(now)

    def _exchange_keys(self, peer: Peer, now: float) -> None:
        if peer.keyed:  # once a round
            peer.give_up(Failure.REFUSED, "it does not accept the keys that it gave us")
            return
        peer.keyed = True
        peer.next_at = peer.pending = None
        offset = self._candidate.offset if self._candidate else 0
        at = self._date + round((now - self._started) * SECOND) + offset
        source = peer.source
        self._commands.append(
            ExchangeKeys(server=source.name, host=source.nts_host, port=source.nts_port, at=at)
        )

    def _keys_agreed(self, event: KeysAgreed, now: float) -> None:
        from ntp.nts.session import Session  # late: most gateways ask without NTS

        peer = self._peer(event.server)
        association = peer.source.association
        association.authentication = Session(event.material, association.entropy)
        peer.source.serve_from(event.material.host, event.material.port)
        if not peer.settled:
            peer.next_at = now

    # The end

    def _is_over(self, now: float) -> bool:
        if self._grace_end is not None and now >= self._grace_end:
            return True
        waiting = [peer for peer in self._peers if not peer.settled]
        if not waiting:
            return True
        if self._grace_end is None and all(peer.settled for peer in self._waited_for()):
            self._grace_end = now + self._policy.grace  # for those who decide nothing
        return False

    def _waited_for(self) -> Sequence[Peer]:
        """Whose word this phase waits for."""
        return deciding(self._peers) if self._secured or not self._needs_nts else self._peers

    def _finish(self) -> None:
        for peer in self._peers:
            if peer.pending:
                self._forget(peer)
                peer.unanswered()
            if peer.last:
                peer.source.round_ended(peer.best)
            if not peer.samples:
                peer.source.forget_addresses()
                if peer.passed_over and peer.failure is Failure.SILENT:
                    peer.why += (
                        "; datagrams from there that did not answer our request: "
                        f"{peer.passed_over}"
                    )
        for pool in self._pools:
            pool.forget_addresses()
        self._end = None
        outcome = conclude(
            self._peers, floor=self._floor, secured=self._secured, candidate=self._candidate
        )
        self._commands.append(Finished(outcome=outcome))

"""Runs one Quick Mode exchange (RFC 2409, 5.5) around what must be asked: SPIs, policies, SAs.

Inbound SAs are installed before the message that allows the peer to use them: a responder's
before message 2, an initiator's before message 3. Outbound SAs follow when the peer must have its
inbound ones: an initiator's after message 3 has left, a responder's after it has come.
"""

from collections.abc import Callable

from ike.commands import AllocateSpi, Command, DeleteSa, EventKind, InstallSa
from ike.config import Sainfo
from ike.context import Answer, Context
from ike.doi.identity import traffic_identity
from ike.doi.proposals import Phase2Suite
from ike.doi.select import phase2_suites
from ike.errors import InvalidHashInformation, NoProposalChosen, PeerError
from ike.events import SaInstalled, SpiAllocated
from ike.isakmp.message import Message, Payload
from ike.isakmp.payloads import Delete, Notification
from ike.numbers.isakmp import NotifyType, PayloadType, ProtocolId
from ike.phase2.outcome import ipsec_sa
from ike.phase2.owner import Entry, NegotiationOwner
from ike.phase2.quick import QUICK_MODE, Phase2
from ike.sa.bundle import Pair, SaBundle
from ike.sa.isakmp_sa import IsakmpSa
from ike.sa.protected import SecuredExchange
from ike.timers import Timer
from ike.values import (
    Direction,
    Endpoint,
    IpsecSa,
    PolicyEntry,
    Protection,
    Role,
    SaId,
    Selector,
)


class Negotiation:
    """What both roles share; `Initiator` and `Responder` are in the modules of these names."""

    role: Role

    def __init__(
        self, context: Context, owner: NegotiationOwner, sa: IsakmpSa, exchange_id: int = 0
    ) -> None:
        self.sa = sa
        self.started = context.now
        self.over = False
        self.entry: Entry | None = None
        self.policy: PolicyEntry | None = None
        self.replaces: SaBundle | None = None  # the set whose renewal this is, as far as we know
        self.sainfo: Sainfo | None = None
        self.wanted_here = False  # traffic of ours waits for it, too
        self.failure = ""  # why it was given up
        self.logs = True  # whether it is logged
        self.aged = False  # a new SA is at its soft limit before all are there
        self.facts = Phase2(
            role=self.role, message_id=exchange_id, keys=sa.keys, entropy=context.entropy
        )
        self.exchange: SecuredExchange | None = None
        self._context = context
        self._owner = owner
        self._row = 0
        self._inbound: list[IpsecSa] = []
        self._outbound: list[IpsecSa] = []
        self._installed: list[IpsecSa] = []  # of the outbound ones
        self._refusal: PeerError | None = None
        self._patience: Timer | None = None

    def choose(self, entry: Entry) -> None:
        """The entry that it is for."""
        self.entry, self.policy = entry, entry.policy

    def begin(self) -> None:
        """From now on it may take no longer than the configuration says."""
        patience = self._context.config.timers.phase2
        self._patience = self._context.later("phase 2 patience", patience, self.no_answer)

    # --- names for people ---

    def named(self, end: Endpoint) -> str:
        """racoon prints ports only where they matter, that is behind NATs."""
        return str(end if self.sa.facts.nat.detected else end.with_port(0))

    @property
    def ends(self) -> str:
        return f"{self.named(self.sa.local)}<=>{self.named(self.sa.remote)}"

    @property
    def selector(self) -> Selector | None:
        return self.policy.selector if self.policy is not None else self.facts.selector

    def has_any(self, spis: set[bytes]) -> bool:
        """Whether one of the peer's SPIs is among `spis`."""
        chosen = self.facts.chosen
        return chosen is not None and not spis.isdisjoint(chosen.spis)

    @property
    def complete(self) -> bool:
        """Whether all messages are said: nothing more is needed of the ISAKMP SA."""
        return self._row == len(QUICK_MODE)

    def hand_over(self) -> None:
        """Use the new SA now, if the wait for the peer is all that is left."""

    def made(self) -> list[SaId]:
        """What was given to the data plane."""
        return [sa.id for sa in (*self._inbound, *self._outbound)]

    # --- what may be negotiated ---

    def _allowed(self, policy: PolicyEntry, selector: Selector) -> list[tuple[Phase2Suite, ...]]:
        """The suites for each protection of the policy, by the sainfo of this traffic.

        Raises: NoProposalChosen, whose text says what to change here.
        """
        nat, remote = self.sa.facts.nat, self.sa.facts.remote
        self.sainfo = self._context.sainfos.find(
            traffic_identity(selector.local, selector.protocol, selector.local_port),
            traffic_identity(selector.remote, selector.protocol, selector.remote_port),
            remote.ph1id,
            self.sa.facts.peer_id,
        )
        if self.sainfo is None:
            raise NoProposalChosen(f"failed to get sainfo: no sainfo section is for {selector}")
        protections = policy.protections
        if nat.detected and any(p.protocol == ProtocolId.AH for p in protections):
            raise NoProposalChosen("AH cannot pass the NAT between us: the policy must use ESP")
        allowed = [
            phase2_suites(self.sainfo, protection, udp=nat.detected, draft=nat.draft)
            for protection in protections
        ]
        if not all(allowed):
            raise NoProposalChosen("the sainfo allows no algorithms for the policy's protocols")
        return allowed

    # --- the exchange ---

    def _check(self, message: Message) -> None:
        sender = Role.RESPONDER if self.role is Role.INITIATOR else Role.INITIATOR
        if self._row >= len(QUICK_MODE):
            raise PeerError("Quick Mode is over")
        QUICK_MODE[self._row].check(sender, message)

    def no_answer(self) -> None:
        """The peer does not go on."""
        self.fail(
            f"{self.sa.remote.address} give up to get IPsec-SA due to time up to wait.",
            kind=EventKind.PHASE2_NO_RESPONSE,
        )

    def fail(
        self,
        text: str,
        notify: NotifyType | None = None,
        kind: EventKind = EventKind.PHASE2_DOWN,
    ) -> None:
        """Give up: say why here, and to the peer if `notify`; release what was reserved."""
        if self.over:
            return
        context = self._context
        self.failure = text
        if self.logs:
            context.error(text, self.sa.remote.address)
        self.abandon()
        if self.sa.established:
            self._tell(notify)
        context.report(kind, self.sa.local, self.sa.remote, self.facts.message_id, self.selector)
        self._owner.phase2_failed(self, kind)

    def abandon(self) -> None:
        """End it without a word: the peer does the same at this moment, and its exchange counts."""
        if self.over:
            return
        self._end()
        for sa in self._installed:
            self._context.emit(DeleteSa(sa=sa.id, direction=sa.direction))
        for index, spi in enumerate(self.facts.spis):
            if spi:
                self._release(index, int.from_bytes(spi))

    def _tell(self, notify: NotifyType | None) -> None:
        """When the peer may have SAs by now: a delete. Before that: the reason."""
        facts = self.facts
        if self.complete or (self._row == 2 and self.role is Role.RESPONDER):
            self.sa.say(
                [
                    Payload(PayloadType.DELETE, bytes(Delete(self._protocol(index), (spi,))))
                    for index, spi in enumerate(facts.spis)
                ]
            )
        elif notify is not None:
            spi = next((s for s in facts.spis if s), b"")
            if facts.offered is not None:
                spi = facts.offered.proposals[0].spi
            self.sa.notify(Notification(notify, self._protocol(0), spi))

    def _stop_waiting(self) -> None:
        """The peer has said all that it has to say."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _end(self) -> None:
        self.over = True
        self._stop_waiting()
        exchange = self.exchange
        if exchange is not None:
            self.sa.exchanges.over(exchange)

    # --- asking ---

    def _protocol(self, index: int) -> ProtocolId:
        if self.policy is None:
            return ProtocolId.ESP
        return self.policy.protections[index].protocol

    def _release(self, index: int, spi: int) -> None:
        sa = SaId(self.sa.local.address, self._protocol(index), spi)
        self._context.emit(DeleteSa(sa=sa, direction=Direction.IN))

    def _allocate(self, then: Callable[[], None]) -> None:
        """Ask for an SPI for each protection."""
        assert self.policy is not None
        self.facts.spis = [b""] * len(self.policy.protections)
        for index, protection in enumerate(self.policy.protections):
            self._allocate_one(index, protection, then)

    def _allocate_one(self, index: int, protection: Protection, then: Callable[[], None]) -> None:
        def question(ask: int) -> Command:
            return AllocateSpi(
                ask=ask,
                local=self.sa.local.address,
                remote=self.sa.remote.address,
                protocol=protection.protocol,
                mode=protection.mode,
                reqid=protection.reqid,
            )

        def answered(answer: Answer) -> None:
            if not isinstance(answer, SpiAllocated):
                self.fail(f"no SPI: {getattr(answer, 'reason', answer)}")
            elif self.over:
                self._release(index, answer.spi)
            else:
                self.facts.spis[index] = answer.spi.to_bytes(4)
                if all(self.facts.spis):
                    then()

        self._context.ask(question, answered)

    def _install(self, sas: list[IpsecSa], then: Callable[[], None]) -> None:
        """Ask for all of `sas` to be installed."""
        missing = len(sas)

        def ask_for(sa: IpsecSa) -> None:
            def answered(answer: Answer) -> None:
                nonlocal missing
                if not isinstance(answer, SaInstalled):
                    self.fail(
                        f"the data plane refused an SA: {getattr(answer, 'reason', answer)}",
                        NotifyType.NO_PROPOSAL_CHOSEN,
                    )
                elif self.over:
                    self._context.emit(DeleteSa(sa=sa.id, direction=sa.direction))
                else:
                    if sa.direction is Direction.OUT:
                        self._installed.append(sa)
                    self._owner.phase2_installed(self, sa.id)
                    missing -= 1
                    if missing == 0:
                        then()

            self._context.ask(lambda ask: InstallSa(ask=ask, sa=sa), answered)

        for sa in sas:
            ask_for(sa)

    def _install_inbound(self, then: Callable[[], None]) -> None:
        self._inbound = [self._sa(index, Direction.IN) for index in range(len(self.facts.spis))]
        self._install(self._inbound, then)

    def _install_outbound(self) -> None:
        self._outbound = [self._sa(index, Direction.OUT) for index in range(len(self.facts.spis))]
        self._install(self._outbound, self._established)

    def _heard(self, take: Callable[[], None]) -> None:
        """Take a message. What is wrong in an authenticated one ends the exchange in `proceed`.

        Raises: InvalidHashInformation for one that is not authenticated.
        """
        try:
            take()
        except InvalidHashInformation:
            raise
        except PeerError as error:
            self._refusal = error

    # --- what comes out ---

    def _sa(self, index: int, direction: Direction) -> IpsecSa:
        assert self.policy is not None
        assert self.sainfo is not None
        reqid = self.policy.protections[index].reqid
        return ipsec_sa(self.facts, self.sa.facts, self.sainfo, index, reqid, direction)

    def _established(self) -> None:
        facts, sa, context = self.facts, self.sa, self._context
        assert facts.chosen is not None
        assert self.policy is not None
        self._end()
        for inner, outer in zip(self._inbound, self._outbound, strict=True):
            for one in (inner, outer):
                ends = (
                    (sa.remote, sa.local)
                    if one.direction is Direction.IN
                    else (sa.local, sa.remote)
                )
                context.info(
                    f"IPsec-SA established: {one.protocol.name}/{one.mode.value} "
                    f"{self.named(ends[0])}->{self.named(ends[1])} spi={one.spi}(0x{one.spi:x})"
                )
        pairs = tuple(
            Pair(suite, inner, outer)
            for suite, inner, outer in zip(
                facts.chosen.suites, self._inbound, self._outbound, strict=True
            )
        )
        bundle = SaBundle(
            context=context,
            policy=self.policy,
            role=self.role,
            cookies=sa.cookies,
            local=sa.local,
            remote=sa.remote,
            message_id=facts.message_id,
            pairs=pairs,
            phase1_group=int(sa.facts.agreed.group),
            created=context.now,
        )
        context.report(
            EventKind.PHASE2_UP, sa.local, sa.remote, facts.message_id, self.policy.selector
        )
        self._owner.phase2_established(self, bundle)

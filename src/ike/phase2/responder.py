"""Quick Mode as responder."""

from collections.abc import Callable, Iterator
from ipaddress import ip_network

from ike.commands import EventKind
from ike.context import Context
from ike.doi.compared import phase2_compared
from ike.doi.identity import host_selector, selector_of
from ike.doi.proposals import Phase2Suite
from ike.doi.select import Allowed, choose_policy
from ike.errors import (
    PeerError,
)
from ike.isakmp.message import Message
from ike.numbers.isakmp import NotifyType
from ike.phase2.negotiation import Negotiation
from ike.phase2.owner import Entry, NegotiationOwner, Wanted
from ike.phase2.quick import build_second, prepare_second, take_first, take_third
from ike.sa.isakmp_sa import IsakmpSa
from ike.sa.protected import SecuredExchange
from ike.values import Mode, Role, Selector


class Responder(Negotiation):
    role = Role.RESPONDER

    def __init__(
        self, context: Context, owner: NegotiationOwner, sa: IsakmpSa, exchange: SecuredExchange
    ) -> None:
        super().__init__(context, owner, sa, exchange.message_id)
        self.exchange = exchange

    def take(self, message: Message) -> None:
        """Message 1 or 3. Raises: PeerError."""
        self._check(message)
        if self._row == 0:
            self._heard(lambda: take_first(self.facts, message))
            self._row = 1
            return
        take_third(self.facts, message)
        if not self.over:
            self._row = 3

    def proceed(self) -> None:
        if self.over:
            self._tell(None)  # the delete came before message 2, which may be sent again
        elif self._row == 3:
            self._stop_waiting()
            self._install_outbound()
        else:
            self.logs = self._owner.phase2_may_log()
            if self.logs:
                self._context.info(f"respond new phase 2 negotiation: {self.ends}")
            if self._refusal is not None:
                self.fail(str(self._refusal), self._refusal.notify)
            else:
                self._guarded(self._choose)

    def fail(
        self,
        text: str,
        notify: NotifyType | None = None,
        kind: EventKind = EventKind.PHASE2_DOWN,
    ) -> None:
        if self._row == 1 and notify is None:
            notify = NotifyType.NO_PROPOSAL_CHOSEN  # whatever it is: message 2 is waited for
        super().fail(text, notify, kind)

    def abandon(self) -> None:
        super().abandon()
        if self._row == 2 and self.exchange is not None:
            self.exchange.receiver = self  # of a message 3 that comes too late

    def _guarded(self, act: Callable[[], None]) -> None:
        """What the peer asked for, authenticated, is refused: it is told, and that is the end."""
        try:
            act()
        except PeerError as error:
            self.fail(str(error), error.notify)

    def _choose(self) -> None:
        """Which of the peer's entries it is for, and by which proposals. Raises: PeerError."""
        facts = self.facts
        assert facts.offered is not None
        (entry, selector), facts.chosen = choose_policy(
            facts.offered,
            self._entries,
            self.sa.facts.remote.proposal_check,
            facts.peer_public is not None,
            self._show_comparison,
        )
        facts.selector = selector
        self.choose(entry)
        self._owner.phase2_chosen(self, entry)
        prepare_second(facts, self.sa.facts.nonce_size, facts.chosen.suites[0].group)
        self._allocate(lambda: self._install_inbound(self._send_second))

    def _show_comparison(self, allowed: Allowed) -> None:
        facts, sa = self.facts, self.sa
        assert facts.offered is not None
        check, pfs = sa.facts.remote.proposal_check, facts.peer_public is not None
        lines = phase2_compared(facts.offered, allowed, check, pfs)
        self._context.detail(lines, sa.remote.address)

    def _entries(
        self, offered: tuple[Phase2Suite, ...]
    ) -> Iterator[tuple[tuple[Entry, Selector], list[tuple[Phase2Suite, ...]]]]:
        """What may be meant by one set of proposals, with what is allowed for it.

        Raises: InvalidIdInformation, NoProposalChosen.
        """
        sa, selector = self.sa, self._selector(offered[0])
        self.facts.selector = selector
        wanted = Wanted(
            selector=selector,
            local=sa.local.address,
            remote=sa.remote.address,
            protections=tuple((suite.protocol, suite.mode) for suite in offered),
        )
        for entry in self._owner.entries_for(wanted):
            yield (entry, selector), self._allowed(entry.policy, selector)

    def _selector(self, offered: Phase2Suite) -> Selector:
        """The traffic meant, as it looks from here. Raises: InvalidIdInformation."""
        facts, sa = self.facts, self.sa
        if facts.ids is None:
            return host_selector(sa.local.address, sa.remote.address)
        selector = selector_of(local=facts.ids[1], remote=facts.ids[0])
        if not (offered.in_udp and offered.mode is Mode.TRANSPORT):
            return selector
        # Behind NATs the identities hold addresses that no packet has here.
        return Selector(
            local=ip_network(sa.local.address) if sa.facts.nat.me else selector.local,
            remote=ip_network(sa.remote.address) if sa.facts.nat.peer else selector.remote,
            protocol=selector.protocol,
            local_port=selector.local_port,
            remote_port=selector.remote_port,
        )

    def _send_second(self) -> None:
        assert self.policy is not None
        assert self.exchange is not None
        nat = self.sa.facts.nat
        if nat.detected and self.policy.protections[0].mode is Mode.TRANSPORT:
            self.facts.original_addresses = (self.sa.remote.address, self.sa.local.address)
        self._row = 2
        self.exchange.send(build_second(self.facts, nat.original_address_type), awaited=True)

"""Quick Mode as responder."""

from collections.abc import Callable
from ipaddress import ip_network
from itertools import groupby

from ike.commands import EventKind, FindPolicy
from ike.config import GeneratePolicy
from ike.context import Answer, Context
from ike.doi.identity import host_selector, selector_of
from ike.doi.proposals import Phase2Suite
from ike.doi.select import choose_phase2
from ike.errors import AttributesNotSupported, NoProposalChosen, PeerError
from ike.events import PolicyFound
from ike.isakmp.message import Message
from ike.numbers.isakmp import NotifyType
from ike.phase2.negotiation import Negotiation, NegotiationOwner
from ike.phase2.quick import build_second, prepare_second, take_first, take_third
from ike.sa.isakmp_sa import Isakmp
from ike.sa.protected import SecuredExchange
from ike.values import Mode, PolicyEntry, Protection, Role, Selector


class Responder(Negotiation):
    role = Role.RESPONDER

    def __init__(
        self, context: Context, owner: NegotiationOwner, sa: Isakmp, exchange: SecuredExchange
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
            self._context.info(f"respond new phase 2 negotiation: {self.ends}")
            if self._refusal is not None:
                self.fail(str(self._refusal), self._refusal.notify)
            else:
                self._guarded(self._find_policy)

    def fail(
        self,
        text: str,
        notify: NotifyType | None = None,
        kind: EventKind = EventKind.PHASE2_DOWN,
    ) -> None:
        if self._row == 1 and notify is None:
            notify = NotifyType.NO_PROPOSAL_CHOSEN  # whatever it is: message 2 is waited for
        super().fail(text, notify, kind)
        if self._row == 2 and self.exchange is not None:
            self.exchange.receiver = self  # of a message 3 that comes too late

    def _guarded(self, act: Callable[[], None]) -> None:
        """What the peer asked for, authenticated, is refused: it is told, and that is the end."""
        try:
            act()
        except PeerError as error:
            self.fail(str(error), error.notify)

    def _find_policy(self) -> None:
        """Raises: PeerError."""
        offered = self._first_offered()
        selector = self._selector(offered[0])
        self.facts.selector = selector
        self._context.ask(
            lambda ask: FindPolicy(
                ask=ask,
                selector=selector,
                local=self.sa.local.address,
                remote=self.sa.peer.address,
                protocol=offered[0].protocol,
                mode=offered[0].mode,
            ),
            lambda answer: self._guarded(lambda: self._policy_answered(answer, offered)),
        )

    def _first_offered(self) -> list[Phase2Suite]:
        """A transform of each proposal in the first set: which protocols, which mode."""
        assert self.facts.offered is not None
        proposals = self.facts.offered.proposals
        _, members = next(groupby(proposals, key=lambda proposal: proposal.number))
        found = []
        for proposal in members:
            for transform in proposal.transforms:
                try:
                    found.append(Phase2Suite.read(proposal.protocol, transform))
                except AttributesNotSupported:
                    continue
                break
            else:
                raise NoProposalChosen(f"no {proposal.protocol} transform that is known here")
        return found

    def _selector(self, offered: Phase2Suite) -> Selector:
        """The traffic meant, as it looks from here. Raises: InvalidIdInformation."""
        facts, sa = self.facts, self.sa
        if facts.ids is None:
            return host_selector(sa.local.address, sa.peer.address)
        selector = selector_of(local=facts.ids[1], remote=facts.ids[0])
        if not (offered.in_udp and offered.mode is Mode.TRANSPORT):
            return selector
        # Behind NATs the identities hold addresses that nobody here sees on packets.
        return Selector(
            local=ip_network(sa.local.address) if sa.facts.nat.me else selector.local,
            remote=ip_network(sa.peer.address) if sa.facts.nat.peer else selector.remote,
            protocol=selector.protocol,
            local_port=selector.local_port,
            remote_port=selector.remote_port,
        )

    def _policy_answered(self, answer: Answer, offered: list[Phase2Suite]) -> None:
        if self.over:
            return
        if isinstance(answer, PolicyFound):
            self.policy = answer.policy
        elif self.sa.facts.remote.generate_policy is not GeneratePolicy.OFF:
            self.policy = self._generate(offered)
            self.generated = True
            self._context.info(f"Adjusting my generated policy: {self.policy.selector}")
        else:
            self.fail(f"no policy found: {self.facts.selector}", NotifyType.INVALID_ID_INFORMATION)
            return
        self._choose()

    def _generate(self, offered: list[Phase2Suite]) -> PolicyEntry:
        assert self.facts.selector is not None
        return PolicyEntry(
            selector=self.facts.selector,
            local=self.sa.local.address,
            remote=self.sa.peer.address,
            protections=tuple(Protection(protocol=s.protocol, mode=s.mode) for s in offered),
        )

    def _choose(self) -> None:
        """Raises: PeerError."""
        facts, ph1 = self.facts, self.sa.facts.remote
        assert facts.selector is not None
        assert facts.offered is not None
        allowed = self._allowed(facts.selector)
        facts.chosen = choose_phase2(
            facts.offered, allowed, ph1.proposal_check, facts.peer_public is not None
        )
        prepare_second(facts, self.sa.facts.nonce_size, facts.chosen.suites[0].group)
        self._allocate(lambda: self._install_inbound(self._send_second))

    def _send_second(self) -> None:
        assert self.policy is not None
        assert self.exchange is not None
        nat = self.sa.facts.nat
        if nat.detected and self.policy.protections[0].mode is Mode.TRANSPORT:
            self.facts.original_addresses = (self.sa.peer.address, self.sa.local.address)
        self._row = 2
        self.exchange.send(build_second(self.facts, nat.original_address_type), awaited=True)

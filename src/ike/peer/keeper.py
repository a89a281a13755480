"""What is to be there, and keeps it there: which SAs to make, to renew, to give up."""

from ike.commands import EventKind
from ike.config import Remote, Switch
from ike.context import Context
from ike.crypto.keys import Cookies
from ike.errors import LocalError, OutOfTurn
from ike.isakmp.header import NO_COOKIE
from ike.isakmp.message import Message
from ike.isakmp.payloads import Delete, Notification
from ike.numbers.isakmp import ExchangeType, NotifyType, ProtocolId
from ike.peer.book import Book, Pending, traffic
from ike.peer.children import ISAKMP_PORT, Children
from ike.phase1.facts import Phase1
from ike.phase1.main import initial_contact
from ike.phase1.weak import Weakness
from ike.phase2.initiator import Initiator
from ike.phase2.negotiation import Negotiation
from ike.phase2.responder import Responder
from ike.sa.bundle import Child
from ike.sa.isakmp_sa import MODES, Isakmp
from ike.sa.protected import SecuredExchange
from ike.values import Address, Endpoint, PolicyEntry, Role


class Keeper:
    """Owner of all ISAKMP SAs, negotiations and children."""

    def __init__(self, context: Context, book: Book) -> None:
        self.closing = False  # nothing new is begun
        self._context = context
        self._book = book
        self.children = Children(context, book, self.want)
        self._weakness = Weakness(context)

    # --- wishes ---

    def want(
        self,
        policy: PolicyEntry,
        replaces: Child | None = None,
        local_port: int = ISAKMP_PORT,
    ) -> None:
        """SAs for this policy, by whatever it takes."""
        if self.closing:
            return
        pending = self._book.pending_for(policy)
        under_way = next(self._book.negotiations_for(policy), None)
        if pending is not None:
            pending.replaces = pending.replaces or replaces
            return
        if under_way is not None:
            under_way.wanted_here = True
            under_way.replaces = under_way.replaces or replaces
            return
        peer_id = replaces.peer_id if replaces is not None else None
        sa = self._book.established(policy.remote, policy.local, peer_id)
        if sa is not None:
            self._initiate(sa, policy, replaces)
            return
        if not self._phase1_coming(policy, local_port):
            context = self._context
            context.report(EventKind.PHASE2_NO_PHASE1, selector=policy.selector)
            self.children.unserved(policy)
            return
        self._pend(policy, replaces)

    def withdraw(self, policy: PolicyEntry) -> None:
        """No SAs for this policy any more, and none that are being made."""
        pending = self._book.pending_for(policy)
        if pending is not None:
            self._drop(pending)
        self.children.give_up(self._book.negotiations_for(policy), "the policy is gone")
        self.children.remove_all(self._book.children_for(policy))

    def _phase1_coming(self, policy: PolicyEntry, local_port: int) -> bool:
        if self._book.coming(policy.remote, policy.local):
            return True
        context = self._context
        remote = context.config.remote_for(policy.remote)
        if remote is None:
            context.error(f"no configuration found for {policy.remote}.")
            return False
        if remote.passive:
            context.error(f"remote {remote.name} is passive: it must open the negotiation")
            return False
        context.info(f"IPsec-SA request for {policy.remote} queued due to no phase1 found.")
        local = Endpoint(policy.local, local_port)
        to = Endpoint(policy.remote, remote.port)
        return self.start_phase1(remote, local, to) is not None

    def _pend(self, policy: PolicyEntry, replaces: Child | None) -> None:
        def give_up() -> None:
            self._context.error(
                "phase2 negotiation failed due to time up waiting for phase1. "
                f"{policy.protections[0].protocol.name} {policy.remote}->{policy.local}"
            )
            self._drop(pending)

        patience = self._context.config.timers.phase1
        timer = self._context.later("phase 2 waits for phase 1", patience, give_up)
        pending = Pending(policy, replaces, timer)
        self._book.pending.setdefault(policy.remote, []).append(pending)

    def start_phase1(self, remote: Remote, local: Endpoint, to: Endpoint) -> Isakmp | None:
        """A new phase 1 as initiator; None if we cannot, which is logged."""
        context = self._context
        cookies = Cookies(initiator=context.entropy(8), responder=NO_COOKIE)
        modes = [mode for mode in remote.exchange_modes if mode in MODES]
        if not modes:
            context.error(f"remote {remote.name}: exchange_mode must be main or aggressive")
            return None
        sa = self.new_isakmp(Role.INITIATOR, remote, modes[0], local, to, cookies)
        context.info(f"initiate new phase 1 negotiation: {local}<=>{to}")
        context.info(f"begin {MODES[modes[0]]} mode.")
        self._book.add(sa)
        try:
            sa.handshake.start()
        except LocalError as error:
            context.error(str(error), to.address)
            sa.close(EventKind.PHASE1_AUTH_FAILED)
            return None
        return sa

    def new_isakmp(
        self,
        role: Role,
        remote: Remote,
        exchange: ExchangeType,
        local: Endpoint,
        peer: Endpoint,
        cookies: Cookies,
    ) -> Isakmp:
        context = self._context
        facts = Phase1(
            role=role,
            exchange=exchange,
            remote=remote,
            pre_shared_keys=context.config.keys,
            entropy=context.entropy,
            cookies=cookies,
            local=local,
            peer=peer,
            date=lambda: context.date,
            first_contact=lambda: self._is_first_contact(peer.address, local.address),
        )
        return Isakmp(context, self, facts)

    def _is_first_contact(self, peer: Address, local: Address) -> bool:
        return self._book.established(peer, local) is None and not self._book.children_with(peer)

    def _initiate(self, sa: Isakmp, policy: PolicyEntry, replaces: Child | None) -> None:
        negotiation = Initiator(self._context, self.children, sa, policy, replaces)
        self._book.negotiations.append(negotiation)
        negotiation.start()

    # --- phase 1 ---

    def phase1_established(self, sa: Isakmp) -> None:
        self._book.settle(sa)
        self._weakness.warn(sa.facts)
        if sa.facts.peer_initial_contact:
            self._initial_contact(sa)
        if sa.facts.exchange == ExchangeType.AGGRESSIVE and sa.facts.is_initiator:
            self._say_initial_contact(sa)
        for pending in self._book.pending.pop(sa.home, []):
            pending.timer.cancel()
            self.want(pending.policy, pending.replaces)
            self.children.release(pending.policy)

    def _say_initial_contact(self, sa: Isakmp) -> None:
        """Aggressive Mode has no encrypted message to hold it."""
        established = [other for other in self._book.with_peer(sa.home) if other.established]
        alone = established == [sa] and not self._book.children_with(sa.home)
        if sa.facts.remote.initial_contact and alone:
            sa.notify(initial_contact(sa.facts))

    def _initial_contact(self, sa: Isakmp) -> None:
        """The peer knows nothing from before (RFC 2407, 4.6.3.3). What began meanwhile stays."""
        for old in self._book.with_peer(sa.home):
            same = old.facts.peer_id == sa.facts.peer_id
            if old is not sa and old.established and same and old.created < sa.begun:
                old.close(EventKind.PHASE1_DOWN)
                interrupted = (n for n in self._book.negotiations if n.sa is old)
                self.children.give_up(interrupted, "the peer has started anew")
        for child in self._book.children_with(sa.home):
            if child.peer_id == sa.facts.peer_id and child.created < sa.begun:
                self.children.remove(child, tell=False)

    def phase1_aging(self, sa: Isakmp) -> None:
        """Renew it, if it is of use and nobody has yet."""
        younger = [
            other
            for other in self._book.coming(sa.home, sa.local.address)
            if other is not sa and other.begun > sa.begun
        ]
        remote = self._context.config.remote_for(sa.home) or sa.facts.remote
        useful = self._book.children_with(sa.home) or remote.rekey is Switch.FORCE
        if younger or not useful or remote.rekey is Switch.OFF or remote.passive:
            return
        self.start_phase1(remote, sa.local, sa.peer)  # through the NAT, if there is one

    def phase1_moved(self, sa: Isakmp) -> None:
        """SAs that travel in UDP hold the old ports: new ones take their place."""
        self._context.info(f"the peer moved to {sa.peer}", sa.home)
        for child in self._book.children_with(sa.home):
            if child.peer != sa.peer and child.pairs[0].outbound.udp_source is not None:
                self.want(child.policy, child)

    def is_last(self, sa: Isakmp) -> bool:
        return not any(
            other.established and other is not sa and other.facts.peer_id == sa.facts.peer_id
            for other in self._book.with_peer(sa.home, sa.local.address)
        )

    def phase1_closed(self, sa: Isakmp, kind: EventKind) -> None:
        self._book.remove(sa)
        others = self._book.coming(sa.home, sa.local.address)
        interrupted = [n for n in self._book.negotiations if n.sa is sa]
        gone = kind in (EventKind.PHASE1_DPD_TIMEOUT, EventKind.PHASE1_PEER_DELETED)
        wanted = [
            n.policy
            for n in interrupted
            if isinstance(n, Initiator) and n.policy is not None
            if traffic(n.policy) not in self._book.generated
        ]
        peer_id = sa.facts.peer_id  # there may be others behind its NAT
        lost = gone and self._book.established(sa.home, sa.local.address, peer_id) is None
        for negotiation in interrupted:
            if negotiation.complete and not lost:
                negotiation.hand_over()
            else:
                negotiation.fail("the ISAKMP-SA is gone")
        if not others:
            self._drop_pending(sa.home)
        if lost:
            for child in self._book.children_with(sa.home, sa.local.address):
                if child.peer_id == peer_id:
                    self._context.info(f"purged IPsec-SA spi={child.pairs[0].outbound.spi}.")
                    self.children.remove(child, tell=False)
        if kind is EventKind.PHASE1_DPD_TIMEOUT:  # what was wanted then is wanted still
            for policy in wanted:
                self.want(policy)

    def _drop_pending(self, peer: Address) -> None:
        for pending in self._book.pending.pop(peer, []):
            self._drop(pending)

    def _drop(self, pending: Pending) -> None:
        """It gets no phase 1."""
        pending.timer.cancel()
        waiting = self._book.pending.get(pending.policy.remote, [])
        if pending in waiting:
            waiting.remove(pending)
        self._context.report(EventKind.PHASE2_NO_PHASE1, selector=pending.policy.selector)
        if pending.replaces is not None:
            self.children.retry(pending.replaces)
        self.children.release(pending.policy)
        self.children.unserved(pending.policy)

    # --- what the peer says under a phase 1 ---

    def quick_mode(self, sa: Isakmp, message: Message, exchange: SecuredExchange) -> Responder:
        running = sum(n.sa is sa for n in self._book.negotiations)
        if running >= self._context.config.limits.negotiations_per_peer:
            raise OutOfTurn(f"{running} Quick Modes at once under one ISAKMP-SA")
        negotiation = Responder(self._context, self.children, sa, exchange)
        negotiation.take(message)
        negotiation.begin()
        self._book.negotiations.append(negotiation)
        return negotiation

    def notified(self, sa: Isakmp, notification: Notification) -> None:
        kind, peer = notification.type, sa.peer.address
        if kind == NotifyType.INITIAL_CONTACT:
            self._context.info("received INITIAL-CONTACT", peer)
            self._initial_contact(sa)
        elif kind == NotifyType.INVALID_SPI:
            self._context.info("the peer has no such SA any more: INVALID-SPI", peer)
            self.deleted(sa, Delete(notification.protocol, (notification.spi,)))
        elif kind.is_error:
            self._context.error(f"notification {kind} received.", peer)
            for negotiation in self._concerned(sa, notification):
                negotiation.fail(f"the peer refused the negotiation: {kind}")
        else:
            self._context.debug(f"notification {kind} received.", peer)

    def _concerned(self, sa: Isakmp, notification: Notification) -> list[Negotiation]:
        """Which of our negotiations an error is about: by SPI, or the only one there is."""
        ours = [n for n in self._book.negotiations if n.sa is sa and n.role is Role.INITIATOR]
        named = [n for n in ours if notification.spi in n.facts.spis]
        return named or (ours if len(ours) == 1 else [])

    def deleted(self, sa: Isakmp, delete: Delete) -> None:
        if delete.protocol == ProtocolId.ISAKMP:
            for old in self._book.with_peer(sa.home):
                if bytes(old.cookies) in delete.spis and old.facts.peer_id == sa.facts.peer_id:
                    self._context.info(f"purging ISAKMP-SA spi={old.cookies}.")
                    old.close(EventKind.PHASE1_PEER_DELETED)
            return
        for spi in delete.spis:
            number = int.from_bytes(spi)
            child = self._book.outbound(sa, delete.protocol, number)
            if child is not None:
                self._context.info(f"purged IPsec-SA proto_id={delete.protocol.name} spi={number}.")
                self.children.remove(child, tell=False)
        for negotiation in self._book.negotiations_with(sa):
            if negotiation.has_any(delete.spis):
                negotiation.fail("the peer deleted the IPsec-SA before it was complete")

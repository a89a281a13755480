"""The sets of IPsec SAs there are: renewed in time, replaced without a gap, taken down.

Make before break: a new set is complete before the old one goes, and only the side that made the
new one takes the old one down, after a grace, so that packets on their way still find their SA.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from ike.commands import AddPolicy, AskAgain, EventKind, RemovePolicy
from ike.context import Context
from ike.peer.book import Book, traffic
from ike.phase2.initiator import Initiator
from ike.phase2.negotiation import Negotiation
from ike.sa.bundle import Child
from ike.values import PolicyEntry, Role

ISAKMP_PORT: Final = 500
REPLACED_GRACE: Final = 10.0
"""Seconds for which a replaced set of SAs still sends."""
IN_FLIGHT: Final = 5.0
"""Seconds for which it still receives after that, and after the peer was told."""
RETRY: Final = 10.0
"""Seconds until a failed renewal is tried again, as long as the old SAs live."""


class Want(Protocol):
    """`Keeper.want`."""

    def __call__(
        self, policy: PolicyEntry, replaces: Child | None = None, local_port: int = ISAKMP_PORT
    ) -> None: ...


class Children:
    """Owner of what Quick Modes make."""

    def __init__(self, context: Context, book: Book, want: Want) -> None:
        self._context = context
        self._book = book
        self._want = want

    def child_established(self, negotiation: Negotiation, child: Child) -> None:
        book = self._book
        book.negotiations.remove(negotiation)
        book.add_child(child)
        if negotiation.generated and book.generated.get(traffic(child.policy)) is None:
            book.generated[traffic(child.policy)] = child.policy
            self._context.emit(AddPolicy(policy=child.policy))
        if negotiation.role is Role.RESPONDER:
            return
        for old in list(book.children_for(child.policy)):
            if old is not child and old.created <= negotiation.started:
                self._retire(old)

    def _retire(self, child: Child) -> None:
        """Stop sending, tell the peer to, and receive what is on its way. The hard limit, which
        takes both directions at once, should not come first. A delete may be lost and is not
        answered: it is said twice.
        """

        def stop_sending() -> None:
            if child in self._book.children and child.sends:
                child.stop_sending()
                self._say_deleted(child)

        def end() -> None:
            if child in self._book.children:
                self._say_deleted(child)
                self.remove(child, tell=False)

        child.aging = True
        grace = child.within_life(REPLACED_GRACE)
        later = self._context.later
        later("replaced SAs send", grace, stop_sending)
        later("replaced SAs", grace + IN_FLIGHT, end)

    def _say_deleted(self, child: Child) -> None:
        sa = self._book.established(child.home, child.local.address, child.peer_id)
        if sa is not None:
            sa.say(child.deletes())

    def negotiation_failed(self, negotiation: Negotiation, kind: EventKind) -> None:
        book = self._book
        if negotiation in book.negotiations:
            book.negotiations.remove(negotiation)
        if negotiation.policy is None:
            return
        self._try_again(negotiation, negotiation.policy, kind)
        self.release(negotiation.policy)
        self.unserved(negotiation.policy)

    def _try_again(self, negotiation: Negotiation, policy: PolicyEntry, kind: EventKind) -> None:
        sa, replaces = negotiation.sa, negotiation.replaces
        if not isinstance(negotiation, Initiator):
            if negotiation.wanted_here and sa.established:
                self._want(policy, replaces)
            elif replaces is not None:
                self.retry(replaces)
            return
        silent = kind is EventKind.PHASE2_NO_RESPONSE and sa.heard < negotiation.started
        if silent and sa.established:
            self._context.warning(
                f"the peer may have lost the ISAKMP-SA {sa.cookies}: a new one is tried",
                sa.peer.address,
            )
            sa.close(EventKind.PHASE1_DOWN)
            self._want(policy, replaces)
        elif replaces is not None:
            self.retry(replaces)

    def retry(self, child: Child) -> None:
        """Its renewal failed."""
        self._context.later("renewal again", RETRY, lambda: self.child_aging(child))

    def child_aging(self, child: Child) -> None:
        """Renew it, unless a younger set for the same traffic is there."""
        if child not in self._book.children:
            return
        for other in self._book.children_for(child.policy):
            if other is not child and other.created >= child.created and not other.aging:
                return
        remote = self._context.config.remote_for(child.home)
        if remote is not None and not remote.passive:
            in_udp = child.local.port == self._context.config.natt_port
            self._want(child.policy, child, ISAKMP_PORT if in_udp else child.local.port)

    def child_expired(self, child: Child) -> None:
        inbound, outbound = child.pairs[0].inbound, child.pairs[0].outbound
        for sa, ends in (
            (inbound, f"{inbound.source}[0]->{inbound.destination}[0]"),
            (outbound, f"{outbound.source}[0]->{outbound.destination}[0]"),
        ):
            self._context.info(
                f"IPsec-SA expired: {sa.protocol.name}/{sa.mode.value} {ends} "
                f"spi={sa.spi}(0x{sa.spi:x})"
            )
        self.remove(child, tell=True)

    def remove(self, child: Child, *, tell: bool) -> None:
        """Take a set of SAs down, and tell the peer if there is a way to."""
        if not self._book.remove_child(child):
            return
        context = self._context
        known = child.sends  # to the peer
        child.remove()
        if tell and known:
            self._say_deleted(child)
        for negotiation in list(self._book.negotiations):
            if isinstance(negotiation, Initiator) and negotiation.replaces is child:
                negotiation.hand_over()
        self.release(child.policy)
        context.report(
            EventKind.PHASE2_DOWN,
            child.local,
            child.peer,
            child.message_id,
            child.policy.selector,
        )

    def release(self, policy: PolicyEntry) -> None:
        """Remove a policy that we generated, when nothing needs it any more."""
        if traffic(policy) in self._book.generated and not self._book.is_needed(policy):
            self._context.emit(RemovePolicy(policy=self._book.generated.pop(traffic(policy))))

    def unserved(self, policy: PolicyEntry) -> None:
        """A wish came to nothing: the next packet may wish again, if there is no SA for it."""
        if not self._book.is_needed(policy):
            self._context.emit(AskAgain(policy=policy))

    def give_up(self, negotiations: Iterable[Negotiation], reason: str) -> None:
        """End them, even those that are complete but for our use of the new SAs."""
        for negotiation in list(negotiations):
            negotiation.wanted_here = False
            negotiation.fail(reason)

    def remove_all(self, children: Iterable[Child]) -> None:
        for child in list(children):
            self.remove(child, tell=True)

"""A connection: one policy, and all that is done to have SAs for it (strongSwan: child_cfg).

It belongs to one peer, and owns its bundles of IPsec SAs, the Quick Modes under way that make new
ones, and the wish for SAs that waits for a phase 1.
"""

from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from ike.commands import AddPolicy, AskAgain, EventKind, RemovePolicy
from ike.context import Context
from ike.peer import renewal
from ike.peer.databases import Databases, traffic
from ike.phase2.initiator import Initiator
from ike.phase2.negotiation import Negotiation
from ike.phase2.responder import Responder
from ike.sa.bundle import SaBundle
from ike.timers import Timer
from ike.values import Address, PolicyEntry, SaId

if TYPE_CHECKING:
    from ike.peer.peer import Peer

ISAKMP_PORT: Final = 500
MAX_BUNDLES: Final = 8
"""Of one connection at the same time; a new one beyond takes the oldest's place."""


class Connection:
    """`generated`: its policy is ours (`generate_policy`): made with its first bundle, removed with
    its last. `removed`: its policy is gone from the data plane: nothing new is made for it.
    """

    __slots__ = (
        "_db",
        "_failures",
        "_replaces",
        "_waiting",
        "account",
        "bundles",
        "generated",
        "installed",
        "local_port",
        "negotiations",
        "peer",
        "policy",
        "removed",
    )

    def __init__(
        self, databases: Databases, peer: "Peer", policy: PolicyEntry, *, generated: bool = False
    ) -> None:
        self.peer = peer
        self.policy = policy
        self.generated = generated
        self.installed = not generated
        self.removed = False
        self.account: tuple[str, str] | None = None  # whose generated policies it counts among
        self.local_port = ISAKMP_PORT
        self.bundles: dict[SaBundle, None] = {}
        self.negotiations: dict[Negotiation, None] = {}
        self._db = databases
        self._failures = 0  # wishes since there was an SA last
        self._waiting: Timer | None = None  # for a phase 1
        self._replaces: SaBundle | None = None  # what the wish that waits is to replace

    @property
    def context(self) -> Context:
        return self._db.context

    @property
    def waits(self) -> bool:
        """Whether SAs are wanted as soon as there is a phase 1."""
        return self._waiting is not None

    @property
    def is_idle(self) -> bool:
        """Whether there are no SAs, and none are being made or waited for."""
        return not (self.bundles or self.negotiations or self.waits)

    # --- wishes ---

    def want(self, replaces: SaBundle | None = None) -> None:
        """SAs, by whatever it takes."""
        if self._db.closing or self.removed:
            return
        if self.waits:
            self._replaces = self._replaces or replaces
            return
        under_way = next(iter(self.negotiations), None)
        if under_way is not None:
            under_way.wanted_here = True
            under_way.replaces = under_way.replaces or replaces
            return
        sa = self.peer.best_isakmp_sa(self.policy)
        if sa is not None:
            negotiation = Initiator(self.context, self.peer, sa, self, replaces)
            self._begun(negotiation)
            negotiation.start()
        elif self.peer.has_phase1_coming(self.policy, self.local_port):
            self._wait(replaces)
        else:
            context = self.context
            context.report(EventKind.PHASE2_NO_PHASE1, selector=self.policy.selector)
            self._unserved()

    def renew(self, bundle: SaBundle) -> None:
        """SAs in the place of these, from the port that they were made from."""
        in_udp = bundle.local.port == self.context.config.natt_port
        self.local_port = ISAKMP_PORT if in_udp else bundle.local.port
        self.want(bundle)

    def _wait(self, replaces: SaBundle | None) -> None:
        def give_up() -> None:
            policy = self.policy
            self.context.error(
                "phase2 negotiation failed due to time up waiting for phase1. "
                f"{policy.protections[0].protocol.name} {policy.remote}->{policy.local}"
            )
            self.stop_waiting()

        patience = self.context.config.timers.phase1
        self._replaces = replaces
        self._waiting = self.context.later("phase 2 waits for phase 1", patience, give_up)

    def stop_waiting(self) -> None:
        """It gets no phase 1."""
        replaces = self._end_wait()
        self.context.report(EventKind.PHASE2_NO_PHASE1, selector=self.policy.selector)
        if replaces is not None:
            renewal.retry(self, replaces)
        self.release()
        self._unserved()

    def _unserved(self) -> None:
        """A wish came to nothing: the next packet may wish again, if there is no SA for it."""

        def ask_again() -> None:
            if self.is_idle and self.installed and not self.removed:
                self.context.emit(AskAgain(policy=self.policy))

        wait = renewal.ASK_AGAIN[min(self._failures, len(renewal.ASK_AGAIN) - 1)]
        self._failures += 1
        if wait:
            self.context.later("ask again", wait, ask_again)
        else:
            ask_again()

    def go_on(self) -> None:
        """There is a phase 1 now, or there is none coming any more: see what can be done."""
        if self.waits:
            self.want(self._end_wait())
            self.release()

    def _end_wait(self) -> SaBundle | None:
        if self._waiting is not None:
            self._waiting.cancel()
        replaces, self._waiting, self._replaces = self._replaces, None, None
        return replaces

    # --- Quick Modes ---

    def _begun(self, negotiation: Negotiation) -> None:
        self.negotiations[negotiation] = None
        self.peer.negotiations[negotiation] = None

    def chosen(self, negotiation: Negotiation) -> None:
        """The peer opened a Quick Mode for this connection. One of ours at the same time settles
        by the nonces: it yields, or is completed and then outdoes the peer's.
        """
        theirs = negotiation.facts.peer_nonce
        for ours in [n for n in self.negotiations if isinstance(n, Initiator)]:
            if ours.is_unanswered and renewal.yields(ours.facts.own_nonce, theirs):
                negotiation.replaces = negotiation.replaces or ours.replaces
                negotiation.wanted_here = True
                ours.abandon()
                self._forget(ours)
        self.negotiations[negotiation] = None

    def _ended(self, negotiation: Negotiation) -> None:
        self.negotiations.pop(negotiation, None)
        self.peer.negotiations.pop(negotiation, None)

    def established(self, negotiation: Negotiation, bundle: SaBundle) -> None:
        self._ended(negotiation)
        self.bundles[bundle] = None
        self._failures = 0
        for sa in bundle.ids():
            self._db.sad[sa] = self
        self.peer.add_outbound(self, bundle)
        if not self.installed:
            self.installed = True
            self.context.emit(AddPolicy(policy=self.policy))
        renewal.watch(self, bundle)
        if isinstance(negotiation, Initiator):
            self._outdo(negotiation, bundle)
        elif len(self.bundles) > MAX_BUNDLES:
            self.remove(min(self.bundles, key=lambda b: b.created), tell=True)
        if negotiation.aged:
            renewal.soften(self, bundle)

    def _outdo(self, negotiation: Negotiation, bundle: SaBundle) -> None:
        """What we made replaces what was there when we began. What the peer began meanwhile may
        have yielded: then nothing more comes of it.
        """
        for old in list(self.bundles):
            if old is not bundle and old.created <= negotiation.started:
                renewal.retire(self, old)
        for theirs in [n for n in self.negotiations if isinstance(n, Responder)]:
            if renewal.yields(theirs.facts.peer_nonce, negotiation.facts.own_nonce):
                outdone = partial(self._abandon, theirs)
                self.context.later("outdone", renewal.OUTDONE, outdone)

    def _abandon(self, negotiation: Negotiation) -> None:
        """End it without a word, if it is still under way."""
        if negotiation in self.negotiations:
            negotiation.abandon()
            self._forget(negotiation)
            self.release()

    def _forget(self, negotiation: Negotiation) -> None:
        self._ended(negotiation)
        for sa in negotiation.made():
            if self._db.sad.get(sa) is self:  # another may have the SPI that the peer chose
                del self._db.sad[sa]

    def failed(self, negotiation: Negotiation, kind: EventKind) -> None:
        self._forget(negotiation)
        self._try_again(negotiation, kind)
        self.release()
        self._unserved()

    def _try_again(self, negotiation: Negotiation, kind: EventKind) -> None:
        sa, replaces = negotiation.sa, negotiation.replaces
        if not isinstance(negotiation, Initiator):
            if negotiation.wanted_here and sa.established:
                self.want(replaces)
            elif replaces is not None:
                renewal.retry(self, replaces)
            return
        silent = kind is EventKind.PHASE2_NO_RESPONSE and sa.heard < negotiation.started
        if silent and sa.established:
            self.context.warning(
                f"the peer may have lost the ISAKMP-SA {sa.cookies}: a new one is negotiated",
                sa.remote.address,
            )
            sa.close(EventKind.PHASE1_DOWN)
            self.want(replaces)
        elif replaces is not None:
            renewal.retry(self, replaces)

    # --- bundles ---

    def expire(self, bundle: SaBundle) -> None:
        """The hard limit passed."""
        inbound, outbound = bundle.pairs[0].inbound, bundle.pairs[0].outbound
        for sa in (inbound, outbound):
            self.context.info(
                f"IPsec-SA expired: {sa.protocol.name}/{sa.mode.value} "
                f"{sa.source}[0]->{sa.destination}[0] spi={sa.spi}(0x{sa.spi:x})"
            )
        self.remove(bundle, tell=True)

    def remove(self, bundle: SaBundle, *, tell: bool) -> None:
        """Take a bundle down, and tell the peer if there is a way to."""
        if bundle not in self.bundles:
            return
        del self.bundles[bundle]
        for sa in bundle.ids():
            if self._db.sad.get(sa) is self:
                del self._db.sad[sa]
        self.peer.remove_outbound(bundle)
        known = bundle.sends  # to the peer
        bundle.remove()
        if tell and known:
            self.peer.say_deleted(bundle)
        for negotiation in list(self.negotiations):
            if isinstance(negotiation, Initiator) and negotiation.replaces is bundle:
                negotiation.hand_over()
        self.release()
        self.context.report(
            EventKind.PHASE2_DOWN,
            bundle.local,
            bundle.remote,
            bundle.message_id,
            self.policy.selector,
        )

    def remove_all(self, *, tell: bool) -> None:
        for bundle in list(self.bundles):
            self.remove(bundle, tell=tell)

    def follow(self, address: Address) -> None:
        """The peer is somewhere else: the policy, which is ours, goes along."""
        old, selector = self.policy, self.policy.selector
        if selector.remote == ip_network(old.remote):
            selector = replace(selector, remote=ip_network(address))
        policy = replace(old, remote=address, selector=selector)
        if old.remote == address or self._db.spd.find(policy) is not None:
            return
        self._db.spd.remove(self)
        self.peer.drop(self)
        self.policy = policy
        self.peer.connections[traffic(policy)] = self
        self._db.spd.add(self)
        if self.installed:
            self.context.emit(AddPolicy(policy=policy))  # in the place of the old one
            if selector != old.selector:
                self.context.emit(RemovePolicy(policy=old))

    def find(self, sa: SaId) -> SaBundle | Negotiation | None:
        """What an SA of this connection belongs to."""
        for bundle in self.bundles:
            if sa in bundle.ids():
                return bundle
        return next((n for n in self.negotiations if sa in n.made()), None)

    # --- the end ---

    def give_up(self, reason: str) -> None:
        """End its negotiations, even those that are complete but for our use of the new SAs."""
        if self.waits:
            self.stop_waiting()
        for negotiation in list(self.negotiations):
            negotiation.wanted_here = False
            negotiation.fail(reason)

    def withdraw(self, reason: str) -> None:
        """No SAs any more, and none that are being made."""
        self.give_up(reason)
        self.remove_all(tell=True)

    def release(self) -> None:
        """Remove a policy that we generated, when nothing needs it any more."""
        if not self.is_idle:
            return
        if self.generated and self.installed:
            self.installed = False
            self.context.emit(RemovePolicy(policy=self.policy))
        if self.generated or self.removed:
            self._db.spd.remove(self)
            self.peer.drop(self)
            if self.account is not None:
                self._db.generated[self.account] -= 1
                self.account = None
            self._db.pad.forget_if_idle(self.peer)

"""All that exists: ISAKMP SAs, negotiations, IPsec SAs, and policies that wait for a phase 1."""

from collections.abc import Iterator
from dataclasses import dataclass

from ike.isakmp.header import NO_COOKIE, Header
from ike.isakmp.payloads import Identification
from ike.numbers.isakmp import ProtocolId
from ike.phase2.negotiation import Negotiation
from ike.sa.bundle import Child
from ike.sa.isakmp_sa import Isakmp
from ike.timers import Timer
from ike.values import Address, Endpoint, Phase1State, PolicyEntry, Role, SaId, Selector

Traffic = tuple[Selector, Address, Address]


def traffic(policy: PolicyEntry) -> Traffic:
    """What tells policies apart: which packets, between which ends."""
    return policy.selector, policy.local, policy.remote


@dataclass(eq=False, slots=True)
class Pending:
    """A policy whose Quick Mode starts as soon as there is a phase 1."""

    policy: PolicyEntry
    replaces: Child | None
    timer: Timer


class Book:
    def __init__(self) -> None:
        self.negotiations: list[Negotiation] = []
        self.children: dict[Child, None] = {}
        self.pending: dict[Address, list[Pending]] = {}
        self.generated: dict[Traffic, PolicyEntry] = {}  # the policies that we added
        self._by_cookie: dict[bytes, list[Isakmp]] = {}
        self._by_address: dict[Address, list[Isakmp]] = {}
        self._by_sa: dict[SaId, Child] = {}
        self._children_with: dict[Address, dict[Child, None]] = {}
        self._half_open: dict[Isakmp, None] = {}

    # --- ISAKMP SAs ---

    def add(self, sa: Isakmp) -> None:
        self._by_cookie.setdefault(sa.cookies.initiator, []).append(sa)
        self._by_address.setdefault(sa.home, []).append(sa)
        if sa.facts.role is Role.RESPONDER:
            self._half_open[sa] = None

    def settle(self, sa: Isakmp) -> None:
        """It is established."""
        self._half_open.pop(sa, None)

    def remove(self, sa: Isakmp) -> None:
        self.settle(sa)
        self._by_cookie[sa.cookies.initiator].remove(sa)
        if not self._by_cookie[sa.cookies.initiator]:
            del self._by_cookie[sa.cookies.initiator]
        self._by_address[sa.home].remove(sa)
        if not self._by_address[sa.home]:
            del self._by_address[sa.home]

    def isakmps(self) -> list[Isakmp]:
        return [sa for sas in self._by_cookie.values() for sa in sas]

    def with_peer(self, peer: Address, local: Address | None = None) -> list[Isakmp]:
        """All with this peer, established or not."""
        found = self._by_address.get(peer, [])
        return [sa for sa in found if local is None or sa.local.address == local]

    def find(self, header: Header, source: Endpoint) -> Isakmp | None:
        """Whose message this is, by its cookies; the responder's may not be known yet."""
        for sa in self._by_cookie.get(header.initiator_cookie, ()):
            ours = sa.cookies.responder
            if header.responder_cookie == ours:
                return sa
            if sa.peer.address != source.address:
                continue
            opening = sa.facts.role is Role.RESPONDER and header.responder_cookie == NO_COOKIE
            if ours == NO_COOKIE or opening:
                return sa
        return None

    def coming(self, peer: Address, local: Address) -> list[Isakmp]:
        """What is established with this peer or soon may be; forged first messages do not count."""
        return [sa for sa in self.with_peer(peer, local) if sa.credible]

    def established(
        self, peer: Address, local: Address, peer_id: Identification | None = None
    ) -> Isakmp | None:
        """The best SA to speak under: not about to end, and the newest.

        `peer_id` tells peers behind one NAT apart.
        """
        found = [sa for sa in self.with_peer(peer, local) if sa.established]
        if peer_id is not None:
            found = [sa for sa in found if sa.facts.peer_id == peer_id]
        return max(
            found, key=lambda sa: (sa.state is Phase1State.ESTABLISHED, sa.created), default=None
        )

    def half_open(self, peer: Address | None = None) -> list[Isakmp]:
        """As responder, before anything is proved; the oldest first."""
        if peer is None:
            return list(self._half_open)
        return [sa for sa in self.with_peer(peer) if sa in self._half_open]

    # --- IPsec SAs ---

    def add_child(self, child: Child) -> None:
        self.children[child] = None
        self._children_with.setdefault(child.home, {})[child] = None
        for sa in child.ids():
            self._by_sa[sa] = child

    def remove_child(self, child: Child) -> bool:
        """False if it was gone already."""
        if child not in self.children:
            return False
        del self.children[child]
        del self._children_with[child.home][child]
        if not self._children_with[child.home]:
            del self._children_with[child.home]
        for sa in child.ids():
            if self._by_sa.get(sa) is child:
                del self._by_sa[sa]
        return True

    def child_of(self, sa: SaId) -> Child | None:
        return self._by_sa.get(sa)

    def outbound(self, sa: Isakmp, protocol: ProtocolId, spi: int) -> Child | None:
        """The child whose packets to the peer of `sa` carry this SPI."""
        for child in self.children_with(sa.home):
            for pair in child.pairs:
                named = (pair.outbound.protocol, pair.outbound.spi) == (protocol, spi)
                if named and child.peer_id == sa.facts.peer_id:
                    return child
        return None

    def children_with(self, peer: Address, local: Address | None = None) -> list[Child]:
        return [
            child
            for child in self._children_with.get(peer, ())
            if local is None or child.local.address == local
        ]

    def children_for(self, policy: PolicyEntry) -> Iterator[Child]:
        """All made for this traffic between these ends."""
        for child in self._children_with.get(policy.remote, ()):
            if _same(child.policy, policy):
                yield child

    def negotiations_for(self, policy: PolicyEntry) -> Iterator[Negotiation]:
        """The Quick Modes that make SAs for this policy at the moment, whoever began them."""
        for negotiation in self.negotiations:
            if negotiation.policy is not None and _same(negotiation.policy, policy):
                yield negotiation

    def negotiations_with(self, sa: Isakmp) -> list[Negotiation]:
        """All with the peer of `sa`, under whichever ISAKMP SA."""
        home, peer_id = sa.home, sa.facts.peer_id
        return [n for n in self.negotiations if (n.sa.home, n.sa.facts.peer_id) == (home, peer_id)]

    def pending_for(self, policy: PolicyEntry) -> Pending | None:
        waiting = self.pending.get(policy.remote, ())
        return next((p for p in waiting if _same(p.policy, policy)), None)

    def is_needed(self, policy: PolicyEntry) -> bool:
        """Whether there are SAs for this policy, or may soon be."""
        return (
            any(True for _ in self.children_for(policy))
            or any(True for _ in self.negotiations_for(policy))
            or self.pending_for(policy) is not None
        )


def _same(a: PolicyEntry, b: PolicyEntry) -> bool:
    return traffic(a) == traffic(b)

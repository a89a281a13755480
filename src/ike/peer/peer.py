"""A peer: one configured remote, or one proved identity of a remote that serves many.

It owns its ISAKMP SAs, its connections and its limits
(strongSwan: peer_cfg). What a peer does concerns what it owns, and nothing else.

renewal        who renews what, and when
takedown       what takes what down
authorization  who may be whom, and who may move where
"""

from collections.abc import Iterator
from typing import Final

from ike.commands import EventKind
from ike.config import Remote
from ike.context import Context
from ike.errors import InvalidIdInformation, NoProposalChosen, OutOfTurn
from ike.isakmp.message import Message
from ike.isakmp.payloads import Delete, Notification
from ike.numbers.isakmp import ExchangeType, ProtocolId
from ike.peer import authorization, opening, renewal, selection, takedown
from ike.peer.authorization import ProvedIdentity
from ike.peer.connection import Connection
from ike.peer.databases import Databases, Traffic, traffic
from ike.phase1.main import initial_contact
from ike.phase2.negotiation import Negotiation
from ike.phase2.owner import Entry, Wanted
from ike.phase2.responder import Responder
from ike.sa.bundle import SaBundle
from ike.sa.isakmp_sa import IsakmpSa
from ike.sa.protected import SecuredExchange
from ike.values import Address, Endpoint, Phase1State, PolicyEntry, SaId

MAX_ATTEMPTS: Final = 3
"""Phase 1 negotiations in a row, when the peer loses one before it is over."""
MAX_ISAKMP_SAS: Final = 8
"""Established at the same time; a new one beyond takes the oldest's place."""


class Peer:
    """`remote` is its entry in the PAD; None: nothing is configured for its address. `identity` is
    None until it has proved one, which was at `proved_at`: it may have moved since. The peer is the
    owner (`IsakmpOwner`, `NegotiationOwner`) of ISAKMP SAs and Quick Modes.
    """

    __slots__ = (
        "_db",
        "address",
        "by_cookies",
        "connections",
        "identity",
        "isakmp_sas",
        "last_failure",
        "negotiations",
        "outbound",
        "proved_at",
        "remote",
    )

    def __init__(self, databases: Databases, remote: Remote | None, address: Address) -> None:
        self.remote = remote
        self.address = address
        self.identity: ProvedIdentity | None = None
        self.proved_at: Address | None = None
        self.isakmp_sas: dict[IsakmpSa, None] = {}
        self.connections: dict[Traffic, Connection] = {}
        self.negotiations: dict[Negotiation, None] = {}
        self.outbound: dict[tuple[ProtocolId, int], tuple[Connection, SaBundle]] = {}
        self.last_failure = ""  # since it was established last
        self._db = databases
        self.by_cookies: dict[bytes, IsakmpSa] = {}

    def __str__(self) -> str:
        return f"{self.identity} at {self.address}" if self.identity else str(self.address)

    @property
    def context(self) -> Context:
        return self._db.context

    @property
    def may_renew(self) -> bool:
        """Whether we may begin a negotiation to keep what there is."""
        return self.remote is not None and not self.remote.passive and not self._db.closing

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be lost with it."""
        return not (self.isakmp_sas or self.connections or self.negotiations)

    # --- connections ---

    def connection(self, policy: PolicyEntry, *, generated: bool = False) -> Connection:
        """The connection of this policy, a new one if need be."""
        found = self._db.spd.find(policy)
        if found is None:
            found = Connection(self._db, self, policy, generated=generated)
            self.connections[traffic(policy)] = found
            self._db.spd.add(found)
        return found

    def take(self, connection: Connection) -> None:
        """Make a connection of another peer this one's."""
        holder, connection.peer = connection.peer, self
        holder.drop(connection)
        self.connections[traffic(connection.policy)] = connection
        self._db.pad.forget_if_idle(holder)

    def drop(self, connection: Connection) -> None:
        self.connections.pop(traffic(connection.policy), None)

    def bundles(self) -> Iterator[tuple[Connection, SaBundle]]:
        """All of all connections, which may be removed meanwhile."""
        for connection in list(self.connections.values()):
            for bundle in list(connection.bundles):
                yield connection, bundle

    def add_outbound(self, connection: Connection, bundle: SaBundle) -> None:
        for pair in bundle.pairs:
            self.outbound[pair.outbound.protocol, pair.outbound.spi] = (connection, bundle)

    def remove_outbound(self, bundle: SaBundle) -> None:
        for pair in bundle.pairs:
            name = (pair.outbound.protocol, pair.outbound.spi)
            if name in self.outbound and self.outbound[name][1] is bundle:
                del self.outbound[name]

    def connection_of(self, negotiation: Negotiation) -> Connection | None:
        entry = negotiation.entry
        return entry if isinstance(entry, Connection) else None

    # --- ISAKMP SAs ---

    def best_isakmp_sa(self, policy: PolicyEntry) -> IsakmpSa | None:
        """The one to negotiate this policy under: not about to end, and the newest."""
        if self.remote is None:
            return None
        found = (
            sa
            for sa in self.isakmp_sas
            if sa.established
            and (sa.local.address, sa.remote.address) == (policy.local, policy.remote)
        )
        return max(found, key=_preference, default=None)

    def has_established(self, local: Address) -> bool:
        return any(sa.established and sa.local.address == local for sa in self.isakmp_sas)

    def coming(self, remote: Address, local: Address) -> list[IsakmpSa]:
        """What is established between these or soon may be."""
        return [
            sa for sa in self.isakmp_sas if (sa.remote.address, sa.local.address) == (remote, local)
        ]

    def has_phase1_coming(self, policy: PolicyEntry, local_port: int) -> bool:
        """Whether there will be a phase 1 for this policy; one is begun if need be."""
        if self.coming(policy.remote, policy.local):
            return True
        if self._db.half_open.arriving(policy.remote, policy.local):
            return True
        context, remote = self.context, self.remote
        if remote is None:
            context.error(f"no configuration found for {policy.remote}.")
            return False
        if remote.passive:
            context.error(f"remote {remote.name} is passive: it must open the negotiation")
            return False
        context.info(f"IPsec-SA request for {policy.remote} queued due to no phase1 found.")
        local = Endpoint(policy.local, local_port)
        return self.start_phase1(local, Endpoint(policy.remote, remote.port)) is not None

    def start_phase1(self, local: Endpoint, to: Endpoint) -> IsakmpSa | None:
        """A new phase 1 as initiator; None if we cannot, which is logged."""
        return opening.start_phase1(self._db, self, local, to)

    def phase1_established(self, sa: IsakmpSa) -> None:
        """Begun by either side."""
        self.isakmp_sas[sa] = None
        self.by_cookies[bytes(sa.cookies)] = sa
        self._db.weakness.warn(sa.facts)
        if sa.facts.peer_initial_contact:
            takedown.initial_contact(self, sa)
        if sa.facts.exchange == ExchangeType.AGGRESSIVE and sa.facts.is_initiator:
            self._say_initial_contact(sa)
        established = [other for other in self.isakmp_sas if other.established]
        if len(established) > MAX_ISAKMP_SAS:
            min(established, key=lambda other: other.created).delete()
        self.go_on()
        self._catch_up(sa)

    def go_on(self) -> None:
        """What waits for a phase 1: see what can be done."""
        for connection in list(self.connections.values()):
            connection.go_on()

    def _catch_up(self, sa: IsakmpSa) -> None:
        """Renew what is for a place where the peer is no more, as far as its policy follows it."""
        for connection, bundle in self.bundles():
            moved = bundle.remote.address != sa.remote.address
            in_udp = bundle.pairs[0].outbound.udp_source is not None
            if (moved and connection.generated) or (in_udp and bundle.remote != sa.remote):
                connection.want(bundle)

    def _say_initial_contact(self, sa: IsakmpSa) -> None:
        """Aggressive Mode has no encrypted message to hold it."""
        established = [other for other in self.isakmp_sas if other.established]
        alone = established == [sa] and not any(self.bundles())
        if sa.facts.remote.initial_contact and alone:
            sa.notify(initial_contact(sa.facts))

    def phase1_authenticated(self, sa: IsakmpSa) -> "Peer":
        """One that we began: who has answered decides whose it is."""
        return self._db.pad.authenticated(sa)

    def phase1_refused(self, sa: IsakmpSa) -> None: ...

    def phase1_may_log(self) -> bool:
        return True

    def phase1_forgotten(self, sa: IsakmpSa) -> bool:
        """A peer that is overloaded, or has just started, loses negotiations."""
        if sa.attempt >= MAX_ATTEMPTS or self.remote is None or self._db.closing:
            return False
        self.context.info(f"the peer has lost the negotiation {sa.cookies}: it is started again")
        anew = self.start_phase1(sa.local, sa.remote)
        if anew is not None:
            anew.attempt = sa.attempt + 1
        return anew is not None

    def phase1_soft_limit(self, sa: IsakmpSa) -> float:
        return renewal.isakmp_soft_limit(self.context, sa)

    def phase1_aging(self, sa: IsakmpSa) -> None:
        others = self.coming(sa.remote.address, sa.local.address)
        if self.remote is None or not self.may_renew:
            return
        if renewal.isakmp_sa_is_due(sa, self.remote, others, serves=any(self.bundles())):
            self.start_phase1(sa.local, sa.remote)  # through the NAT, if there is one

    def phase1_may_move(self, sa: IsakmpSa, local: Endpoint, remote: Endpoint) -> bool:
        return authorization.may_move(self._db, self, sa, local, remote)

    def phase1_moved(self, sa: IsakmpSa) -> None:
        """SAs that travel in UDP hold the old place: new ones take theirs."""
        self.context.info(f"the peer moved to {sa.remote}", sa.remote.address)
        self._db.pad.moved(self, sa.remote.address)
        self._catch_up(sa)

    def phase1_is_last(self, sa: IsakmpSa) -> bool:
        return not any(
            other.established and other is not sa and other.local.address == sa.local.address
            for other in self.isakmp_sas
        )

    def phase1_closed(self, sa: IsakmpSa, kind: EventKind) -> None:
        self.isakmp_sas.pop(sa, None)
        self.by_cookies.pop(bytes(sa.cookies), None)
        self._db.cookies.remove(sa)
        takedown.isakmp_sa_closed(self, sa, kind)
        ends = (sa.remote.address, sa.local.address)
        if not self.coming(*ends) and not self._db.half_open.arriving(*ends):
            for connection in list(self.connections.values()):
                policy = connection.policy
                if connection.waits and (policy.remote, policy.local) == ends:
                    connection.stop_waiting()
        self._db.pad.forget_if_idle(self)

    def say_deleted(self, bundle: SaBundle) -> None:
        """Tell the peer that a bundle is gone, if there is a way to."""
        found = (
            sa
            for sa in self.isakmp_sas
            if sa.established and sa.local.address == bundle.local.address
        )
        sa = max(found, key=_preference, default=None)
        if sa is not None:
            for payload in bundle.deletes():
                sa.say([payload])

    def quick_mode(self, sa: IsakmpSa, message: Message, exchange: SecuredExchange) -> Responder:
        if self.remote is None:
            raise OutOfTurn("its remote is no longer configured")
        limit = self.context.config.limits.negotiations_per_peer
        if len(self.negotiations) >= limit:
            raise OutOfTurn(f"{len(self.negotiations)} Quick Modes at once with one peer")
        negotiation = Responder(self.context, self, sa, exchange)
        negotiation.take(message)
        negotiation.begin()
        self.negotiations[negotiation] = None
        return negotiation

    def entries_for(self, wanted: Wanted) -> list[Connection]:
        return selection.entries_for(self._db, self, wanted)

    def phase2_chosen(self, negotiation: Negotiation, entry: Entry) -> None:
        """Raises: NoProposalChosen, InvalidIdInformation."""
        assert isinstance(entry, Connection)
        limits = self.context.config.limits
        if not entry.installed:
            authorization.check_number(self._db, self)
            self.connections[traffic(entry.policy)] = entry
            self._db.spd.add(entry)
            entry.account = authorization.account(self)
            self._db.generated[entry.account] += 1
            self.context.info(f"Adjusting my generated policy: {entry.policy.selector}")
        if 2 * len(self.outbound) >= limits.sas_per_peer:
            raise NoProposalChosen(f"{2 * len(self.outbound)} IPsec SAs of one peer")
        if entry.peer is not self:
            self._take_over(entry)
        entry.chosen(negotiation)

    def _take_over(self, entry: Connection) -> None:
        """Raises: InvalidIdInformation."""
        if not authorization.may_take(self, entry):
            for sa in entry.peer.isakmp_sas:
                if sa.dpd is not None and sa.established:
                    sa.dpd.probe()
            raise InvalidIdInformation(f"{entry.policy.selector} is the policy of {entry.peer}")
        self.take(entry)

    def phase2_may_log(self) -> bool:
        return self._db.lines.allow(authorization.account(self), self.context.now)

    def phase2_installed(self, negotiation: Negotiation, sa: SaId) -> None:
        connection = self.connection_of(negotiation)
        if connection is not None:
            self._db.sad[sa] = connection

    def phase2_established(self, negotiation: Negotiation, bundle: SaBundle) -> None:
        connection = self.connection_of(negotiation)
        assert connection is not None
        self.last_failure = ""
        connection.established(negotiation, bundle)

    def phase2_failed(self, negotiation: Negotiation, kind: EventKind) -> None:
        self.negotiations.pop(negotiation, None)
        self.last_failure = negotiation.failure
        connection = self.connection_of(negotiation)
        if connection is not None:
            connection.failed(negotiation, kind)
        self._db.pad.forget_if_idle(self)

    def notified(self, sa: IsakmpSa, notification: Notification) -> None:
        takedown.notified(self, sa, notification)

    def deleted(self, sa: IsakmpSa, delete: Delete) -> None:  # noqa: ARG002
        takedown.deleted_by_peer(self, delete)


def _preference(sa: IsakmpSa) -> tuple[bool, float]:
    return sa.state is Phase1State.ESTABLISHED, sa.created

"""A peer: one configured remote, or one proved identity of a remote that serves many.

It owns its ISAKMP SAs, its connections, its limits and the reason of its last failure
(strongSwan: peer_cfg). What a peer does concerns what it owns, and nothing else.

renewal        who renews what, and when
takedown       what takes what down
authorization  who may be whom, and who may move where
"""

from collections.abc import Iterable, Iterator
from typing import Final

from ike.commands import EventKind
from ike.config import Remote
from ike.context import Context
from ike.crypto.keys import Cookies
from ike.errors import InvalidIdInformation, LocalError, NoProposalChosen, OutOfTurn
from ike.isakmp.header import NO_COOKIE
from ike.isakmp.message import Message
from ike.isakmp.payloads import Delete, Notification
from ike.numbers.isakmp import ExchangeType, NotifyType, ProtocolId
from ike.peer import authorization, renewal, takedown
from ike.peer.authorization import ProvedIdentity
from ike.peer.connection import Connection
from ike.peer.databases import Databases, Traffic, traffic
from ike.phase1.facts import Phase1
from ike.phase1.main import initial_contact
from ike.phase2.initiator import Initiator
from ike.phase2.negotiation import Entry, Negotiation, Wanted
from ike.phase2.responder import Responder
from ike.sa.bundle import SaBundle
from ike.sa.isakmp_sa import MODES, IsakmpSa
from ike.sa.protected import SecuredExchange
from ike.values import Address, Endpoint, Phase1State, PolicyEntry, Role, SaId

MAX_ATTEMPTS: Final = 3
"""Phase 1 negotiations in a row, when the peer forgets one before it is over."""
MAX_ISAKMP_SAS: Final = 8
"""Established at the same time; a new one beyond takes the oldest's place."""


class Peer:
    """`remote` is its entry in the PAD; None: nothing is configured for its address. `identity` is
    None until it has proved one. The peer is the owner (`IsakmpOwner`, `NegotiationOwner`) of
    ISAKMP SAs and Quick Modes.
    """

    __slots__ = (
        "_by_cookies",
        "_db",
        "address",
        "connections",
        "identity",
        "isakmp_sas",
        "last_failure",
        "negotiations",
        "outbound",
        "remote",
    )

    def __init__(self, databases: Databases, remote: Remote | None, address: Address) -> None:
        self.remote = remote
        self.address = address
        self.identity: ProvedIdentity | None = None
        self.isakmp_sas: dict[IsakmpSa, None] = {}
        self.connections: dict[Traffic, Connection] = {}
        self.negotiations: dict[Negotiation, None] = {}
        self.outbound: dict[tuple[ProtocolId, int], tuple[Connection, SaBundle]] = {}
        self.last_failure = ""
        self._db = databases
        self._by_cookies: dict[bytes, IsakmpSa] = {}

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
        connection.peer.drop(connection)
        connection.peer = self
        self.connections[traffic(connection.policy)] = connection

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
        found = (
            sa
            for sa in self.isakmp_sas
            if sa.established
            and (sa.local.address, sa.remote.address) == (policy.local, policy.remote)
        )
        return max(found, key=_preference, default=None)

    def isakmp_sas_with(self, cookies: Iterable[bytes]) -> list[IsakmpSa]:
        return [self._by_cookies[pair] for pair in cookies if pair in self._by_cookies]

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
        context, remote = self.context, self.remote
        assert remote is not None
        modes = [mode for mode in remote.exchange_modes if mode in MODES]
        if not modes:
            context.error(f"remote {remote.name}: exchange_mode must be main or aggressive")
            return None
        cookies = Cookies(initiator=context.entropy(8), responder=NO_COOKIE)
        facts = Phase1(
            role=Role.INITIATOR,
            exchange=modes[0],
            remote=remote,
            pre_shared_keys=context.config.keys,
            entropy=context.entropy,
            cookies=cookies,
            local=local,
            peer=to,
            date=lambda: context.date,
            first_contact=lambda: self._is_first_contact(local.address),
        )
        sa = IsakmpSa(context, self, facts)
        context.info(f"initiate new phase 1 negotiation: {local}<=>{to}")
        context.info(f"begin {MODES[modes[0]]} mode.")
        self.isakmp_sas[sa] = None
        self._db.cookies.add(sa)
        try:
            sa.handshake.start()
        except LocalError as error:
            context.error(str(error), to.address)
            sa.close(EventKind.PHASE1_AUTH_FAILED)
            return None
        return sa

    def _is_first_contact(self, local: Address) -> bool:
        return not self.has_established(local) and not any(self.bundles())

    def phase1_established(self, sa: IsakmpSa) -> None:
        """Whoever began it."""
        self.isakmp_sas[sa] = None
        self._by_cookies[bytes(sa.cookies)] = sa
        self.last_failure = ""
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

    def phase1_refused(self, sa: IsakmpSa) -> None:
        """Only strangers are asked for this: `ike.admission`."""

    def phase1_may_log(self) -> bool:
        return True

    def phase1_forgotten(self, sa: IsakmpSa) -> bool:
        """A peer that has more to do than places for it, or has just started, forgets."""
        if sa.attempt >= MAX_ATTEMPTS or self.remote is None or self._db.closing:
            return False
        self.context.info(f"the peer has forgotten the negotiation {sa.cookies}: it begins anew")
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
        self._by_cookies.pop(bytes(sa.cookies), None)
        self._db.cookies.remove(sa)
        takedown.isakmp_sa_closed(self, sa, kind)
        if not self.coming(sa.remote.address, sa.local.address):
            for connection in list(self.connections.values()):
                if connection.waits:
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

    # --- Quick Modes ---

    def quick_mode(self, sa: IsakmpSa, message: Message, exchange: SecuredExchange) -> Responder:
        limit = self.context.config.limits.negotiations_per_peer
        if len(self.negotiations) >= limit:
            raise OutOfTurn(f"{len(self.negotiations)} Quick Modes at once with one peer")
        negotiation = Responder(self.context, self, sa, exchange)
        negotiation.take(message)
        negotiation.begin()
        self.negotiations[negotiation] = None
        return negotiation

    def entries_for(self, wanted: Wanted) -> list[Entry]:
        """The connection of exactly this traffic, or the narrowest that covers it; else one whose
        policy is generated.
        """
        fitting = [c for c in self._candidates(wanted) if _fits(c.policy, wanted)]
        exact = [c for c in fitting if c.policy.selector == wanted.selector]
        if exact:
            return [*exact]
        covering = [c for c in fitting if c.policy.selector.covers(wanted.selector)]
        if covering:
            return [max(covering, key=lambda c: _narrowness(c.policy))]
        policy = authorization.generated_policy(self._db, self, wanted)
        return [Connection(self._db, self, policy, generated=True)]

    def _candidates(self, wanted: Wanted) -> Iterator[Connection]:
        key = (wanted.selector, wanted.local, wanted.remote)
        named = self.connections.get(key)
        if named is not None:
            yield named
            return
        yield from self.connections.values()
        for other in self._db.pad.at(wanted.remote):
            if other is not self:
                yield from (c for c in other.connections.values() if not c.generated)

    def phase2_chosen(self, negotiation: Negotiation, entry: Entry) -> None:
        """Raises: NoProposalChosen, InvalidIdInformation."""
        assert isinstance(entry, Connection)
        limits = self.context.config.limits
        if not entry.installed:
            generated = sum(c.generated for c in self.connections.values())
            if generated >= limits.connections_per_peer:
                raise NoProposalChosen(f"{generated} connections of one peer")
            self.connections[traffic(entry.policy)] = entry
            self._db.spd.add(entry)
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

    def phase2_installed(self, negotiation: Negotiation, sa: SaId) -> None:
        connection = self.connection_of(negotiation)
        if connection is not None:
            self._db.sad[sa] = connection

    def phase2_established(self, negotiation: Negotiation, bundle: SaBundle) -> None:
        connection = self.connection_of(negotiation)
        assert connection is not None
        connection.established(negotiation, bundle)

    def phase2_failed(self, negotiation: Negotiation, kind: EventKind) -> None:
        self.negotiations.pop(negotiation, None)
        connection = self.connection_of(negotiation)
        if connection is not None:
            connection.failed(negotiation, kind)
        self._db.pad.forget_if_idle(self)

    # --- what the peer says under a phase 1 ---

    def notified(self, sa: IsakmpSa, notification: Notification) -> None:
        kind, address = notification.type, sa.remote.address
        if kind == NotifyType.INITIAL_CONTACT:
            self.context.info("received INITIAL-CONTACT", address)
            takedown.initial_contact(self, sa)
        elif kind == NotifyType.INVALID_SPI:
            self.context.info("the peer has no such SA any more: INVALID-SPI", address)
            takedown.deleted_by_peer(self, Delete(notification.protocol, (notification.spi,)))
        elif kind.is_error:
            self.context.error(f"notification {kind} received.", address)
            for negotiation in self._concerned(sa, notification):
                negotiation.fail(f"the peer refused the negotiation: {kind}")
        else:
            self.context.debug(f"notification {kind} received.", address)

    def _concerned(self, sa: IsakmpSa, notification: Notification) -> list[Negotiation]:
        """Which of our negotiations an error is about: by SPI, or the only one there is."""
        ours = [n for n in self.negotiations if n.sa is sa and isinstance(n, Initiator)]
        named = [n for n in ours if notification.spi in n.facts.spis]
        return [*named] or ([*ours] if len(ours) == 1 else [])

    def deleted(self, sa: IsakmpSa, delete: Delete) -> None:  # noqa: ARG002
        takedown.deleted_by_peer(self, delete)


def _preference(sa: IsakmpSa) -> tuple[bool, float]:
    return sa.state is Phase1State.ESTABLISHED, sa.created


def _fits(policy: PolicyEntry, wanted: Wanted) -> bool:
    if (policy.local, policy.remote) != (wanted.local, wanted.remote):
        return False
    ours = [(protection.protocol, protection.mode) for protection in policy.protections]
    return any(protection in ours for protection in wanted.protections[:1])


def _narrowness(policy: PolicyEntry) -> tuple[int, int, int]:
    selector = policy.selector
    return (
        selector.local.prefixlen + selector.remote.prefixlen,
        int(selector.protocol != 0),
        int(selector.local_port != 0) + int(selector.remote_port != 0),
    )

"""One ISAKMP SA: its phase 1 exchange, then the protection of all phase 2 exchanges under it."""

from typing import Final, Protocol

from ike.commands import EventKind, ExportKeys, SendDatagram
from ike.config import Switch
from ike.context import Context
from ike.crypto.channel import Channel
from ike.crypto.keys import Cookies, Phase1Keys
from ike.errors import OutOfTurn, PeerError, UnsupportedExchangeType
from ike.isakmp.fragment import split
from ike.isakmp.header import Header
from ike.isakmp.message import Message, Payload
from ike.isakmp.payloads import Delete, Notification
from ike.isakmp.vendor import Vendor
from ike.numbers.isakmp import ExchangeType, Flags, NotifyType, PayloadType, ProtocolId
from ike.phase1.facts import Phase1
from ike.phase1.handshake import Handshake
from ike.phase1.nat import KEEPALIVE
from ike.phase1.refusals import Refusals
from ike.sa import informational
from ike.sa.dpd import DeadPeerDetection, acknowledgement
from ike.sa.protected import MessageIds, Receiver, SecuredExchange
from ike.timers import Timer
from ike.values import Endpoint, Phase1State

MODES: Final = {ExchangeType.MAIN: "Identity Protection", ExchangeType.AGGRESSIVE: "Aggressive"}
"""The exchanges of phase 1 that are spoken, by racoon's names."""


class HandshakeOwner(Protocol):
    """Who began a phase 1, or let the peer begin it."""

    def phase1_authenticated(self, sa: "IsakmpSa") -> "IsakmpOwner":
        """Whose it is from now on, by the identity that was proved."""

    def phase1_refused(self, sa: "IsakmpSa") -> None:
        """The peer that began it, or somebody, says that it is not taken there."""

    def phase1_forgotten(self, sa: "IsakmpSa") -> bool:
        """The peer says that it does not know a negotiation of ours: whether another was begun."""

    def phase1_may_log(self) -> bool:
        """Whether a line may be written about what anybody may have sent."""

    def phase1_closed(self, sa: "IsakmpSa", kind: EventKind) -> None: ...


class IsakmpOwner(HandshakeOwner, Protocol):
    """The peer that an ISAKMP SA belongs to."""

    def phase1_established(self, sa: "IsakmpSa") -> None: ...

    def phase1_soft_limit(self, sa: "IsakmpSa") -> float:
        """Seconds from the establishment to the time to renew it."""

    def phase1_aging(self, sa: "IsakmpSa") -> None:
        """That time has come."""

    def phase1_may_move(self, sa: "IsakmpSa", local: Endpoint, remote: Endpoint) -> bool:
        """Whether an authenticated message from another place moves the SA there."""

    def phase1_moved(self, sa: "IsakmpSa") -> None:
        """It has: a NAT has a new mapping."""

    def phase1_is_last(self, sa: "IsakmpSa") -> bool:
        """Whether no other is established with this peer. Its delete would take the IPsec SAs down
        at the peer, and only there; its lifetime ends at both ends, delete or not.
        """

    def quick_mode(self, sa: "IsakmpSa", message: Message, exchange: SecuredExchange) -> Receiver:
        """The peer opens a Quick Mode exchange. Raises: PeerError, before anything happened."""

    def notified(self, sa: "IsakmpSa", notification: Notification) -> None:
        """An authenticated notification that is not about the ISAKMP SA itself."""

    def deleted(self, sa: "IsakmpSa", delete: Delete) -> None: ...


class IsakmpSa:
    """Times are monotonic seconds; `created` is 0.0 until it is established."""

    def __init__(self, context: Context, owner: HandshakeOwner, facts: Phase1) -> None:
        self.facts = facts
        self.owner = owner
        self.peer: IsakmpOwner | None = None
        self.opened_from = facts.peer.address
        self.begun = context.now
        self.created = 0.0
        self.heard = context.now
        self.refused = False  # a message of this phase 1 was refused
        self.attempt = 1  # which one of ours in a row
        self.exchanges: dict[int, SecuredExchange] = {}
        self.dpd: DeadPeerDetection | None = None
        self.handshake = Handshake(context, facts, self.transmit, self._gave_up)
        self._context = context
        self._state: Phase1State | None = None
        self._seen = MessageIds(context, facts.role, self._aging, self.expire)
        self._early: list[tuple[Header, bytes, Endpoint, Endpoint]] = []
        self._timers: list[Timer] = []
        self._keepalive_timer: Timer | None = None
        self._fragments = 0
        self._announced = False
        self._unsupported: set[ExchangeType] = set()
        self._refusals = Refusals(context)

    @property
    def local(self) -> Endpoint:
        return self.facts.local

    @property
    def remote(self) -> Endpoint:
        return self.facts.peer

    @property
    def cookies(self) -> Cookies:
        return self.facts.cookies

    @property
    def state(self) -> Phase1State:
        return self._state or self.handshake.state

    @property
    def established(self) -> bool:
        return self._state in (Phase1State.ESTABLISHED, Phase1State.DYING)

    @property
    def closed(self) -> bool:
        return self._state is Phase1State.EXPIRED

    @property
    def credible(self) -> bool:
        """Whether more than a forged first message stands behind it, and nothing was refused."""
        return self.facts.is_initiator or not (self.handshake.only_opened or self.refused)

    @property
    def _peer(self) -> IsakmpOwner:
        assert self.peer is not None
        return self.peer

    @property
    def lifetime(self) -> int:
        """Seconds, once it is agreed."""
        return self.facts.agreed.lifetime.seconds or self.facts.remote.lifetime_seconds

    @property
    def keys(self) -> Phase1Keys:
        assert self.facts.keys is not None
        return self.facts.keys

    # --- phase 1 ---

    def receive(self, header: Header, data: bytes, source: Endpoint, local: Endpoint) -> None:
        """A message with our cookies. Raises: PeerError for one that is refused; LocalError."""
        match header.exchange:
            case ExchangeType.INFORMATIONAL:
                self._informational(header, data, source, local)
            case ExchangeType.QUICK:
                self._quick(header, data, source, local)
            case self.facts.exchange:
                self._phase1(header, data, source, local)
            case kind if kind in MODES or kind in self._unsupported:
                raise OutOfTurn(f"exchange type {kind} under this ISAKMP-SA")
            case kind:
                self._unsupported.add(kind)  # the next ones get no answer and no line
                raise UnsupportedExchangeType(f"exchange type {kind} is not supported")

    def _phase1(self, header: Header, data: bytes, source: Endpoint, local: Endpoint) -> None:
        had_keys = self.facts.keys is not None
        self.handshake.receive(header, data, source, local)
        if not self._announced and not self.facts.is_initiator and self.credible:
            self._announce()  # not before: the first message may be forged
        if self.facts.keys is not None and not had_keys and self._context.config.export_keys:
            self._context.emit(
                ExportKeys(
                    initiator_cookie=self.cookies.initiator,
                    encryption_key=self.keys.encryption_key,
                )
            )
        if self.handshake.done and self._state is None:
            self._establish()

    def _announce(self) -> None:
        """At the latest when it is established."""
        if self.handshake.done or self.owner.phase1_may_log():
            self._announced = True
            self._context.info(f"respond new phase 1 negotiation: {self.local}<=>{self.remote}")
            self._context.info(f"begin {MODES[self.facts.exchange]} mode.")

    def _gave_up(self) -> None:
        self.fail("phase1 negotiation failed due to time up.", EventKind.PHASE1_NO_RESPONSE)

    def fail(self, text: str, kind: EventKind) -> None:
        """The negotiation is given up."""
        if self.facts.is_initiator or self.owner.phase1_may_log():
            self._context.error(f"{text} {self.cookies}")
        self._refusals.conclude(self.remote.address)
        self.close(kind)

    def _establish(self) -> None:
        context, facts = self._context, self.facts
        self._state = Phase1State.ESTABLISHED
        self.created = self.heard = context.now
        self.handshake.close(settled=True)
        for vendor in sorted(facts.vendors, key=lambda v: v.name):
            context.info(f"received Vendor ID: {vendor.value.strip()}")
        if facts.nat.version is not None:
            context.info(f"Selected NAT-T version: {facts.nat.version.value.strip()}")
            context.info(str(facts.nat))
        if facts.peer_initial_contact:
            context.info("received INITIAL-CONTACT", self.remote.address)
        context.info(f"ISAKMP-SA established {self.local}-{self.remote} spi:{self.cookies}")
        context.report(EventKind.PHASE1_UP, self.local, self.remote)
        self.peer = self.owner.phase1_authenticated(self)
        self._start_timers()
        self.peer.phase1_established(self)
        early, self._early = self._early, []
        for message in early:
            if not self.closed:
                self._late(*message)

    def _late(self, header: Header, data: bytes, source: Endpoint, local: Endpoint) -> None:
        """A message that came too early."""
        try:
            self.receive(header, data, source, local)
        except PeerError as error:
            self._context.info(f"early message dropped: {error}", source.address)

    def _start_timers(self) -> None:
        context, facts = self._context, self.facts
        self._timers = [
            context.later("phase 1 expires", self.lifetime, self.expire),
            context.later("phase 1 rekey", self._peer.phase1_soft_limit(self), self._aging),
        ]
        if Vendor.DPD in facts.vendors and facts.remote.dpd:
            self.dpd = DeadPeerDetection(
                context, facts.remote, self.cookies, self.notify, self._dead
            )
            self.dpd.start()
        if facts.nat.detected and facts.nat.me and context.config.timers.natt_keepalive > 0:
            context.info(f"KA list add: {self.local}->{self.remote}")
            self._keep_alive()

    def _keep_alive(self) -> None:
        """RFC 3948, 4: keep the NAT's mapping while nothing else is sent."""
        context = self._context
        if context.now > self.created:
            context.emit(SendDatagram(octets=KEEPALIVE, to=self.remote, local=self.local))
        self._keepalive_timer = context.later(
            "NAT keepalive", context.config.timers.natt_keepalive, self._keep_alive
        )

    # --- the end ---

    def _aging(self) -> None:
        if self.state is Phase1State.ESTABLISHED:
            self._state = Phase1State.DYING
            self._peer.phase1_aging(self)

    def _dead(self) -> None:
        self._context.info(
            f"DPD: remote (ISAKMP-SA spi={self.cookies}) seems to be dead.", self.remote.address
        )
        self.close(EventKind.PHASE1_DPD_TIMEOUT)

    def expire(self) -> None:
        """The lifetime is over, or the message IDs are used up."""
        if self.closed:
            return
        self._context.info(f"ISAKMP-SA expired {self.local}-{self.remote} spi:{self.cookies}")
        if self._peer.phase1_is_last(self):
            self.close(EventKind.PHASE1_DOWN)
        else:
            self.delete()

    def delete(self) -> None:
        """End it, and tell the peer."""
        if self.established:
            delete = Delete(ProtocolId.ISAKMP, (bytes(self.cookies),))
            self.say([Payload(PayloadType.DELETE, bytes(delete))])
        self.close(EventKind.PHASE1_DOWN)

    def close(self, kind: EventKind, *, report: bool = True) -> None:
        """End it without a word to the peer."""
        if self.closed:
            return
        was_established = self.established
        self._state = Phase1State.EXPIRED
        self.handshake.close()
        for timer in self._timers:
            timer.cancel()
        if self._keepalive_timer is not None:
            self._keepalive_timer.cancel()
        if self.dpd is not None:
            self.dpd.stop()
        if was_established:
            self._context.info(f"ISAKMP-SA deleted {self.local}-{self.remote} spi:{self.cookies}")
        if report:
            self._context.report(kind, self.local, self.remote)
        (self.peer or self.owner).phase1_closed(self, kind)
        for exchange in self.exchanges.values():
            exchange.close()
        self.exchanges.clear()

    # --- phase 2 ---

    def _keep_early(self, header: Header, data: bytes, source: Endpoint, local: Endpoint) -> None:
        """The peer may be done with phase 1 before its last message gets here."""
        limit = self._context.config.limits.queued_early
        if self.handshake.channel is None or len(self._early) >= limit:
            raise OutOfTurn(f"{header.exchange} before phase 1 is done")
        self._early.append((header, data, source, local))
        if header.exchange == ExchangeType.INFORMATIONAL and self.facts.is_initiator:
            self._refused(None)

    def _quick(self, header: Header, data: bytes, source: Endpoint, local: Endpoint) -> None:
        if not header.flags & Flags.ENCRYPTED:
            raise OutOfTurn("Quick Mode in the clear")
        if not self.established:
            self._keep_early(header, data, source, local)
            return
        exchange = self.exchanges.get(header.message_id)
        if exchange is not None:
            if exchange.receive(header, data):
                self._alive(source, local)
            return
        if header.message_id in self._seen:
            raise OutOfTurn(f"message ID {header.message_id:08x} was used before")
        exchange = self._exchange(header.message_id)
        receiver = self._peer.quick_mode(self, exchange.opened(header, data), exchange)
        exchange.opened_by(data, receiver)
        self._seen.add(header.message_id)
        self.exchanges[header.message_id] = exchange
        self._alive(source, local)
        receiver.proceed()

    def _informational(
        self, header: Header, data: bytes, source: Endpoint, local: Endpoint
    ) -> None:
        if not header.flags & Flags.ENCRYPTED:
            message = Message.parse(header, data)
            self._context.shows("received from", message, source)
            self._context.padded += message.padding > 0
            self._in_the_clear(message)
            return
        if not self.established:
            if not self._refused_under_keys(header, data):
                self._keep_early(header, data, source, local)
            return
        if header.message_id in self._seen:
            raise OutOfTurn("a repeated Informational message")
        message = informational.read(self.keys, self.handshake.last_block, header, data)
        self._shows("received from", message)
        content = informational.content(message)
        self._seen.add(header.message_id)
        self._alive(source, local)
        for item in content:
            if self.closed:
                return
            if isinstance(item, Delete):
                self._peer.deleted(self, item)
            else:
                self._notified(item)

    def _refused_under_keys(self, header: Header, data: bytes) -> bool:
        """Whether this is a notification under our keys before phase 1 is over: the peer has read
        our last message, from whose last block the vector is made, and refuses it.
        """
        if self.handshake.channel is None:
            return False
        try:
            message = informational.read(self.keys, self.handshake.last_block, header, data)
            self._shows("received from", message)
            content = informational.content(message)
        except PeerError:
            return False
        for item in content:
            if isinstance(item, Notification) and item.type.is_error and not self.closed:
                self._refusals.proved(item.type, self.remote.address)
                self._give_up(item.type)
        return True

    def _in_the_clear(self, message: Message) -> None:
        """Anybody may have sent this: people are told, and the exchange goes on."""
        for item in informational.content(message):
            if not isinstance(item, Notification):
                continue
            if self.closed:
                return
            if not self.established:
                self._refused(item.type)
            elif item.type == NotifyType.INVALID_COOKIE and self.dpd is not None:
                self.dpd.probe()

    def _refused(self, kind: NotifyType | None) -> None:
        """The peer, or somebody, refuses our phase 1; None: by a message that cannot be read."""
        enough = self._refusals.heard(kind, self.remote.address)
        if not self.facts.is_initiator:
            self.refused = True
            self.owner.phase1_refused(self)
        elif enough and kind == NotifyType.INVALID_COOKIE and self.owner.phase1_forgotten(self):
            self.close(EventKind.PHASE1_DOWN, report=False)
        elif enough:
            self._give_up(kind)

    def _give_up(self, kind: NotifyType | None) -> None:
        proposal = kind == NotifyType.NO_PROPOSAL_CHOSEN
        self.fail(
            "phase1 negotiation failed, the peer refuses it.",
            EventKind.PHASE1_NO_PROPOSAL if proposal else EventKind.PHASE1_AUTH_FAILED,
        )

    def _notified(self, notification: Notification) -> None:
        match notification.type:
            case NotifyType.R_U_THERE:
                answer = acknowledgement(notification, self.cookies)
                if answer is not None:
                    self.notify(answer)
            case NotifyType.R_U_THERE_ACK:
                pass  # `_alive` has counted it already, as every authenticated message
            case _:
                self._peer.notified(self, notification)

    def _alive(self, source: Endpoint, local: Endpoint) -> None:
        """An authenticated message came, perhaps from a new place (RFC 3947, 4; RFC 3706, 5.5)."""
        self.heard = self._context.now
        if self.dpd is not None:
            self.dpd.heard()
        facts = self.facts
        if self.closed or (local, source) == (facts.local, facts.peer):
            return
        if self._peer.phase1_may_move(self, local, source):
            facts.local, facts.peer = local, source
            self._peer.phase1_moved(self)

    def open_exchange(self, receiver: Receiver) -> SecuredExchange:
        """A Quick Mode exchange of ours."""
        exchange = self._exchange(None)
        exchange.receiver = receiver
        self.exchanges[exchange.message_id] = exchange
        return exchange

    def forget_exchange(self, message_id: int) -> None:
        self.exchanges.pop(message_id, None)

    def _exchange(self, message_id: int | None) -> SecuredExchange:
        """A phase 2 exchange with the peer's message ID, or a fresh one of ours."""
        if message_id is None:
            message_id = self._context.random_number()
            while message_id in self._seen:
                message_id = self._context.random_number()
            self._seen.add(message_id)
        iv = self.keys.phase2_iv(self.handshake.last_block, message_id)
        channel = Channel(self.keys, iv)
        exchange = SecuredExchange(self._context, self.cookies, message_id, channel, self.transmit)
        exchange.shows = self._shows
        return exchange

    def notify(self, notification: Notification) -> None:
        """A protected notification."""
        self.say([Payload(PayloadType.NOTIFY, bytes(notification))])

    def say(self, content: list[Payload]) -> None:
        """An Informational exchange for each payload, under this SA's protection: racoon hashes the
        first one only (RFC 2409, 5.7 has one).
        """
        for payload in content:
            exchange = self._exchange(None)
            payloads = informational.protect(self.keys, exchange.message_id, [payload])
            self.transmit(exchange.sealed(ExchangeType.INFORMATIONAL, payloads))

    def _shows(self, what: str, message: Message) -> None:
        self._context.shows(what, message, self.remote)

    def transmit(self, octets: bytes) -> None:
        """Send to where the peer is now, in fragments if it understands them."""
        facts = self.facts
        if Vendor.FRAGMENTATION in facts.vendors and facts.remote.ike_frag is not Switch.OFF:
            self._fragments = self._fragments % 0xFFFF + 1
            for piece in split(Header.parse(octets), octets, self._fragments):
                self._context.send(piece, self.remote, self.local)
        else:
            self._context.send(octets, self.remote, self.local)

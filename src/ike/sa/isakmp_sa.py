"""One ISAKMP SA: its phase 1 exchange, then the protection of all phase 2 exchanges under it."""

from typing import Final

from ike.commands import EventKind, ExportKeys
from ike.context import Context
from ike.crypto.keys import Cookies, Phase1Keys
from ike.errors import OutOfTurn, PeerError, UnsupportedExchangeType
from ike.isakmp.header import Header
from ike.isakmp.message import Message, Payload
from ike.isakmp.payloads import Delete, Notification
from ike.isakmp.vendor import Vendor
from ike.numbers.isakmp import ExchangeType, Flags, PayloadType, ProtocolId
from ike.phase1.facts import Phase1
from ike.phase1.handshake import Handshake
from ike.phase1.refusals import Refusals
from ike.sa import informational, notices
from ike.sa.dpd import DeadPeerDetection
from ike.sa.exchanges import Exchanges
from ike.sa.keepalive import NatKeepalive
from ike.sa.owner import HandshakeOwner, IsakmpOwner
from ike.sa.protected import MessageIds, Receiver, SecuredExchange
from ike.sa.sender import Sender
from ike.timers import Timer
from ike.values import Endpoint, Phase1State

MODES: Final = {ExchangeType.MAIN: "Identity Protection", ExchangeType.AGGRESSIVE: "Aggressive"}
"""The exchanges of phase 1 that are spoken, by racoon's names."""


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
        self.failure = ""  # why it failed
        self.attempt = 1  # which one of ours in a row
        self.dpd: DeadPeerDetection | None = None
        self._sender = Sender(context, facts)
        self.handshake = Handshake(context, facts, self._sender.send, self._gave_up)
        ids = MessageIds(context, facts.role, self._aging, self.expire)
        self.exchanges = Exchanges(context, self.handshake, facts, self._sender, ids)
        self.context = context
        self._state: Phase1State | None = None
        self._early: list[tuple[Header, bytes, Endpoint, Endpoint]] = []
        self._timers: list[Timer] = []
        self._keepalive: NatKeepalive | None = None
        self._announced = False
        self._unsupported: set[ExchangeType] = set()
        self.refusals = Refusals(context)

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
                notices.receive(self, header, data, source, local)
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
        if self.facts.keys is not None and not had_keys and self.context.config.export_keys:
            self.context.emit(
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
            self.context.info(f"respond new phase 1 negotiation: {self.local}<=>{self.remote}")
            self.context.info(f"begin {MODES[self.facts.exchange]} mode.")

    def _gave_up(self) -> None:
        self.fail("phase1 negotiation failed due to time up.", EventKind.PHASE1_NO_RESPONSE)

    def fail(self, text: str, kind: EventKind) -> None:
        """The negotiation has failed."""
        self.failure = text
        if self.facts.is_initiator or self.owner.phase1_may_log():
            self.context.error(f"{text} {self.cookies}")
        self.refusals.conclude(self.remote.address)
        self.close(kind)

    def _establish(self) -> None:
        context, facts = self.context, self.facts
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
            self.context.info(f"early message dropped: {error}", source.address)

    def _start_timers(self) -> None:
        context, facts = self.context, self.facts
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
            self._keepalive = NatKeepalive(context, facts)

    # --- the end ---

    def _aging(self) -> None:
        if self.state is Phase1State.ESTABLISHED:
            self._state = Phase1State.DYING
            self._peer.phase1_aging(self)

    def _dead(self) -> None:
        self.context.info(
            f"DPD: remote (ISAKMP-SA spi={self.cookies}) seems to be dead.", self.remote.address
        )
        self.close(EventKind.PHASE1_DPD_TIMEOUT)

    def expire(self) -> None:
        """The lifetime is over, or the message IDs are used up."""
        if self.closed:
            return
        self.context.info(f"ISAKMP-SA expired {self.local}-{self.remote} spi:{self.cookies}")
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
        if self._keepalive is not None:
            self._keepalive.stop()
        if self.dpd is not None:
            self.dpd.stop()
        if was_established:
            self.context.info(f"ISAKMP-SA deleted {self.local}-{self.remote} spi:{self.cookies}")
        if report:
            self.context.report(kind, self.local, self.remote)
        (self.peer or self.owner).phase1_closed(self, kind)
        self.exchanges.close()

    # --- phase 2 ---

    def keep_early(self, header: Header, data: bytes, source: Endpoint, local: Endpoint) -> None:
        """The peer may be done with phase 1 before its last message gets here."""
        limit = self.context.config.limits.queued_early
        if self.handshake.channel is None or len(self._early) >= limit:
            raise OutOfTurn(f"{header.exchange} before phase 1 is done")
        self._early.append((header, data, source, local))
        if header.exchange == ExchangeType.INFORMATIONAL and self.facts.is_initiator:
            notices.refused(self, None)

    def _quick(self, header: Header, data: bytes, source: Endpoint, local: Endpoint) -> None:
        if not header.flags & Flags.ENCRYPTED:
            raise OutOfTurn("Quick Mode in the clear")
        if not self.established:
            self.keep_early(header, data, source, local)
            return
        exchange = self.exchanges.find(header.message_id)
        if exchange is not None:
            if exchange.receive(header, data):
                self.alive(source, local)
            return
        if header.message_id in self.exchanges.ids:
            raise OutOfTurn(f"message ID {header.message_id:08x} was used before")
        exchange = self.exchanges.under(header.message_id)
        receiver = self._peer.quick_mode(self, exchange.opened(header, data), exchange)
        exchange.opened_by(data, receiver)
        self.exchanges.keep(exchange)
        self.alive(source, local)
        receiver.proceed()

    def alive(self, source: Endpoint, local: Endpoint) -> None:
        """An authenticated message came, perhaps from a new place (RFC 3947, 4; RFC 3706, 5.5)."""
        self.heard = self.context.now
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
        exchange = self.exchanges.fresh()
        exchange.receiver = receiver
        self.exchanges.keep(exchange)
        return exchange

    def notify(self, notification: Notification) -> None:
        """A protected notification."""
        self.say([Payload(PayloadType.NOTIFY, bytes(notification))])

    def say(self, content: list[Payload]) -> None:
        """An Informational exchange for each payload, under this SA's protection: racoon hashes the
        first one only (RFC 2409, 5.7 has one).
        """
        for payload in content:
            exchange = self.exchanges.fresh()
            payloads = informational.protect(self.keys, exchange.message_id, [payload])
            self._sender.send(exchange.sealed(ExchangeType.INFORMATIONAL, payloads))

    def _shows(self, what: str, message: Message) -> None:
        self.context.shows(what, message, self.remote)

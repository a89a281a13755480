"""Datagrams from the network: which ISAKMP SA they belong to, and which strangers may begin one.

Everything here happens before authentication. So nothing a stranger sends costs more than a bounded
entry in a table, and what we answer and log is bounded by a token bucket.
"""

from ike.commands import EventKind
from ike.config import Config, Limits, Remote, Switch
from ike.context import NON_ESP_MARKER
from ike.crypto.keys import Cookies
from ike.errors import (
    InvalidCookie,
    InvalidMessageId,
    LocalError,
    NoProposalChosen,
    OutOfTurn,
    PeerError,
    UnsupportedExchangeType,
)
from ike.events import DatagramReceived
from ike.isakmp.fragment import Reassembler, Standing
from ike.isakmp.header import NO_COOKIE, Header
from ike.isakmp.message import Message, Payload
from ike.isakmp.payloads import Notification
from ike.numbers.isakmp import ExchangeType, Flags, NotifyType, PayloadType, ProtocolId
from ike.peer.databases import Databases
from ike.peer.half_open import prefix
from ike.peer.peer import Peer
from ike.phase1.facts import Phase1
from ike.rate import RateLimiter, Shares
from ike.sa.isakmp_sa import MODES, IsakmpSa
from ike.values import Address, Role


class Admission:
    """The owner (`HandshakeOwner`) of ISAKMP SAs that others began, up to their authentication."""

    def __init__(self, databases: Databases) -> None:
        self._db = databases
        self._context = databases.context
        self.suppressed = 0  # complaints that were neither logged nor answered
        self._limit(self._context.config.limits)

    def _limit(self, limits: Limits) -> None:
        """Begin to count by `limits`."""
        self._limits = limits
        self._answers = RateLimiter(limits.notifies_per_second)
        self._lines = RateLimiter(limits.notifies_per_second)
        self._opened = RateLimiter(limits.opened_per_second)
        self._opened_by_known = Shares(limits.opened_per_second_per_remote)
        self._opened_by_prefix = Shares(limits.opened_per_second / 2)
        self._fragments = Reassembler(
            message=limits.fragments,
            source=limits.fragment_octets_per_source,
            total=limits.fragment_octets,
        )

    def reload(self, config: Config) -> None:
        """The configuration was read again: a peer that is not authenticated yet starts again if
        anything is different for it. When the limits are the same, all counts go on.
        """
        for sa in self._db.half_open:
            facts, name = sa.facts, sa.facts.key_name
            now = config.remote_for(facts.peer.address, facts.remote.port)
            key = None if name is None else facts.pre_shared_keys.find(name)
            if now != facts.remote or (name is not None and config.keys.find(name) != key):
                sa.close(EventKind.PHASE1_DOWN)
        if config.limits != self._limits:
            self._limit(config.limits)

    def receive(self, event: DatagramReceived) -> None:
        """One datagram; nothing in it can raise."""
        self._context.date = event.date
        octets = event.octets
        if event.local.port == self._context.config.natt_port:
            if not octets.startswith(NON_ESP_MARKER):
                return  # a keepalive, or ESP
            octets = octets[len(NON_ESP_MARKER) :]
        header = None
        sa = None
        try:
            header, octets = self._message(octets)
            if header.next_payload == PayloadType.FRAGMENT:
                whole = self._whole(header, octets, event)
                if whole is None:
                    return
                header, octets = self._message(whole)
            limit = self._context.config.limits.message_in_the_clear
            if not header.flags & Flags.ENCRYPTED and len(octets) > limit:
                raise OutOfTurn(f"{len(octets)} octets in the clear")
            sa = self._db.cookies.find(header, event.source)
            if sa is None:
                sa = self._stranger(header, event)
            sa.receive(header, octets, event.source, event.local)
        except LocalError as error:
            if self._answers.allow(self._context.now):
                self._context.error(str(error), event.source.address)
            if sa is not None and not sa.established:
                sa.close(EventKind.PHASE1_AUTH_FAILED)
        except PeerError as error:
            self._complain(error, header, sa, event)

    def _message(self, octets: bytes) -> tuple[Header, bytes]:
        """The header, and the message without what is behind it. Raises: PeerError."""
        header = Header.parse(octets)
        self._context.padded += header.length < len(octets)
        return header, octets[: header.length]

    def _whole(self, header: Header, octets: bytes, event: DatagramReceived) -> bytes | None:
        remote = self._context.config.remote_for(event.source.address, event.source.port)
        if remote is None or remote.ike_frag is Switch.OFF:
            raise OutOfTurn("a fragment, though ike_frag is off")
        sa = self._db.cookies.find(header, event.source)
        if sa is not None and sa.remote.address == event.source.address:
            standing = Standing.COOKIES
        else:
            standing = Standing.STRANGER if remote.address is None else Standing.REMOTE
        return self._fragments.add(header, octets, event.source, self._context.now, standing)

    def _stranger(self, header: Header, event: DatagramReceived) -> IsakmpSa:
        """A message that belongs to no ISAKMP SA: the first of a new one, or an error.

        Raises: PeerError.
        """
        if header.exchange == ExchangeType.INFORMATIONAL:
            raise OutOfTurn("an Informational message that belongs to no ISAKMP-SA")
        if header.responder_cookie != NO_COOKIE:
            raise InvalidCookie(f"no ISAKMP-SA {_cookies(header)}")
        if header.exchange not in MODES:
            raise UnsupportedExchangeType(f"exchange type {header.exchange} is not supported")
        if header.message_id:
            raise InvalidMessageId("a message ID other than 0 in phase 1")
        remote = self._context.config.remote_for(event.source.address, event.source.port)
        if remote is None:
            raise NoProposalChosen("couldn't find configuration.")
        if header.exchange not in remote.exchange_modes:
            raise UnsupportedExchangeType(f"not acceptable {MODES[header.exchange]} mode")
        address = event.source.address
        known = remote.address is not None or self._db.pad.was_here(address)
        self._check_rates(address, known=known)
        leaves = self._db.half_open.room_for(address, self._context.config.limits, known=known)
        if leaves is not None:
            self._context.debug(f"half-open negotiation dropped: {leaves.cookies}")
            leaves.close(EventKind.PHASE1_DOWN, report=False)
        sa = self._responder(remote, header, event)
        self._db.half_open.add(sa, known=known)
        self._db.cookies.add(sa)
        return sa

    def _check_rates(self, address: Address, *, known: bool) -> None:
        """First messages: of one that is known a few; of strangers many, as all peers of `remote
        anonymous` may begin at once after a power cut, but half of them from one prefix. A peer
        whose message is dropped now sends it again. Raises: OutOfTurn.
        """
        now = self._context.now
        if known:
            allowed = self._opened_by_known.allow(address, now)
        else:
            allowed = self._opened_by_prefix.allow(prefix(address), now) and self._opened.allow(now)
        if not allowed:
            raise OutOfTurn("too many first messages at once")

    def _responder(self, remote: Remote, header: Header, event: DatagramReceived) -> IsakmpSa:
        context = self._context
        facts = Phase1(
            role=Role.RESPONDER,
            exchange=header.exchange,
            remote=remote,
            pre_shared_keys=context.config.keys,
            entropy=context.entropy,
            cookies=Cookies(initiator=header.initiator_cookie, responder=context.entropy(8)),
            local=event.local,
            peer=event.source,
            date=lambda: context.date,
        )
        return IsakmpSa(context, self, facts)

    # --- as the owner of SAs that are not authenticated ---

    def phase1_authenticated(self, sa: IsakmpSa) -> Peer:
        self._db.half_open.remove(sa)
        return self._db.pad.authenticated(sa)

    def phase1_refused(self, sa: IsakmpSa) -> None:
        self._serve(sa.opened_from)

    def phase1_may_log(self) -> bool:
        return self._lines.allow(self._context.now)

    def phase1_forgotten(self, sa: IsakmpSa) -> bool:  # noqa: ARG002
        return False

    def phase1_closed(self, sa: IsakmpSa, kind: EventKind) -> None:  # noqa: ARG002
        self._db.half_open.remove(sa)
        self._db.cookies.remove(sa)
        self._serve(sa.opened_from)

    def _serve(self, address: Address) -> None:
        """Who waited for this phase 1 waits for nothing."""
        for peer in self._db.pad.at(address):
            peer.go_on()

    # --- complaints ---

    def _complain(
        self, error: PeerError, header: Header | None, sa: IsakmpSa | None, event: DatagramReceived
    ) -> None:
        """Log what was wrong and answer, within bounds (RFC 2408, 5: notify where it says so)."""
        peer = event.source.address
        if isinstance(error, OutOfTurn):
            self._context.debug(f"message ignored: {error}", peer)
            return
        allowed = self._answers.allow(self._context.now)
        if sa is not None and sa.handshake.nothing_received:
            sa.close(EventKind.PHASE1_NO_PROPOSAL, report=allowed)
        elif sa is not None and sa.owner is self and not sa.refused:
            sa.refused = True
            self.phase1_refused(sa)
        if not allowed:
            self.suppressed += 1
            return
        if self.suppressed:
            self._context.warning(f"{self.suppressed} refused messages were not logged")
        self.suppressed = 0
        what = f"{header.exchange.name.capitalize()} message" if header is not None else "Message"
        self._context.error(f"{what} refused: {error}", peer)
        if header is None or error.notify is None:
            return
        if header.exchange == ExchangeType.INFORMATIONAL:
            return  # an answer to an answer could go on for ever
        if sa is None or not sa.established:
            self._answer(error.notify, header, event)
        elif isinstance(error, UnsupportedExchangeType):  # once for each type
            sa.notify(_notification(error.notify, header))
        # A protected answer to anything else would cost a message ID each, for any sender.

    def _answer(self, kind: NotifyType, header: Header, event: DatagramReceived) -> None:
        notification = _notification(kind, header)
        message = Message(
            initiator_cookie=header.initiator_cookie,
            responder_cookie=header.responder_cookie,
            exchange=ExchangeType.INFORMATIONAL,
            payloads=(Payload(PayloadType.NOTIFY, bytes(notification)),),
            message_id=self._context.random_number(),
        )
        self._context.shows("sent to", message, event.source)
        self._context.send(bytes(message), event.source, event.local)


def _notification(kind: NotifyType, header: Header) -> Notification:
    spi = header.initiator_cookie + header.responder_cookie
    return Notification(kind, ProtocolId.ISAKMP, spi)


def _cookies(header: Header) -> str:
    return f"{header.initiator_cookie.hex()}:{header.responder_cookie.hex()}"

"""Datagrams from the network: whose they are, and what to say to those that are nobody's.

Everything here happens before authentication. So nothing a stranger sends costs more than a bounded
entry in a table, and what we answer and log is bounded by a token bucket.
"""

from ike.commands import EventKind
from ike.config import Switch
from ike.context import NON_ESP_MARKER, Context
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
from ike.isakmp.fragment import Reassembler
from ike.isakmp.header import NO_COOKIE, Header
from ike.isakmp.message import Message, Payload
from ike.isakmp.payloads import Notification
from ike.numbers.isakmp import ExchangeType, Flags, NotifyType, PayloadType, ProtocolId
from ike.peer.book import Book
from ike.peer.keeper import Keeper
from ike.rate import RateLimiter
from ike.sa.isakmp_sa import MODES, Isakmp
from ike.values import Role


class Intake:
    def __init__(self, context: Context, book: Book, keeper: Keeper) -> None:
        self._context = context
        self._book = book
        self._keeper = keeper
        self._answers = RateLimiter(context.config.limits.notifies_per_second)
        self._fragments = Reassembler(context.config.limits.fragments)
        self._openings: dict[str, RateLimiter] = {}  # by the remote's name
        self.suppressed = 0  # complaints that were neither logged nor answered

    def receive(self, event: DatagramReceived) -> None:
        """One datagram; nothing in it can raise."""
        self._context.date = event.date
        octets = event.octets
        if event.local.port == self._context.config.natt_port:
            if not octets.startswith(NON_ESP_MARKER):
                return  # a keepalive, or ESP that is none of our business
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
            sa = self._book.find(header, event.source)
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
        return self._fragments.add(header, octets, event.source, self._context.now)

    def _stranger(self, header: Header, event: DatagramReceived) -> Isakmp:
        """A message that belongs to no ISAKMP SA: the first of a new one, or an error.

        Raises: PeerError.
        """
        if header.exchange == ExchangeType.INFORMATIONAL:
            raise OutOfTurn("an Informational message of no ISAKMP-SA")
        if header.responder_cookie != NO_COOKIE:
            raise InvalidCookie(f"no ISAKMP-SA {_cookies(header)}")
        if header.exchange not in MODES:
            raise UnsupportedExchangeType(f"exchange type {header.exchange} is not supported")
        if header.message_id:
            raise InvalidMessageId("a message ID in phase 1")
        remote = self._context.config.remote_for(event.source.address, event.source.port)
        if remote is None:
            raise NoProposalChosen("couldn't find configuration.")
        if header.exchange not in remote.exchange_modes:
            raise UnsupportedExchangeType(f"not acceptable {MODES[header.exchange]} mode")
        per_second = self._context.config.limits.opened_per_second_per_remote
        if not self._openings.setdefault(remote.name, RateLimiter(per_second)).allow(
            self._context.now
        ):
            raise OutOfTurn("too many first messages at once")
        self._make_room(event)
        cookies = Cookies(initiator=header.initiator_cookie, responder=self._context.entropy(8))
        sa = self._keeper.new_isakmp(
            Role.RESPONDER, remote, header.exchange, event.local, event.source, cookies
        )
        self._book.add(sa)
        return sa

    def _make_room(self, event: DatagramReceived) -> None:
        """Keep the half-open negotiations bounded: the oldest that never went on makes room.

        A forged flood in the name of a peer so cannot keep that peer out, whose own first message
        lives long enough for its second. Raises: OutOfTurn when there is no room.
        """
        limits = self._context.config.limits
        here = self._book.half_open(event.source.address)
        if len(here) >= limits.half_open_per_address:
            self._drop_oldest(here)
        everywhere = self._book.half_open()
        if len(everywhere) >= limits.half_open:
            self._drop_oldest(everywhere)

    def _drop_oldest(self, half_open: list[Isakmp]) -> None:
        for sa in half_open:
            if sa.handshake.only_opened:
                self._context.debug(f"half-open negotiation dropped: {sa.cookies}")
                sa.close(EventKind.PHASE1_DOWN, report=False)
                return
        raise OutOfTurn("too many negotiations at once")

    # --- complaints ---

    def _complain(
        self, error: PeerError, header: Header | None, sa: Isakmp | None, event: DatagramReceived
    ) -> None:
        """Log what was wrong and answer, within bounds (RFC 2408, 5: notify where it says so)."""
        peer = event.source.address
        if isinstance(error, OutOfTurn):
            self._context.debug(f"message ignored: {error}", peer)
            return
        allowed = self._answers.allow(self._context.now)
        if sa is not None and sa.handshake.nothing_received:
            sa.close(EventKind.PHASE1_NO_PROPOSAL, report=allowed)
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
        if sa is not None and sa.established:
            sa.notify(self._notification(error.notify, header))
        else:
            self._answer(error.notify, header, event)

    def _answer(self, kind: NotifyType, header: Header, event: DatagramReceived) -> None:
        notification = self._notification(kind, header)
        message = Message(
            initiator_cookie=header.initiator_cookie,
            responder_cookie=header.responder_cookie,
            exchange=ExchangeType.INFORMATIONAL,
            payloads=(Payload(PayloadType.NOTIFY, bytes(notification)),),
            message_id=self._context.random_number(),
        )
        self._context.send(bytes(message), event.source, event.local)

    def _notification(self, kind: NotifyType, header: Header) -> Notification:
        spi = header.initiator_cookie + header.responder_cookie
        return Notification(kind, ProtocolId.ISAKMP, spi)


def _cookies(header: Header) -> str:
    return f"{header.initiator_cookie.hex()}:{header.responder_cookie.hex()}"

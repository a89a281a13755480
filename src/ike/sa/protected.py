"""One phase 2 exchange as its ISAKMP SA sees it: a message ID, a chain of vectors, repeats."""

from collections.abc import Callable
from typing import Final, Protocol

from ike.context import Context
from ike.crypto.channel import Channel
from ike.crypto.keys import Cookies
from ike.errors import OutOfTurn
from ike.isakmp.header import Header
from ike.isakmp.message import Message, Payload
from ike.numbers.isakmp import ExchangeType
from ike.retransmission import Retransmitter
from ike.values import Role

MAX_IDS: Final = 16384
"""Message IDs of one ISAKMP SA; each costs some 70 octets of memory."""

RENEW_IDS: Final = {Role.INITIATOR: MAX_IDS * 3 // 4, Role.RESPONDER: MAX_IDS * 7 // 8}
"""So many used: time for another ISAKMP SA. Not at both ends at once."""


class Receiver(Protocol):
    """Who takes the messages of an exchange."""

    def take(self, message: Message) -> None:
        """Check and take it. Raises: PeerError, and then nothing has happened."""

    def proceed(self) -> None:
        """Go on after a message that was taken."""

    def no_answer(self) -> None:
        """All resending was in vain."""


class SecuredExchange:
    """`receiver` is set by who runs the exchange, before the first answer can come.

    `shows` gets every message, for `log debug`.
    """

    def __init__(
        self,
        context: Context,
        cookies: Cookies,
        message_id: int,
        channel: Channel,
        transmit: Callable[[bytes], None],
    ) -> None:
        self.message_id = message_id
        self.channel = channel
        self.receiver: Receiver | None = None
        self.shows: Callable[[str, Message], None] = lambda *_: None
        self._cookies = cookies
        self._received: list[bytes] = []
        self._eager = False
        self._retransmitter = Retransmitter(context, "phase 2 resend", transmit, self._no_answer)

    def opened(self, header: Header, data: bytes) -> Message:
        """Decrypted; nothing is accepted yet. Raises: PayloadMalformed."""
        message = self.channel.open(header, data)
        self.shows("received from", message)
        return message

    def opened_by(self, data: bytes, receiver: Receiver) -> None:
        """The peer's first message, which `receiver` has taken."""
        self.receiver = receiver
        self._eager = True
        self._received.append(data)
        self.channel.accept(data)

    def receive(self, header: Header, data: bytes) -> bool:
        """An encrypted message with this ID; False for a repeated one. Raises: IkeError."""
        if data in self._received:
            if data == self._received[-1]:
                self._retransmitter.repeat(eager=self._eager)
            return False
        if self.receiver is None:
            raise OutOfTurn("the exchange is finished")
        self.receiver.take(self.opened(header, data))
        self._received.append(data)
        self.channel.accept(data)
        self._retransmitter.stop()
        self.receiver.proceed()
        return True

    def send(self, payloads: tuple[Payload, ...], *, awaited: bool) -> None:
        """The next message of this exchange, which is Quick Mode."""
        octets = self.sealed(ExchangeType.QUICK, payloads)
        self._retransmitter.send(octets, awaited=awaited)

    def sealed(self, exchange: ExchangeType, payloads: tuple[Payload, ...]) -> bytes:
        message = Message(
            initiator_cookie=self._cookies.initiator,
            responder_cookie=self._cookies.responder,
            exchange=exchange,
            payloads=payloads,
            message_id=self.message_id,
            encrypted=True,
        )
        self.shows("sent to", message)
        return self.channel.seal(message)

    def close(self) -> None:
        """No more resending; repeats of the peer's last message are still answered."""
        self._retransmitter.settle()

    def _no_answer(self) -> None:
        if self.receiver is not None:
            self.receiver.no_answer()


class MessageIds:
    """Message IDs used so far under one ISAKMP SA, by both sides.

    None is forgotten while the SA lives, or a replay of the message could be taken for a new one.
    So an SA has a lifetime in IDs, too: it is renewed before MAX_IDS are used, and ends with them.
    """

    def __init__(
        self, context: Context, role: Role, renew: Callable[[], None], end: Callable[[], None]
    ) -> None:
        self._context = context
        self._ids: set[int] = set()
        self._limits = {
            RENEW_IDS[role]: ("phase 1 rekey", renew),
            MAX_IDS: ("phase 1 expires", end),
        }

    def __contains__(self, message_id: int) -> bool:
        return message_id in self._ids

    def add(self, message_id: int) -> None:
        """An exchange has this ID. What follows from their number waits for its end."""
        self._ids.add(message_id)
        limit = self._limits.pop(len(self._ids), None)
        if limit is not None:
            self._context.later(limit[0], 0.0, limit[1])

"""Runs a phase 1 exchange by its table: whose turn it is, what is repeated, when to give up.

Before authentication anybody can send us anything, so a bad message is refused but does not end the
exchange; only a timeout does. Nothing of a refused message is kept: a row takes it into a copy of
the facts. A repeated message is answered here and never reaches the table, one that was refused is
not judged again: each row sees one message, decrypted and checked.
"""

from collections.abc import Callable

from ike.context import Context
from ike.crypto.channel import Channel
from ike.crypto.keys import Cookies
from ike.doi.compared import phase1_compared
from ike.doi.select_phase1 import phase1_suites
from ike.errors import InvalidCookie, OutOfTurn, PayloadMalformed, PeerError
from ike.isakmp.header import Header
from ike.isakmp.message import Message
from ike.isakmp.table import Step
from ike.numbers.isakmp import Flags
from ike.phase1.facts import Phase1
from ike.phase1.tables import table
from ike.retransmission import Retransmitter
from ike.timers import Timer
from ike.values import Endpoint, Phase1State, Role

NATT_PORT = 4500  # RFC 3947, 4


class Handshake:
    """`gave_up` is called when the peer does not go on."""

    def __init__(
        self,
        context: Context,
        facts: Phase1,
        transmit: Callable[[bytes], None],
        gave_up: Callable[[], None],
    ) -> None:
        self.channel: Channel | None = None
        self._context = context
        self._facts = facts
        self._gave_up = gave_up
        self._row = 0
        self._received: list[bytes] = []
        self._verdict: tuple[bytes, Endpoint, PeerError] | None = None  # on the last refused one
        self._patience: Timer | None = None
        self._retransmitter = Retransmitter(context, "phase 1 resend", transmit, gave_up)

    @property
    def done(self) -> bool:
        return self._row == len(table(self._facts))

    @property
    def last_block(self) -> bytes:
        """Of what was encrypted so far; phase 2's vectors start from it (RFC 2409, appendix B)."""
        assert self.channel is not None
        return self.channel.iv

    @property
    def state(self) -> Phase1State:
        """By the number of messages that we have sent, as racoon counts them."""
        sent = (self._row + self._facts.is_initiator) // 2
        return Phase1State(min(2 * sent + 1, Phase1State.MSG3_SENT))

    @property
    def only_opened(self) -> bool:
        """As responder: whether the initiator has sent no more than its first message, so that its
        address may be forged.
        """
        return len(self._received) == 1

    @property
    def nothing_received(self) -> bool:
        """Whether no message was accepted so far, and none sent."""
        return self._row == 0

    def start(self) -> None:
        """Send the first message, as initiator. Raises: LocalError."""
        self._say(table(self._facts)[0])

    def receive(self, header: Header, data: bytes, source: Endpoint, local: Endpoint) -> None:
        """A message of this exchange. Raises: PeerError for one that is refused; LocalError."""
        if data in self._received:
            if data == self._received[-1]:
                self._retransmitter.repeat(eager=not self._facts.is_initiator)
            return
        if self.done:
            raise OutOfTurn("phase 1 is over")
        step = table(self._facts)[self._row]
        message = self._opened(header, data, step)
        self._context.shows("received from", message, source)
        if self.nothing_received and not self._facts.is_initiator:
            self._show_comparison(message)
        step.turn.check(Role.RESPONDER if self._facts.is_initiator else Role.INITIATOR, message)
        self._judge(step, message, data, source, local)
        self._accepted(data, encrypted=message.encrypted)
        self._go_on()

    def _show_comparison(self, message: Message) -> None:
        remote = self._facts.remote
        lines = phase1_compared(message, phase1_suites(remote), remote.proposal_check)
        self._context.detail(lines, self._facts.peer.address)

    def _opened(self, header: Header, data: bytes, step: Step[Phase1]) -> Message:
        if not header.flags & Flags.ENCRYPTED:
            message = Message.parse(header, data)
            self._context.padded += message.padding > 0
            return message
        if self.channel is None or step.turn.encrypted is False:
            raise OutOfTurn("encrypted, before there are keys")
        try:
            return self.channel.open(header, data)
        except PayloadMalformed as error:
            raise PayloadMalformed(
                f"it cannot be decrypted ({error}); is the pre-shared key the same at both ends?"
            ) from error

    def _judge(
        self,
        step: Step[Phase1],
        message: Message,
        data: bytes,
        source: Endpoint,
        local: Endpoint,
    ) -> None:
        """Take the message, unless these very octets were refused before: that may have cost a
        Diffie-Hellman exchange or a chain of signatures. Raises: PeerError; LocalError.
        """
        if self._verdict is not None and self._verdict[:2] == (data, source):
            raise self._verdict[2].with_traceback(None)
        try:
            self._take(step, message, source, local)
        except PeerError as error:
            self._verdict = (data, source, error)
            raise

    def _take(
        self, step: Step[Phase1], message: Message, source: Endpoint, local: Endpoint
    ) -> None:
        """Let the row take the message, with the addresses and cookies that it came with."""
        if message.initiator_cookie == message.responder_cookie:
            raise InvalidCookie("both cookies are the same: our message was reflected")
        facts = self._facts.copy()
        moved = (local, source) != (facts.local, facts.peer)
        if moved and (facts.nat.version is None or not _same_addresses(facts, local, source)):
            raise OutOfTurn(f"from {source} to {local}, in a negotiation with {facts.peer}")
        facts.local, facts.peer = local, source
        ours = facts.cookies.responder
        facts.cookies = Cookies(
            initiator=message.initiator_cookie,
            responder=message.responder_cookie if facts.is_initiator else ours,
        )
        step.take(facts, message)
        if moved and not facts.nat.detected:
            raise OutOfTurn(f"from {source} to {local}, and there is no NAT")
        self._facts.become(facts)

    def _accepted(self, data: bytes, *, encrypted: bool) -> None:
        self._received.append(data)
        self._row += 1
        self._retransmitter.stop()
        if encrypted and self.channel is not None:
            self.channel.accept(data)
        elif self.channel is None and self._facts.keys is not None:
            keys = self._facts.keys
            self.channel = Channel(keys, keys.first_iv(self._facts.public))

    def _go_on(self) -> None:
        """After a message was accepted: our turn, or the end."""
        if self.channel is not None and self._facts.is_initiator:
            self._float()
        if not self.done:
            self._say(table(self._facts)[self._row])
        if self.done and self._patience is not None:
            self._patience.cancel()

    def _float(self) -> None:
        """RFC 3947, 4: on to port 4500, as soon as a NAT is seen."""
        facts, natt_port = self._facts, self._context.config.natt_port
        if facts.nat.detected and facts.local.port != natt_port:
            facts.local = facts.local.with_port(natt_port)
            facts.peer = facts.peer.with_port(NATT_PORT)

    def _say(self, step: Step[Phase1]) -> None:
        encrypted = step.turn.encrypted is not False
        message = Message(
            initiator_cookie=self._facts.cookies.initiator,
            responder_cookie=self._facts.cookies.responder,
            exchange=self._facts.exchange,
            payloads=tuple(step.build(self._facts)),
            encrypted=encrypted,
        )
        if encrypted:
            assert self.channel is not None
            octets = self.channel.seal(message)
        else:
            octets = bytes(message)
        self._context.shows("sent to", message, self._facts.peer)
        self._row += 1
        self._retransmitter.send(octets, awaited=self._facts.is_initiator)
        if not self._facts.is_initiator:
            self._be_patient()

    def _be_patient(self) -> None:
        """As responder, which does not resend by itself: wait as long as the initiator may try. But
        when nothing is left to the initiator than to prove who it is, that is soon done: what costs
        most to hold is held for the shortest time.
        """
        if self._patience is not None:
            self._patience.cancel()
        timers = self._context.config.timers
        wait = timers.interval * (timers.counter + 1)
        if self._facts.keys is not None:
            wait = min(wait, self._context.config.limits.patience_after_proof)
        self._patience = self._context.later("phase 1 patience", wait, self._gave_up)

    def close(self, *, settled: bool = False) -> None:
        """Stop all timers. `settled`: repeats of the peer's last message are still answered."""
        if settled:
            self._retransmitter.settle()
        else:
            self._retransmitter.stop()
        if self._patience is not None:
            self._patience.cancel()


def _same_addresses(facts: Phase1, local: Endpoint, source: Endpoint) -> bool:
    """In phase 1 a NAT may change ports (RFC 3947, 4). A message from another address is not the
    peer's: the remote and its key were chosen by the address.
    """
    return (local.address, source.address) == (facts.local.address, facts.peer.address)

"""A RADIUS server in memory, on pyrad, with our EAP-TLS server behind it: a core without I/O."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pyrad.packet import AuthPacket

from eapol import eap
from eapol.eap import EapCode, EapType, Packet
from eapol.engine import TlsContext
from eapol.methods.tls_server import START_PACKET, TlsServerMethod, Turn, Verdict
from radius.codec import dictionary, split
from radius.events import Received, Send
from radius.numbers import MICROSOFT, MS_MPPE_RECV_KEY, MS_MPPE_SEND_KEY, Code
from radius.numbers import AttributeType as A
from wire.timer import TimerFired


@dataclass(slots=True)
class _Conversation:
    identifier: int
    method: TlsServerMethod | None = None


@dataclass(slots=True)
class RadiusServer:
    """Answers each `Received` by `Send`s with the same port number.

    `reply` are attributes by name for the Access-Accept, `words` the Reply-Message of a rejection.
    `wrong_keys`: the MPPE keys are others than the MSK's halves. `signed` False leaves the
    Message-Authenticator out. `lie` changes code and EAP packet of an answer before it is signed,
    `tamper` sees each answer and says what is sent in its place.
    """

    tls: TlsContext
    date: Callable[[], datetime]
    secret: bytes = b"radius"
    fragment_size: int = 1020
    reply: dict[str, object] = field(default_factory=dict)
    words: str = ""
    refuse: frozenset[bytes] = frozenset()
    keys: bool = True
    wrong_keys: bool = False
    signed: bool = True
    silent: bool = False
    requests: list[bytes] = field(default_factory=list)
    answered: dict[tuple[int, int, bytes], bytes] = field(default_factory=dict)
    lie: Callable[[Code, bytes], tuple[Code, bytes]] = lambda code, message: (code, message)
    tamper: Callable[[bytes], Sequence[bytes]] = lambda octets: [octets]
    deadline: float | None = None
    _conversations: dict[bytes, _Conversation] = field(default_factory=dict)
    _states: int = 0

    def handle(self, event: Received | TimerFired, _now: float) -> Sequence[Send]:
        if isinstance(event, TimerFired):
            return ()
        self.requests.append(event.octets)
        request = AuthPacket(packet=event.octets, secret=self.secret, dict=dictionary())
        if self.silent or not request.message_authenticator:
            return ()
        if not request.verify_message_authenticator():
            return ()
        known = event.port, request.id, request.authenticator  # RFC 5080, 2.2.2
        if known not in self.answered:
            self.answered[known] = self._answer(request)
        return [Send(port=event.port, octets=each) for each in self.tamper(self.answered[known])]

    def _answer(self, request: AuthPacket) -> bytes:
        if request.code == Code.STATUS_SERVER:
            return bytes(request.CreateReply().ReplyPacket())
        packet = Packet.parse(b"".join(request.get(int(A.EAP_MESSAGE), [])))
        state = request.get(int(A.STATE), [b""])[0]
        if packet.method == EapType.IDENTITY:
            if packet.data in self.refuse:
                return self._end(request, packet.identifier, None)
            return self._begin(request, packet.identifier)
        conversation = self._conversations.pop(state)
        if packet.method != EapType.TLS or packet.identifier != conversation.identifier:
            return self._end(request, packet.identifier, None)
        assert conversation.method is not None
        return self._turn(request, conversation, conversation.method.process(packet.data))

    def _begin(self, request: AuthPacket, identifier: int) -> bytes:
        method = TlsServerMethod(
            self.tls.connection(self.date()), fragment_size=self.fragment_size, promise=True
        )
        return self._challenge(request, _Conversation(identifier, method), START_PACKET)

    def _turn(self, request: AuthPacket, conversation: _Conversation, turn: Turn) -> bytes:
        if turn.data is not None:
            return self._challenge(request, conversation, turn.data)
        accepted = turn.verdict is Verdict.SUCCESS
        return self._end(
            request, conversation.identifier, conversation.method if accepted else None
        )

    def _challenge(self, request: AuthPacket, conversation: _Conversation, data: bytes) -> bytes:
        conversation.identifier = (conversation.identifier + 1) & 0xFF
        self._states += 1
        state = self._states.to_bytes(8, "big")
        self._conversations[state] = conversation
        asked = bytes(eap.request(conversation.identifier, EapType.TLS, data))
        return self._reply(request, Code.ACCESS_CHALLENGE, asked, {int(A.STATE): [state]})

    def _end(self, request: AuthPacket, identifier: int, method: TlsServerMethod | None) -> bytes:
        code = EapCode.SUCCESS if method is not None else EapCode.FAILURE
        last = bytes(Packet(code, identifier))
        if method is None:
            said = {int(A.REPLY_MESSAGE): [self.words.encode()]} if self.words else {}
            return self._reply(request, Code.ACCESS_REJECT, last, said)
        msk = bytes(64) if self.wrong_keys else method.keys().msk.reveal()
        method.connection.close(success=True)
        keys: dict[object, list[bytes]] = {}
        if self.keys:
            keys[MICROSOFT, MS_MPPE_RECV_KEY] = [request.SaltCrypt(msk[:32])]
            keys[MICROSOFT, MS_MPPE_SEND_KEY] = [request.SaltCrypt(msk[32:])]
        return self._reply(request, Code.ACCESS_ACCEPT, last, keys)

    def _reply(
        self, request: AuthPacket, code: Code, message: bytes, attributes: Mapping[Any, list[bytes]]
    ) -> bytes:  # fmt: skip
        code, message = self.lie(code, message)
        reply = request.CreateReply(message_authenticator=self.signed)
        reply.code = int(code)
        reply[int(A.EAP_MESSAGE)] = list(split(message))
        for key, values in attributes.items():
            reply[key] = values
        if code == Code.ACCESS_ACCEPT:
            for name, value in self.reply.items():
                reply.AddAttribute(name, value)
        return bytes(reply.ReplyPacket())

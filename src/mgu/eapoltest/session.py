"""One station's authentications: the supplicant on one side, RADIUS on the other.

A core without I/O, in the place of a switch: what the supplicant says goes into Access-Requests,
what the server answers becomes frames. A supplicant is kept for all authentications of its
station, as on a port, so that sessions are resumed. The session has no deadline: an answer, or that
there is none, comes by `Query.until` at the latest; the supplicant's timers are looked at then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final

from eapol.eap import EapType, Packet, request
from eapol.engine import ClientTlsContext
from eapol.events import (
    Command,
    Event,
    FrameReceived,
    LinkChanged,
    Look,
    Looked,
    PortAuthorized,
    Reconnect,
    SendFrame,
    Tell,
    UseNetwork,
)
from eapol.frame import Frame, PacketType
from eapol.notices import MethodSelected, Notice, PeerCertificateOctets, printable
from eapol.settings import Network
from eapol.status import TlsStatus
from eapol.supplicant import Supplicant
from radius import codec
from radius.eap import Conversation, Reply, Verdict
from radius.errors import Malformed
from radius.events import Answered, Failed
from radius.numbers import AttributeType
from radius.packet import Attributes
from radius.packet import Packet as RadiusPacket
from wire.secret import Secret

_SWITCH: Final = bytes.fromhex("0200000000fe")
_MSK: Final = 64  # octets, of which the two MPPE keys are the halves (RFC 5216, 2.3)


class Outcome(Enum):
    """How an authentication ended; `exit_code` is eapol_test's for it."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NO_ANSWER = "no answer"
    WRONG_KEYS = "wrong keys"
    NOT_ACCEPTED_BY_US = "not accepted by us"
    UNEXPECTED = "unexpected attributes"

    @property
    def exit_code(self) -> int:
        return _EXITS[self]


_EXITS: Final = {
    Outcome.ACCEPTED: 0,
    Outcome.REJECTED: 253,
    Outcome.NO_ANSWER: 254,
    Outcome.WRONG_KEYS: 252,
    Outcome.NOT_ACCEPTED_BY_US: 1,
    Outcome.UNEXPECTED: 251,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`seconds` from the first Access-Request to the verdict, `rounds` are Access-Requests.

    `keys`: whether the server's MPPE keys are the halves of our MSK; None if there are none.
    `key_name`: the same of EAP-Key-Name and our Session-Id. `reason` is empty after success.
    """

    outcome: Outcome
    reason: str
    seconds: float
    rounds: int
    server: int | None = None
    method: str | None = None
    tls: TlsStatus | None = None
    keys: bool | None = None
    key_name: bool | None = None
    message: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    certificates: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Authenticate, now or again. `date` is the one that certificates are judged at."""

    date: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    answer: Answered | Failed
    date: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Ask the server; answered by `Replied`, at the latest at `until`, monotonic seconds."""

    attributes: Attributes
    server: int | None
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """Who authenticates, and what is demanded. `attributes` go along with every request.

    `secrets` are the servers', in their order. `expect`: name and value of attributes that the
    Access-Accept must have. `timeout`: seconds. `named` False: the results have no attributes.
    """

    network: Network
    attributes: Attributes = ()
    secrets: tuple[Secret, ...]
    keys_expected: bool = True
    expect: tuple[tuple[str, str], ...] = ()
    dictionaries: tuple[str, ...] = ()
    timeout: float = 30.0
    named: bool = True


class Session:
    """`entropy(n)` gives n random octets, for the EAP methods."""

    def __init__(
        self, station: Station, tls: ClientTlsContext | None, entropy: Callable[[int], bytes]
    ) -> None:
        self._station = station
        self._supplicant = Supplicant(entropy=entropy)
        self._out: list[Query | Finished] = []
        self._date: datetime | None = None
        self._running = False
        self._conversation = Conversation(b"")
        self._identifier = 0
        self._begun = self._now = self._ends = 0.0
        self._tls = tls
        self._begins = True  # the first authentication is still to come
        self._torn = False  # the last one had no end that the supplicant knows of
        self._reset()

    def handle(self, event: Begin | Replied, now: float) -> Sequence[Query | Finished]:
        self._now = now
        match event:
            case Begin(date=date):
                self._date = date
                self._begin()
            case Replied(answer=answer, date=date):
                self._date = date
                if self._running:
                    self._replied(answer)
        out, self._out = self._out, []
        return out

    # A conversation

    def _reset(self) -> None:
        self._response: bytes | None = None
        self._keys: PortAuthorized | None = None
        self._method: str | None = None
        self._certificates: list[bytes] = []

    def _begin(self) -> None:
        self._running = True
        self._begun, self._ends = self._now, self._now + self._station.timeout
        if self._begins:
            self._feed(UseNetwork(network=self._station.network, tls=self._tls))
            self._feed(LinkChanged(up=True))
        elif self._torn:
            self._feed(Reconnect())  # or what was left open counts in its bounds
        self._begins, self._torn = False, True
        self._reset()
        self._identifier = (self._identifier + 1) & 0xFF
        self._frame(bytes(request(self._identifier, EapType.IDENTITY)))
        if self._response is None:
            self._finish(Outcome.NOT_ACCEPTED_BY_US, "our supplicant did not start")
            return
        who = Packet.parse(self._response).data
        self._conversation = Conversation(who, self._station.attributes)
        self._ask()

    def _ask(self) -> None:
        assert self._response is not None
        response, self._response = self._response, None
        conversation = self._conversation
        self._out.append(
            Query(
                attributes=conversation.request(response),
                server=conversation.server,
                until=self._ends,
            )
        )

    def _replied(self, answer: Answered | Failed) -> None:
        if isinstance(answer, Failed):
            self._finish(Outcome.NO_ANSWER, answer.reason)
            return
        try:
            reply = self._conversation.take(answer.packet, answer.server)
        except Malformed as error:
            self._finish(Outcome.NOT_ACCEPTED_BY_US, f"the server's EAP-Message: {error}")
            return
        if reply.eap and reply.contradiction is None:
            self._frame(reply.eap)
        match reply.verdict:
            case Verdict.CHALLENGE:
                self._challenged(reply)
            case Verdict.ACCEPT:
                self._accepted(reply, answer)
            case Verdict.REJECT:
                self._rejected(reply, answer)

    def _challenged(self, reply: Reply) -> None:
        if reply.contradiction is not None:
            self._finish(Outcome.NOT_ACCEPTED_BY_US, reply.contradiction)
        elif self._response is not None:
            self._ask()
        else:
            why = self._why() or "our EAP peer has no answer to what the server sent"
            self._finish(Outcome.NOT_ACCEPTED_BY_US, why)

    def _rejected(self, reply: Reply, answer: Answered) -> None:
        words = f' and says "{printable(reply.message)}"' if reply.message else ""
        why = self._why()
        reason = f"the server sent Access-Reject{words}{': ' if why else ''}{why}"
        self._finish(Outcome.REJECTED, reason, answer, reply)

    def _accepted(self, reply: Reply, answer: Answered) -> None:
        if reply.contradiction is not None or self._keys is None:
            why = reply.contradiction or self._why() or "our EAP peer had not finished"
            reason = f"the server sent Access-Accept, but we do not accept: {why}"
            self._finish(Outcome.NOT_ACCEPTED_BY_US, reason, answer, reply)
            return
        keys, why = self._compared(answer)
        if why and (self._station.keys_expected or keys is False):
            self._finish(Outcome.WRONG_KEYS, why, answer, reply, keys)
            return
        missing = self._unmet(answer.packet)
        if missing:
            self._finish(Outcome.UNEXPECTED, missing, answer, reply, keys)
            return
        self._finish(Outcome.ACCEPTED, "", answer, reply, keys)

    def _compared(self, answer: Answered) -> tuple[bool | None, str]:
        """The keys of the Access-Accept and our MSK; why they differ."""
        assert self._keys is not None
        secret = self._station.secrets[answer.server]
        found = codec.mppe_keys(answer.packet, answer.authenticator, secret)
        msk = self._keys.msk
        if found is None:
            return None, (
                "the Access-Accept has no MS-MPPE-Recv-Key and MS-MPPE-Send-Key that can be read;"
                " write -n if the server is not to send any"
            )
        if msk is None:
            return None, "the server sent MPPE keys, but the EAP method has no MSK"
        # keys of a method that has fewer octets are filled up with zeros (EAP-MSCHAPv2)
        theirs = b"".join(key.reveal() for key in found).ljust(_MSK, b"\0")
        if Secret(theirs) == Secret(msk.reveal().ljust(_MSK, b"\0")):
            return True, ""
        return False, (
            "the server's MPPE keys are not the halves of our MSK: it authenticated something else"
            " than this TLS session, or a proxy in between has another secret"
        )

    def _unmet(self, packet: RadiusPacket) -> str:
        if not self._station.expect:
            return ""
        given = codec.named(packet, *self._station.dictionaries)
        folded = {(name.lower(), value) for name, value in given}
        wrong = [each for each in self._station.expect if (each[0].lower(), each[1]) not in folded]
        if not wrong:
            return ""
        name, value = wrong[0]
        has = [seen for known, seen in given if known.lower() == name.lower()]
        instead = f"it has {name}={', '.join(has)}" if has else f"it has no {name}"
        return f"the Access-Accept was expected to have {name}={value}, but {instead}"

    # Ends

    def _finish(
        self, outcome: Outcome, reason: str,
        answer: Answered | None = None, reply: Reply | None = None, keys: bool | None = None,
    ) -> None:  # fmt: skip
        self._running = False
        self._torn = outcome not in (Outcome.ACCEPTED, Outcome.REJECTED)
        status = self._supplicant.status()
        packet = answer.packet if answer is not None else None
        result = Result(
            outcome=outcome,
            reason=reason,
            seconds=self._now - self._begun,
            rounds=self._conversation.requests,
            server=answer.server if answer is not None else None,
            method=self._method,
            tls=status.tls,
            keys=keys,
            key_name=self._key_name(packet),
            message=printable(reply.message) if reply is not None else "",
            attributes=self._named(packet),
            certificates=tuple(self._certificates),
        )
        self._out.append(Finished(result=result))

    def _named(self, packet: RadiusPacket | None) -> tuple[tuple[str, str], ...]:
        if packet is None or not self._station.named:
            return ()
        return codec.named(packet, *self._station.dictionaries)

    def _key_name(self, packet: RadiusPacket | None) -> bool | None:
        found = packet.first(AttributeType.EAP_KEY_NAME) if packet is not None else None
        return found == self._keys.session_id if found and self._keys is not None else None

    def _why(self) -> str:
        """What the supplicant says; to it, a switch is what it speaks with."""
        failure = self._supplicant.status().failure or ""
        return failure.replace("the switch", "the server")

    # The supplicant

    def _frame(self, eap: bytes) -> None:
        assert self._date is not None
        octets = bytes(Frame(PacketType.EAP_PACKET, eap))
        self._feed(FrameReceived(octets=octets, source=_SWITCH, date=self._date))

    def _feed(self, event: Event) -> None:
        self._run(self._supplicant.handle(event, self._now))

    def _run(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case SendFrame(octets=octets):
                    frame = Frame.parse(octets)
                    if frame.packet_type == PacketType.EAP_PACKET:
                        self._response = frame.body
                case PortAuthorized():
                    self._keys = command
                case Tell(notice=notice):
                    self._told(notice)
                case Look():
                    if self._date is not None:
                        self._feed(Looked(date=self._date))
                case _:
                    pass

    def _told(self, notice: Notice) -> None:
        match notice:
            case MethodSelected(method=method):
                self._method = str(method)
            case PeerCertificateOctets(der=der):
                self._certificates.append(der)
            case _:
                pass

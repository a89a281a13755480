"""EAP-TLS, the server's side (RFC 5216; with TLS 1.3 RFC 9190)."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from eapol.eap import EapType
from eapol.engine import Flight, Keys, TlsConnection
from eapol.errors import MalformedFrame
from eapol.methods import keys
from eapol.methods.fragments import Incoming, Outgoing, TlsPacket
from eapol.methods.tunnel import PROTECTED_SUCCESS, is_tls_1_3

START_PACKET: Final = bytes(TlsPacket(start=True))


class Verdict(Enum):
    SUCCESS = auto()
    FAILURE = auto()


@dataclass(frozen=True, slots=True)
class Turn:
    """What follows a response: the next request's type-data, or the verdict; None: ignore it."""

    data: bytes | None = None
    verdict: Verdict | None = None


class TlsServerMethod:
    """One conversation. `promise` False leaves the protected success of RFC 9190 out, to see a
    peer refuse."""

    def __init__(self, connection: TlsConnection, *, fragment_size: int, promise: bool) -> None:
        self._connection = connection
        self._size = fragment_size
        self._promise = promise
        self._incoming = Incoming()
        self._outgoing: Outgoing | None = None
        self._verdict: Verdict | None = None
        self.failure: str | None = None

    @property
    def connection(self) -> TlsConnection:
        return self._connection

    def keys(self) -> Keys:
        return keys.of_tls(self._connection, EapType.TLS)

    def process(self, data: bytes) -> Turn:
        try:
            packet = TlsPacket.parse(data)
            if self._outgoing is not None:
                return self._send() if packet.acknowledges else Turn()
            if self._verdict is Verdict.FAILURE or packet.acknowledges:
                return Turn(verdict=self._verdict or self._fail("empty EAP-TLS response"))
            message = self._incoming.add(packet)
        except MalformedFrame as error:
            return Turn(verdict=self._fail(str(error)))
        if message is None:
            return Turn(bytes(TlsPacket()))
        if self._verdict is not None:
            # the peer refused what completed the handshake here (RFC 5216, 2.1.3: an alert)
            flight = self._connection.step(message)
            return Turn(verdict=self._fail(flight.failure or "data after the handshake"))
        return self._answer(self._connection.step(message))

    def _answer(self, flight: Flight) -> Turn:
        records = flight.records
        if flight.failure is not None:
            self._fail(flight.failure)
        elif self._connection.established:
            self._verdict = Verdict.SUCCESS
            records += self._protected_success()
        if not records:
            return Turn(None, self._verdict or self._fail("the TLS handshake cannot continue"))
        self._outgoing = Outgoing(records, self._size)
        return self._send()

    def _protected_success(self) -> bytes:
        promises = self._promise and is_tls_1_3(self._connection)
        return self._connection.seal(PROTECTED_SUCCESS) if promises else b""

    def _send(self) -> Turn:
        assert self._outgoing is not None
        packet = self._outgoing.next()
        if self._outgoing.finished:
            self._outgoing = None
        return Turn(bytes(packet))

    def _fail(self, reason: str) -> Verdict:
        self.failure = self.failure or reason
        self._verdict = Verdict.FAILURE
        return self._verdict

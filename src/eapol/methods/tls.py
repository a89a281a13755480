"""EAP-TLS, the peer's side (RFC 5216; with TLS 1.3 RFC 9190).

The method never says CONT: a Failure ends the conversation at once, as long as the server has not
promised success. With TLS 1.3 the promise is one octet 0x00 of application data (RFC 9190, 2.1.1);
before it an EAP-Success counts for nothing. After a failure of ours the alert is sent, and the
server's EAP-Failure is awaited (RFC 5216, 2.1.3).
"""

from collections.abc import Sequence
from typing import Final

from eapol.eap import Packet
from eapol.engine import Flight, Keys, TlsConnection
from eapol.errors import MalformedFrame
from eapol.methods.base import Outcome
from eapol.methods.fragments import Incoming, Outgoing, TlsPacket
from eapol.notices import Notice
from eapol.settings import TlsVersion
from eapol.status import Decision, MethodState, TlsStatus

PROTECTED_SUCCESS: Final = b"\0"
"""RFC 9190, 2.1.1: the one octet that the server protects to say that it will send EAP-Success."""


class TlsMethod:
    """One conversation over `connection`. `fragment_size` is octets of TLS data in a packet."""

    def __init__(
        self, connection: TlsConnection, *, fragment_size: int, include_length: bool = False
    ) -> None:
        self._connection = connection
        self._size = fragment_size
        self._include_length = include_length
        self._incoming = Incoming()
        self._outgoing: Outgoing | None = None
        self._started = False
        self._failed = False
        self._promised = False
        self._progress = True  # of the request that is being answered
        self._keys: Keys | None = None

    @property
    def keys(self) -> Keys | None:
        return self._keys

    @property
    def tls(self) -> TlsStatus | None:
        return self._connection.status

    def process(self, request: Packet) -> Outcome | None:
        try:
            packet = TlsPacket.parse(request.data)
        except MalformedFrame:
            return None
        if packet.start or not self._started:
            return self._start(packet)
        self._progress = self._outgoing is not None or (bool(packet.data) and not self._failed)
        if self._outgoing is not None:
            return self._send() if packet.acknowledges else None
        try:
            message = self._incoming.add(packet)
        except MalformedFrame as error:
            return self._fail(str(error))
        if message is None or self._failed:
            return self._outcome(TlsPacket())
        return self._take(message)

    def notices(self) -> Sequence[Notice]:
        return self._connection.notices()

    def close(self, *, success: bool) -> None:
        self._connection.close(success=success)

    def _start(self, packet: TlsPacket) -> Outcome | None:
        if self._started or not packet.start:
            return None  # Start comes first, and once (RFC 5216, 2.1.1)
        self._started = True
        return self._answer(self._connection.step(b""))

    def _take(self, message: bytes) -> Outcome:
        flight = self._connection.step(message)
        if flight.failure is None and self._connection.established:
            self._promised = self._keeps_promise(self._connection.received()) or self._promised
            if self._keys is None:
                self._keys = self._connection.keys()
        return self._answer(flight)

    def _keeps_promise(self, data: bytes) -> bool:
        return self._tls_1_3 and data == PROTECTED_SUCCESS

    @property
    def _tls_1_3(self) -> bool:
        status = self._connection.status
        return status is not None and status.version == TlsVersion.TLS_1_3.value

    def _answer(self, flight: Flight) -> Outcome:
        failure = flight.failure
        self._failed = failure is not None
        if not flight.records:
            return self._outcome(TlsPacket(), failure)
        self._outgoing = Outgoing(flight.records, self._size, always_length=self._include_length)
        return self._send(failure)

    def _send(self, failure: str | None = None) -> Outcome:
        assert self._outgoing is not None
        packet = self._outgoing.next()
        if self._outgoing.finished:
            self._outgoing = None
        return self._outcome(packet, failure)

    def _fail(self, failure: str) -> Outcome:
        self._failed = True
        return self._outcome(TlsPacket(), failure)

    def _outcome(self, packet: TlsPacket, failure: str | None = None) -> Outcome:
        state, decision = self._verdict()
        return Outcome(
            data=bytes(packet),
            methodState=state,
            decision=decision,
            progress=self._progress,
            failure=failure,
        )

    def _verdict(self) -> tuple[MethodState, Decision]:
        if self._failed or self._outgoing is not None or not self._connection.established:
            return MethodState.MAY_CONT, Decision.FAIL
        if self._promised:
            return MethodState.DONE, Decision.UNCOND_SUCC
        if self._tls_1_3:
            return MethodState.MAY_CONT, Decision.FAIL
        # Not UNCOND_SUCC: a RADIUS server may still refuse, for reasons outside of TLS
        return MethodState.MAY_CONT, Decision.COND_SUCC

"""TLS in EAP packets: what EAP-TLS, PEAP, EAP-TTLS, EAP-FAST and TEAP have in common.

The frame is that of RFC 5216, 2.1.5 and 3; its lowest bits are the method's version, of which the
server proposes one in its Start. What goes through TLS, and what it proves, is the method's own
part (`Inside`): a complete handshake alone never counts as success.

methodState is never CONT: an EAP-Failure ends the conversation at once, as long as the server has
not promised success. After a failure of ours the alert is sent, and the server's EAP-Failure is
awaited (RFC 5216, 2.1.3).
"""

from collections.abc import Sequence
from typing import Final, Protocol

from eapol.eap import Packet
from eapol.engine import Flight, Keys, TlsConnection
from eapol.errors import MalformedFrame
from eapol.methods.base import Outcome, Setup
from eapol.methods.fragments import Incoming, Outgoing, TlsPacket
from eapol.notices import Notice
from eapol.settings import TlsVersion
from eapol.status import Decision, MethodState, TlsStatus

PROTECTED_SUCCESS: Final = b"\0"
"""RFC 9190, 2.1.1, and RFC 9427, 3: the one octet that the server protects to say that the TLS
part is complete, and that there is nothing more to come."""


class Inside(Protocol):
    """What a method does with an established TLS connection."""

    @property
    def keys(self) -> Keys | None: ...

    @property
    def verdict(self) -> tuple[MethodState, Decision]:
        """Asked after every answer, and only while TLS has not failed."""
        ...

    @property
    def lacks(self) -> str: ...

    @property
    def refusal(self) -> str: ...

    @property
    def failure(self) -> str | None:
        """Why it failed for good, in words. The conversation continues until the server ends it."""
        ...

    def begin(self, packet: TlsPacket) -> int | None:
        """The version to use, of those that the server's Start offers; None if there is none."""
        ...

    def established(self) -> None:
        """The handshake is complete on our side; keying material can be exported."""
        ...

    def take(self, data: bytes, identifier: int) -> bytes:
        """What to send in answer to `data`; may be empty.

        Empty `data`: the server waits for us. `identifier` is that of the request.
        """
        ...

    def notices(self) -> Sequence[Notice]: ...


class TlsMethod:
    """One conversation over `connection`."""

    def __init__(self, connection: TlsConnection, inside: Inside, setup: Setup) -> None:
        self._connection = connection
        self._inside = inside
        self._size = setup.fragment_size
        self._include_length = setup.network.include_tls_length
        self._offered = setup.network.tls.offered
        self._incoming = Incoming()
        self._outgoing: Outgoing | None = None
        self._version: int | None = None
        self._failed = False
        self._progress = True  # of the request that is being answered

    @property
    def keys(self) -> Keys | None:
        return self._inside.keys

    @property
    def tls(self) -> TlsStatus | None:
        return self._connection.status

    @property
    def lacks(self) -> str:
        established = self._connection.established
        return self._inside.lacks if established else "before TLS was complete"

    @property
    def refusal(self) -> str:
        if self._connection.status is not None:
            return self._inside.refusal
        return (
            f"in answer to our ClientHello, which offers {self._offered}: the server may allow"
            " other versions of TLS or other cipher suites only; compare phase1 (tls_disable_...)"
            " and openssl_ciphers here with its configuration"
        )

    def process(self, request: Packet) -> Outcome | None:
        try:
            packet = TlsPacket.parse(request.data)
        except MalformedFrame:
            return None
        if packet.start or self._version is None:
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
        return self._take(message, request.identifier)

    def notices(self) -> Sequence[Notice]:
        return (*self._connection.notices(), *self._inside.notices())

    def close(self, *, success: bool) -> None:
        self._connection.close(success=success)

    def _start(self, packet: TlsPacket) -> Outcome | None:
        if self._version is not None or not packet.start:
            return None  # Start comes first, and once (RFC 5216, 2.1.1)
        self._version = self._inside.begin(packet)
        if self._version is None:
            return None
        return self._answer(self._connection.step(b""))

    def _take(self, message: bytes, identifier: int) -> Outcome:
        """Feed TLS; what comes out of it, and an empty message to us, is for the inside."""
        before = self._connection.established
        flight = self._connection.step(message) if message else Flight(b"")
        if flight.failure is not None or not self._connection.established:
            return self._answer(flight)
        if not before:
            self._inside.established()
        data = self._connection.received()
        if flight.records and not data:
            return self._answer(flight)
        reply = self._inside.take(data, identifier)
        sealed = self._connection.seal(reply) if reply else b""
        return self._answer(Flight(flight.records + sealed))

    def _answer(self, flight: Flight) -> Outcome:
        self._failed = flight.failure is not None
        failure = flight.failure or self._inside.failure
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
            data=bytes(packet.of_version(self._version or 0)),
            methodState=state,
            decision=decision,
            progress=self._progress,
            failure=failure,
        )

    def _verdict(self) -> tuple[MethodState, Decision]:
        failed = self._failed or self._inside.failure is not None
        if failed or self._outgoing is not None or not self._connection.established:
            return MethodState.MAY_CONT, Decision.FAIL
        return self._inside.verdict


def is_tls_1_3(connection: TlsConnection) -> bool:
    status = connection.status
    return status is not None and status.version == TlsVersion.TLS_1_3.value


def is_resumed(connection: TlsConnection) -> bool:
    status = connection.status
    return status is not None and status.resumed

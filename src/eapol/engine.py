"""What the EAP-TLS methods need of a TLS library; `eapol.tls` is the one that provides it.

A connection has no I/O: records go in, records come out. It is made from a context, which holds
certificates and keys already checked and is kept for many authentications, because making one
costs as much as a handshake.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from eapol.notices import Notice
from eapol.status import Review, TlsStatus
from wire.secret import Secret


@dataclass(frozen=True, slots=True)
class Flight:
    """What one step produced: records to send (an alert, too), and why it failed, if it did."""

    records: bytes
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Key material of EAP-TLS, 64 octets each, and the session id of RFC 5247."""

    msk: Secret
    emsk: Secret
    session_id: bytes


class TlsConnection(Protocol):
    """One handshake and the little data after it."""

    @property
    def established(self) -> bool:
        """Whether our side of the handshake is complete."""
        ...

    @property
    def status(self) -> TlsStatus | None:
        """Version, suite and resumption, as far as they are agreed on."""
        ...

    def step(self, records: bytes) -> Flight:
        """Feed what the peer sent; empty begins the handshake of a client."""
        ...

    def received(self) -> bytes:
        """Application data that arrived and was not read yet (RFC 9190, 2.1.1: 0x00)."""
        ...

    def seal(self, data: bytes) -> bytes:
        """Records that carry `data` to the peer."""
        ...

    def keys(self) -> Keys:
        """MSK, EMSK and session id; only when established."""
        ...

    def notices(self) -> Sequence[Notice]:
        """What was seen of the peer's certificates since the last call."""
        ...

    def close(self, *, success: bool) -> None:
        """The EAP conversation ended. After success the session may be resumed later."""
        ...


class TlsContext(Protocol):
    """Credentials and policy, ready for use."""

    def connection(self, date: datetime) -> TlsConnection:
        """A new connection that judges certificates at `date`."""
        ...


class ClientTlsContext(TlsContext, Protocol):
    """That of a supplicant."""

    def review(self, date: datetime) -> Review:
        """What is to be said of our own certificate at `date`."""
        ...

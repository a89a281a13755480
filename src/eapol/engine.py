"""What the methods over TLS need of a TLS library; `eapol.tls` is the one that provides it.

A connection has no I/O: records go in, records come out. It is made from a context, which holds
certificates and keys already checked and is kept for many authentications, because making one
costs as much as a handshake.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from eapol.eap import EapType
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
    """What a method leaves to those above it (RFC 5247, 1.4).

    `msk`: 64 octets. `emsk`: 64 octets, None where the method has none. `session_id`: empty where
    the method defines none.
    """

    msk: Secret
    emsk: Secret | None
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

    def export(self, label: str, size: int, context: bytes | None = None) -> bytes:
        """Keying material of RFC 5705 (TLS 1.3: RFC 8446, 7.5), `size` octets, once established."""
        ...

    @property
    def randoms(self) -> bytes:
        """client_random and server_random, one after the other, once established."""
        ...

    def key_expansion(self, size: int) -> bytes:
        """The key block of TLS 1.2 and what would follow it (RFC 5246, 6.3), `size` octets."""
        ...

    @property
    def unique(self) -> bytes:
        """tls-unique (RFC 5929, 3): the first Finished message; not with TLS 1.3."""
        ...

    def notices(self) -> Sequence[Notice]:
        """What was seen of the peer's certificates since the last call."""
        ...

    def close(self, *, success: bool) -> None:
        """The EAP conversation ended. After success the session may be resumed later."""
        ...


class TlsContext(Protocol):
    """Credentials and policy, ready for use."""

    def connection(self, date: datetime, method: EapType = EapType.TLS) -> TlsConnection:
        """A new connection of `method` that judges certificates at `date`.

        A session is resumed by the method that made it only (RFC 9427, 4): what one method proved
        must not stand for another.
        """
        ...


class ClientTlsContext(TlsContext, Protocol):
    """That of a supplicant."""

    @property
    def inner(self) -> "ClientTlsContext | None":
        """For EAP-TLS inside of a tunnel, where that is configured."""
        ...

    def review(self, date: datetime) -> Review:
        """The warnings about our own certificate at `date`."""
        ...

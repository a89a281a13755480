"""EAP-TLS, the peer's side (RFC 5216; with TLS 1.3 RFC 9190).

With TLS 1.3 the server promises success by one protected octet (RFC 9190, 2.1.1); before it an
EAP-Success counts for nothing.
"""

from collections.abc import Sequence

from eapol.eap import EapType
from eapol.engine import Keys, TlsConnection
from eapol.methods import keys
from eapol.methods.fragments import TlsPacket
from eapol.methods.tunnel import PROTECTED_SUCCESS, is_tls_1_3
from eapol.notices import Notice
from eapol.status import Decision, MethodState


class EapTls:
    """Both ends have shown their certificates; nothing else goes through TLS."""

    failure: str | None = None

    def __init__(self, connection: TlsConnection) -> None:
        self._connection = connection
        self._promised = False
        self.keys: Keys | None = None

    @property
    def verdict(self) -> tuple[MethodState, Decision]:
        if self._promised:
            return MethodState.DONE, Decision.UNCOND_SUCC
        if is_tls_1_3(self._connection):
            return MethodState.MAY_CONT, Decision.FAIL
        # Not UNCOND_SUCC: a RADIUS server may still refuse, for reasons outside of TLS
        return MethodState.MAY_CONT, Decision.COND_SUCC

    @property
    def lacks(self) -> str:
        return (
            "before the server's protected success (RFC 9190, 2.1.1); update the RADIUS server, or"
            ' write phase1="tls_disable_tlsv1_3=1"'
        )

    @property
    def refusal(self) -> str:
        return (
            "after TLS began; our certificate may be expired, revoked, or of a CA that the server"
            " does not know. Its log says why"
        )

    def begin(self, packet: TlsPacket) -> int | None:
        return 0

    def established(self) -> None:
        self.keys = keys.of_tls(self._connection, EapType.TLS)

    def take(self, data: bytes, identifier: int) -> bytes:
        promise = is_tls_1_3(self._connection) and data == PROTECTED_SUCCESS
        self._promised = promise or self._promised
        return b""

    def notices(self) -> Sequence[Notice]:
        return ()

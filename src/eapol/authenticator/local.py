"""An EAP-TLS server in the same process: for tests, the demonstration, and a test engineer."""

from datetime import datetime

from eapol.authenticator.server import Answer, ServerVerdict
from eapol.authenticator.settings import AuthenticatorSettings
from eapol.eap import EapType, Packet, request
from eapol.engine import TlsContext
from eapol.methods.tls_server import START_PACKET, TlsServerMethod, Turn, Verdict
from eapol.notices import Notice


class LocalServer:
    """Answers at once; `abort` says that the conversation ended."""

    def __init__(self, tls: TlsContext, settings: AuthenticatorSettings) -> None:
        self._tls = tls
        self.settings = settings
        self._asked = EapType.IDENTITY
        self._offers: list[EapType] = []
        self._method: TlsServerMethod | None = None

    def respond(self, response: Packet, date: datetime) -> Answer:
        if response.method == EapType.NAK:
            return self._naked(response, date)
        if response.method == EapType.IDENTITY:
            return self._identified(response, date)
        if response.method == EapType.TLS and self._method is not None:
            return self._turn(response, self._method, self._method.process(response.data))
        return self._offer(response, date)

    def abort(self) -> None:
        if self._method is not None:
            self._method.connection.close(success=False)
            self._method = None

    def _identified(self, response: Packet, date: datetime) -> Answer:
        self.abort()
        self._offers = [*self.settings.offers, EapType.TLS]
        allowed = self.settings.identities
        if allowed is not None and response.data not in allowed:
            return _refused(f"identity {response.data!r} is not allowed")
        if self.settings.notification is not None:
            return self._ask(response, EapType.NOTIFICATION, self.settings.notification.encode())
        return self._offer(response, date)

    def _offer(self, response: Packet, date: datetime) -> Answer:
        if not self._offers:
            return _refused("the peer accepts none of the methods offered")
        method = self._offers.pop(0)
        if method != EapType.TLS:
            return self._ask(response, method, bytes(16))
        self._method = TlsServerMethod(
            self._tls.connection(date),
            fragment_size=self.settings.fragment_size,
            promise=self.settings.promise,
        )
        return self._ask(response, EapType.TLS, START_PACKET)

    def _naked(self, response: Packet, date: datetime) -> Answer:
        if self._asked == EapType.TLS:
            self.abort()
        if EapType.TLS not in response.data:
            return _refused("the peer refused EAP-TLS")
        return self._offer(response, date)

    def _turn(self, response: Packet, method: TlsServerMethod, turn: Turn) -> Answer:
        if turn.data is not None:
            return self._ask(response, EapType.TLS, turn.data)
        if turn.verdict is Verdict.SUCCESS:
            return self._accepted(method)
        if turn.verdict is Verdict.FAILURE:
            notices = tuple(method.connection.notices())
            self.abort()
            return _refused(method.failure or "EAP-TLS failed", *notices)
        return Answer(verdict=ServerVerdict.NO_REQUEST)

    def _accepted(self, method: TlsServerMethod) -> Answer:
        keys, tls = method.keys(), method.connection.status
        method.connection.close(success=True)
        self._method = None
        return Answer(
            verdict=ServerVerdict.SUCCESS,
            msk=keys.msk,
            emsk=keys.emsk,
            session_id=keys.session_id,
            tls=tls,
        )

    def _ask(self, response: Packet, method: EapType, data: bytes) -> Answer:
        self._asked = method
        identifier = (response.identifier + 1) & 0xFF
        return Answer(verdict=ServerVerdict.REQUEST, eap=bytes(request(identifier, method, data)))


def _refused(reason: str, *notices: Notice) -> Answer:
    return Answer(verdict=ServerVerdict.FAIL, reason=reason, notices=notices)

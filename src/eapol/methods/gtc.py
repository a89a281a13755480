"""EAP-GTC, the peer's side (RFC 3748, 5.6): a prompt, and the password in clear.

It proves nothing of the server: outside of a tunnel, any server that asks gets the password.
"""

from eapol.eap import Packet
from eapol.methods.base import Outcome, PlainMethod
from eapol.notices import Notice, ServerSays
from eapol.settings import Password
from eapol.status import Decision, MethodState

_CHALLENGE, _RESPONSE = b"CHALLENGE=", b"RESPONSE="
"""EAP-FAST's way to ask (RFC 5421, 4.2): the answer has the identity, too."""


class Gtc(PlainMethod):
    def __init__(self, identity: bytes, password: Password) -> None:
        self._identity = identity
        self._password = password
        self._prompt = b""

    def process(self, request: Packet) -> Outcome | None:
        self._prompt = request.data
        secret = self._password.secret.reveal()
        asked = request.data.startswith(_CHALLENGE)
        return Outcome(
            data=_RESPONSE + self._identity + b"\0" + secret if asked else secret,
            methodState=MethodState.MAY_CONT,
            decision=Decision.COND_SUCC,
        )

    def notices(self) -> tuple[Notice, ...]:
        said, self._prompt = self._prompt, b""
        return (ServerSays.of(said),) if said else ()

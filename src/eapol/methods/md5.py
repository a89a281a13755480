"""EAP-MD5-Challenge, the peer's side (RFC 3748, 5.4; the value is that of CHAP, RFC 1994, 4.1).

It proves nothing of the server, and makes no keys.
"""

import hashlib

from eapol.eap import Packet
from eapol.methods.base import Outcome, PlainMethod
from eapol.settings import Password
from eapol.status import Decision, MethodState

VALUE_OCTETS = 16


def chap(identifier: int, secret: bytes, challenge: bytes) -> bytes:
    """The response value of RFC 1994, 4.1."""
    octets = bytes((identifier,)) + secret + challenge
    return hashlib.md5(octets, usedforsecurity=False).digest()


class Md5(PlainMethod):
    def __init__(self, identity: bytes, password: Password) -> None:
        self._identity = identity
        self._password = password

    def process(self, request: Packet) -> Outcome | None:
        size, challenge = request.data[:1], request.data[1:]
        if not size or not 0 < size[0] <= len(challenge):
            return None
        secret = self._password.secret.reveal()
        value = chap(request.identifier, secret, challenge[: size[0]])
        return Outcome(
            data=bytes((VALUE_OCTETS,)) + value + self._identity,
            methodState=MethodState.MAY_CONT,
            decision=Decision.COND_SUCC,
        )

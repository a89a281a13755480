"""EAP-MSCHAPv2, the peer's side (draft-kamath-pppext-eap-mschapv2; values of RFC 2759).

Both ends prove that they know the password: a Success that does not answer our own challenge
fails the method. Differs: the password is not changed when the server says that it has expired
(Failure with E=648); that is told instead.
"""

import re
import struct
from dataclasses import dataclass
from enum import IntEnum
from hmac import compare_digest
from typing import Final, Self

from eapol import mschap
from eapol.eap import Packet
from eapol.engine import Keys
from eapol.errors import MalformedFrame
from eapol.methods.base import Entropy, Outcome, PlainMethod
from eapol.settings import Password
from eapol.status import Decision, MethodState
from wire.cursor import Cursor, DecodeError
from wire.secret import Secret

_HEADER: Final = struct.Struct("!BBH")  # OpCode, MS-CHAPv2-ID, MS-Length


class OpCode(IntEnum):
    CHALLENGE = 1
    RESPONSE = 2
    SUCCESS = 3
    FAILURE = 4


@dataclass(frozen=True, slots=True)
class MsChapPacket:
    """A request's type-data. `data` is what follows MS-Length: in a Challenge the value with its
    size and the server's name, in Success and Failure the message."""

    code: int
    identifier: int
    data: bytes

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Raises: MalformedFrame."""
        cursor = Cursor(octets)
        try:
            code, identifier, length = cursor.unpack(_HEADER)
            # Differs: some servers count otherwise; what is there counts (RFC 2759 has no length)
            data = cursor.rest()[: max(0, length - _HEADER.size)]
        except DecodeError as error:
            raise MalformedFrame.wrap(error) from None
        return cls(code, identifier, data)

    def __bytes__(self) -> bytes:
        return _HEADER.pack(self.code, self.identifier, _HEADER.size + len(self.data)) + self.data

    @property
    def challenge(self) -> bytes:
        """Raises: MalformedFrame unless there is one of 16 octets."""
        size = mschap.CHALLENGE_OCTETS
        if self.data[:1] != bytes((size,)) or len(self.data) < 1 + size:
            raise MalformedFrame("MS-CHAP-V2 challenge without 16 octets", _HEADER.size)
        return self.data[1 : 1 + size]


class MsChapV2(PlainMethod):
    """`identity` goes out whole, and is hashed without its domain (RFC 2759, 4)."""

    def __init__(self, identity: bytes, password: Password, entropy: Entropy) -> None:
        self._identity = identity
        self._password_hash = hash_of(password)
        self._entropy = entropy
        self._identifier: int | None = None
        self._expected = b""  # the server's proof
        self._master: Secret | None = None
        self._proved = False

    @property
    def keys(self) -> Keys | None:
        """MSK: the server's receive key and send key, then zeros (draft-kamath, 2)."""
        if self._master is None or not self._proved:
            return None
        sent, received = (
            mschap.client_send_key(self._master),
            mschap.client_receive_key(self._master),
        )
        return Keys(msk=Secret(sent + received + bytes(32)), emsk=None, session_id=b"")

    @property
    def lacks(self) -> str:
        return "before the server has proved that it knows the password"

    def process(self, request: Packet) -> Outcome | None:
        try:
            packet = MsChapPacket.parse(request.data)
            match packet.code:
                case OpCode.CHALLENGE:
                    return self._respond(packet)
                case OpCode.SUCCESS:
                    return self._succeed(packet)
                case OpCode.FAILURE:
                    return self._fail(why(packet.data))
                case _:
                    return None
        except MalformedFrame:
            return None

    def _respond(self, packet: MsChapPacket) -> Outcome:
        challenge, peer = packet.challenge, self._entropy(mschap.CHALLENGE_OCTETS)
        password, user = self._password_hash, self._identity
        response = mschap.nt_response(challenge, peer, user, password)
        expected = mschap.authenticator_response(password, response, peer, challenge, user)
        self._expected = b"S=" + expected.hex().upper().encode()
        self._master = mschap.master_key(password, response)
        self._identifier, self._proved = packet.identifier, False
        value = peer + bytes(8) + response + b"\0"
        data = bytes((len(value),)) + value + self._identity
        answer = MsChapPacket(OpCode.RESPONSE, packet.identifier, data)
        return _outcome(bytes(answer), MethodState.MAY_CONT, Decision.FAIL)

    def _succeed(self, packet: MsChapPacket) -> Outcome | None:
        if self._identifier is None:
            return None  # nothing of ours was proved yet
        shown = packet.data[: len(self._expected)].upper()
        if not compare_digest(shown, self._expected):
            return self._fail(
                "the server did not prove that it knows our password (MS-CHAP-V2 authenticator"
                " response); it is not the right server, or its copy of the password differs"
            )
        self._proved = True
        return _outcome(bytes((OpCode.SUCCESS,)), MethodState.DONE, Decision.UNCOND_SUCC)

    def _fail(self, failure: str) -> Outcome:
        self._identifier, self._proved, self._master = None, False, None  # no Success counts now
        data = bytes((OpCode.FAILURE,))
        return _outcome(data, MethodState.MAY_CONT, Decision.FAIL, failure)


def hash_of(password: Password) -> Secret:
    if password.hashed:
        return password.secret
    return mschap.nt_password_hash(password.secret.reveal())


_ERRORS: Final = {
    646: "logon is not allowed at this hour",
    647: "the account is disabled",
    648: "the password has expired; change it at another computer",
    649: "the account has no permission to dial in",
    691: "identity or password is wrong",
    709: "the password could not be changed",
}
"""RFC 2759, 6."""


def why(message: bytes) -> str:
    """What a Failure says, in words: `E=691 R=1 C=... V=3 M=...`."""
    found = re.search(rb"E=(\d{1,9})", message)
    if found is None:
        return "the server refused the password (MS-CHAP-V2), without an error number"
    number = int(found[1])
    meaning = _ERRORS.get(number, "RFC 2759 has no meaning for it")
    return f"the server refused us (MS-CHAP-V2 error {number}): {meaning}"


def _outcome(
    data: bytes, state: MethodState, decision: Decision, failure: str | None = None
) -> Outcome:
    return Outcome(data=data, methodState=state, decision=decision, failure=failure)

"""EAP-pwd, the peer's side (RFC 5931).

Both ends prove that they know the password, and an attacker who listens or guesses on the wire does
not learn it. The password goes in as it is (preparation 0) or as Microsoft's hash of it (1); those
with a salt (RFC 8146) are refused.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from hmac import compare_digest
from typing import Final, Self

from eapol import mschap
from eapol.dragonfly import GROUPS, HASH_OCTETS, Commitment, Group, h, kdf, password_element
from eapol.eap import EapType, Packet
from eapol.engine import Keys
from eapol.errors import MalformedFrame
from eapol.methods.base import Entropy, Outcome, PlainMethod
from eapol.settings import Password
from eapol.status import Decision, MethodState
from wire.cursor import Cursor, DecodeError
from wire.secret import Secret

_LENGTH_INCLUDED: Final = 0x80
_MORE_FRAGMENTS: Final = 0x40
_EXCHANGE: Final = 0x3F
_ID: Final = struct.Struct("!HBB4sB")  # group, random function, PRF, token, preparation
_LONGEST: Final = 4096  # octets of one message

_H_AND_PRF: Final = (1, 1)  # HMAC-SHA256 for both (3.2.2, 3.2.3)


class Exchange(IntEnum):
    """PWD-Exch (3.1)."""

    ID = 1
    COMMIT = 2
    CONFIRM = 3


class Preparation(IntEnum):
    """3.2.1."""

    NONE = 0
    MICROSOFT = 1


@dataclass(frozen=True, slots=True)
class PwdPacket:
    """The type-data. `total` is octets of the whole message, if L is set."""

    exchange: int
    data: bytes = b""
    total: int | None = None
    more: bool = False

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Raises: MalformedFrame."""
        cursor = Cursor(octets)
        try:
            flags = cursor.take(1)[0]
            included = flags & _LENGTH_INCLUDED
            total = int.from_bytes(cursor.take(2), "big") if included else None
        except DecodeError as error:
            raise MalformedFrame.wrap(error) from None
        return cls(flags & _EXCHANGE, cursor.rest(), total, bool(flags & _MORE_FRAGMENTS))

    def __bytes__(self) -> bytes:
        flags = self.exchange | _MORE_FRAGMENTS * self.more
        if self.total is None:
            return bytes((flags,)) + self.data
        return bytes((flags | _LENGTH_INCLUDED,)) + self.total.to_bytes(2, "big") + self.data


@dataclass(frozen=True, slots=True)
class Proposal:
    """The server's ID request, and what follows from it."""

    suite: bytes
    group: Group
    token: bytes
    preparation: int
    server: bytes

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Raises: MalformedFrame, for a group that we do not have, too."""
        cursor = Cursor(octets)
        try:
            number, function, prf, token, preparation = cursor.unpack(_ID)
        except DecodeError as error:
            raise MalformedFrame.wrap(error) from None
        if number not in GROUPS or (function, prf) != _H_AND_PRF:
            known = ", ".join(map(str, GROUPS))
            raise MalformedFrame(f"group {number}; this supplicant has {known}", 0)
        if preparation not in tuple(Preparation):
            raise MalformedFrame(f"password preparation {preparation}, which is not supported", 0)
        return cls(octets[:4], GROUPS[number], token, preparation, cursor.rest())


class Pwd(PlainMethod):
    def __init__(self, identity: bytes, password: Password, entropy: Entropy) -> None:
        self._identity = identity
        self._password = password
        self._entropy = entropy
        self._parts = b""
        self._next = Exchange.ID
        self._proposal: Proposal | None = None
        self._ours: Commitment | None = None
        self._secret = Secret(b"")
        self._theirs = b""  # element and scalar, as they came
        self._keys: Keys | None = None

    @property
    def keys(self) -> Keys | None:
        return self._keys

    @property
    def lacks(self) -> str:
        return "before the server has proved that it knows the password"

    def process(self, request: Packet) -> Outcome | None:
        try:
            packet = PwdPacket.parse(request.data)
            if packet.exchange != self._next:
                return None
            self._parts += packet.data
            if len(self._parts) > _LONGEST:
                raise MalformedFrame("a message too long", _LONGEST)
            if packet.more:
                return _outcome(PwdPacket(packet.exchange))
            message, self._parts = self._parts, b""
            return _STEPS[self._next](self, message)
        except MalformedFrame as error:
            return self._fail(f"the server broke the rules of EAP-pwd: {error}")

    def _identify(self, message: bytes) -> Outcome:
        proposal = Proposal.parse(message)
        if self._password.hashed and proposal.preparation == Preparation.NONE:
            return self._fail(
                "the server needs the password itself, but only its hash is configured"
            )
        self._proposal, self._next = proposal, Exchange.COMMIT
        return _outcome(PwdPacket(Exchange.ID, message[: _ID.size] + self._identity))

    def _commit(self, message: bytes) -> Outcome:
        assert self._proposal is not None
        group, proposal = self._proposal.group, self._proposal
        at = 2 * group.octets
        if len(message) != at + group.octets:
            raise MalformedFrame(f"a commitment of {len(message)} octets", 0)
        element = password_element(
            group, proposal.token, self._identity, proposal.server, self._prepared()
        )
        self._ours = ours = Commitment(group, element, self._entropy)
        self._secret = ours.secret(int.from_bytes(message[at:], "big"), message[:at])
        self._theirs, self._next = message, Exchange.CONFIRM
        return _outcome(PwdPacket(Exchange.COMMIT, ours.element + ours.scalar_octets))

    def _confirm(self, message: bytes) -> Outcome:
        assert self._proposal is not None
        assert self._ours is not None
        secret, suite = self._secret.reveal(), self._proposal.suite
        own = self._ours.element + self._ours.scalar_octets
        expected = h(secret, self._theirs, own, suite)
        if len(message) != HASH_OCTETS or not compare_digest(message, expected):
            return self._fail(
                "the server did not prove that it knows our password (EAP-pwd): identity or"
                " password is wrong, or it is not the right server"
            )
        confirm = h(secret, own, self._theirs, suite)
        their_scalar = self._theirs[2 * self._proposal.group.octets :]
        self._keys = session_keys(
            secret, confirm, message, h(suite, self._ours.scalar_octets, their_scalar)
        )
        packet = PwdPacket(Exchange.CONFIRM, confirm)
        return _outcome(packet, MethodState.DONE, Decision.UNCOND_SUCC)

    def _prepared(self) -> Secret:
        assert self._proposal is not None
        secret = self._password.secret
        if self._proposal.preparation == Preparation.NONE:
            return secret
        hashed = self._password.hashed
        once = secret if hashed else mschap.nt_password_hash(secret.reveal())
        return mschap.hash_nt_password_hash(once)

    def _fail(self, failure: str) -> Outcome:
        data = bytes(PwdPacket(self._next))
        return Outcome(
            data=data, methodState=MethodState.DONE, decision=Decision.FAIL, failure=failure
        )


_STEPS: Final = {
    Exchange.ID: Pwd._identify,
    Exchange.COMMIT: Pwd._commit,
    Exchange.CONFIRM: Pwd._confirm,
}


def session_keys(secret: bytes, confirm_peer: bytes, confirm_server: bytes, method: bytes) -> Keys:
    """2.9: MSK and EMSK of the master key, with the Session-Id as the label."""
    master = h(secret, confirm_peer, confirm_server)
    session_id = bytes((EapType.PWD,)) + method
    material = kdf(master, session_id, 1024)
    return Keys(msk=Secret(material[:64]), emsk=Secret(material[64:]), session_id=session_id)


def _outcome(
    packet: PwdPacket,
    state: MethodState = MethodState.MAY_CONT,
    decision: Decision = Decision.FAIL,
) -> Outcome:
    return Outcome(data=bytes(packet), methodState=state, decision=decision)

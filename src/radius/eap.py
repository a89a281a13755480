"""EAP over RADIUS (RFC 3579): what one conversation sends, and what an answer to it says."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from radius.codec import split
from radius.errors import Malformed
from radius.numbers import AttributeType as A
from radius.numbers import Code
from radius.packet import Attributes, Packet

_EAP_SUCCESS: Final = 3
_EAP_FAILURE: Final = 4


class Verdict(Enum):
    CHALLENGE = auto()
    ACCEPT = auto()
    REJECT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`eap` is the EAP packet inside, empty if there is none. `message` is Reply-Message, the words
    of the server to people. `timeout`: seconds for the peer's response (RFC 3579, 2.4)."""

    verdict: Verdict
    eap: bytes = b""
    message: str = ""
    timeout: int | None = None
    contradiction: str | None = None


class Conversation:
    """`identity` is the one of EAP-Response/Identity, `attributes` go along with every request.

    `state` is the server's, returned to it unchanged (RFC 2865, 5.24); `server` is its index.
    """

    def __init__(self, identity: bytes, attributes: Attributes = ()) -> None:
        self._fixed: Attributes = ((A.USER_NAME, identity[:253]), *attributes)
        self.state: bytes | None = None
        self.server: int | None = None
        self.requests = 0

    def request(self, eap: bytes) -> Attributes:
        """The attributes of the Access-Request that carries the EAP packet `eap`."""
        self.requests += 1
        parts = tuple((int(A.EAP_MESSAGE), part) for part in split(eap))
        state = ((int(A.STATE), self.state),) if self.state is not None else ()
        return (*self._fixed, *parts, *state)

    def take(self, packet: Packet, server: int) -> Reply:
        """What the answer says. Raises: Malformed if its EAP-Message is not one packet."""
        self.server = server
        self.state = packet.first(A.STATE)
        eap = _joined(packet)
        said = b" ".join(packet.values(A.REPLY_MESSAGE)).decode("utf-8", "replace")
        verdict = _VERDICTS[packet.code]
        return Reply(
            verdict=verdict,
            eap=eap,
            message=said,
            timeout=packet.integer(A.SESSION_TIMEOUT) if verdict is Verdict.CHALLENGE else None,
            contradiction=_contradiction(verdict, eap),
        )


_VERDICTS: Final = {
    Code.ACCESS_CHALLENGE: Verdict.CHALLENGE,
    Code.ACCESS_ACCEPT: Verdict.ACCEPT,
    Code.ACCESS_REJECT: Verdict.REJECT,
}


def _joined(packet: Packet) -> bytes:
    """RFC 3579, 3.1: the attributes of one EAP packet stand together, in order."""
    kinds = [kind for kind, _ in packet.attributes]
    parts = packet.values(A.EAP_MESSAGE)
    if parts:
        first = kinds.index(A.EAP_MESSAGE)
        if kinds[first : first + len(parts)] != [A.EAP_MESSAGE] * len(parts):
            raise Malformed("EAP-Message attributes that are not consecutive", 20)
    eap = b"".join(parts)
    if eap and (len(eap) < 4 or int.from_bytes(eap[2:4], "big") != len(eap)):
        raise Malformed(f"EAP packet of another length than its {len(eap)} octets", 20)
    return eap


def _contradiction(verdict: Verdict, eap: bytes) -> str | None:
    """RFC 3579, 2.6.3: if RADIUS and EAP contradict each other, access is refused."""
    code = eap[0] if eap else None
    if verdict is Verdict.ACCEPT and code is not None and code != _EAP_SUCCESS:
        return "Access-Accept with an EAP packet that is not a Success"
    if verdict is Verdict.REJECT and code is not None and code != _EAP_FAILURE:
        return "Access-Reject with an EAP packet that is not a Failure"
    if verdict is Verdict.CHALLENGE and (code is None or code in (_EAP_SUCCESS, _EAP_FAILURE)):
        return "Access-Challenge without an EAP request"
    return None

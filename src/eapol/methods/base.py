"""What the EAP peer needs of a method (RFC 4137, 4.4: m.check, m.process, m.buildResp)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from eapol.eap import Packet
from eapol.engine import ClientTlsContext, Keys
from eapol.notices import Notice
from eapol.settings import Network
from eapol.status import Decision, MethodState, TlsStatus

Entropy = Callable[[int], bytes]
"""Gives that many random octets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a method is made of. `fragment_size` is octets of TLS data in a packet."""

    network: Network
    tls: ClientTlsContext | None
    date: datetime
    fragment_size: int
    entropy: Entropy


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer to one request. `data` is the type-data of the response.

    `progress`: the request brought something new, or took some of ours. `failure` says in words why
    `decision` became FAIL for good.
    """

    data: bytes
    methodState: MethodState
    decision: Decision
    progress: bool = True
    failure: str | None = None


class Method(Protocol):
    """One conversation of one method."""

    @property
    def keys(self) -> Keys | None:
        """Available once the method has succeeded (m.isKeyAvailable, m.getKey)."""
        ...

    @property
    def tls(self) -> TlsStatus | None:
        """The TLS connection, of a method that has one."""
        ...

    @property
    def lacks(self) -> str:
        """What is still missing for an EAP-Success to count: "before ..."."""
        ...

    @property
    def refusal(self) -> str:
        """What an EAP-Failure without a reason may mean now: "in answer to ...", "after ..."."""
        ...

    def process(self, request: Packet) -> Outcome | None:
        """Answer `request`; None means that it is discarded (m.check says ignore)."""
        ...

    def notices(self) -> Sequence[Notice]:
        """What was seen since the last call."""
        ...

    def close(self, *, success: bool) -> None:
        """The conversation ended."""
        ...


class PlainMethod:
    """What methods without TLS have in common."""

    tls: TlsStatus | None = None

    @property
    def keys(self) -> Keys | None:
        return None

    @property
    def lacks(self) -> str:
        return "before the method was complete"

    @property
    def refusal(self) -> str:
        return "after the method began; are identity and password right? The server's log says why"

    def notices(self) -> Sequence[Notice]:
        return ()

    def close(self, *, success: bool) -> None:
        pass

"""What the EAP peer needs of a method (RFC 4137, 4.4: m.check, m.process, m.buildResp)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eapol.eap import Packet
from eapol.engine import Keys
from eapol.notices import Notice
from eapol.status import Decision, MethodState, TlsStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer to one request. `data` is the type-data of the response.

    `progress`: the request brought TLS data, or took some of ours. `failure` says in words why
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

    def process(self, request: Packet) -> Outcome | None:
        """Answer `request`; None means that it is to be discarded (m.check says ignore)."""
        ...

    def notices(self) -> Sequence[Notice]:
        """What was seen since the last call."""
        ...

    def close(self, *, success: bool) -> None:
        """The conversation ended."""
        ...

"""How long the client waits (RFC 5080, 2.2.1; RFC 5997, 4.1)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """Seconds, but for MRC and `failover`, which count transmissions.

    IRT, MRT, MRC, MRD: the first wait, the longest wait, and the end of one request to one server.
    `failover`: transmissions to a server while there is another to ask.
    Tw: between two Status-Server requests to a server that is down; `revive`: after so long it is
    asked again in any case, for not every server answers Status-Server.
    """

    IRT: float = 2.0
    MRT: float = 16.0
    MRC: int = 5
    MRD: float = 30.0
    failover: int = 3
    Tw: float = 30.0
    revive: float = 300.0

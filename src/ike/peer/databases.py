"""What the peers share: the databases of RFC 4301, 4.4, as the keying daemon knows them.

The SPD says which traffic wants SAs and whose it is, the SAD which connection an SA belongs to. The
PAD, which says who may be whom, is `ike.peer.authorization`. Every look-up is by a key; none goes
through the entries of others.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ike.context import Context
from ike.isakmp.header import NO_COOKIE, Header
from ike.peer.half_open import HalfOpen
from ike.peer.networks import Networks
from ike.phase1.weak import Weakness
from ike.rate import Shares
from ike.reqids import GENERATED
from ike.sa.isakmp_sa import IsakmpSa
from ike.values import Address, Endpoint, Network, PolicyEntry, SaId, Selector

if TYPE_CHECKING:
    from ike.peer.connection import Connection
    from ike.peer.pad import Pad

LINES_PER_SECOND: Final = 20.0
"""Of log about what one peer proposes."""

Traffic = tuple[Selector, Address, Address]


def traffic(policy: PolicyEntry) -> Traffic:
    """What tells policies apart: which packets, between which ends."""
    return policy.selector, policy.local, policy.remote


class Spd:
    """The Security Policy Database (RFC 4301, 4.4.1): connections by the traffic they are for."""

    def __init__(self) -> None:
        self._connections: dict[Traffic, Connection] = {}
        self._reqids: dict[int, int] = {}  # how many protections use each
        self._theirs = Networks()  # the peers' sides
        self._ours = Networks()  # our sides of the policies that were not generated
        self._next_reqid = 0

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator["Connection"]:
        return iter(list(self._connections.values()))

    def find(self, policy: PolicyEntry) -> "Connection | None":
        return self._connections.get(traffic(policy))

    def find_traffic(self, key: Traffic) -> "Connection | None":
        return self._connections.get(key)

    def add(self, connection: "Connection") -> None:
        policy = connection.policy
        self._connections[traffic(policy)] = connection
        for protection in policy.protections:
            self._reqids[protection.reqid] = self._reqids.get(protection.reqid, 0) + 1
        self._theirs.add(policy.selector.remote, connection)
        if not connection.generated:
            self._ours.add(policy.selector.local, connection)

    def remove(self, connection: "Connection") -> None:
        policy = connection.policy
        if self._connections.get(traffic(policy)) is not connection:
            return
        del self._connections[traffic(policy)]
        for protection in policy.protections:
            self._reqids[protection.reqid] -= 1
            if not self._reqids[protection.reqid]:
                del self._reqids[protection.reqid]
        self._theirs.remove(policy.selector.remote, connection)
        self._ours.remove(policy.selector.local, connection)

    def overlapping(self, network: Network) -> Iterator["Connection"]:
        """Those whose peer's side has an address in common with `network`."""
        return self._theirs.overlapping(network)

    def is_ours(self, network: Network) -> bool:
        """Whether an administrator's policy has a part of it on our side. Everything is no side."""
        return any(True for _ in self._ours.overlapping(network, least=1))

    def fresh_reqid(self) -> int:
        """One for a generated policy, that none uses. Raises: LookupError when all are in use."""
        for _ in range(len(GENERATED)):
            reqid = GENERATED[self._next_reqid]
            self._next_reqid = (self._next_reqid + 1) % len(GENERATED)
            if reqid not in self._reqids:
                return reqid
        raise LookupError("no reqid is free")


class Cookies:
    """ISAKMP SAs by their cookies (RFC 2408, 2.5.3)."""

    def __init__(self) -> None:
        self._ours: dict[bytes, IsakmpSa] = {}  # as initiator, by our cookie
        self._theirs: dict[bytes, IsakmpSa] = {}  # as responder, by both
        self._openings: dict[tuple[bytes, Address], IsakmpSa] = {}

    def __len__(self) -> int:
        return len(self._ours) + len(self._theirs)

    def add(self, sa: IsakmpSa) -> None:
        cookies = sa.cookies
        if sa.facts.is_initiator:
            self._ours[cookies.initiator] = sa
        else:
            self._theirs[bytes(cookies)] = sa
            self._openings[cookies.initiator, sa.remote.address] = sa

    def remove(self, sa: IsakmpSa) -> None:
        cookies = sa.cookies
        if sa.facts.is_initiator:
            self._ours.pop(cookies.initiator, None)
            return
        self._theirs.pop(bytes(cookies), None)
        opening = (cookies.initiator, sa.opened_from)
        if self._openings.get(opening) is sa:
            del self._openings[opening]

    def find(self, header: Header, source: Endpoint) -> IsakmpSa | None:
        """Whose message this is. The responder's cookie may not be known yet: then the address must
        be the peer's.
        """
        sa = self._ours.get(header.initiator_cookie)
        if sa is not None:
            known = sa.cookies.responder
            if known == header.responder_cookie:
                return sa
            return sa if known == NO_COOKIE and sa.remote.address == source.address else None
        if header.responder_cookie == NO_COOKIE:
            return self._openings.get((header.initiator_cookie, source.address))
        return self._theirs.get(header.initiator_cookie + header.responder_cookie)


@dataclass(slots=True)
class Databases:
    context: Context
    weakness: Weakness
    half_open: HalfOpen
    pad: "Pad" = field(init=False)
    spd: Spd = field(default_factory=Spd)
    sad: dict[SaId, "Connection"] = field(default_factory=dict)
    cookies: Cookies = field(default_factory=Cookies)
    generated: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many policies are generated for peers with the same proof under the same remote."""
    lines: Shares = field(default_factory=lambda: Shares(LINES_PER_SECOND))
    closing: bool = False  # nothing new is begun

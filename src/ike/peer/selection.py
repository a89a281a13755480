"""Which of a peer's connections a Quick Mode of it is for (RFC 2409, 5.5)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ike.peer import authorization
from ike.peer.connection import Connection
from ike.peer.databases import Databases
from ike.phase2.owner import Wanted
from ike.values import PolicyEntry

if TYPE_CHECKING:
    from ike.peer.peer import Peer


def entries_for(databases: Databases, peer: "Peer", wanted: Wanted) -> list[Connection]:
    """The connection of exactly this traffic, or the narrowest that covers it; else a new one whose
    policy is generated. Raises: InvalidIdInformation.
    """
    fitting = [c for c in _candidates(databases, peer, wanted) if _fits(c.policy, wanted)]
    exact = [c for c in fitting if c.policy.selector == wanted.selector]
    if exact:
        return exact
    covering = [c for c in fitting if c.policy.selector.covers(wanted.selector)]
    if covering:
        return [max(covering, key=lambda c: _narrowness(c.policy))]
    policy = authorization.generated_policy(databases, peer, wanted)
    return [Connection(databases, peer, policy, generated=True)]


def _candidates(databases: Databases, peer: "Peer", wanted: Wanted) -> Iterator[Connection]:
    """The peer's own, and those of others at its address, which it may be allowed to take."""
    named = databases.spd.find_traffic((wanted.selector, wanted.local, wanted.remote))
    if named is not None:
        yield named
        return
    yield from peer.connections.values()
    for other in databases.pad.at(wanted.remote):
        if other is not peer:
            yield from (c for c in other.connections.values() if not c.generated)


def _fits(policy: PolicyEntry, wanted: Wanted) -> bool:
    if (policy.local, policy.remote) != (wanted.local, wanted.remote):
        return False
    ours = [(protection.protocol, protection.mode) for protection in policy.protections]
    return wanted.protections[0] in ours


def _narrowness(policy: PolicyEntry) -> tuple[int, int, int]:
    selector = policy.selector
    return (
        selector.local.prefixlen + selector.remote.prefixlen,
        int(selector.protocol != 0),
        int(selector.local_port != 0) + int(selector.remote_port != 0),
    )

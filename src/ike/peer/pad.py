"""The peers there are, by address and by proved identity; the rules are in `authorization`."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from ike.config import Config, Remote
from ike.peer import takedown
from ike.peer.authorization import ProvedIdentity, may_follow, proved_identity
from ike.peer.databases import Databases
from ike.peer.peer import Peer
from ike.sa.isakmp_sa import IsakmpSa
from ike.values import Address, PolicyEntry

SLICE: Final = 32
"""Peers that are disconnected at a time."""
GONE: Final = "its remote is no longer configured"


class Pad:
    def __init__(self, databases: Databases) -> None:
        self._db = databases
        self._at: dict[Address, dict[Peer, None]] = {}
        self._identities: dict[tuple[str, ProvedIdentity], Peer] = {}
        self._proofs: dict[tuple[str, str], dict[Peer, None]] = {}  # peers with the same key

    def __iter__(self) -> Iterator[Peer]:
        return iter([peer for peers in self._at.values() for peer in peers])

    def at(self, address: Address) -> list[Peer]:
        return list(self._at.get(address, ()))

    def peer_at(self, address: Address, name: str | None = None) -> Peer:
        """The peer to talk to at this address; `name` is a remote's, where the address is not
        enough.
        """
        config = self._db.context.config
        remote = config.remote_named(name) if name else config.remote_for(address)
        for peer in self.at(address):
            if peer.proved_at not in (None, address):
                continue  # it has moved there, as far as one can see
            if name is None or peer.remote == remote:
                return peer
        peer = Peer(self._db, remote, address)
        self._at.setdefault(address, {})[peer] = None
        return peer

    def peer_of(self, policy: PolicyEntry) -> Peer:
        """Whose a policy is."""
        return self.peer_at(policy.remote)

    def was_here(self, address: Address) -> bool:
        """Whether a peer has proved its identity at this address, and is still known."""
        return any(peer.identity is not None for peer in self._at.get(address, ()))

    def authenticated(self, sa: IsakmpSa) -> Peer:
        """A phase 1 is established: whose it is."""
        identity = proved_identity(sa.facts)
        peer = self._peer_of_proof(sa, identity)
        peer.isakmp_sas[sa] = None  # from now on it is not idle
        self._at.setdefault(peer.address, {})[peer] = None
        if sa.owner is not peer and isinstance(sa.owner, Peer):
            sa.owner.isakmp_sas.pop(sa, None)
            self.forget_if_idle(sa.owner)
        if peer.address != sa.remote.address:
            self.moved(peer, sa.remote.address)
        peer.proved_at = sa.remote.address
        return peer

    def _peer_of_proof(self, sa: IsakmpSa, identity: ProvedIdentity) -> Peer:
        remote, address = sa.facts.remote, sa.remote.address
        known = self._identities.get((remote.name, identity))
        asked = sa.owner if isinstance(sa.owner, Peer) else None
        if known is not None:
            if asked is not None and asked is not known and asked.identity is None:
                for connection in list(asked.connections.values()):
                    known.take(connection)
            return known
        here = [asked] if asked is not None else self.at(address)
        for peer in here:
            same = peer.remote is not None and peer.remote.name == remote.name
            if same and (peer.identity is None or not _lives(peer, sa)):
                self._bind(peer, identity)
                return peer
        peer = Peer(self._db, remote, address)
        self._at.setdefault(address, {})[peer] = None
        self._bind(peer, identity)
        return peer

    def _bind(self, peer: Peer, identity: ProvedIdentity) -> None:
        if peer.identity is not None:
            self._db.context.warning(
                f"the peer authenticated as {identity}; it was {peer.identity} before", peer.address
            )
            self._unbind(peer)
            takedown.identity_changed(peer)
        assert peer.remote is not None
        self._file(peer, peer.remote, identity)
        alike = self._proofs[peer.remote.name, identity.proof]
        if len(alike) > self._db.context.config.limits.per_proof:
            oldest = next(iter(alike))
            takedown.disconnected(oldest, "too many other peers authenticated with the same key")
            self._unbind(oldest)

    def _file(self, peer: Peer, remote: Remote, identity: ProvedIdentity) -> None:
        peer.identity = identity
        self._identities[remote.name, identity] = peer
        self._proofs.setdefault((remote.name, identity.proof), {})[peer] = None

    def _unbind(self, peer: Peer) -> None:
        if peer.identity is not None and peer.remote is not None:
            key = (peer.remote.name, peer.identity)
            if self._identities.get(key) is peer:
                del self._identities[key]
            account = (peer.remote.name, peer.identity.proof)
            alike = self._proofs.get(account, {})
            alike.pop(peer, None)
            if not alike:
                self._proofs.pop(account, None)
        peer.identity = None

    def _rename(self, peer: Peer, remote: Remote) -> None:
        """Another entry is for the peer now. Who proves the same by that is the same."""
        identity = peer.identity
        self._unbind(peer)
        peer.remote = remote
        if identity is not None and (remote.name, identity) not in self._identities:
            self._file(peer, remote, identity)

    def moved(self, peer: Peer, address: Address) -> None:
        """The peer is at this address now. Policies that are ours follow it."""
        self._remove(peer)
        peer.address = address
        self._at.setdefault(address, {})[peer] = None
        for connection in list(peer.connections.values()):
            if connection.generated:
                if may_follow(self._db, connection, address):
                    connection.follow(address)
            elif connection.is_idle and connection.policy.remote != address:
                self.peer_of(connection.policy).take(connection)  # the peer there

    def _remove(self, peer: Peer) -> None:
        peers = self._at.get(peer.address, {})
        peers.pop(peer, None)
        if not peers:
            self._at.pop(peer.address, None)

    def forget_if_idle(self, peer: Peer) -> None:
        """What strangers were let in for must not be kept for ever."""
        if peer.is_idle and peer in self._at.get(peer.address, ()):
            self._remove(peer)
            self._unbind(peer)

    def reload(self, config: Config) -> None:
        """A new configuration. What is established stays until it is renewed under that; a peer
        whose remote is gone goes with all that it has: many of them in slices, and meanwhile
        nothing is negotiated with them.
        """
        gone: list[Peer] = []
        for peer in self:
            old = peer.remote
            now = config.remote_for(peer.address, old.port if old is not None else None)
            kept = config.remote_named(old.name) if old is not None else None
            if kept is None or kept.address not in (None, peer.address):
                self._unbind(peer)
                if old is not None and now is None:
                    gone.append(peer)
                elif old is not None:
                    takedown.disconnected(peer, GONE)
                peer.remote = now
                self.forget_if_idle(peer)
            elif kept.address is None and now is not None and now.address is not None:
                self._rename(peer, now)  # it has an entry of its own now
            else:
                peer.remote = kept
        self._disconnect_all(gone)

    def _disconnect_all(self, gone: list[Peer]) -> None:
        for peer in gone[:SLICE]:
            if peer.remote is None:  # as another configuration may have come meanwhile
                takedown.disconnected(peer, GONE)
                self.forget_if_idle(peer)
        if len(gone) > SLICE:
            rest = partial(self._disconnect_all, gone[SLICE:])
            self._db.context.later("remotes that are gone", 0.0, rest)


def _lives(peer: Peer, new: IsakmpSa) -> bool:
    """Whether a peer has SAs besides the new one."""
    others = any(sa.established for sa in peer.isakmp_sas if sa is not new)
    if new.facts.is_initiator:
        return others
    return others or any(peer.bundles())

"""Which `sainfo` is meant (racoon.conf(5)): both identities match, and the most specific is used.

A side matches by equal values, not as a filter. So what may match an identity is a few values, and
they are looked up: the cost does not grow with the number of sainfos.
"""

from collections.abc import Hashable, Iterable
from contextlib import suppress

from ike.config import Identifier, Sainfo, SainfoId
from ike.doi.identity import identification, is_any, matches, network_of
from ike.errors import InvalidIdInformation, LocalError
from ike.isakmp.payloads import Identification
from ike.numbers.doi import IdType
from ike.values import Network
from wire.source import octets_of

_TEXT = (IdType.FQDN, IdType.USER_FQDN)


class SainfoIndex:
    """The sainfos of a configuration by both sides and `remoteid`."""

    def __init__(self, sainfos: Iterable[Sainfo]) -> None:
        self._sainfos = tuple(sainfos)
        self._places: dict[tuple[Hashable, Hashable, int, Hashable], int] = {}
        self._names: dict[Identifier, None] = {}  # DNs, which have to be compared
        for place, sainfo in enumerate(self._sainfos):
            sides = self._side(sainfo.local), self._side(sainfo.remote)
            key = (*sides, sainfo.remoteid, self._identity(sainfo.peer))
            self._places.setdefault(key, place)

    def find(
        self,
        local: Identification,
        remote: Identification,
        ph1id: int,
        peer: Identification | None = None,
    ) -> Sainfo | None:
        """The sainfo for traffic between these, under a remote with this `ph1id`.

        `peer` is the identity of phase 1. The first of several that are equally precise.
        """
        remotes = self._values(remote)
        peers = [None] if peer is None else self._values(peer)
        found = [
            (_precision(*key), -place)
            for mine in self._values(local)
            for theirs in remotes
            for number in {0, ph1id}
            for who in peers
            if (place := self._places.get(key := (mine, theirs, number, who))) is not None
        ]
        return self._sainfos[-max(found)[1]] if found else None

    def _side(self, side: SainfoId | None) -> Hashable:
        """A side as a value to look up; None is anonymous."""
        if side is None or side.identifier is not None:
            return self._identity(side.identifier if side else None)
        return _traffic(side.network, side.protocol, side.port)

    def _identity(self, identifier: Identifier | None) -> Hashable:
        if identifier is None:
            return None
        if is_any(identifier):
            return identifier.type, None
        try:
            if identifier.type in _TEXT:
                return identifier.type, octets_of(identifier.value).lower()
            if identifier.type != IdType.DER_ASN1_DN:
                return identifier.type, identification(identifier).data
        except LocalError:
            pass  # a value that is none of its type matches nothing, as in `matches`
        self._names[identifier] = None
        return identifier

    def _values(self, identity: Identification) -> list[Hashable]:
        """What a side that matches `identity` may be."""
        data = identity.data.lower() if identity.type in _TEXT else identity.data
        values: list[Hashable] = [None, (identity.type, None), (identity.type, data)]
        with suppress(InvalidIdInformation):  # a name
            values.append(_traffic(network_of(identity), identity.protocol, identity.port))
        if identity.type == IdType.DER_ASN1_DN:
            values += [name for name in self._names if matches(identity, name)]
        return values


def _traffic(network: Network | None, protocol: int, port: int) -> Hashable:
    """In octets and numbers, which are compared fast."""
    if network is None:
        return None, protocol, port
    return network.network_address.packed, network.prefixlen, protocol, port


def _precision(local: Hashable, remote: Hashable, remoteid: int, peer: Hashable) -> int:
    return (local is not None) + (remote is not None) + (remoteid != 0) + (peer is not None)

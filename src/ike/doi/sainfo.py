"""Which `sainfo` is meant (racoon.conf(5)): both identities match, the most precise wins.

A side matches by equal values, not as a filter. So what may match an identity is a few values, and
they are looked up: the cost does not grow with the number of sainfos.
"""

from collections.abc import Hashable, Iterable
from contextlib import suppress

from ike.config import Identifier, Sainfo, SainfoId
from ike.doi.identity import identification, matches, network_of
from ike.errors import InvalidIdInformation, LocalError
from ike.isakmp.payloads import Identification
from ike.numbers.doi import IdType
from ike.values import Network

_TEXT = (IdType.FQDN, IdType.USER_FQDN)
_ANYTHING = ("", "*")


class SainfoIndex:
    """The sainfos of a configuration by both sides and `remoteid`."""

    def __init__(self, sainfos: Iterable[Sainfo]) -> None:
        self._sainfos = tuple(sainfos)
        self._places: dict[tuple[Hashable, Hashable, int], int] = {}
        self._names: dict[Identifier, None] = {}  # DNs, which have to be compared
        for place, sainfo in enumerate(self._sainfos):
            key = (self._side(sainfo.local), self._side(sainfo.remote), sainfo.remoteid)
            self._places.setdefault(key, place)

    def find(self, local: Identification, remote: Identification, ph1id: int) -> Sainfo | None:
        """The sainfo for traffic between these, under a remote with this `ph1id`.

        The first of several that are equally precise.
        """
        remotes = self._values(remote)
        found = [
            (_precision(*key), -place)
            for mine in self._values(local)
            for theirs in remotes
            for number in {0, ph1id}
            if (place := self._places.get(key := (mine, theirs, number))) is not None
        ]
        return self._sainfos[-max(found)[1]] if found else None

    def _side(self, side: SainfoId | None) -> Hashable:
        """A side as a value to look up; None is anonymous."""
        if side is None:
            return None
        identifier = side.identifier
        if identifier is None:
            return _traffic(side.network, side.protocol, side.port)
        if identifier.value in _ANYTHING:
            return identifier.type, None
        try:
            if identifier.type in _TEXT:
                return identifier.type, identifier.value.encode().lower()
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


def _precision(local: Hashable, remote: Hashable, remoteid: int) -> int:
    return (local is not None) + (remote is not None) + (remoteid != 0)

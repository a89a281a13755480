"""Connections by a network of theirs: which have an address in common with another network."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from ipaddress import ip_network
from typing import TYPE_CHECKING

from ike.values import Network

if TYPE_CHECKING:
    from ike.peer.connection import Connection


class Networks:
    """What a look-up costs depends on what it finds, not on how many there are."""

    def __init__(self) -> None:
        self._found: dict[Network, dict[Connection, None]] = {}
        self._ordered: dict[int, list[tuple[int, int]]] = {4: [], 6: []}  # first address, length

    def add(self, network: Network, connection: "Connection") -> None:
        if network not in self._found:
            self._found[network] = {}
            insort(self._ordered[network.version], _place(network))
        self._found[network][connection] = None

    def remove(self, network: Network, connection: "Connection") -> None:
        found = self._found.get(network, {})
        if connection not in found:
            return
        del found[connection]
        if not found:
            del self._found[network]
            ordered = self._ordered[network.version]
            del ordered[bisect_left(ordered, _place(network))]

    def overlapping(self, network: Network, *, least: int = 0) -> Iterator["Connection"]:
        """Those whose network holds this one (with a prefix of `least` or longer) or is in it."""
        for length in range(least, network.prefixlen + 1):
            yield from self._found.get(_shortened(network, length), ())
        ordered = self._ordered[network.version]
        first, last = int(network.network_address), int(network.broadcast_address)
        place = bisect_left(ordered, (first, network.prefixlen + 1))
        while place < len(ordered) and ordered[place][0] <= last:
            start, length = ordered[place]
            if length > network.prefixlen:
                yield from self._found[type(network)((start, length))]
            place += 1


def _place(network: Network) -> tuple[int, int]:
    return int(network.network_address), network.prefixlen


def _shortened(network: Network, length: int) -> Network:
    if length == network.prefixlen:
        return network
    return ip_network((network.network_address.packed, length), strict=False)

"""Names the strict reverse path filter that drops a peer's packets (rp_filter, ip-sysctl).

It drops what comes from an address that is routed into our device: a peer within a protected
network. Linux counts it (`IPReversePathFilter`) and says nothing.
"""

import logging
from bisect import bisect_left, insort
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from xfrm.model import Address, Network, Policy

logger = logging.getLogger("xfrm")

_Prefix = tuple[int, int, int]  # version, bits of the host, number of the network


class RpFilter:
    """Knows the peers and the routed networks; a new one is compared by look-ups."""

    def __init__(self) -> None:
        self._peers: dict[int, list[int]] = {4: [], 6: []}  # sorted; one entry for each policy's
        self._networks: Counter[_Prefix] = Counter()
        self._lengths: Counter[tuple[int, int]] = Counter()
        self._warned = False

    def add(self, policy: Policy) -> None:
        """`policy` is routed: warn, once, if a peer of it, or within its network, will be lost."""
        network = policy.selector.dst
        prefix = _prefix(network)
        self._networks[prefix] += 1
        self._lengths[prefix[:2]] += 1
        peers = [each.dst for each in policy.templates if each.dst]
        for peer in peers:
            insort(self._peers[peer.version], int(peer))
        caught = next(filter(self._is_routed, peers), None) or self._peer_in(network)
        if caught is not None and not self._warned:
            self._warn(caught)

    def remove(self, policy: Policy) -> None:
        """A policy that was added."""
        prefix = _prefix(policy.selector.dst)
        _less(self._networks, prefix)
        _less(self._lengths, prefix[:2])
        for peer in (each.dst for each in policy.templates if each.dst):
            numbers = self._peers[peer.version]
            del numbers[bisect_left(numbers, int(peer))]

    def _is_routed(self, peer: Address) -> bool:
        return any(
            (version, host, int(peer) >> host) in self._networks
            for version, host in self._lengths
            if version == peer.version
        )

    def _peer_in(self, network: Network) -> Address | None:
        numbers = self._peers[network.version]
        first = bisect_left(numbers, int(network.network_address))
        if first == len(numbers) or numbers[first] > int(network.broadcast_address):
            return None
        return type(network.network_address)(numbers[first])

    def _warn(self, caught: Address) -> None:
        strict = _strict_filters()
        if strict:
            self._warned = True
            logger.warning(
                "packets from %s may be dropped by the strict reverse path filter of %s: "
                "'sysctl net.ipv4.conf.all.rp_filter=2' makes it loose",
                caught,
                ", ".join(strict),
            )


K = TypeVar("K")


def _less(counts: Counter[K], key: K) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]


def _prefix(network: Network) -> _Prefix:
    host = network.max_prefixlen - network.prefixlen
    return network.version, host, int(network.network_address) >> host


def _strict_filters() -> list[str]:
    """The interfaces whose reverse path filter is strict; 'all' counts where it is larger."""
    values: dict[str, int] = {}
    for file in sorted(Path("/proc/sys/net/ipv4/conf").glob("*/rp_filter")):
        with suppress(OSError, ValueError):
            values[file.parent.name] = int(file.read_text())
    everywhere = values.pop("all", 0)
    kept = {name: value for name, value in values.items() if name not in ("default", "lo")}
    return [name for name, value in kept.items() if max(value, everywhere) == 1]

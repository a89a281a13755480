"""The rules of one chain of the packet filter, for the inbound policies of one direction.

The first policy that matches decides. Policies in a row with the same verdict are a `_Run`: among
them the order does not matter, so those that look at the same bits of a packet are one set of
values, and one rule. A policy that comes or goes is then an element that comes or goes.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from xfrm.esp.packet import ICMP, ICMPV6
from xfrm.model import Action, Policy, Selector
from xfrm.netlink import requests
from xfrm.netlink.messages import MessageType
from xfrm.tun import nft
from xfrm.tun.spd import PolicyEntry

Rank = tuple[int, int]
Shape = tuple[int, int, int, bool, int, bool, bool]
"""Version, prefixes, whether the protocol counts, octets of a port, whether the ports count."""

_MOST_SPARE = 64  # rules whose sets may have become empty


@dataclass(slots=True)
class _Run:
    """Policies from the rank `first` to `last`; by shape, the name of their set and its size."""

    verdict: int
    first: Rank
    last: Rank
    sets: dict[Shape, str] = field(default_factory=dict)
    sizes: dict[Shape, int] = field(default_factory=dict)


class Chain:
    """Makes messages of nf_tables; after one that was refused only `whole` works."""

    def __init__(self, table: str, name: str | None, numbers: Iterator[int]) -> None:
        """`numbers` name the sets; without a chain of a `name` these are kept, and never asked."""
        self._table, self._name, self._numbers = table, name, numbers
        self._runs: list[_Run] = []
        self._spare = 0

    def whole(self, entries: Iterable[PolicyEntry]) -> list[bytes]:
        """All sets and rules, for a chain without any; `entries` in their order."""
        self._runs, self._spare = [], 0
        elements: dict[str, list[nft.Element]] = {}
        messages: list[bytes] = []
        for entry in entries:
            verdict = self._verdict(entry.policy)
            if not self._runs or self._runs[-1].verdict != verdict:
                self._runs.append(_Run(verdict, entry.rank, entry.rank))
            name, made = self._into(self._runs[-1], entry)
            messages += made
            elements.setdefault(name, []).append(_element(entry.policy))
        for name, values in elements.items():
            messages += nft.add_elements(self._table, name, values)
        return messages

    def add(self, entry: PolicyEntry) -> list[bytes] | None:
        """What adds one policy; None if the rules have to be made again."""
        run = self._run_for(entry.rank, self._verdict(entry.policy))
        if run is None or (run is not self._runs[-1] and _shape(entry.policy) not in run.sets):
            return None
        name, made = self._into(run, entry)
        return [*made, *nft.add_elements(self._table, name, [_element(entry.policy)])]

    def remove(self, entry: PolicyEntry) -> list[bytes] | None:
        """What takes one policy away; None if it is time to make the rules again."""
        shape = _shape(entry.policy)
        run = self._runs[self._at(entry.rank)]
        run.sizes[shape] -= 1
        if not run.sizes[shape]:
            self._spare += 1
            if self._spare > _MOST_SPARE:
                return None
        return nft.delete_elements(self._table, run.sets[shape], [_key(entry.policy.selector)])

    def _at(self, rank: Rank) -> int:
        """The place of the last run that begins before `rank`, or -1."""
        return bisect_right(self._runs, rank, key=lambda run: run.first) - 1

    def _run_for(self, rank: Rank, verdict: int) -> _Run | None:
        """The run that a policy of this rank joins, a new one at the end, or None."""
        at = self._at(rank)
        if at >= 0 and self._runs[at].verdict == verdict:
            return self._runs[at]
        within = at >= 0 and rank < self._runs[at].last
        if not within and at + 1 < len(self._runs) and self._runs[at + 1].verdict == verdict:
            return self._runs[at + 1]
        if within or at + 1 < len(self._runs):
            return None
        self._runs.append(_Run(verdict, rank, rank))
        return self._runs[-1]

    def _into(self, run: _Run, entry: PolicyEntry) -> tuple[str, list[bytes]]:
        """The set for the policy, and what makes it and its rule where there is none."""
        run.first, run.last = min(run.first, entry.rank), max(run.last, entry.rank)
        shape = _shape(entry.policy)
        run.sizes[shape] = run.sizes.get(shape, 0) + 1
        if shape in run.sets:
            return run.sets[shape], []
        number = next(self._numbers)
        name = run.sets[shape] = f"policies{number}"
        fields = _fields(shape)
        match = nft.of_version(shape[0]) + nft.in_set(name, number, fields)
        made = [nft.add_set(self._table, name, number, fields)]
        if self._name is not None:
            made.append(nft.add_rule(self._table, self._name, match, run.verdict))
        return name, made

    def _verdict(self, policy: Policy) -> int:
        """What the policy says of a packet in clear."""
        passes = policy.action == Action.ALLOW and all(each.optional for each in policy.templates)
        return nft.ACCEPT if passes or self._name is None else nft.DROP


def _shape(policy: Policy) -> Shape:
    selector = policy.selector
    return (
        selector.dst.version,
        selector.src.prefixlen,
        selector.dst.prefixlen,
        selector.protocol > 0,
        _port_size(selector.protocol),
        selector.src_port is not None,
        selector.dst_port is not None,
    )


def _fields(shape: Shape) -> list[nft.Field]:
    version, src, dst, protocol, size, by_src, by_dst = shape
    fields = [nft.source(version, src), nft.destination(version, dst)]
    if protocol:
        fields.append(nft.protocol())
    fields += [nft.transport(0, size)] if by_src else []
    fields += [nft.transport(size, size)] if by_dst else []
    return fields


def _key(selector: Selector) -> bytes:
    parts = [selector.src.network_address.packed, selector.dst.network_address.packed]
    if selector.protocol:
        parts.append(bytes((selector.protocol,)))
    size = _port_size(selector.protocol)
    for number in (selector.src_port, selector.dst_port):
        if number is not None:
            parts.append(number.to_bytes(size, "big"))
    return nft.key(parts)


def _element(policy: Policy) -> nft.Element:
    note = bytes(requests.policy_message(MessageType.UPDPOLICY, policy))
    return nft.Element(_key(policy.selector), note)


def _port_size(protocol: int) -> int:
    """For ICMP these are type and code."""
    return 1 if protocol in (ICMP, ICMPV6) else 2

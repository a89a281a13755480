"""Decisions kept by flow, each with its policy and its SA.

A change of a policy or an SA drops the flows that use it, and those that a new policy takes
over; no others. When there is no room the oldest goes, one by one.
"""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from xfrm.esp.packet import Flow
from xfrm.model import Direction
from xfrm.tun.spd import PolicyEntry

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Policy = PolicyEntry | Direction
"""What decided: a policy, or that there is none for this way."""


class Flows(Generic[K, V]):
    """`get` is the one that every packet takes: a dict's own."""

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._found: dict[K, V] = {}
        self._grounds: dict[K, tuple[Flow, Policy, Hashable]] = {}
        self._by_policy: dict[Policy, set[K]] = {}
        self._by_sa: dict[Hashable, set[K]] = {}
        self.get = self._found.get

    def __len__(self) -> int:
        return len(self._found)

    def put(self, key: K, value: V, flow: Flow, policy: Policy, sa: Hashable) -> V:
        """Keep `value` for the flow; `sa` names its SA, or the one that is missing."""
        if key in self._found:
            self._drop(key)
        elif len(self._found) >= self._most:
            self._drop(next(iter(self._found)))
        self._found[key] = value
        self._grounds[key] = flow, policy, sa
        self._by_policy.setdefault(policy, set()).add(key)
        self._by_sa.setdefault(sa, set()).add(key)
        return value

    def forget_sa(self, sa: Hashable) -> None:
        for key in list(self._by_sa.get(sa, ())):
            self._drop(key)

    def forget_policy(self, policy: PolicyEntry) -> None:
        """It is there no more."""
        for key in list(self._by_policy.get(policy, ())):
            self._drop(key)

    def forget_taken_over(self, new: PolicyEntry) -> None:
        """It decides from now on what a later one, or none, decided."""
        way, rank, matches = new.policy.direction, new.rank, new.matcher.matches
        for policy, keys in list(self._by_policy.items()):
            if policy != way if isinstance(policy, Direction) else not _later(policy, way, rank):
                continue
            for key in list(keys):
                if matches(self._grounds[key][0]) is not False:
                    self._drop(key)

    def _drop(self, key: K) -> None:
        del self._found[key]
        _, policy, sa = self._grounds.pop(key)
        _discard(self._by_policy, policy, key)
        _discard(self._by_sa, sa, key)


def _later(policy: PolicyEntry, way: Direction, rank: tuple[int, int]) -> bool:
    return policy.policy.direction == way and policy.rank > rank


def _discard(index: "dict[Hashable, set[K]] | dict[Policy, set[K]]", of: object, key: K) -> None:
    keys = index[of]  # type: ignore[index]
    keys.discard(key)
    if not keys:
        del index[of]  # type: ignore[arg-type]

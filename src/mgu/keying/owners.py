"""Whose each policy of the data plane is.

An entry is several policies, one for each direction. Two entries for one and the same traffic, to
different peers say, are one place in the data plane: the second one replaces the first there, and
the first must then not be removed any more.
"""

from collections.abc import Iterable

from ike.values import PolicyEntry
from mgu.keying.values import policies_of
from xfrm.model import Direction, Policy, Selector


class Owners:
    def __init__(self) -> None:
        self._entries: dict[tuple[Selector, Direction], PolicyEntry] = {}

    def found(self, entry: PolicyEntry, directions: Iterable[Direction]) -> None:
        """An earlier daemon left those of `entry` in these directions."""
        for policy in policies_of(entry):
            if policy.direction in directions:
                self.took(policy, entry)

    def took(self, policy: Policy, entry: PolicyEntry) -> None:
        self._entries[policy.selector, policy.direction] = entry

    def left(self, policy: Policy) -> None:
        self._entries.pop((policy.selector, policy.direction), None)

    def is_of(self, policy: Policy, entry: PolicyEntry) -> bool:
        """What nobody is known to own is whose it is said to be."""
        return self._entries.get((policy.selector, policy.direction), entry) == entry

    def before(self, policy: Policy) -> Policy | None:
        """What is in place of `policy` as long as that is not there."""
        owner = self._entries.get((policy.selector, policy.direction))
        if owner is None:
            return None
        place = (policy.selector, policy.direction)
        return next(p for p in policies_of(owner) if (p.selector, p.direction) == place)

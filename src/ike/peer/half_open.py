"""Phase 1 exchanges of others that are not authenticated yet, with a limit for each source.

Strangers share the places by prefix: when all are taken, one of the fullest prefix is dropped,
first those with one message only, whose source may be forged. A peer with a `remote` of its own, or
a known one, has places that strangers cannot take.
"""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Final, TypeVar

from ike.config import Limits
from ike.errors import OutOfTurn
from ike.sa.isakmp_sa import IsakmpSa
from ike.values import Address, Network

PREFIX: Final = {4: 24, 6: 48}
"""What one customer of a provider has at least: addresses in it cost nothing."""

K = TypeVar("K")
Table = dict[IsakmpSa, None]  # the oldest first


class HalfOpen:
    def __init__(self) -> None:
        self._at: dict[Address, Table] = {}
        self._strangers: dict[Network, Table] = {}
        self._strangers_count = 0  # of the strangers

    def __len__(self) -> int:
        return sum(map(len, self._at.values()))

    def __iter__(self) -> Iterator[IsakmpSa]:
        return iter([sa for table in self._at.values() for sa in table])

    def arriving(self, remote: Address, local: Address) -> bool:
        """Whether one from that address has shown that it hears us, and is not refused yet."""
        return any(sa.credible and sa.local.address == local for sa in self._at.get(remote, ()))

    def room_for(self, address: Address, limits: Limits, *, known: bool) -> IsakmpSa | None:
        """The one to drop so that another from `address` can begin; None: nobody.

        Raises: OutOfTurn when there is no room.
        """
        here = self._at.get(address, {})
        if len(here) >= limits.half_open_per_address:
            return _least(here, forged_only=known)
        if known:
            return None
        near = self._strangers.get(prefix(address), {})
        if len(near) >= limits.half_open_per_prefix:
            return _least(near)
        if self._strangers_count >= limits.half_open:
            return _least(max(self._strangers.values(), key=len))
        return None

    def add(self, sa: IsakmpSa, *, known: bool) -> None:
        self._at.setdefault(sa.opened_from, {})[sa] = None
        if not known:
            self._strangers.setdefault(prefix(sa.opened_from), {})[sa] = None
            self._strangers_count += 1

    def remove(self, sa: IsakmpSa) -> None:
        _discard(self._at, sa.opened_from, sa)
        self._strangers_count -= _discard(self._strangers, prefix(sa.opened_from), sa)


def prefix(address: Address) -> Network:
    """Whose share a stranger's place is."""
    return ip_network((address.packed, PREFIX[address.version]), strict=False)


def _least(table: Table, *, forged_only: bool = False) -> IsakmpSa:
    """The oldest that may be forged, else the oldest."""
    for sa in table:
        if sa.handshake.only_opened:
            return sa
    if forged_only:
        raise OutOfTurn("too many negotiations at once")
    return next(iter(table))


def _discard(tables: dict[K, Table], key: K, sa: IsakmpSa) -> bool:
    table = tables.get(key, {})
    if sa not in table:
        return False
    del table[sa]
    if not table:
        del tables[key]
    return True

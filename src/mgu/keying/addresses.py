"""Tells when the host's addresses change: a lease that comes late, or a link that moves."""

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address

from wire.rtnetlink import Change, Item, OwnAddress
from wire.watch import HostWatch

Address = IPv4Address | IPv6Address


class AddressWatch:
    """Calls `changed(gone)` with the addresses that went; with none when one came."""

    def __init__(self, changed: Callable[[frozenset[Address]], object]) -> None:
        """In the running loop. Raises: OSError."""
        self._changed = changed
        self._watch = HostWatch([OwnAddress], self._told)
        self._watch.start()

    def close(self) -> None:
        self._watch.close()

    def _told(self, changes: list[Change]) -> None:
        gone = addresses_gone(changes, self._watch.table.items())
        if gone is not None:
            self._changed(gone)


def addresses_gone(changes: list[Change], present: Iterable[Item]) -> frozenset[Address] | None:
    """Which went, of those that can be spoken from; None when none came or went."""
    before = {found for change in changes if (found := _usable(change.before))}
    after = {found for change in changes if (found := _usable(change.after))}
    if not before | after:
        return None
    return frozenset(before - {found for item in present if (found := _usable(item))})


def _usable(item: Item | None) -> Address | None:
    """An address that can be spoken from."""
    return item.address if isinstance(item, OwnAddress) and item.usable else None

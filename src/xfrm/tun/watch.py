"""Tells what others changed: the host's addresses, and the rules and routes that are ours.

rtnetlink(7), multicast groups only: nothing is asked. The kernel queues a notification before it
answers the program that made the change, so `drain` knows at any moment all that happened until
then.
"""

from dataclasses import dataclass, field

from wire.rtnetlink import Link, OwnAddress, Route, Rule, Table, Told
from wire.watch import Feed
from xfrm.model import Network


@dataclass(slots=True)
class Changes:
    """`routes`: single ones that went. `everything`: the rules, or any route, may have gone."""

    addresses: bool = False
    everything: bool = False
    routes: set[Network] = field(default_factory=set)

    def __bool__(self) -> bool:
        return self.addresses or self.everything or bool(self.routes)

    def add(self, other: "Changes") -> None:
        self.addresses |= other.addresses
        self.everything |= other.everything
        self.routes |= other.routes


class Watch:
    """Notifications about the host's addresses, the interface `index` and the table `table`."""

    def __init__(self, index: int, table: int) -> None:
        """Raises OSError."""
        self._index = index
        self._table = table
        self._known = Table()  # of addresses: a refreshed lifetime is no change
        self._feed = Feed((Link, OwnAddress, Route, Rule))
        self._feed.ask(OwnAddress)

    def fileno(self) -> int:
        return self._feed.fileno()

    def close(self) -> None:
        self._feed.close()

    def drain(self) -> Changes:
        """What changed since the last call."""
        told, lost = self._feed.drain()
        if lost:
            self._known = Table()
            self._feed.ask(OwnAddress)
            return Changes(addresses=True, everything=True)
        changes = Changes()
        for each in told:
            changes.add(self._change(each))
        return changes

    def _change(self, told: Told) -> Changes:
        match told.item:
            case OwnAddress():
                return Changes(addresses=self._known.take(told) is not None)
            case Link(index=self._index, enabled=True) if not told.gone:
                return Changes(everything=True)  # it may have been down
            case Route(table=self._table, network=network) if told.gone:
                return Changes(routes={network})
            case Rule(table=self._table) if told.gone:
                return Changes(everything=True)
            case _:
                return Changes()

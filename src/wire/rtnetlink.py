"""What the kernel reports of links, addresses, routes and rules -- rtnetlink(7), linux/rtnetlink.h.

`parse` turns a datagram into what it tells; `Table` keeps what was reported before and returns the
differences. A refreshed lifetime of an address, or a route that is announced again, is no change.
Requests that change something are pyroute2's, but for routes, of which there may be thousands:
pyroute2 0.9.5 takes 0.4 ms for each, the kernel 0.01.
"""

import struct
import sys
from collections.abc import Hashable, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from wire.cursor import Cursor, DecodeError
from wire.lean import Final
from wire.record import Record

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MESSAGE: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK: Final = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ADDRESS: Final = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix, flags, scope, index
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
"""rtmsg: family, lengths of dst and src, tos, table, protocol, scope, type, flags; fib_rule_hdr
has the same layout, with the action for the type."""
_ATTRIBUTE: Final = struct.Struct("=HH")  # rtattr: length, type
_KIND: Final = 0x3FFF  # of an attribute's type, without NLA_F_NESTED and NLA_F_NET_BYTEORDER

_ERROR, _DONE = 2, 3  # nlmsghdr types below those of rtnetlink
_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_NEWRULE, _DELRULE, _GETRULE = 32, 33, 34
_REQUEST, _ACK, _DUMP, _REPLACE, _CREATE = 0x1, 0x4, 0x300, 0x100, 0x400  # nlmsghdr flags
_DUMP_INTERRUPTED: Final = 0x10

_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000  # not RUNNING: that is off while the link is dormant
_IFA_DADFAILED, _IFA_TENTATIVE = 0x08, 0x40
_RTM_CLONED: Final = 0x200
_AF_UNSPEC, _AF_INET, _AF_INET6 = 0, 2, 10

# Attributes
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU = 1, 3, 4
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_MULTIPATH, _RTA_TABLE = 1, 4, 5, 6, 9, 15
_RTA_PREFSRC: Final = 7
_RTPROT_BOOT: Final = 3
_SCOPE_LINK, _SCOPE_NOWHERE = 253, 255  # a route without a gateway; of any scope, to remove it
_FRA_PRIORITY, _FRA_FWMARK = 6, 10

UNICAST, UNREACHABLE = 1, 7
"""RTN_*, the type of a route: one that leads somewhere, and one that refuses."""


class Link(Record):
    """`enabled`: an administrator wants it up; `carrier`: the cable is in; `mtu` in octets."""

    index: int
    name: str
    enabled: bool
    carrier: bool
    address: bytes
    mtu: int

    @property
    def up(self) -> bool:
        return self.enabled and self.carrier


class OwnAddress(Record):
    """An address of the host; `usable`: not while, or when, another may have it."""

    index: int
    address: Address
    prefix: int
    usable: bool


class Route(Record):
    """`paths`: what a route by several gateways says of them, as it came."""

    table: int
    network: Network
    metric: int
    tos: int
    kind: int
    gateway: bytes
    index: int
    paths: bytes


class Rule(Record):
    family: int
    table: int
    priority: int
    mark: int


Item = Link | OwnAddress | Route | Rule

_GROUPS: Final = {Link: 0x1, OwnAddress: 0x10 | 0x100, Route: 0x40 | 0x400, Rule: 0x80 | 0x40000}
_GETS: Final = {Link: _GETLINK, OwnAddress: _GETADDR, Route: _GETROUTE, Rule: _GETRULE}


class Told(Record):
    """One message: `gone`, or there; `alone`: nothing else is in its place any more."""

    item: Item
    gone: bool
    alone: bool


class DumpEnd(Record):
    """The end of what `request` asked for, or an ACK; `error` is an errno, 0 for none; `sound`:
    nothing changed meanwhile."""

    error: int
    sound: bool


def groups(kinds: Iterable[type[Item]]) -> int:
    """The multicast groups that tell of these kinds."""
    found = 0
    for kind in kinds:
        found |= _GROUPS[kind]
    return found


def request(kind: type[Item]) -> bytes:
    """A request for all there are of a kind."""
    body = _ROUTE.pack(_AF_UNSPEC, *[0] * 8)  # long enough for each, and nothing in it asked for
    if kind is Link:
        body = _LINK.pack(_AF_UNSPEC, 0, 0, 0, 0)
    return _request(_GETS[kind], _DUMP, body)


def put_route(
    network: Network,
    table: int,
    *,
    index: int = 0,
    source: Address | None = None,
    metric: int = 0,
    kind: int = UNICAST,
) -> bytes:
    """A request to have this route, in place of one that is there; answered by an ACK."""
    scope = _SCOPE_LINK if network.version == 4 and kind == UNICAST else 0
    head = _ROUTE.pack(_family(network), network.prefixlen, 0, 0, 0, _RTPROT_BOOT, scope, kind, 0)
    values = _route_values(network, table, index, metric)
    if source is not None:
        values += _attribute(_RTA_PREFSRC, source.packed)
    return _request(_NEWROUTE, _ACK | _CREATE | _REPLACE, head + values)


def remove_route(
    network: Network, table: int, *, index: int = 0, metric: int = 0, kind: int = UNICAST
) -> bytes:
    """A request to take this route away; answered by an ACK."""
    head = _ROUTE.pack(_family(network), network.prefixlen, 0, 0, 0, 0, _SCOPE_NOWHERE, kind, 0)
    return _request(_DELROUTE, _ACK, head + _route_values(network, table, index, metric))


def _route_values(network: Network, table: int, index: int, metric: int) -> bytes:
    octets = _attribute(_RTA_TABLE, table.to_bytes(4, sys.byteorder))
    octets += _attribute(_RTA_DST, network.network_address.packed)
    for kind, value in ((_RTA_OIF, index), (_RTA_PRIORITY, metric)):
        octets += _attribute(kind, value.to_bytes(4, sys.byteorder)) if value else b""
    return octets


def _family(network: Network) -> int:
    return _AF_INET if network.version == 4 else _AF_INET6


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _request(kind: int, flags: int, body: bytes) -> bytes:
    return _MESSAGE.pack(_MESSAGE.size + len(body), kind, _REQUEST | flags, 1, 0) + body


def parse(octets: bytes) -> Iterator[Told | DumpEnd]:
    """What the messages of a datagram tell, in order; other messages tell nothing.

    Raises: DecodeError.
    """
    cursor, sound = Cursor(octets), True
    while len(cursor):
        length, kind, flags, _, _ = cursor.unpack(_MESSAGE)
        body = cursor.sub(length - _MESSAGE.size)
        cursor.take(min(-length % 4, len(cursor)))
        sound = sound and not flags & _DUMP_INTERRUPTED
        if kind in (_ERROR, _DONE):
            error = int.from_bytes(body.take(min(4, len(body))), sys.byteorder, signed=True)
            yield DumpEnd(-error, sound)
            continue
        item = _item(kind, body)
        if item is not None:
            gone = kind in (_DELLINK, _DELADDR, _DELROUTE, _DELRULE)
            yield Told(item, gone, not isinstance(item, Route) or bool(flags & _REPLACE))


def _item(kind: int, body: Cursor) -> Item | None:
    if kind in (_NEWLINK, _DELLINK):
        return _link(body)
    if kind in (_NEWADDR, _DELADDR):
        return _own_address(body)
    if kind in (_NEWROUTE, _DELROUTE):
        return _route(body)
    if kind in (_NEWRULE, _DELRULE):
        return _rule(body)
    return None


def _link(body: Cursor) -> Link | None:
    """None for what is about a port of a bridge (AF_BRIDGE), not about the link."""
    family, _, index, flags, _ = body.unpack(_LINK)
    if family != _AF_UNSPEC:
        return None
    found = _attributes(body)
    return Link(
        index=index,
        name=found.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode("ascii", "replace"),
        enabled=bool(flags & _IFF_UP),
        carrier=bool(flags & _IFF_LOWER_UP),
        address=found.get(_IFLA_ADDRESS, bytes(6)),
        mtu=_number(found, _IFLA_MTU) or 1500,
    )


def _own_address(body: Cursor) -> OwnAddress | None:
    """The local address; on a link that is not point to point, IFA_ADDRESS is the same."""
    start = body.offset
    _, prefix, flags, _, index = body.unpack(_ADDRESS)
    found = _attributes(body)
    octets = found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS, b""))
    if len(octets) not in (4, 16):
        raise DecodeError("an address of neither 4 nor 16 octets", start)
    flags = _number(found, _IFA_FLAGS) or flags
    usable = not flags & (_IFA_DADFAILED | _IFA_TENTATIVE)
    return OwnAddress(index, ip_address(octets), prefix, usable)


def _route(body: Cursor) -> Route | None:
    """None for other families, and for what the kernel remembers of one host (RTM_F_CLONED)."""
    start = body.offset
    family, bits, _, tos, table, _, _, kind, flags = body.unpack(_ROUTE)
    if family not in (_AF_INET, _AF_INET6) or flags & _RTM_CLONED:
        return None
    found = _attributes(body)
    anywhere = bytes(4 if family == _AF_INET else 16)
    try:
        network = ip_network((found.get(_RTA_DST, anywhere), bits))
    except ValueError as error:
        raise DecodeError(f"no destination: {error}", start) from None
    return Route(
        table=_number(found, _RTA_TABLE) or table,
        network=network,
        metric=_number(found, _RTA_PRIORITY),
        tos=tos,
        kind=kind,
        gateway=found.get(_RTA_GATEWAY, b""),
        index=_number(found, _RTA_OIF),
        paths=found.get(_RTA_MULTIPATH, b""),
    )


def _rule(body: Cursor) -> Rule:
    family, _, _, _, table, _, _, _, _ = body.unpack(_ROUTE)
    found = _attributes(body)
    priority, mark = _number(found, _FRA_PRIORITY), _number(found, _FRA_FWMARK)
    return Rule(family, _number(found, _RTA_TABLE) or table, priority, mark)


def _attributes(body: Cursor) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(body):
        length, kind = body.unpack(_ATTRIBUTE)
        found[kind & _KIND] = body.take(length - _ATTRIBUTE.size)
        body.take(min(-length % 4, len(body)))
    return found


def _number(attributes: dict[int, bytes], kind: int) -> int:
    return int.from_bytes(attributes.get(kind, b"")[:4], sys.byteorder)


# What is different


class Change(Record):
    """`before` is None for what came, `after` for what went."""

    before: Item | None
    after: Item | None


class Table:
    """What is known of the host. Bounded: beyond `MOST`, new entries are reported, but not kept."""

    MOST: Final = 10_000

    def __init__(self) -> None:
        self._places: dict[Hashable, set[Item]] = {}
        self._stale: set[Item] = set()

    def items(self) -> Iterator[Item]:
        for place in self._places.values():
            yield from place

    def take(self, told: Told) -> Change | None:
        """Note what was told; None if it is known already."""
        key, item = _place(told.item), told.item
        known = self._places.get(key, set())
        self._forget_with(told)
        if told.gone:
            return self._remove(key, item)
        self._stale.discard(item)
        if item in known and (len(known) == 1 or not told.alone):
            return None
        before = next(iter(known - {item}), None) if told.alone else None
        if told.alone:
            known = set()
        if key in self._places or len(self._places) < self.MOST:
            self._places[key] = known | {item}
        return Change(before, item)

    def _remove(self, key: Hashable, item: Item) -> Change | None:
        known = self._places.get(key)
        if not known:
            return None
        left = known - {item}
        if left == known or not left:  # one that we knew differently: all of its place is in doubt
            del self._places[key]
        else:
            self._places[key] = left
        return Change(item if item in known else next(iter(known)), None)

    def _forget_with(self, told: Told) -> None:
        """The kernel takes IPv4 routes away with a link or an address, and does not tell it."""
        match told.item:
            case Link(index=index, enabled=enabled) if told.gone or not enabled:
                pass
            case OwnAddress(index=index, address=IPv4Address()) if told.gone:
                pass
            case _:
                return
        for item in list(self.items()):
            if isinstance(item, Route) and item.index == index and item.network.version == 4:
                self._remove(_place(item), item)

    def doubt(self, kind: type[Item]) -> None:
        """All entries of this kind will be reported again: `settle` returns those that were not."""
        self._stale = {item for item in self.items() if isinstance(item, kind)}

    def settle(self) -> list[Change]:
        gone, self._stale = self._stale, set()
        changes = [self._remove(_place(item), item) for item in gone if self._holds(item)]
        return [change for change in changes if change is not None]

    def _holds(self, item: Item) -> bool:
        return item in self._places.get(_place(item), ())


def _place(item: Item) -> Hashable:
    """What there can be one of (of routes by several gateways: several)."""
    match item:
        case Link():
            return Link, item.index
        case OwnAddress():
            return OwnAddress, item.index, item.address, item.prefix
        case Route():
            return Route, item.table, item.network, item.metric, item.tos
        case Rule():
            return item

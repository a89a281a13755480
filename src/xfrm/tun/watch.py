"""Tells what others changed: the host's addresses, and the rules and routes that are ours.

rtnetlink(7), multicast groups only: nothing is asked. The kernel queues a notification before it
answers whoever made the change, so `drain` knows at any moment all that happened until then.
"""

import errno
import socket
import struct
import sys
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final

from wire.cursor import Cursor, DecodeError
from xfrm.model import Network

# linux/rtnetlink.h
_GROUPS: Final = (
    0x1 | 0x10 | 0x100 | 0x40 | 0x400 | 0x80 | 0x40000
)  # links, addresses, routes, rules
_NEWLINK: Final = 16
_NEWADDR: Final = 20
_DELADDR: Final = 21
_DELROUTE: Final = 25
_DELRULE: Final = 33
_DST: Final = 1  # RTA_DST
_TABLE: Final = 15  # RTA_TABLE and FRA_TABLE
_UP: Final = 1  # IFF_UP

_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK: Final = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ROUTE: Final = struct.Struct("=BB10x")  # rtmsg: family, length of dst; fib_rule_hdr has its layout
_ATTRIBUTE: Final = struct.Struct("=HH")  # rtattr: length, type
_LARGEST: Final = 65536  # octets


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
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        try:
            self._socket.bind((0, _GROUPS))
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def drain(self) -> Changes:
        """What changed since the last call."""
        changes = Changes()
        while True:
            try:
                octets = self._socket.recv(_LARGEST)
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # nothing more
                    return changes
                changes.add(Changes(addresses=True, everything=True))  # some were lost
                continue
            changes.add(read_changes(octets, self._index, self._table))


def read_changes(octets: bytes, index: int, table: int) -> Changes:
    """What the messages in `octets` say; what cannot be read may have been anything."""
    changes = Changes()
    cursor = Cursor(octets)
    try:
        while len(cursor):
            length, kind, _, _, _ = cursor.unpack(_HEADER)
            body = cursor.sub(length - _HEADER.size)
            cursor.take(min(-length % 4, len(cursor)))
            if kind in (_NEWADDR, _DELADDR):
                changes.addresses = True
            elif kind == _NEWLINK:
                _, _, number, flags, _ = body.unpack(_LINK)
                changes.everything |= number == index and bool(flags & _UP)  # it may have been down
            elif kind == _DELROUTE:
                changes.routes |= _route(body, table)
            elif kind == _DELRULE:
                body.unpack(_ROUTE)
                changes.everything |= _number(_attributes(body)) == table
    except (DecodeError, ValueError):
        return Changes(addresses=True, everything=True)
    return changes


def _route(body: Cursor, table: int) -> set[Network]:
    """The destination of a route of `table`."""
    family, bits = body.unpack(_ROUTE)
    found = _attributes(body)
    if _number(found) != table:
        return set()
    anything = bytes(4 if family == socket.AF_INET else 16)
    return {ip_network((found.get(_DST, anything), bits))}


def _attributes(cursor: Cursor) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(cursor):
        length, kind = cursor.unpack(_ATTRIBUTE)
        found[kind] = cursor.take(length - _ATTRIBUTE.size)
        cursor.take(min(-length % 4, len(cursor)))
    return found


def _number(attributes: dict[int, bytes]) -> int:
    return int.from_bytes(attributes.get(_TABLE, b""), sys.byteorder)

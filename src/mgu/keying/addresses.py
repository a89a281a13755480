"""Tells when the host's addresses change: a lease that comes late, or a link that moves.

rtnetlink(7), multicast groups only; nothing is asked, so no capability is needed.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from wire.cursor import Cursor, DecodeError

Address = IPv4Address | IPv6Address

_RTMGRP_IPV4_IFADDR: Final = 0x10
_RTMGRP_IPV6_IFADDR: Final = 0x100
_RTM_NEWADDR: Final = 20
_RTM_DELADDR: Final = 21
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2

_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ADDRESS: Final = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix, flags, scope, interface
_ATTRIBUTE: Final = struct.Struct("=HH")  # rtattr: length, type
_LARGEST: Final = 65536  # octets


class AddressWatch:
    """Calls `changed(gone)` with the addresses that went; with none when one came."""

    def __init__(self, changed: Callable[[frozenset[Address]], object]) -> None:
        """Raises: OSError."""
        self._changed = changed
        self._socket = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            socket.NETLINK_ROUTE,
        )
        try:
            self._socket.bind((0, _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR))
        except BaseException:
            self._socket.close()
            raise
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        try:
            octets = self._socket.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: some were lost
            self._changed(frozenset())
            return
        try:
            changes = list(read_changes(octets))
        except DecodeError:
            changes = [(_RTM_NEWADDR, None)]  # it cannot be read, so look
        if changes:
            gone = {address for kind, address in changes if kind == _RTM_DELADDR and address}
            self._changed(frozenset(gone))


def read_changes(octets: bytes) -> Iterator[tuple[int, Address | None]]:
    """The kind and the address of each address message. Raises: DecodeError."""
    cursor = Cursor(octets)
    while len(cursor):
        length, kind, _, _, _ = cursor.unpack(_HEADER)
        body = cursor.sub(length - _HEADER.size)
        cursor.take(min(-length % 4, len(cursor)))
        if kind in (_RTM_NEWADDR, _RTM_DELADDR):
            body.unpack(_ADDRESS)
            yield kind, _address(body)


def _address(attributes: Cursor) -> Address | None:
    """The local address; on a link that is not point to point, IFA_ADDRESS is the same."""
    found: dict[int, bytes] = {}
    while len(attributes):
        length, kind = attributes.unpack(_ATTRIBUTE)
        found[kind] = attributes.take(length - _ATTRIBUTE.size)
        attributes.take(min(-length % 4, len(attributes)))
    octets = found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS, b""))
    return ip_address(octets) if len(octets) in (4, 16) else None

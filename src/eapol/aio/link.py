"""Carrier of one interface, from rtnetlink(7)."""

import asyncio
import fcntl
import logging
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from wire.cursor import Cursor, DecodeError

_MESSAGE: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK: Final = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ATTRIBUTE: Final = struct.Struct("=HH")  # rtattr: length, type
_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_REQUEST, _DUMP = 1, 0x300
_GROUP_LINK: Final = 1  # RTMGRP_LINK
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU = 1, 3, 4
_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000  # not RUNNING: that is off while the link is dormant
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_SIOCGIFADDR, _SIOCGIFMTU, _SIOCGIFHWADDR = 0x8915, 0x8921, 0x8927
# ifreq of netdevice(7): the name, and one of a union
_FLAGS: Final = struct.Struct("16sH22x")
_MTU: Final = struct.Struct("16si20x")
_HARDWARE_ADDRESS: Final = struct.Struct("16s2x6s16x")
_IP_ADDRESS: Final = struct.Struct("16s4x4s16x")

_log = logging.getLogger("eapol")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """`up`: it is administratively up and has carrier. `mtu` in octets."""

    index: int
    name: str
    up: bool
    address: bytes
    mtu: int


class LinkWatch:
    """`changed(state)` is called with each state of `interface`, the first one too; None when it
    is gone. Needs no privilege."""

    def __init__(self, interface: str, changed: Callable[[LinkState | None], None]) -> None:
        self._interface = interface
        self._changed = changed
        self._state: LinkState | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, _GROUP_LINK))

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._read)
        self._ask_all()

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop = None
        self._socket.close()

    def _ask_all(self) -> None:
        body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        head = _MESSAGE.pack(_MESSAGE.size + len(body), _GETLINK, _REQUEST | _DUMP, 1, 0)
        self._socket.send(head + body)

    def _read(self) -> None:
        try:
            octets = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:  # ENOBUFS: events were lost; ask for the state as it is
            _log.debug("link events lost: %s", error.strerror)
            self._ask_all()
            return
        for removed, state in parse(octets):
            if state.name != self._interface:
                continue
            self._tell(None if removed else state)

    def _tell(self, state: LinkState | None) -> None:
        if state != self._state:
            self._state = state
            self._changed(state)


def parse(octets: bytes) -> Iterator[tuple[bool, LinkState]]:
    """The links in a datagram of rtnetlink: whether it was removed, and its state."""
    cursor = Cursor(octets)
    try:
        while len(cursor) >= _MESSAGE.size:
            length, kind, *_ = cursor.unpack(_MESSAGE)
            body = cursor.sub(length - _MESSAGE.size)
            cursor.take(min(-length % 4, len(cursor)))
            state = _link(body) if kind in (_NEWLINK, _DELLINK) else None
            if state is not None:
                yield kind == _DELLINK, state
    except DecodeError as error:
        _log.debug("a link event that cannot be read: %s", error)


def _link(body: Cursor) -> LinkState | None:
    """None for what is about a port of a bridge (AF_BRIDGE), not about the link."""
    family, _, index, flags, _ = body.unpack(_LINK)
    if family != socket.AF_UNSPEC:
        return None
    attributes: dict[int, bytes] = {}
    while len(body) >= _ATTRIBUTE.size:
        length, kind = body.unpack(_ATTRIBUTE)
        attributes[kind] = body.take(length - _ATTRIBUTE.size)
        body.take(min(-length % 4, len(body)))
    return LinkState(
        index=index,
        name=attributes.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode("ascii", "replace"),
        up=bool(flags & _IFF_UP and flags & _IFF_LOWER_UP),
        address=attributes.get(_IFLA_ADDRESS, bytes(6)),
        mtu=int.from_bytes(attributes.get(_IFLA_MTU, b"")[:4], sys.byteorder) or 1500,
    )


def set_up(interface: str) -> None:
    """Bring the interface up, if it is down and we may. Raises: OSError."""
    (flags,) = _ask(interface, _SIOCGIFFLAGS, _FLAGS)
    if not flags & _IFF_UP:
        _log.info("%s: was down; bringing it up", interface)
        _ask(interface, _SIOCSIFFLAGS, _FLAGS, flags | _IFF_UP)


def mtu_of(interface: str) -> int:
    """Octets. Raises: OSError."""
    return int(_ask(interface, _SIOCGIFMTU, _MTU)[0])


def address_of(interface: str) -> bytes:
    """The MAC address. Raises: OSError."""
    return bytes(_ask(interface, _SIOCGIFHWADDR, _HARDWARE_ADDRESS)[0])


def ip_address_of(interface: str) -> str | None:
    """The IPv4 address, None without one."""
    try:
        return socket.inet_ntoa(_ask(interface, _SIOCGIFADDR, _IP_ADDRESS)[0])
    except OSError:
        return None


def _ask(interface: str, what: int, layout: struct.Struct, *given: int) -> tuple[Any, ...]:
    """What an ioctl makes of the ifreq `layout` but for the name. Raises: OSError."""
    name = interface.encode()
    request = layout.pack(name, *given) if given else struct.pack("40s", name)
    # not /sys: that may show another network namespace
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        return layout.unpack(fcntl.ioctl(asked, what, request))[1:]

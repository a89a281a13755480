"""Carrier of one interface, from rtnetlink(7)."""

import fcntl
import logging
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

from wire.rtnetlink import Change, Link
from wire.watch import HostWatch

_IFF_UP: Final = 0x1
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_SIOCGIFADDR, _SIOCGIFHWADDR = 0x8915, 0x8927
# ifreq of netdevice(7): the name, and one of a union
_FLAGS: Final = struct.Struct("16sH22x")
_HARDWARE_ADDRESS: Final = struct.Struct("16s2x6s16x")
_IP_ADDRESS: Final = struct.Struct("16s4x4s16x")

_log = logging.getLogger("eapol")


class LinkWatch:
    """`changed(state)` is called with each state of `interface`, the first one too; None when it
    is gone. Needs no privilege."""

    def __init__(self, interface: str, changed: Callable[[Link | None], None]) -> None:
        """Raises: OSError."""
        self._interface = interface
        self._changed = changed
        self._state: Link | None = None
        self._watch = HostWatch([Link], self._take)

    def start(self) -> None:
        self._watch.start()
        links = (item for item in self._watch.table.items() if isinstance(item, Link))
        self._tell(next((link for link in links if link.name == self._interface), None))

    def close(self) -> None:
        self._watch.close()

    def _take(self, changes: list[Change]) -> None:
        """One after the other: a cable that was out for a moment was out."""
        for change in changes:
            before, after = change.before, change.after
            if isinstance(after, Link) and after.name == self._interface:
                self._tell(after)
            elif self._state is not None and before == self._state:
                self._tell(None)

    def _tell(self, state: Link | None) -> None:
        if state != self._state:
            self._state = state
            self._changed(state)


def set_up(interface: str) -> None:
    """Bring the interface up, if it is down and we may. Raises: OSError."""
    (flags,) = _ask(interface, _SIOCGIFFLAGS, _FLAGS)
    if not flags & _IFF_UP:
        _log.info("%s: was down; bringing it up", interface)
        _ask(interface, _SIOCSIFFLAGS, _FLAGS, flags | _IFF_UP)


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

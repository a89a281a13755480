"""EAPOL on an Ethernet interface: a packet(7) socket and nothing else.

Frames go to the PAE group address, which bridges do not forward, and come from it, from our own
address or from broadcast. The kernel takes a priority tag (VLAN 0) off before we see the frame.
The interface is not made promiscuous.
"""

import asyncio
import errno
import logging
import socket
import struct
from collections import Counter
from collections.abc import Callable
from typing import Final

from eapol.errors import InterfaceMissing, NotPermitted, PortError
from eapol.frame import ETHERTYPE, PAE_GROUP_ADDRESS
from eapol.system import rivals

_SOL_PACKET: Final = 263
_ADD_MEMBERSHIP: Final = 1
_MULTICAST: Final = 0
_MEMBERSHIP: Final = struct.Struct("@iHH8s")  # packet_mreq: index, type, length, address
_LARGEST: Final = 9216  # octets: more than any EAPOL frame, jumbo frames included
AT_ONCE: Final = 32
"""Frames read in one turn of the loop, so that a flood does not starve other tasks."""

_log = logging.getLogger("eapol")
_DOWN: Final = (errno.ENETDOWN, errno.ENXIO, errno.ENODEV)


class Port:
    """`received(octets, source)` is called with each frame, without its Ethernet header.

    `index` is that of the interface on which it is open, None while it is not.
    """

    def __init__(self, interface: str, received: Callable[[bytes, bytes], None]) -> None:
        self.interface = interface
        self.dropped: Counter[str] = Counter()
        self._received = received
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.index: int | None = None

    def open(self) -> None:
        """Open it, again if the interface was taken away and came back. Needs CAP_NET_RAW.

        Raises: NotPermitted; InterfaceMissing; PortError if another program speaks EAPOL there.
        """
        self.close_socket()
        try:
            made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        except PermissionError:
            raise NotPermitted(
                f"{self.interface}: EAPOL needs a packet socket, and that needs root (CAP_NET_RAW)"
            ) from None
        try:
            index = index_of(self.interface)
            made.bind((self.interface, ETHERTYPE))
            group = _MEMBERSHIP.pack(index, _MULTICAST, 6, PAE_GROUP_ADDRESS + bytes(2))
            made.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, group)
            rivals.refuse(self.interface, index, made)
        except OSError as error:
            made.close()
            raise PortError(f"{self.interface}: cannot be opened: {error.strerror}") from error
        except PortError:
            made.close()
            raise
        self._socket, self.index = made, index
        if self._loop is not None:
            self._loop.add_reader(made.fileno(), self._read)

    def start(self) -> None:
        """Read from now on, in the running loop."""
        self._loop = asyncio.get_running_loop()
        if self._socket is not None:
            self._loop.add_reader(self._socket.fileno(), self._read)

    def send(self, octets: bytes) -> None:
        """To the PAE group address. A frame that cannot be sent is counted: EAP repeats itself."""
        if self._socket is None:
            self.dropped["closed"] += 1
            return
        try:
            self._socket.sendto(octets, (self.interface, ETHERTYPE, 0, 0, PAE_GROUP_ADDRESS))
        except OSError as error:
            self.dropped[error.strerror or "error"] += 1
            if error.errno not in _DOWN:
                _log.warning("%s: frame not sent: %s", self.interface, error.strerror)

    def close(self) -> None:
        self.close_socket()
        self._loop = None

    def close_socket(self) -> None:
        """Until `open` is called again."""
        if self._socket is None:
            return
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._socket = self.index = None

    def _read(self) -> None:
        assert self._socket is not None
        for _ in range(AT_ONCE):
            try:
                octets, (_, _, direction, _, source) = self._socket.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            except OSError as error:  # the interface went down or away; link events say more
                if error.errno not in _DOWN:
                    _log.warning("%s: %s", self.interface, error.strerror)
                return
            if direction != socket.PACKET_OUTGOING:
                self._received(octets, source)


def index_of(interface: str) -> int:
    """Raises: InterfaceMissing."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        present = ", ".join(name for _, name in socket.if_nameindex() if name != "lo")
        raise InterfaceMissing(
            f"{interface}: there is no such interface; there are: {present or 'none'}"
        ) from None

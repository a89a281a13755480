"""A UDP socket for ESP alone (RFC 3948), for SAs made by hand: IKE brings its own."""

import asyncio
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from xfrm.model import Address, SecurityAssociation
from xfrm.tun.inlet import BURST
from xfrm.tun.outer import MARK, with_room

PORT: Final = 4500
_LARGEST: Final = 65535


class EncapsulationSocket:
    """Bound when made, in this thread's network namespace; `close` ends it.

    `send_udp` is what `DataPath.open` wants; `receive` then gives its `receive_udp` what arrives.
    """

    def __init__(self, address: Address, port: int = PORT) -> None:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
            with_room(self._socket)
            self._socket.bind((str(address), port))
        except OSError:
            self._socket.close()
            raise

    def send_udp(self, sa: SecurityAssociation) -> Callable[[bytes], object]:
        port = PORT if sa.encapsulation is None else sa.encapsulation.dst_port
        sendto, to = self._socket.sendto, (str(sa.dst), port)
        return lambda packet: sendto(packet, to)

    def receive(self, receive_udp: Callable[[bytes, Address, int], None]) -> None:
        recvfrom = self._socket.recvfrom

        def drain() -> None:
            try:
                for _ in range(BURST):
                    octets, source = recvfrom(_LARGEST)
                    receive_udp(octets, ip_address(source[0]), source[1])
            except BlockingIOError:
                pass
            except OSError:  # an ICMP error about a datagram that we sent: the peer is away
                return

        asyncio.get_running_loop().add_reader(self._socket, drain)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

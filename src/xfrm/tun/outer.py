"""Raw sockets of ESP and AH, and packets sent past the policies (bypass).

Every socket carries MARK: the routes into the TUN device do not count for what has it, so that a
protected network may contain the peer itself. IPv4 packets are sent with the header made here
(IP_HDRINCL): one `sendto`, with the TOS of each packet; the kernel fills in length, identification
and checksum. Those larger than the path are cut here, as the kernel does not cut such packets.
"""

import errno
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address
from typing import Final

from wire.buffers import make_room
from xfrm.dataplane import XfrmError
from xfrm.esp.packet import fragments, ip_header
from xfrm.model import Address, Protocol, SecurityAssociation

MARK: Final = 0x4D4700  # "MG"
MASK: Final = 0xFFFF00
"""The bits of a packet's mark that are ours: others may use the other 16, before or after us."""

_IP_MTU: Final = 14  # linux/in.h
_IP_MTU_DISCOVER: Final = 10
_IP_PMTUDISC_DONT: Final = 0
_IPV6_MTU_DISCOVER: Final = 23  # linux/in6.h
_IPV6_PMTUDISC_DONT: Final = 0
_SMALLEST_MTU: Final = 576


class OuterSockets:
    """All raw sockets, opened at once so that CAP_NET_RAW may be dropped afterwards."""

    def __init__(self) -> None:
        self.v4: dict[Protocol, socket.socket] = {}
        self.v6: dict[Protocol, socket.socket] = {}
        self._clear6: socket.socket | None = None
        self._probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._probe.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
            for protocol in (Protocol.ESP, Protocol.AH):
                self.v4[protocol] = _raw4(protocol)
            with suppress(OSError):  # a kernel without IPv6
                for protocol in (Protocol.ESP, Protocol.AH):
                    self.v6[protocol] = _raw6(protocol)
                self._clear6 = _marked(socket.AF_INET6, socket.IPPROTO_RAW)
        except OSError as error:
            self.close()
            raise XfrmError(
                f"no raw socket for ESP: {error.strerror} (it needs CAP_NET_RAW and CAP_NET_ADMIN)"
            ) from error

    def close(self) -> None:
        for sock in (*self.v4.values(), *self.v6.values(), self._clear6, self._probe):
            if sock is not None:
                sock.close()

    def sender(self, sa: SecurityAssociation) -> Callable[[bytes, int], object]:
        """What sends packets of `sa`, given from the SPI on, with a TOS."""
        if isinstance(sa.dst, IPv6Address):
            return self._sender6(sa)
        if sa.protocol == Protocol.AH:
            return lambda packet, tos: self._send4(packet[:1] + bytes((tos,)) + packet[2:], sa.dst)
        sendto = self.v4[Protocol.ESP].sendto
        headers = [ip_header(sa.src, sa.dst, Protocol.ESP, 0, tos=tos) for tos in range(256)]
        to = (str(sa.dst), 0)

        def send(packet: bytes, tos: int) -> None:
            whole = headers[tos] + packet
            try:
                sendto(whole, to)
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                self._send_cut(whole, sa.dst)

        return send

    def in_clear(self, packet: bytes) -> None:
        """Send an IP packet as it is, past the policies."""
        if packet[0] >> 4 == 4:
            self._send4(packet, socket.inet_ntoa(packet[16:20]))
        elif self._clear6 is not None:
            self._clear6.sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0))

    def _send4(self, packet: bytes, dst: Address | str) -> None:
        try:
            self.v4[Protocol.ESP].sendto(packet, (str(dst), 0))
        except OSError as error:
            if error.errno != errno.EMSGSIZE or packet[6] & 0x40:
                raise
            self._send_cut(packet, dst)

    def _send_cut(self, packet: bytes, dst: Address | str) -> None:
        """`packet` is larger than its path: send it in fragments, all of one identification."""
        if not packet[4] and not packet[5]:
            # The low bits of the packet's own check value: different for each packet.
            packet = packet[:4] + packet[-2:-1] + bytes((packet[-1] | 1,)) + packet[6:]
        for part in fragments(packet, self._path_mtu(dst)):
            self.v4[Protocol.ESP].sendto(part, (str(dst), 0))

    def _path_mtu(self, dst: Address | str) -> int:
        """What the kernel knows of the way to an IPv4 address, past our routes; octets."""
        self._probe.connect((str(dst), 9))
        return max(self._probe.getsockopt(socket.IPPROTO_IP, _IP_MTU), _SMALLEST_MTU)

    def _sender6(self, sa: SecurityAssociation) -> Callable[[bytes, int], object]:
        if sa.protocol not in self.v6:
            raise XfrmError(f"this kernel has no IPv6, so nothing can be sent to {sa.dst}")
        sock = self.v6[sa.protocol]
        to = (str(sa.dst), 0, 0, 0)
        source = sa.src.packed + bytes(4)  # struct in6_pktinfo; interface 0: by the routes
        front = 0 if sa.protocol == Protocol.ESP else 40  # AH makes the IP header that it covers

        def send(packet: bytes, tos: int) -> None:
            control = [
                (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, source),
                (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, struct.pack("=i", tos)),
            ]
            sock.sendmsg((packet[front:],), control, 0, to)

        return send


def _marked(family: int, protocol: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
    except OSError:
        sock.close()
        raise
    return sock


def _raw4(protocol: Protocol) -> socket.socket:
    sock = _marked(socket.AF_INET, protocol)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
    sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)
    make_room(sock)
    return sock


def _raw6(protocol: Protocol) -> socket.socket:
    sock = _marked(socket.AF_INET6, protocol)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _IPV6_PMTUDISC_DONT)
    make_room(sock)
    return sock

"""A UDP socket for asyncio that says which local address a datagram came to.

Differs from asyncio's own endpoints: the queue is bounded and counts what it drops, one socket
serves all local addresses and answers from the right one (IP_PKTINFO), and datagrams that need no
task (ESP in UDP) can be taken out before the queue.
"""

import asyncio
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Self

from wire.buffers import make_room

Address = IPv4Address | IPv6Address
Taken = Callable[[bytes, Address, int], bool]

# Linux's numbers; the socket module of Python 3.11 lacks them.
_IP_PKTINFO: Final = 8
_IP_MTU_DISCOVER: Final = 10
_IP_XFRM_POLICY: Final = 17
_IPV6_MTU_DISCOVER: Final = 23
_IPV6_XFRM_POLICY: Final = 35
_SO_ATTACH_FILTER: Final = 26
_SO_MARK: Final = 36
_SO_MEMINFO: Final = 55
_UDP_ENCAP: Final = 100
_UDP_SEGMENT: Final = 103
_UDP_GRO: Final = 104
_UDP_ENCAP_ESPINUDP: Final = 2
_PMTUDISC_DONT: Final = 0

_PKTINFO4: Final = struct.Struct("=i4s4s")  # interface, local address, header's destination
_PKTINFO6: Final = struct.Struct("=16si")
_SEGMENT: Final = struct.Struct("=H")
_GRO_SEGMENT: Final = struct.Struct("=i")
_MEMINFO: Final = struct.Struct("=32xI")  # linux/sock_diag.h; the last one: SK_MEMINFO_DROPS
_XFRM_POLICY: Final = struct.Struct("=40xH14x64x32xIIBBBB4x")  # xfrm_userpolicy_info
_FILTER: Final = struct.Struct("=HBBI")  # linux/filter.h, sock_filter
_PROGRAM: Final = struct.Struct("@HP")  # sock_fprog
_XFRM_IN, _XFRM_OUT, _XFRM_ALLOW = 0, 1, 0

_LARGEST: Final = 65535  # octets
_CONTROL: Final = 128  # octets of ancillary data
_AT_ONCE: Final = 64  # datagrams read in one turn of the loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """`local` is the address that it was sent to."""

    octets: bytes
    source: Address
    port: int
    local: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`mark`: SO_MARK. `bypass`: IPsec policies do not apply to this socket. `espinudp`: the
    kernel takes ESP out of UDP (RFC 3948), and with it everything without a non-ESP marker. `gro`:
    the kernel may hand over many datagrams at once, which are cut here (less work for each).
    `program`: classic BPF (code, jt, jf, k), from the UDP header on; what it returns 0 for is
    dropped before it costs us anything.

    `mark`, `bypass` and `espinudp` need CAP_NET_ADMIN.
    """

    fragment: bool = False  # let IP fragment large datagrams: no path MTU discovery
    bypass: bool = False
    espinudp: bool = False
    gro: bool = False
    mark: int = 0
    program: tuple[tuple[int, int, int, int], ...] = ()
    queue: int = 512  # datagrams
    share: int = 64  # of them from one address and port: who floods leaves others their place


class UdpEndpoint:
    """`receive()` one after the other; `send()` at once or not at all."""

    def __init__(self, sock: socket.socket, options: Options, taken: Taken | None = None) -> None:
        """`sock` is bound and set up; the endpoint owns it from now on.

        `taken(octets, source, port)` sees every datagram first, in the loop's thread; those for
        which it returns True are not queued.
        """
        self.dropped: Counter[str] = Counter()  # by reason: "queue full", "too many of one", ...
        self._socket = sock
        self._taken = taken
        self._family = sock.family
        self._queue: deque[Datagram] = deque()
        self._limit = options.queue
        self._share = options.share
        self._held: Counter[tuple[Address, int]] = Counter()  # in the queue, by sender
        self._waiting = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)

    @classmethod
    def open(
        cls, address: Address, port: int, options: Options, taken: Taken | None = None
    ) -> Self:
        """A socket bound to `address` (the unspecified one: all of its family).

        Raises: OSError, with EADDRINUSE when another program has the port.
        """
        return cls(bound_socket(address, port, options), options, taken)

    @property
    def local(self) -> tuple[Address, int]:
        """What the socket is bound to."""
        host, port = self._socket.getsockname()[:2]
        return _address(host), port

    @property
    def dropped_by_kernel(self) -> int:
        """Datagrams that never came to us: its queue was full, or `program` took them for noise."""
        octets = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        return int(_MEMINFO.unpack(octets)[0]) if len(octets) == _MEMINFO.size else 0

    def fileno(self) -> int:
        return self._socket.fileno()

    async def receive(self) -> Datagram:
        while not self._queue:
            self._waiting.clear()
            await self._waiting.wait()
        datagram = self._queue.popleft()
        sender = (datagram.source, datagram.port)
        self._held[sender] -= 1
        if not self._held[sender]:
            del self._held[sender]
        return datagram

    def send(self, octets: bytes, to: Address, port: int, local: Address | None = None) -> None:
        """Send from `local` (any of ours by default). A full send buffer drops and counts.

        Raises: OSError when there is no way to the destination.
        """
        control = [] if local is None or local.is_unspecified else [_from(local)]
        try:
            self._socket.sendmsg([octets], control, socket.MSG_DONTWAIT, (str(to), port))
        except BlockingIOError:
            self.dropped["send buffer full"] += 1

    def sender(
        self, to: Address, port: int, local: Address | None = None
    ) -> Callable[[bytes, int], None]:
        """What sends to one place, for datagrams by the thousand; it raises OSError.

        It takes octets and 0, or many datagrams in a row and the size of each but the last, which
        then leave in one system call (UDP_SEGMENT), if the kernel and the path let them.
        """
        control = [] if local is None or local.is_unspecified else [_from(local)]
        sendmsg, address = self._socket.sendmsg, (str(to), port)

        def send(octets: bytes, segment: int) -> None:
            size = [(socket.IPPROTO_UDP, _UDP_SEGMENT, _SEGMENT.pack(segment))] if segment else []
            try:
                sendmsg((octets,), control + size, socket.MSG_DONTWAIT, address)
            except BlockingIOError:
                self.dropped["send buffer full"] += 1
            except OSError:
                if not segment:
                    raise
                for at in range(0, len(octets), segment):
                    send(octets[at : at + segment], 0)

        return send

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _readable(self) -> None:
        left = _AT_ONCE
        while left > 0:
            left -= 1
            try:
                octets, control, _, source = self._socket.recvmsg(_LARGEST, _CONTROL)
            except BlockingIOError:
                return
            except OSError:
                self.dropped["receive error"] += 1  # an ICMP error for something sent before
                continue
            sender, port = _address(source[0]), source[1]
            segment = _segment(control) or len(octets) or 1
            for start in range(0, len(octets) or 1, segment):
                self._arrived(octets[start : start + segment], control, sender, port)
            left -= len(octets) // segment

    def _arrived(
        self, octets: bytes, control: list[tuple[int, int, bytes]], sender: Address, port: int
    ) -> None:
        if self._taken is not None and self._taken(octets, sender, port):
            return
        if len(self._queue) >= self._limit:
            self.dropped["queue full"] += 1
            return
        if self._held[sender, port] >= self._share:
            self.dropped["too many of one"] += 1
            return
        self._held[sender, port] += 1
        local = _local(control)
        self._queue.append(Datagram(octets=octets, source=sender, port=port, local=local))
        self._waiting.set()


def bound_socket(address: Address, port: int, options: Options) -> socket.socket:
    """A non-blocking socket with `options`, bound. Raises: OSError."""
    ipv4 = address.version == 4
    family = socket.AF_INET if ipv4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        if ipv4:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        if options.mark:
            sock.setsockopt(socket.SOL_SOCKET, _SO_MARK, options.mark)
        _set_ip_options(sock, options, ipv4=ipv4)
        if options.program:
            _attach(sock, options)
        sock.bind((str(address), port))
        if options.espinudp:
            sock.setsockopt(socket.IPPROTO_UDP, _UDP_ENCAP, _UDP_ENCAP_ESPINUDP)
        if options.gro:
            sock.setsockopt(socket.IPPROTO_UDP, _UDP_GRO, 1)
            make_room(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _attach(sock: socket.socket, options: Options) -> None:
    import ctypes  # late: few sockets need it

    code = b"".join(_FILTER.pack(*instruction) for instruction in options.program)
    held = ctypes.create_string_buffer(code, len(code))
    program = _PROGRAM.pack(len(options.program), ctypes.addressof(held))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _set_ip_options(sock: socket.socket, options: Options, *, ipv4: bool) -> None:
    level = socket.IPPROTO_IP if ipv4 else socket.IPPROTO_IPV6
    if options.fragment:
        number = _IP_MTU_DISCOVER if ipv4 else _IPV6_MTU_DISCOVER
        sock.setsockopt(level, number, _PMTUDISC_DONT)
    if options.bypass:
        number = _IP_XFRM_POLICY if ipv4 else _IPV6_XFRM_POLICY
        for direction in (_XFRM_IN, _XFRM_OUT):
            policy = _XFRM_POLICY.pack(sock.family, 0, 0, direction, _XFRM_ALLOW, 0, 0)
            sock.setsockopt(level, number, policy)


@lru_cache(maxsize=1024)
def _address(text: str) -> Address:
    return ip_address(text)


def _from(local: Address) -> tuple[int, int, bytes]:
    if isinstance(local, IPv4Address):
        info = _PKTINFO4.pack(0, local.packed, bytes(4))
        return socket.IPPROTO_IP, _IP_PKTINFO, info
    index = int(local.scope_id) if local.scope_id and local.scope_id.isdecimal() else 0
    return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PKTINFO6.pack(local.packed, index)


def _segment(control: list[tuple[int, int, bytes]]) -> int:
    """The size of each datagram but the last, if the kernel joined several; else 0."""
    for level, kind, data in control:
        if level == socket.IPPROTO_UDP and kind == _UDP_GRO:
            size: int = _GRO_SEGMENT.unpack(data)[0]
            return size
    return 0


def _local(control: list[tuple[int, int, bytes]]) -> Address | None:
    for level, kind, data in control:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            return IPv4Address(_PKTINFO4.unpack(data)[2])
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            return IPv6Address(_PKTINFO6.unpack(data)[0])
    return None

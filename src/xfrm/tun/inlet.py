"""From a peer's octets to the SA that they came for: raw packets, and ESP in UDP."""

import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from xfrm.esp.packet import AH, ip_header
from xfrm.esp.reasons import Reason
from xfrm.esp.sad import Entry, Sad
from xfrm.model import Address, Protocol, SaId
from xfrm.tun.forward import Forwarder

BURST: Final = 64  # packets in one wake-up, so that IKE and timers have their turn
_LARGEST: Final = 65535
_ESP_WORDS: Final = struct.Struct("!II")  # SPI, sequence number
_AH_WORDS: Final = struct.Struct("!4xII")
_SHORTEST: Final = 12
_CONTROL: Final = socket.CMSG_SPACE(20) + socket.CMSG_SPACE(4)

Drain = Callable[[], None]


class Inlet:
    """Finds the SA of each packet. What was found is remembered until the SA changes."""

    def __init__(
        self,
        sad: Sad,
        forwarder: Forwarder,
        is_local: Callable[[Address], bool],
        moved: Callable[[Entry], None],
    ) -> None:
        """`moved` is told when a peer's UDP comes from elsewhere: its NAT forgot it."""
        self._sad = sad
        self._forwarder = forwarder
        self._is_local = is_local
        self._moved = moved
        self._raw: dict[tuple[bytes, int, int], Entry] = {}  # destination, protocol, SPI
        self._udp: dict[int, Entry] = {}  # SPI

    def sa_changed(self, sa: SaId) -> None:
        """It came, went or was replaced."""
        self._raw.pop((sa.dst.packed, sa.protocol, sa.spi), None)
        self._udp.pop(sa.spi, None)

    def encapsulated(self, octets: bytes, source: Address, port: int) -> None:
        """ESP from a UDP datagram (RFC 3948). A keepalive is one octet of 0xff."""
        if len(octets) < _SHORTEST:
            return
        spi, low = _ESP_WORDS.unpack_from(octets)
        entry = self._udp.get(spi)
        if entry is None:
            ours = (e for e in self._sad.encapsulated(spi) if self._is_local(e.sa.dst))
            entry = self._usable(next(ours, None), encapsulated=True)
            if entry is None:
                return
            self._udp[spi] = entry
        packets = entry.inbound.packets
        self._forwarder.inbound(entry, octets, low, 0)
        if (port != entry.peer_port or source is not entry.peer) and (
            entry.inbound.packets != packets and entry.moved_to(source, port)
        ):
            self._moved(entry)

    def esp(self, dst: bytes, tos: int, packet: bytes) -> None:
        """ESP, from the SPI on, to the address `dst`."""
        if len(packet) < _SHORTEST:
            self._forwarder.counters[Reason.IN_HEADER] += 1
            return
        spi, low = _ESP_WORDS.unpack_from(packet)
        entry = self._raw.get((dst, Protocol.ESP, spi)) or self._find(dst, Protocol.ESP, spi)
        if entry is not None:
            self._forwarder.inbound(entry, packet, low, tos)

    def ah(self, dst: bytes, tos: int, packet: bytes, at: int) -> None:
        """AH: a whole IP packet to the address `dst`, whose AH header begins at `at`."""
        if len(packet) < at + _SHORTEST:
            self._forwarder.counters[Reason.IN_HEADER] += 1
            return
        spi, low = _AH_WORDS.unpack_from(packet, at)
        entry = self._raw.get((dst, Protocol.AH, spi)) or self._find(dst, Protocol.AH, spi)
        if entry is not None:
            self._forwarder.inbound(entry, packet, low, tos)

    def _find(self, dst: bytes, protocol: Protocol, spi: int) -> Entry | None:
        address = IPv4Address(dst) if len(dst) == 4 else IPv6Address(dst)
        entry = self._usable(self._sad.get(SaId(address, protocol, spi)), encapsulated=False)
        if entry is not None:
            self._raw[dst, protocol, spi] = entry
        return entry

    def _usable(self, entry: Entry | None, *, encapsulated: bool) -> Entry | None:
        if entry is None:
            self._forwarder.counters[Reason.IN_NO_STATES] += 1
        elif entry.sa.larval:
            self._forwarder.counters[Reason.IN_INVALID] += 1
        elif (entry.sa.encapsulation is not None) != encapsulated:
            self._forwarder.counters[Reason.IN_MISMATCH] += 1
        else:
            return entry
        return None

    # Readers for the event loop: each drains its socket, then calls `done`

    def reader4(self, sock: socket.socket, protocol: Protocol, done: Drain) -> Drain:
        """For a raw IPv4 socket, whose packets begin with the IP header."""
        recv, esp, ah, is_esp = sock.recv, self.esp, self.ah, protocol == Protocol.ESP

        def drain() -> None:
            try:
                for _ in range(BURST):
                    packet = recv(_LARGEST)
                    size = (packet[0] & 15) * 4
                    if is_esp:
                        esp(packet[16:20], packet[1], packet[size:])
                    else:
                        ah(packet[16:20], packet[1], packet, size)
            except BlockingIOError:
                pass
            except OSError:  # an ICMP error about a packet that we sent
                self._forwarder.counters[Reason.OUT_ERROR] += 1
            done()

        return drain

    def reader6(self, sock: socket.socket, protocol: Protocol, done: Drain) -> Drain:
        """For a raw IPv6 socket, whose packets begin behind the IP header."""

        def drain() -> None:
            try:
                for _ in range(BURST):
                    packet, control, _, source = sock.recvmsg(_LARGEST, _CONTROL)
                    self._from_ipv6(protocol, packet, control, source[0])
            except BlockingIOError:
                pass
            except OSError:
                self._forwarder.counters[Reason.OUT_ERROR] += 1
            done()

        return drain

    def _from_ipv6(
        self, protocol: Protocol, packet: bytes, control: list[tuple[int, int, bytes]], source: str
    ) -> None:
        dst, tos = b"", 0
        for _, kind, value in control:
            if kind == socket.IPV6_PKTINFO:
                dst = value[:16]
            elif kind == socket.IPV6_TCLASS:
                (tos,) = struct.unpack("=i", value[:4])
        if protocol == Protocol.ESP:
            self.esp(dst, tos, packet)
            return
        # AH covers the header that the kernel kept; without extension headers this is what it was.
        src = IPv6Address(source.partition("%")[0])
        header = ip_header(src, IPv6Address(dst), AH, len(packet))
        self.ah(dst, tos, header + packet, 40)

"""RADIUS packets as a capture file, in the frames that they would have on a wire.

The frames are made here: no privilege is needed, and no other traffic is in the file. MAC addresses
and checksums are not those of the wire (the checksums are 0, "none", where that is allowed).
"""

import struct
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from mgu.files import PRIVATE
from radius.aio.client import End
from wire import pcapng
from wire.files import write_whole

_MACS: Final = bytes.fromhex("020000000002020000000001")
_IPV4, _IPV6 = 0x0800, 0x86DD
_UDP: Final = 17


class Capture:
    """`tap` is for `RadiusClient`. Over TLS the packets are shown as if they had gone by UDP."""

    def __init__(self) -> None:
        self._blocks = [pcapng.section("mgu eapol-test"), pcapng.interface("radius")]

    def tap(self, octets: bytes, source: End, destination: End) -> None:
        self._blocks.append(pcapng.packet(0, time.time_ns(), frame(octets, source, destination)))

    def write(self, path: Path) -> None:
        """Raises: OSError."""
        write_whole(path, b"".join(self._blocks), PRIVATE)


def frame(octets: bytes, source: End, destination: End) -> bytes:
    """Ethernet, IP and UDP around `octets`."""
    ours, theirs = ip_address(source[0]), ip_address(destination[0])
    size = 8 + len(octets)
    udp = struct.pack("!HHHH", source[1], destination[1], size, 0) + octets
    addresses = ours.packed + theirs.packed
    if ours.version == 6:
        pseudo = addresses + struct.pack("!IxxxB", size, _UDP)
        checked = struct.pack("!H", _checksum(pseudo + udp) or 0xFFFF)
        head = struct.pack("!IHBB", 6 << 28, size, _UDP, 64) + addresses
        return _MACS + _IPV6.to_bytes(2, "big") + head + udp[:6] + checked + udp[8:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0, 64, _UDP, 0) + addresses
    head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
    return _MACS + _IPV4.to_bytes(2, "big") + head + udp


def _checksum(octets: bytes) -> int:
    """RFC 1071."""
    padded = octets + bytes(len(octets) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

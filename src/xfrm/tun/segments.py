"""Segmentation and coalescing of TCP for the TUN device (GSO and GRO, virtio_net_hdr).

The host hands over up to 64 KB of one TCP flow with one header; `split` makes the segments of it.
Back, `join` makes one such packet of segments that follow each other, which saves the host most of
its work. Both are exact: every segment's checksum is made, and on the way back checked.

Needs numpy (extra `fast`): header fields and checksums of all segments are computed at once.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from xfrm.esp.packet import TCP, checksum

Octets = npt.NDArray[np.uint8]
Sums = npt.NDArray[np.int64]

# linux/virtio_net.h: struct virtio_net_hdr, in the machine's own byte order
_HEADER: Final = Struct("=BBHHHH")
HEADER_SIZE: Final = _HEADER.size
_NEEDS_CSUM: Final = 1
_GSO_TCPV4: Final = 1
_GSO_TCPV6: Final = 4
_ECN: Final = 0x80  # a bit of the type: the first segment alone keeps CWR
NO_OFFLOAD: Final = bytes(HEADER_SIZE)

_FIN, _PSH, _ACK, _CWR = 0x01, 0x08, 0x10, 0x80
_MOST: Final = 60000  # octets of payload in a joined packet
_FEWEST: Final = 3  # segments that are worth joining


class Offload(NamedTuple):
    """What the host left undone in a packet, or what it need not do."""

    flags: int = 0
    kind: int = 0
    header: int = 0
    size: int = 0  # octets of payload in a segment
    start: int = 0  # where the checksum covers from
    offset: int = 0  # where it belongs, from `start`


def unpack(octets: bytes) -> list[bytes]:
    """The IP packets of what was read from the device: one, or the segments of a large one."""
    offload = Offload(*_HEADER.unpack_from(octets))
    packet = octets[HEADER_SIZE:]
    if offload.kind & ~_ECN in (_GSO_TCPV4, _GSO_TCPV6) and offload.size:
        return split(packet, offload.size)
    if offload.flags & _NEEDS_CSUM:
        return [_with_checksum(packet, offload.start, offload.start + offload.offset)]
    return [packet]


def _with_checksum(packet: bytes, start: int, at: int) -> bytes:
    """`packet` with the sum over all from `start` put in at `at`, where the pseudo-header's is."""
    value = checksum(packet[start:]) or 0xFFFF  # UDP's 0 would say that there is none (RFC 768)
    return packet[:at] + value.to_bytes(2, "big") + packet[at + 2 :]


def split(packet: bytes, size: int) -> list[bytes]:
    """The TCP segments of `packet`, with `size` octets of payload in each but the last."""
    ip = _ip_size(packet)
    header = ip + (packet[ip + 12] >> 4) * 4
    payload = len(packet) - header
    if payload <= 0:
        return [packet]
    whole, rest = divmod(payload, size)
    parts: list[bytes] = []
    if whole:
        rows = np.frombuffer(packet, np.uint8, whole * size, header).reshape(whole, size)
        parts += _segments(packet[:header], ip, rows, (0, 0), last=not rest)
    if rest:
        rows = np.frombuffer(packet, np.uint8, rest, header + whole * size).reshape(1, rest)
        parts += _segments(packet[:header], ip, rows, (whole, whole * size), last=True)
    return parts


def _segments(
    header: bytes, ip: int, payload: Octets, before: tuple[int, int], *, last: bool
) -> list[bytes]:
    """Segments of equal size; `before` are the segments and octets of the large packet so far."""
    count, size = payload.shape
    length = len(header) + size
    rows = np.empty((count, length), np.uint8)
    rows[:, : len(header)] = np.frombuffer(header, np.uint8)
    rows[:, len(header) :] = payload
    numbers = np.arange(count)
    if header[0] >> 4 == 4:
        _number_ipv4(rows, ip, length, int.from_bytes(header[4:6], "big") + before[0])
        addresses = header[12:20]
    else:
        _put16(rows, 4, length - 40)
        addresses = header[8:40]
    sequence = int.from_bytes(header[ip + 4 : ip + 8], "big") + before[1] + numbers * size
    _put16(rows, ip + 4, sequence >> 16)
    _put16(rows, ip + 6, sequence)
    flags = header[ip + 13]
    rows[:, ip + 13] = flags & ~(_FIN | _PSH | _CWR)
    if last:
        rows[-1, ip + 13] |= flags & (_FIN | _PSH)
    if not before[0]:
        rows[0, ip + 13] |= flags & _CWR
    _put16(rows, ip + 16, 0)
    pseudo = _pseudo(addresses, length - ip)
    _put16(rows, ip + 16, 0xFFFF - (_sums(rows[:, ip:]) + pseudo) % 0xFFFF)
    octets = rows.tobytes()
    return [octets[at : at + length] for at in range(0, len(octets), length)]


def _number_ipv4(rows: Octets, ip: int, length: int, identification: int) -> None:
    """Total length, identification and checksum of each row's IP header."""
    _put16(rows, 2, length)
    _put16(rows, 4, identification + np.arange(len(rows)))
    _put16(rows, 10, 0)
    _put16(rows, 10, 0xFFFF - _sums(rows[:, :ip]) % 0xFFFF)


def join(packets: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """What to write to the device for `packets`: virtio_net_hdr and packet, in their order.

    `packets` are of one TCP flow. Segments that follow each other become one packet, unless a
    checksum is wrong: then they are written as they came, and the host will see.
    """
    written: list[tuple[bytes, bytes]] = []
    run: list[bytes] = []
    for packet in packets:
        if run and not _follows(run, packet):
            written += _joined(run)
            run = []
        run.append(packet)
    return written + _joined(run)


def joinable(packet: bytes) -> bytes | None:
    """What names the flow of an IPv4 or IPv6 packet of TCP without options of IP; else None."""
    if len(packet) < 40:
        return None
    if packet[0] == 0x45 and packet[9] == TCP and not (packet[6] & 0x3F or packet[7]):
        return packet[12:24]
    if packet[0] >> 4 == 6 and packet[6] == TCP and len(packet) >= 60:
        return packet[8:44]
    return None


def _follows(run: list[bytes], packet: bytes) -> bool:
    """Whether `packet` is the next segment behind `run`, alike in all but number and length."""
    first, previous = run[0], run[-1]
    ip = _ip_size(first)
    header = ip + (first[ip + 12] >> 4) * 4
    size = len(first) - header
    sent = int.from_bytes(first[ip + 4 : ip + 8], "big") + size * len(run)
    return (
        len(previous) == len(first)
        and header < len(packet) <= len(first)
        and (len(run) + 1) * size <= _MOST
        and packet[ip + 4 : ip + 8] == (sent & 0xFFFFFFFF).to_bytes(4, "big")
        and packet[ip + 8 : ip + 13] == first[ip + 8 : ip + 13]  # acknowledged, header length
        and previous[ip + 13] == _ACK
        and packet[ip + 13] & ~_PSH == _ACK
        and packet[ip + 14 : ip + 16] == first[ip + 14 : ip + 16]  # window
        and packet[ip + 20 : header] == first[ip + 20 : header]  # options
        and packet[:2] == first[:2]  # TOS
        and (packet[8] == first[8] if ip == 20 else packet[7] == first[7])  # hops left
    )


def _joined(run: list[bytes]) -> list[tuple[bytes, bytes]]:
    if len(run) < _FEWEST or not _checksums_right(run):
        return [(NO_OFFLOAD, packet) for packet in run]
    first = run[0]
    ip = _ip_size(first)
    header = ip + (first[ip + 12] >> 4) * 4
    tcp = first[ip:header]
    payload = b"".join([packet[header:] for packet in run])
    total = header + len(payload)
    if ip == 20:
        bare = first[:2] + total.to_bytes(2, "big") + first[4:10] + b"\0\0" + first[12:20]
        front = bare[:10] + checksum(bare).to_bytes(2, "big") + bare[12:]
        kind, addresses = _GSO_TCPV4, first[12:20]
    else:
        front = first[:4] + (total - 40).to_bytes(2, "big") + first[6:40]
        kind, addresses = _GSO_TCPV6, first[8:40]
    partial = _pseudo(addresses, total - ip) % 0xFFFF
    flags = tcp[13] | run[-1][ip + 13]
    tcp = tcp[:13] + bytes((flags,)) + tcp[14:16] + partial.to_bytes(2, "big") + tcp[18:]
    size = len(first) - header
    offload = _HEADER.pack(_NEEDS_CSUM, kind, header, size, ip, 16)
    return [(offload, front + tcp + payload)]


def _checksums_right(run: list[bytes]) -> bool:
    """Whether the TCP checksums are; the last one may be shorter."""
    *equal, last = run
    ip = _ip_size(last)
    addresses = last[12:20] if ip == 20 else last[8:40]
    if (int(_sums(_row(last[ip:]))[0]) + _pseudo(addresses, len(last) - ip)) % 0xFFFF:
        return False
    width = len(equal[0]) - ip
    rows = np.frombuffer(b"".join([packet[ip:] for packet in equal]), np.uint8)
    sums = _sums(rows.reshape(len(equal), width)) + _pseudo(addresses, width)
    return not (sums % 0xFFFF).any()


# Sums of 16-bit words, not yet folded: all arithmetic is modulo 65535 (RFC 1071)


def _sums(rows: Octets) -> Sums:
    """The sum of each row's words in network byte order."""
    count, width = rows.shape
    padded = -(-width // 4) * 4
    if padded != width or not rows.flags.c_contiguous:
        wide = np.zeros((count, padded), np.uint8)
        wide[:, :width] = rows
        rows = wide
    sums: npt.NDArray[np.uint64] = rows.view("<u4").sum(axis=1, dtype=np.uint64)
    # The sum of byte-swapped words is the byte-swapped sum (RFC 1071, 2 B).
    folded = (sums % np.uint64(0xFFFF)).astype(np.int64)
    return (folded & 0xFF) << 8 | folded >> 8


def _row(octets: bytes) -> Octets:
    return np.frombuffer(octets, np.uint8).reshape(1, len(octets))


def _pseudo(addresses: bytes, length: int) -> int:
    """The sum of TCP's pseudo-header."""
    return int.from_bytes(addresses, "big") % 0xFFFF + TCP + length


def _put16(rows: Octets, at: int, value: int | Sums) -> None:
    """Two octets of each row, in network byte order; higher bits of `value` are dropped."""
    rows[:, at] = value >> 8 & 0xFF
    rows[:, at + 1] = value & 0xFF


def _ip_size(packet: bytes) -> int:
    """Octets of the IP header. (The kernel makes no large packets with IPv6 extension headers.)"""
    return (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else 40

"""A small ping (RFC 792), so that the demo needs no program of the distribution.

python -m mgu.demo.ping [-c COUNT] [-W SECONDS] [-I SOURCE] ADDRESS; exit code 1: no answer at all.
"""

import os
import socket
import struct
import sys
import time
from collections.abc import Sequence
from typing import Final

from mgu.arguments import Parser

_ECHO_REQUEST: Final = 8
_ECHO_REPLY: Final = 0
_HEADER: Final = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence number
_DATA: Final = bytes(range(56))
_INTERVAL: Final = 0.2  # seconds between two requests


def echo_request(identifier: int, sequence: int, data: bytes = _DATA) -> bytes:
    """The octets of one echo request."""
    head = _HEADER.pack(_ECHO_REQUEST, 0, 0, identifier, sequence)
    return _HEADER.pack(_ECHO_REQUEST, 0, checksum(head + data), identifier, sequence) + data


def checksum(octets: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    octets += bytes(len(octets) % 2)
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def answer(datagram: bytes, identifier: int, sequence: int) -> tuple[int, int] | None:
    """Octets of ICMP and the TTL if `datagram` (with its IPv4 header) is the answer, or None."""
    head = (datagram[0] & 15) * 4 if datagram else 0
    icmp = datagram[head:]
    if len(icmp) < _HEADER.size:
        return None
    kind, _, _, *numbers = _HEADER.unpack_from(icmp)
    if kind != _ECHO_REPLY or numbers != [identifier, sequence]:
        return None
    return len(icmp), datagram[8]


def ping_once(raw: socket.socket, address: str, sequence: int, wait: float) -> str | None:
    """One request; the line about its answer, or None after `wait` seconds."""
    identifier = os.getpid() & 0xFFFF
    begin = time.monotonic()
    try:
        raw.sendto(echo_request(identifier, sequence), (address, 0))
    except OSError as error:
        return f"ping: {error.strerror}"
    while (left := begin + wait - time.monotonic()) > 0:
        raw.settimeout(left)
        try:
            datagram, (source, _) = raw.recvfrom(4096)
        except TimeoutError:
            break
        found = answer(datagram, identifier, sequence)
        if found is not None:
            took = (time.monotonic() - begin) * 1000
            size, ttl = found
            return f"{size} bytes from {source}: icmp_seq={sequence} ttl={ttl} time={took:.1f} ms"
    return None


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("ping", description=__doc__)
    parser.add_argument("-c", dest="count", type=int, default=3)
    parser.add_argument("-W", dest="wait", type=float, default=1.0, help="seconds for each answer")
    parser.add_argument("-I", dest="source", help="address to send from")
    parser.add_argument("address")
    options = parser.parse_args(argv)
    received = 0
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        if options.source:
            raw.bind((options.source, 0))
        for sequence in range(1, options.count + 1):
            line = ping_once(raw, options.address, sequence, options.wait)
            received += line is not None and not line.startswith("ping:")
            print(line or f"no answer: icmp_seq={sequence}", flush=True)
            if sequence < options.count:
                time.sleep(_INTERVAL)
    print(f"{options.count} packets transmitted, {received} received")
    return 0 if received else 1


if __name__ == "__main__":
    sys.exit(main())

"""One request on one socket: connected, non-blocking, stamped by the kernel -- socket(7),
Documentation/networking/timestamping.rst.

A new socket for each request gives it a new random port (RFC 9109), and lets the kernel drop what
comes from elsewhere. It also keeps the transmit stamp of a lost request from being taken for that
of the next one: the stamp lies in the error queue of its own socket, under the number OPT_ID gave.
The socket must be non-blocking: with a timeout Python waits for a readable socket before it reads
the error queue, though that does not make it one.
"""

import socket
import struct
import time

from ntp.messages import Address, Received
from ntp.sample import Stamps
from ntp.timestamp import SECOND
from wire.lean import Final

# linux/net_tstamp.h, asm-generic/socket.h. The "new" option has 64-bit times on every machine.
SO_TIMESTAMPING: Final = 65
SCM_TIMESTAMPING: Final = SO_TIMESTAMPING
_TX_SOFTWARE: Final = 1 << 1
_RX_SOFTWARE: Final = 1 << 3
_SOFTWARE: Final = 1 << 4
_OPT_ID: Final = 1 << 7
_OPT_TSONLY: Final = 1 << 11
FLAGS: Final = _TX_SOFTWARE | _RX_SOFTWARE | _SOFTWARE | _OPT_ID | _OPT_TSONLY

_ORIGIN_TIMESTAMPING: Final = 4  # linux/errqueue.h, SO_EE_ORIGIN_TIMESTAMPING
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_TIMES = struct.Struct("=6q")  # scm_timestamping64: software, deprecated, hardware
_ERROR = struct.Struct("=IBBBBII")  # sock_extended_err
ANCILLARY: Final = 256  # octets of ancillary data that suffice for all of these
_LONGEST: Final = 4096  # octets of a datagram; more than checks.MAX_OCTETS

Ancillary = list[tuple[int, int, bytes]]


class Exchange:
    """The socket of one request. `shift`: ns by which the gateway's date is ahead of the kernel's.

    Raises: OSError if the request cannot leave.
    """

    def __init__(self, number: int, to: Address, octets: bytes, shift: int = 0) -> None:
        self.number = number
        self._shift = shift
        self._sent_by_kernel: int | None = None
        family = socket.AF_INET6 if ":" in to.host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            enable_stamps(self.socket)
            self.socket.connect(_socket_address(to))
            self.own = str(self.socket.getsockname()[0])
            self._sent = time.time_ns()
            self.socket.send(octets)
        except BaseException:
            self.socket.close()
            raise

    def fileno(self) -> int:
        return self.socket.fileno()

    def close(self) -> None:
        self.socket.close()

    def read(self) -> Received | None:
        """The next datagram, or None if there is none now.

        Raises: OSError when the network sent the request back.
        """
        if self._sent_by_kernel is None:
            self._sent_by_kernel = sent_stamp(self.socket)
        try:
            octets, ancillary, _, _ = self.socket.recvmsg(_LONGEST, ANCILLARY)
        except BlockingIOError:  # woken by the error queue
            return None
        received = received_stamp(ancillary)
        sent = self._sent_by_kernel
        stamps = Stamps(
            sent=(self._sent if sent is None else sent) + self._shift,
            received=(time.time_ns() if received is None else received) + self._shift,
            by_kernel=sent is not None and received is not None,
        )
        return Received(request=self.number, octets=octets, stamps=stamps, own=self.own)


def _socket_address(to: Address) -> tuple[str, int] | tuple[str, int, int, int]:
    """As connect(2) wants it. Raises: OSError for an interface that is not there."""
    host, _, zone = to.host.partition("%")
    if not zone:
        return to.host, to.port
    index = int(zone) if zone.isdigit() else socket.if_nametoindex(zone)
    return host, to.port, 0, index


def enable_stamps(sock: socket.socket) -> None:
    """Ask for software stamps of both directions; a kernel without them is no error."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, FLAGS)
    except OSError:
        return


def stamping() -> socket.socket:
    """Keeps the kernel's stamping on while it is open.

    The kernel turns it on in the background when the first socket asks for it, and the answer to
    a first request may come before that is done; then only the program's own stamp is left.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    enable_stamps(sock)
    return sock


def restart_stamps(sock: socket.socket) -> None:
    """Number what is sent from 0 again: after a failed send our count and the kernel's differ."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, 0)
    except OSError:
        return
    sent_stamp(sock, -1)
    enable_stamps(sock)


def received_stamp(ancillary: Ancillary) -> int | None:
    """The software stamp (Unix ns) that came with a datagram; (0, 0) means none."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SCM_TIMESTAMPING) and len(data) >= _TIMES.size:
            seconds, rest = _TIMES.unpack_from(data)[:2]
            return seconds * SECOND + rest if seconds or rest else None
    return None


def sent_stamp(sock: socket.socket, number: int = 0) -> int | None:
    """The stamp (Unix ns) of the datagram that was sent as the `number`th on this socket.

    Those of earlier ones are thrown away; -1: all are.
    """
    while True:
        try:
            _, ancillary, _, _ = sock.recvmsg(0, ANCILLARY, socket.MSG_ERRQUEUE)
        except OSError:  # empty
            return None
        if _number(ancillary) == number:
            return received_stamp(ancillary)


def _number(ancillary: Ancillary) -> int | None:
    """The OPT_ID number of a message from the error queue, None if it is not a stamp."""
    for level, kind, data in ancillary:
        if (level, kind) in (
            (socket.IPPROTO_IP, _IP_RECVERR),
            (socket.IPPROTO_IPV6, _IPV6_RECVERR),
        ) and len(data) >= _ERROR.size:
            _, origin, _, _, _, _, number = _ERROR.unpack_from(data)
            return int(number) if origin == _ORIGIN_TIMESTAMPING else None
    return None

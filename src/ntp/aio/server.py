"""The server role on UDP sockets.

`python -m ntp.aio.server -b 192.0.2.1` serves the date of this machine's clock as it was at the
start, carried on by the monotonic clock; `--date` another one.
"""

import argparse
import asyncio
import math
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final, Self

from ntp import keys
from ntp.auth import Keys
from ntp.conf import is_number
from ntp.errors import ConfigurationError
from ntp.messages import Address
from ntp.peer import NTP_PORT
from ntp.server import Datagram, Sent, Server, Settings
from ntp.system.exchange import (
    ANCILLARY,
    Ancillary,
    enable_stamps,
    received_stamp,
    restart_stamps,
    sent_stamp,
)
from ntp.timestamp import SECOND
from wire import files
from wire.source import Notices

_IP_PKTINFO: Final = 8
_IN_PKTINFO = struct.Struct("=i4s4s")  # in_pktinfo: interface, local address, address in the header
_AT_ONCE: Final = 16  # requests of one turn of the loop
_TOGETHER: Final = 50e-6  # s; clocks that are read further apart say nothing of each other
_ATTEMPTS: Final = 3
_OLDEST: Final = 1.0  # s; a stamp that is older than this belongs to a clock that was set since


class ServerSocket:
    """One bound socket that feeds a server core. Use it as a context manager, within a loop."""

    def __init__(self, core: Server, at: Address) -> None:
        self.core = core
        family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._sent = 0
        try:
            enable_stamps(self._socket)
            if family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            self._socket.bind((at.host, at.port))
        except BaseException:
            self._socket.close()
            raise

    @property
    def address(self) -> Address:
        host, port, *_ = self._socket.getsockname()
        return Address(host, port)

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                octets, ancillary, _, source = self._socket.recvmsg(2048, ANCILLARY)
            except OSError:  # nothing there, or an ICMP error for an earlier reply
                break
            datagram = Datagram(
                octets=octets,
                source=Address(*source[:2]),
                received=_monotonic(received_stamp(ancillary)),
            )
            self._answer(datagram, _asked_address(ancillary))
        else:
            return
        sent_stamp(self._socket, -1)  # whatever stamps are left: POLLERR would wake us again

    def _answer(self, datagram: Datagram, asked: Ancillary) -> None:
        for reply in self.core.handle(datagram, time.monotonic()):
            try:
                self._socket.sendmsg([reply.octets], asked, 0, (reply.to.host, reply.to.port))
            except OSError:
                restart_stamps(self._socket)
                self._sent = 0
                continue
            at = _monotonic(sent_stamp(self._socket, self._sent))
            self._sent = (self._sent + 1) & 0xFFFFFFFF
            if at is not None:
                self.core.handle(Sent(to=reply.to, receive=reply.receive, at=at), at)


def _asked_address(ancillary: Ancillary) -> Ancillary:
    """What makes a reply leave from the address that was asked: a client hears no other."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            _, _, address = _IN_PKTINFO.unpack_from(data)
            return [(level, kind, _IN_PKTINFO.pack(0, address, bytes(4)))]
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            return [(level, kind, data)]
    return []


def _monotonic(stamp: int | None) -> float | None:
    """A kernel stamp (Unix ns) on the monotonic clock, in s.

    None if there is none, if the clock was set since, or if we are so often interrupted that the
    two clocks cannot be read together.
    """
    if stamp is None:
        return None
    apart, now, date = min(_both_clocks() for _ in range(_ATTEMPTS))
    age = (date - stamp) / SECOND
    return now - age if apart < _TOGETHER and 0 <= age < _OLDEST else None


def _both_clocks() -> tuple[float, float, int]:
    """How long reading both took (s), the monotonic clock (s), and the date (Unix ns)."""
    before, date, after = time.monotonic(), time.time_ns(), time.monotonic()
    return after - before, (before + after) / 2, date


async def serve(
    settings: Settings,
    addresses: Sequence[Address],
    stop: asyncio.Event,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve on `addresses` until `stop` is set; `ready` is called when all are bound.

    Raises: OSError if one cannot be bound.
    """
    core = Server(settings)
    with ExitStack() as sockets:
        for address in addresses:
            sockets.enter_context(ServerSocket(core, address))
        ready()
        await stop.wait()


def parser() -> argparse.ArgumentParser:
    """Of the program's options."""
    made = argparse.ArgumentParser(
        prog="python -m ntp.aio.server", description=__doc__, allow_abbrev=False
    )
    add = made.add_argument
    add("-b", dest="bind", action="append", metavar="ADDRESS", help="default: all of IPv4")
    add("-p", dest="port", type=_number(0xFFFF), default=NTP_PORT, metavar="N", help="UDP (123)")
    date = "date to serve, ISO 8601; without a zone it is UTC"
    add("--date", type=_date, metavar="DATE", help=date)
    add("--stratum", type=_number(15), default=1, metavar="N", help="1 to 15 (1)")
    add("--keys", metavar="FILE", help="symmetric keys that clients may ask with (ntp.keys)")
    rate = "seconds between two requests of a client, after the first 8 (default: no limit)"
    add("--rate", type=_number(3600), default=0, metavar="S", help=rate)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser()
    options = arguments.parse_args(argv)
    addresses = [Address(host, options.port) for host in options.bind or ["0.0.0.0"]]
    try:
        settings = Settings(
            date=time.time_ns() if options.date is None else options.date,
            at=time.monotonic(),
            stratum=options.stratum,
            keys=_keys(options.keys) if options.keys else {},
            rate=options.rate,
        )
        asyncio.run(_until_signal(settings, addresses))
    except ConfigurationError as error:
        arguments.error(str(error))
    except OSError as error:
        what = error.filename or f"cannot serve on {', '.join(map(str, addresses))}"
        print(f"{what}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _number(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if is_number(text, most):
            return int(text)
        raise argparse.ArgumentTypeError(f"must be a number of 1 to {most}, not '{text}'")

    return number


def _date(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a date in ISO 8601") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return math.floor(moment.timestamp()) * SECOND + moment.microsecond * 1000


def _keys(name: str) -> Keys:
    """Raises: OSError."""
    notices = Notices()
    found = keys.parse(files.read(name), name, notices)
    for notice in notices:
        print(f"warning: {notice}", file=sys.stderr)
    return found


async def _until_signal(settings: Settings, addresses: Sequence[Address]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    where = ", ".join(f"{address.host} port {address.port}" for address in addresses)
    await serve(settings, addresses, stop, lambda: print(f"serving on {where}", flush=True))


if __name__ == "__main__":
    sys.exit(main())

"""Tells when the network or the clock changed under a service -- rtnetlink(7), timerfd_create(2).

Only that something changed matters here: a link with a carrier, a new address, a new route. The
clock is watched by a timer that the kernel cancels when the date jumps, also after a suspend.
"""

import asyncio
import ctypes
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_RTMGRP: Final = 0x1 | 0x10 | 0x40 | 0x100 | 0x400  # link, IPv4 and IPv6 addresses and routes
_NEWS: Final = frozenset({16, 20, 24})  # RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE
_RTM_NEWLINK: Final = 16
_IFF_LOWER_UP: Final = 0x10000
_MESSAGE = struct.Struct("=IHHII")  # nlmsghdr
_LINK = struct.Struct("=BxHiII")  # ifinfomsg
_TFD_NONBLOCK: Final = os.O_NONBLOCK
_TFD_CLOEXEC: Final = os.O_CLOEXEC
_TFD_TIMER_ABSTIME: Final = 1
_TFD_TIMER_CANCEL_ON_SET: Final = 2
_AFAR: Final = min(9 * 10**9, 2 ** (8 * ctypes.sizeof(ctypes.c_long) - 1) - 1)
"""Unix s, the year 2255 where it fits: never waited for, only the cancellation matters."""


@contextmanager
def network(changed: Callable[[], None]) -> Iterator[None]:
    """Call `changed` for news of the network while the block runs."""
    loop = asyncio.get_running_loop()
    link = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
    )
    carriers: dict[int, bool] = {}

    def read() -> None:
        news = False
        try:
            while True:
                news |= has_news(link.recv(65536), carriers)
        except BlockingIOError:
            pass
        except OSError:  # ENOBUFS: some were lost
            news = True
        if news:
            changed()

    with link:
        link.bind((0, _RTMGRP))
        loop.add_reader(link.fileno(), read)
        try:
            yield
        finally:
            loop.remove_reader(link.fileno())


def has_news(octets: bytes, carriers: dict[int, bool]) -> bool:
    """Whether netlink messages tell of a carrier, an address or a route that is new.

    `carriers`: by interface index, whether the link had one; kept up to date here.
    """
    news, at = False, 0
    while at + _MESSAGE.size <= len(octets):
        length, kind, _, _, _ = _MESSAGE.unpack_from(octets, at)
        if length < _MESSAGE.size:
            break
        if kind == _RTM_NEWLINK and at + _MESSAGE.size + _LINK.size <= len(octets):
            _, _, index, flags, _ = _LINK.unpack_from(octets, at + _MESSAGE.size)
            carrier = bool(flags & _IFF_LOWER_UP)
            news |= carrier and not carriers.get(index, False)
            carriers[index] = carrier
        else:
            news |= kind in _NEWS
        at += length + 3 & ~3
    return news


@contextmanager
def clock(changed: Callable[[], None]) -> Iterator[None]:
    """Call `changed` when the date jumped while the block runs; a kernel without timerfd: never."""
    loop = asyncio.get_running_loop()
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.timerfd_create(time.CLOCK_REALTIME, _TFD_NONBLOCK | _TFD_CLOEXEC)
    if descriptor < 0:
        yield
        return
    when = (ctypes.c_long * 4)(0, 0, _AFAR, 0)  # struct itimerspec: interval, then value

    def arm() -> None:
        flags = _TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET
        libc.timerfd_settime(descriptor, flags, ctypes.byref(when), None)

    def read() -> None:
        try:
            os.read(descriptor, 8)
        except BlockingIOError:
            return
        except OSError:  # ECANCELED: the date jumped
            arm()
            changed()

    arm()
    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)

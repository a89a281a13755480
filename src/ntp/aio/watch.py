"""Tells when the network or the clock changed under a service -- rtnetlink(7), timerfd_create(2).

Only that something changed matters here: a link with a carrier, a new address, a new route. The
clock is watched by a timer that the kernel cancels when the date jumps, also after a suspend.
"""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from wire.rtnetlink import UNICAST, Change, Link, OwnAddress, Route
from wire.watch import HostWatch

_TFD_NONBLOCK: Final = os.O_NONBLOCK
_TFD_CLOEXEC: Final = os.O_CLOEXEC
_TFD_TIMER_ABSTIME: Final = 1
_TFD_TIMER_CANCEL_ON_SET: Final = 2
_AFAR: Final = min(9 * 10**9, 2 ** (8 * ctypes.sizeof(ctypes.c_long) - 1) - 1)
"""Unix s, the year 2255 where it fits: never waited for, only the cancellation matters."""


@contextmanager
def network(changed: Callable[[], None]) -> Iterator[None]:
    """Call `changed` for news of the network while the block runs."""

    def told(changes: list[Change]) -> None:
        if any(is_news(change) for change in changes):
            changed()

    watch = HostWatch((Link, OwnAddress, Route), told)
    try:
        watch.start()
        yield
    finally:
        watch.close()


def is_news(change: Change) -> bool:
    """Whether a server may be reached now that was not: a carrier, an address, a route came."""
    match change.after:
        case Link(carrier=True):
            return not (isinstance(change.before, Link) and change.before.carrier)
        case OwnAddress(usable=usable):
            return usable
        case Route(kind=kind):
            return kind == UNICAST
        case _:
            return False


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

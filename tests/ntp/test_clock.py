"""What the kernel is asked to do, on a kernel that is a function."""

import errno
import os
import struct
import sys
import time

import pytest

from ntp.aio import clock, watch
from ntp.aio.clock import KernelClock, Timex
from ntp.aio.errors import ClockRefused, NotPermitted
from ntp.timestamp import SECOND


class Kernel:
    """Takes calls down, and refuses with `refusal`."""

    def __init__(self, refusal: int = 0) -> None:
        self.calls: list[Timex] = []
        self.sets: list[int] = []
        self._refusal = refusal

    def adjust(self, timex: Timex) -> None:
        if self._refusal:
            raise OSError(self._refusal, os.strerror(self._refusal))
        self.calls.append(timex)

    def set_ns(self, which: int, date: int) -> None:
        assert which == time.CLOCK_REALTIME
        self.sets.append(date)

    @property
    def clock(self) -> KernelClock:
        return KernelClock(self.adjust, self.set_ns)


@pytest.mark.parametrize("offset", [0, 1, -1, SECOND, -SECOND, 56 * 365 * 86400 * SECOND + 7, -123])
def test_a_step_is_one_call_with_a_fraction_that_is_never_negative(offset: int) -> None:
    kernel = Kernel()
    kernel.clock.step(offset)
    (timex,) = kernel.calls
    assert timex.modes == clock.ADJ_SETOFFSET | clock.ADJ_NANO
    assert timex.seconds * SECOND + timex.nanoseconds == offset
    assert 0 <= timex.nanoseconds < SECOND


def test_an_old_kernel_is_set_the_old_way() -> None:
    kernel = Kernel(errno.ENOSYS)
    before = time.time_ns()
    kernel.clock.step(3600 * SECOND)
    (date,) = kernel.sets
    assert 0 <= date - before - 3600 * SECOND < SECOND
    kernel.clock.synchronized(1000)  # nobody can ask it either


def test_a_lack_of_permission_is_said_with_its_remedy() -> None:
    with pytest.raises(NotPermitted, match="CAP_SYS_TIME"):
        Kernel(errno.EPERM).clock.step(1)


def test_a_date_that_the_kernel_does_not_take_is_said() -> None:
    with pytest.raises(ClockRefused, match="no such date"):
        Kernel(errno.EINVAL).clock.step(-(10**20))


def test_after_setting_the_kernel_knows_how_wrong_it_may_be() -> None:
    kernel = Kernel()
    kernel.clock.synchronized(5_000_000)
    (timex,) = kernel.calls
    assert not timex.status & clock.STA_UNSYNC
    assert timex.maxerror == 5000  # us


def test_a_slew_is_the_kernels_own_loop_and_never_too_much_for_it() -> None:
    kernel = Kernel()
    kernel.clock.slew(-1234, 1000, poll=10)
    (timex,) = kernel.calls
    assert timex.offset == -1234
    assert timex.status & clock.STA_PLL
    assert timex.constant == 6
    with pytest.raises(ClockRefused):
        kernel.clock.slew(SECOND, 1000)


@pytest.mark.skipif(sys.maxsize < 2**32, reason="the published size is that of 64-bit machines")
def test_struct_timex_has_the_size_of_the_kernel() -> None:
    import ctypes

    assert ctypes.sizeof(Timex) == 208


def link(index: int, flags: int) -> bytes:
    return struct.pack("=IHHII", 32, 16, 0, 0, 0) + struct.pack("=BxHiII", 0, 1, index, flags, 0)


def message(kind: int) -> bytes:
    return struct.pack("=IHHII", 16, kind, 0, 0, 0)


def test_a_carrier_is_news_once() -> None:
    carriers: dict[int, bool] = {}
    up, down = link(3, 0x10000), link(3, 0)
    told = [watch.has_news(octets, carriers) for octets in (up, up, down, up)]
    assert told == [True, False, False, True]


def test_a_new_address_or_route_is_news_and_a_lost_one_is_none() -> None:
    assert watch.has_news(message(20), {})
    assert watch.has_news(message(21) + message(24), {})
    assert not watch.has_news(message(21) + message(25), {})

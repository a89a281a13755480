"""What the kernel is asked to do, on a kernel that is a function."""

import errno
import os
import sys
import time
from ipaddress import ip_address, ip_network

import pytest

from ntp.aio import watch
from ntp.system import clock
from ntp.system.clock import Discipline, KernelClock, Timex
from ntp.system.errors import ClockRefused, NotPermitted
from ntp.timestamp import SECOND
from wire.record import replace
from wire.rtnetlink import UNICAST, Change, Item, Link, OwnAddress, Route


class Kernel:
    """Takes calls down, answers with `answer`'s fields, and refuses with `refusal`."""

    def __init__(self, refusal: int = 0, **answer: int) -> None:
        self.calls: list[Timex] = []
        self._answer = answer
        self.sets: list[int] = []
        self._refusal = refusal

    def adjust(self, timex: Timex) -> None:
        if self._refusal:
            raise OSError(self._refusal, os.strerror(self._refusal))
        self.calls.append(timex)
        for name, value in self._answer.items():
            setattr(timex, name, value)

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
    with pytest.raises(ClockRefused, match="refuses this date"):
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
    assert timex.modes == 0x0001 | 0x0004 | 0x0008 | 0x0010 | 0x0020 | 0x2000  # linux/timex.h
    assert timex.constant == 10  # the kernel adds 4 only where it counts in microseconds
    with pytest.raises(ClockRefused):
        kernel.clock.slew(SECOND, 1000)


@pytest.mark.parametrize(("leap", "status"), [(0, 0), (1, clock.STA_INS), (2, clock.STA_DEL)])
def test_the_kernel_is_armed_for_a_leap_second_and_disarmed(leap: int, status: int) -> None:
    kernel = Kernel()
    kernel.clock.slew(0, 1000, leap=leap)
    kernel.clock.synchronized(1000, leap)
    assert [timex.status for timex in kernel.calls] == [clock.STA_PLL | status] * 2


def test_the_kernel_says_how_its_clock_is_doing() -> None:
    kernel = Kernel(maxerror=1500, freq=-(3 << 15), status=clock.STA_PLL | clock.STA_INS)
    discipline = kernel.clock.discipline()
    assert kernel.calls[0].modes == 0
    assert discipline == Discipline(synchronized=True, error=1_500_000, frequency=-1.5, leap=1)
    lost = Kernel(status=clock.STA_UNSYNC).clock.discipline()
    assert lost == Discipline(synchronized=False, error=0, frequency=0.0, leap=0)
    assert Kernel(errno.ENOSYS).clock.discipline() is None


@pytest.mark.parametrize(("ppm", "told"), [(-1.5, -1.5), (1e9, 500.0), (-501.0, -500.0)])
def test_a_frequency_is_given_to_the_kernel_within_its_bounds(ppm: float, told: float) -> None:
    kernel = Kernel()
    kernel.clock.set_frequency(ppm)
    (timex,) = kernel.calls
    assert (timex.modes, timex.freq) == (clock.ADJ_FREQUENCY, round(told * 65536))
    with pytest.raises(NotPermitted):
        Kernel(errno.EPERM).clock.set_frequency(1.0)
    Kernel(errno.ENOSYS).clock.set_frequency(1.0)


@pytest.mark.skipif(sys.maxsize < 2**32, reason="the published size is that of 64-bit machines")
def test_struct_timex_has_the_size_of_the_kernel() -> None:
    import ctypes

    assert ctypes.sizeof(Timex) == 208
    fields = (Timex.modes, Timex.offset, Timex.freq, Timex.maxerror, Timex.esterror, Timex.status)
    assert [field.offset for field in fields] == [0, 8, 16, 24, 32, 40]  # linux/timex.h
    assert [field.offset for field in (Timex.constant, Timex.seconds)] == [48, 72]


def link(carrier: bool) -> Link:
    return Link(index=3, name="eth0", enabled=True, carrier=carrier, address=bytes(6), mtu=1500)


def address(usable: bool) -> OwnAddress:
    return OwnAddress(index=3, address=ip_address("fd00::1"), prefix=64, usable=usable)


def route(kind: int) -> Route:
    network = ip_network("0.0.0.0/0")
    return Route(254, network, metric=0, tos=0, kind=kind, gateway=b"", index=3, paths=b"")


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        (link(False), link(True), True),
        (None, link(True), True),
        (link(True), replace(link(True), mtu=1400), False),
        (link(True), link(False), False),
        (link(True), None, False),
        (None, address(False), False),
        (address(False), address(True), True),
        (address(True), None, False),
        (None, route(UNICAST), True),
        (None, route(2), False),
        (route(UNICAST), None, False),
    ],
)
def test_news_is_what_may_let_a_server_be_reached_that_was_not(
    before: Item | None, after: Item | None, news: bool
) -> None:
    assert watch.is_news(Change(before, after)) is news

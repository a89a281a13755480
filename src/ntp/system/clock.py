"""The kernel's clock -- clock_adjtime(2), adjtimex(2).

One call adds the offset inside the kernel. Reading the clock, adding and setting it would be off by
the time between the two (20 us, and more whenever somebody else runs in between).
"""

import ctypes
import errno
import os
import time
from collections.abc import Callable
from typing import Final

from ntp.packet import Leap
from ntp.system.errors import ClockRefused, NotPermitted
from ntp.timestamp import SECOND
from ntp.trust import MAXFREQ
from wire.record import Record

# linux/timex.h
ADJ_OFFSET: Final = 0x0001
ADJ_FREQUENCY: Final = 0x0002
ADJ_MAXERROR: Final = 0x0004
ADJ_ESTERROR: Final = 0x0008
ADJ_STATUS: Final = 0x0010
ADJ_TIMECONST: Final = 0x0020
ADJ_SETOFFSET: Final = 0x0100
ADJ_NANO: Final = 0x2000
STA_PLL: Final = 0x0001
STA_INS: Final = 0x0010
STA_DEL: Final = 0x0020
STA_UNSYNC: Final = 0x0040
_LEAPS: Final = {Leap.LAST_MINUTE_61: STA_INS, Leap.LAST_MINUTE_59: STA_DEL}

MAXTC: Final = 10  # the longest time constant of the kernel's loop, log2 s
_PPM: Final = 1 << 16  # the kernel's unit of frequency is 2**-16 ppm

MAX_SLEW: Final = SECOND // 2  # ns; the kernel's loop takes no more
_ERROR_LIMIT: Final = 16 * SECOND  # ns; NTP_PHASE_LIMIT: the kernel calls itself lost beyond it


class Timex(ctypes.Structure):
    """struct timex. `time` is a timeval whose microseconds are nanoseconds under ADJ_NANO."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("_padding", ctypes.c_int * 11),
    )


Adjust = Callable[[Timex], None]


def adjust(timex: Timex) -> None:
    """clock_adjtime(CLOCK_REALTIME, timex). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        call = libc.clock_adjtime
    except AttributeError:  # a libc older than the system call
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    if call(ctypes.c_int(time.CLOCK_REALTIME), ctypes.byref(timex)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Discipline(Record, kw_only=True):
    """What the kernel knows of its clock. `frequency`: ppm by which it is corrected; `error`: ns,
    its bound; `leap`: what it will do at the end of the day."""

    synchronized: bool
    error: int
    frequency: float
    leap: int


class KernelClock:
    """CLOCK_REALTIME. `adjust` and `set_ns` are the system calls, for tests to replace."""

    shift: Final = 0  # ns by which this clock is ahead of the stamps that the kernel makes

    def __init__(
        self,
        adjust: Adjust = adjust,
        set_ns: Callable[[int, int], object] = time.clock_settime_ns,
    ) -> None:
        self._adjust = adjust
        self._set_ns = set_ns

    def now(self) -> int:
        """The date in Unix ns."""
        return time.time_ns()

    def step(self, offset: int) -> None:
        """Move the clock by `offset` ns at once. Raises: ClockRefused."""
        seconds, rest = divmod(offset, SECOND)
        timex = Timex(modes=ADJ_SETOFFSET | ADJ_NANO, seconds=seconds, nanoseconds=rest)
        try:
            try:
                self._adjust(timex)
            except OSError as error:
                if error.errno != errno.ENOSYS:
                    raise
                self._set_ns(time.CLOCK_REALTIME, time.time_ns() + offset)
        except OSError as error:
            raise _refusal(error) from error

    def slew(self, offset: int, error: int, poll: int = 6, leap: int = 0) -> None:
        """Let the kernel's loop work `offset` ns off without a jump, and learn the frequency.

        Args: `error`, ns, the bound that others see as maxerror; `poll`, log2 s to the next call,
        is the time constant: the kernel adds 4 to it only where it counts in microseconds; `leap`:
        what is to happen at the end of the day. Raises: ClockRefused.
        """
        if abs(offset) > MAX_SLEW:
            raise ClockRefused(f"{offset} ns is too large an offset to slew; step the clock")
        modes = ADJ_OFFSET | ADJ_TIMECONST | ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR | ADJ_NANO
        self._tell(Timex(modes=modes, offset=offset, constant=min(poll, MAXTC)), error, leap)

    def synchronized(self, error: int, leap: int = 0) -> None:
        """Tell the kernel, and through it every program that asks, that the date is right within
        `error` ns. Raises: ClockRefused."""
        self._tell(Timex(modes=ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR), error, leap)

    def discipline(self) -> Discipline | None:
        """How the kernel's clock is doing; None if it cannot be asked. Anybody may."""
        timex = Timex()
        try:
            self._adjust(timex)
        except OSError:
            return None
        return Discipline(
            synchronized=not timex.status & STA_UNSYNC,
            error=timex.maxerror * 1000,
            frequency=timex.freq / _PPM,
            leap=next((leap for leap, bit in _LEAPS.items() if timex.status & bit), Leap.NONE),
        )

    def set_frequency(self, ppm: float) -> None:
        """Go on with a frequency that was learned before. Raises: ClockRefused."""
        bounded = max(-MAXFREQ, min(ppm, MAXFREQ))
        try:
            self._adjust(Timex(modes=ADJ_FREQUENCY, freq=round(bounded * _PPM)))
        except OSError as refusal:
            if refusal.errno != errno.ENOSYS:
                raise _refusal(refusal) from refusal

    def _tell(self, timex: Timex, error: int, leap: int) -> None:
        timex.status = STA_PLL | _LEAPS.get(Leap(leap), 0)
        timex.maxerror = timex.esterror = min(error, _ERROR_LIMIT) // 1000  # us
        try:
            self._adjust(timex)
        except OSError as refusal:
            if refusal.errno != errno.ENOSYS:  # without the call nobody can ask either
                raise _refusal(refusal) from refusal


def _refusal(error: OSError) -> ClockRefused:
    if error.errno == errno.EPERM:
        return NotPermitted(
            "setting the clock needs root or the capability CAP_SYS_TIME; "
            "run it as root, or with --dry-run to only look"
        )
    if error.errno == errno.EINVAL:
        return ClockRefused("the kernel refuses this date (before 1970, or before it was booted)")
    return ClockRefused(f"the kernel does not set the clock: {error.strerror}")

"""One measurement: what an exchange says about our clock -- RFC 5905, 8 and 11.1.

All dates and durations are whole nanoseconds; dates are Unix time.
"""

from ntp.timestamp import SECOND
from wire.lean import Final
from wire.record import Record

STEPT: Final = SECOND * 128 // 1000  # further off, the clock is stepped (RFC 5905, A.1.1)
MAXDIST: Final = 1.5  # s; a server further from the truth than this has no vote (RFC 5905, 11.2.1)
MAXDISP: Final = 16 * SECOND  # ns; and further than this, it is not listened to at all


class Stamps(Record, kw_only=True):
    """When a request left and its reply came, by our clock (Unix ns).

    The kernel's stamps leave our own scheduling out. A stamp taken by the program is earlier
    (`sent`) or later (`received`) than the truth, so it can only widen delay and error bound.
    """

    sent: int
    received: int
    by_kernel: bool = False  # both


class Sample(Record, kw_only=True):
    """Offset of our clock and how far it can be from the truth.

    `offset` above zero: the server is ahead of us. `error` is the bound: half the delay (all of it
    may have been on one way), the server's own distance from its reference, and the precisions.
    """

    offset: int
    delay: int
    error: int
    date: int  # the server's date when its reply came: Unix ns
    at: float  # when that was: monotonic s
    stratum: int
    leap: int
    reference_id: bytes = bytes(4)
    root_distance: int = 0
    by_kernel: bool = False
    interleaved: bool = False
    authenticated: bool = False


def offset_and_delay(t1: int, t2: int, t3: int, t4: int) -> tuple[int, int]:
    """Clock offset and round-trip delay (RFC 5905, 8), in the unit of the arguments.

    Args: t1 and t4 by our clock, t2 and t3 by the server's; dates, era resolved.
    """
    return ((t2 - t1) + (t3 - t4)) // 2, (t4 - t1) - (t3 - t2)

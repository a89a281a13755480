"""The 64-bit timestamp and its eras -- RFC 5905, 6.

A timestamp counts 2**-32 s from 1900, or from 2036-02-07 (era 1), or from 2172 (era 2): the packet
does not say which. A *pivot* does: a date that is known to have passed, such as the day the
software was built. The running clock cannot be the pivot, because it may be at 1970.

Dates in this package are whole nanoseconds since 1970 (Unix time); a float of today's date has
steps of 0.2 us.
"""

from wire.lean import Final

SECOND: Final = 10**9  # ns
UNIX_EPOCH: Final = 2_208_988_800  # 1970-01-01 in seconds of era 0
_ERA_LENGTH: Final = 1 << 32  # s
_HALF_ERA: Final = 1 << 31  # s


def from_unix_ns(date: int) -> int:
    """The 64-bit timestamp of a date in Unix nanoseconds; `to_unix_ns` gives back the same ns."""
    seconds, rest = divmod(date, SECOND)
    fraction = -((-rest << 32) // SECOND)  # rounded up: 2**-32 s is finer than 1 ns
    return ((seconds + UNIX_EPOCH) % _ERA_LENGTH) << 32 | fraction


def to_unix_ns(stamp: int, pivot: int) -> int:
    """The date of a 64-bit timestamp, in Unix nanoseconds.

    Args: `pivot`, Unix ns. Of the dates that the timestamp can mean, the one nearest to the pivot
    is taken, but none before 1970, which no clock of ours can show. A pivot in 2026 reads
    1970-01-01 to 2106-02-07 right; a later one moves on.
    """
    earliest = max(pivot // SECOND - _HALF_ERA, 0)
    seconds = earliest + ((stamp >> 32) - UNIX_EPOCH - earliest) % _ERA_LENGTH
    return seconds * SECOND + ((stamp & 0xFFFFFFFF) * SECOND >> 32)


def short_to_ns(short: int) -> int:
    """NTP short format (2**-16 s, as in root delay and root dispersion), in ns, rounded up."""
    return -(-short * SECOND >> 16)


def ns_to_short(duration: int) -> int:
    """A duration in ns in NTP short format, rounded up, at most what 32 bits hold."""
    return min(-(-(duration << 16) // SECOND), 0xFFFFFFFF)


def power_of_two_to_ns(exponent: int) -> int:
    """Precision and poll fields (2**exponent s) in ns, at least 1, at most 2**34 s."""
    if exponent >= 0:
        return SECOND << min(exponent, 34)
    return max(SECOND >> -exponent, 1)


def is_last_day_of_month(date: int) -> bool:
    """Whether a leap second can be due at the end of that day (UTC); `date`: Unix ns."""
    from datetime import UTC, datetime, timedelta

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=date // SECOND)
    return (moment + timedelta(days=1)).day == 1


def date_text(date: int) -> str:
    """A date in Unix ns for people: UTC, to the second."""
    from datetime import UTC, datetime, timedelta  # late: it is for messages only

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=date // SECOND)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")

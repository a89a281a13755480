"""How far a date may be trusted: one value, from the outcome of a round to the clock, the saved
floor, the ready state, the status and the boot.

Three levels. One server's word (or a minority's) is *unconfirmed*: it sets a clock that has no
better date, and no more. What a majority of the configured servers says is *agreed*. What a shared
key or NTS proves is *authenticated*.

The *floor* is a date that has surely passed. Its first part comes with the software and the
firmware image; the second is what was saved. A date that is only unconfirmed is refused below
either; a better one is accepted down to the first, so that a wrong saved date can be corrected. An
unconfirmed date moves the saved floor by no more than has passed on our own monotonic clock, which
no server can move: so the true date is later than the new floor.
"""

from enum import IntEnum

from ntp.timestamp import SECOND
from wire.lean import Final
from wire.record import Record

MAXFREQ: Final = 500  # ppm; no clock that the kernel can discipline is further off its rate


class Level(IntEnum):
    """The more the better."""

    UNCONFIRMED = 1
    AGREED = 2
    AUTHENTICATED = 3

    def __str__(self) -> str:
        return self.name.lower()


class Trust(Record, kw_only=True):
    """In a date: how far, by whose word, since which date (Unix ns), within which error (ns)."""

    level: Level
    by: tuple[str, ...]
    since: int
    error: int

    def __str__(self) -> str:
        return f"{self.level} by {', '.join(self.by)}" if self.by else str(self.level)


class Floor(Record, kw_only=True):
    """Two dates that have passed, Unix ns: the software's, and the one saved last (0: none)."""

    released: int
    saved: int = 0

    @property
    def latest(self) -> int:
        return self.saved if self.saved > self.released else self.released

    def below(self, level: Level) -> int:
        """Before which date an answer of that `level` is refused, Unix ns."""
        return self.latest if level is Level.UNCONFIRMED else self.released


def may_be_saved(date: int, trust: Trust, floor: Floor, passed: float) -> int:
    """The date that may be saved as the new floor, Unix ns.

    Args: `date`, Unix ns, now; `floor`, as it was `passed` s ago by the monotonic clock.
    """
    surely = date - trust.error
    if trust.level is not Level.UNCONFIRMED:
        return surely
    at_most = floor.latest + int(passed * (1 - MAXFREQ * 1e-6) * SECOND)
    return max(min(surely, at_most), floor.latest)


def error_after(error: int, passed: float) -> int:
    """What an error bound (ns) has grown to, as the kernel's, `passed` s after the last answer."""
    return error + round(passed * MAXFREQ * 1e-6 * SECOND)

"""A jump of a date that was right: the conditions for accepting it.

One bad hour of a server, or one packet held back on the way, must not move the date. A jump is held
until it has been seen again: what a majority says, or an authenticated server, in the next round;
what is unconfirmed, in every round for as long as the date that it displaces was, at most 15
minutes (as ntpd's stepout). A lower level of trust does not displace a higher one.

Differs: RFC 5905, 12 waits 900 s for every step. A more trusted answer need not wait so long: the
next certificate may be checked in between.
"""

from ntp.messages import Outcome
from ntp.sample import STEPT
from ntp.timestamp import SECOND
from ntp.trust import Level
from wire.lean import Final
from wire.record import Record

STEPOUT: Final = 900.0  # s; RFC 5905, A.1.1: WATCH


class Jump(Record, kw_only=True):
    """A jump that was seen. `offset`: ns; `since`, monotonic s: seen in every round from then on;
    `waits_for`: what it takes, for people; empty once it is accepted."""

    offset: int
    since: float
    waits_for: str


def judge(
    before: Jump | None,
    outcome: Outcome,
    level: Level,
    *,
    held: Level,
    affirmed: float,
    maxchange: float | None,
    now: float,
) -> Jump:
    """What becomes of the jump in `outcome`, which is of `level`.

    Args: `before`: the jump that the last accepted or held round saw; `held`: how far the present
    date is trusted; `affirmed`: for how many s it has been.
    """
    again = before is not None and abs(outcome.offset - before.offset) < STEPT + outcome.error
    since = before.since if before and again else now
    waits_for = ""
    if maxchange is not None and abs(outcome.offset) > maxchange * SECOND:
        waits_for = f"a restart of the service: it is more than maxchange, {maxchange:g} s"
    elif level < held:
        proof = "a majority" if held is Level.AGREED else "an authenticated answer"
        waits_for = f"{proof}, which confirmed the present date"
    elif not again:
        waits_for = "a second round with the same result"
    elif level is Level.UNCONFIRMED:
        long_enough = min(max(affirmed, 0.0), STEPOUT)
        if now - since < long_enough:
            waits_for = f"{long_enough:.0f} s of rounds with the same result"
    return Jump(offset=outcome.offset, since=since, waits_for=waits_for)

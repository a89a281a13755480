"""Which servers are right: the interval that a majority shares -- RFC 5905, 11.2.1.

Each server says that the truth lies in [offset - error, offset + error]. If more than half of them
are right, the truth lies where more than half of these overlap. There can be several such places,
when one wide interval covers two that contradict each other: the result then spans them all, as in
the standard, and its error bound says so. One server alone cannot be checked; two that do not
overlap cannot both be right, and there is no way to decide which one is.

Differs: the result is the best survivor's offset (least error bound), moved into the interval, and
not the cluster algorithm's weighted mean: a client that sets its clock once has no use for it.
"""

from collections.abc import Iterable, Mapping, Sequence

from ntp.packet import Leap
from ntp.sample import Sample
from wire.record import Record


class Agreement(Record, kw_only=True):
    """What a majority says; `error` (ns) bounds the distance of `offset` (ns) from the truth."""

    offset: int
    error: int
    best: Sample
    survivors: frozenset[str]
    leap: int


def best_of(samples: Sequence[Sample]) -> Sample | None:
    """The clock filter (RFC 5905, 10): the least delayed sample is the least disturbed one.

    An interleaved sample says more than any basic one.
    """
    if len(samples) == 1:
        return samples[0]
    return min(samples, key=lambda sample: (not sample.interleaved, sample.delay), default=None)


def agree(votes: Mapping[str, Sample], out_of: int | None = None) -> Agreement | None:
    """The agreement of more than half of `out_of` servers (default: of those that vote), or None.

    One vote out of one is an agreement too: the caller reports it as unconfirmed.
    """
    if len(votes) == 1 and out_of in (None, 1):  # the common case, 8 us faster
        (only,) = votes.values()
        return Agreement(
            offset=only.offset,
            error=only.error,
            best=only,
            survivors=frozenset(votes),
            leap=only.leap,
        )
    majority = (len(votes) if out_of is None else out_of) // 2 + 1
    interval = _interval(votes.values(), majority)
    if interval is None:
        return None
    low, high = interval
    survivors = {name: sample for name, sample in votes.items() if overlaps(sample, low, high)}
    best = min(survivors.values(), key=lambda sample: sample.error)
    offset = min(max(best.offset, low), high)
    leaps = [sample.leap for sample in survivors.values()]
    leap = max(set(leaps), key=leaps.count)
    return Agreement(
        offset=offset,
        error=max(high - offset, offset - low),
        best=best,
        survivors=frozenset(survivors),
        leap=leap if leaps.count(leap) * 2 > len(leaps) else Leap.NONE,
    )


def overlaps(sample: Sample, low: int, high: int) -> bool:
    """Whether the truth can be in both: what `sample` says, and from `low` to `high` (ns)."""
    return sample.offset - sample.error <= high and sample.offset + sample.error >= low


def _interval(samples: Iterable[Sample], majority: int) -> tuple[int, int] | None:
    """From the first to the last offset that `majority` of the samples or more hold possible."""
    edges: list[tuple[int, int]] = []
    for sample in samples:
        edges.append((sample.offset - sample.error, -1))  # opens before another closes there
        edges.append((sample.offset + sample.error, +1))
    low: int | None = None
    high = depth = 0
    for edge, change in sorted(edges):
        if change < 0:
            depth += 1
            if depth == majority and low is None:
                low = edge
        else:
            if depth == majority:
                high = edge
            depth -= 1
    return None if low is None else (low, high)

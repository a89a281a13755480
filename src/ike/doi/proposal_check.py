"""What a responder accepts besides what is configured (racoon.conf(5), `proposal_check`)."""

from collections.abc import Sequence
from typing import Final

from ike.config import ProposalCheck
from ike.doi.proposals import Lifetime
from ike.numbers.doi import Group

MAX_LISTED: Final = 8
"""Proposals of one side that an error names."""


def group_fits(theirs: Group, ours: Group, check: ProposalCheck) -> bool:
    if check is ProposalCheck.OBEY:
        return True
    if check is ProposalCheck.EXACT:
        return theirs == ours
    return ours in (Group.NONE, theirs)


def key_bits_fit(
    theirs: int | None, ours: int | None, lengths: Sequence[int], check: ProposalCheck
) -> bool:
    """A longer key than ours is taken, a shorter one only by `obey`."""
    have = theirs or lengths[0]
    want = ours or lengths[0]
    if have not in lengths or (theirs is not None and ours is None and theirs != lengths[0]):
        return False
    if check is ProposalCheck.EXACT:
        return have == want
    return have >= want or check is ProposalCheck.OBEY


def lifetime_fits(theirs: Lifetime, ours: Lifetime, check: ProposalCheck) -> bool:
    match check:
        case ProposalCheck.OBEY | ProposalCheck.CLAIM:
            return True
        case ProposalCheck.STRICT:
            return _at_most(theirs.seconds, ours.seconds) and _at_most(
                theirs.kilobytes, ours.kilobytes
            )
        case ProposalCheck.EXACT:
            return theirs == ours


def kept_lifetime(theirs: Lifetime, ours: Lifetime, check: ProposalCheck) -> Lifetime:
    if check is ProposalCheck.CLAIM:
        return shorter(theirs, ours)
    seconds = ours.seconds if theirs.seconds is None else theirs.seconds
    return Lifetime(seconds=seconds, kilobytes=theirs.kilobytes)


def _at_most(theirs: int | None, ours: int | None) -> bool:
    """A side that names no limit sets none: the other side's is kept."""
    return theirs is None or ours is None or theirs <= ours


def shorter(a: Lifetime, b: Lifetime) -> Lifetime:
    return Lifetime(
        seconds=_least(a.seconds, b.seconds), kilobytes=_least(a.kilobytes, b.kilobytes)
    )


def _least(a: int | None, b: int | None) -> int | None:
    return min((n for n in (a, b) if n is not None), default=None)


def _listed(things: Sequence[object]) -> str:
    """The first few of them; text is made of no more, for a stranger may have sent many."""
    more = f"; and {len(things) - MAX_LISTED} more" if len(things) > MAX_LISTED else ""
    names = dict.fromkeys(map(str, things[:MAX_LISTED]))
    return ("; ".join(names) or "nothing") + more


def side_by_side(theirs: Sequence[object], ours: Sequence[object]) -> str:
    """Both sides' offers, for people who must find the difference."""
    left, right = _listed(theirs), _listed(ours)
    return f"the peer has: {left} -- configured here: {right}"

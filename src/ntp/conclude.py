"""From what each peer said to the outcome of the round, and how far it may be trusted."""

from collections.abc import Mapping, Sequence

from ntp.messages import Outcome, Report, Verdict
from ntp.sample import Sample
from ntp.select import Agreement, agree, overlaps
from ntp.timestamp import date_text
from ntp.trust import Floor, Level, Trust
from ntp.turn import Failure, Turn
from wire.record import replace

_WANDER = 1_000_000  # ns; how far our own clock may go astray within a round


def deciding(turns: Sequence[Turn]) -> Sequence[Turn]:
    """Whose word counts: those whose answers prove whose they are, if there are any."""
    if len(turns) == 1:
        return turns
    return [turn for turn in turns if turn.peer.authenticates] or turns


def one_each(turns: Sequence[Turn]) -> list[Turn]:
    """Without those that another one already is: two names of one address are one server."""
    if len(turns) == 1:
        return list(turns)
    kept: dict[object, Turn] = {}
    for turn in sorted(turns, key=lambda turn: turn.vote is None):
        kept.setdefault(turn.answered or turn.last or turn, turn)
    return list(kept.values())


def majority_of(turns: Sequence[Turn], among: Sequence[Turn] | None = None) -> Agreement | None:
    """What more than half of `turns`, the configured ones, say; of `among` only, if given."""
    distinct = one_each(turns)
    heard = distinct if among is None else [turn for turn in distinct if turn in among]
    return agree(_votes_of(heard), len(distinct))


def candidate_of(turns: Sequence[Turn]) -> Agreement | None:
    """The date to verify certificates at: the unauthenticated answers of the deciding servers, or
    else of all servers.

    It is not a date to set a clock by, so a majority of those that answered is enough.
    """
    return agree(_votes_of(one_each(deciding(turns)))) or agree(_votes_of(one_each(turns)))


def conclude(
    turns: Sequence[Turn], *, floor: Floor, secured: bool, candidate: Agreement | None
) -> Outcome:
    """The outcome of a round.

    Args: `secured`: the phase under NTS was reached, if there is to be one; `candidate`: what
    plain answers said before it.
    """
    counting = deciding(turns)
    if not secured and [turn for turn in counting if turn.peer.nts]:
        if candidate_of(turns) is None:
            return _decided(turns, turns)
        why = "the time ran out before NTS keys were exchanged"
        return _no(Verdict.NO_ANSWER, why, turns)
    outcome = _decided(counting, turns)
    if outcome.trust is None:
        return outcome
    if candidate and not _overlap(candidate, outcome):
        why = (
            "the authenticated time contradicts the one at which the certificate was verified; "
            "one of the servers lies"
        )
        return _no(Verdict.REFUSED, why, turns)
    if outcome.date < floor.below(outcome.trust.level):
        return _below_floor(outcome, outcome.trust, floor)
    return outcome


def _below_floor(outcome: Outcome, trust: Trust, floor: Floor) -> Outcome:
    said, saved = date_text(outcome.date), date_text(floor.saved)
    why = (
        f"{', '.join(trust.by)}: it says {said}, which is before the floor, {saved}, and no "
        "majority confirms it; name more servers, or remove the saved date if that is wrong"
    )
    return replace(outcome, verdict=Verdict.REFUSED, why=why, trust=None)


def _decided(counting: Sequence[Turn], turns: Sequence[Turn]) -> Outcome:
    """What those of `turns` say whose word counts."""
    distinct = one_each(counting)
    votes = _votes_of(distinct)
    if not votes:
        return _failed(counting, turns)
    agreement = agree(votes, len(distinct))
    by_majority = agreement is not None
    agreement = agreement or agree(votes)
    if agreement is None:
        why = f"no majority: the {len(votes)} servers that answered contradict each other"
        return _no(Verdict.NO_MAJORITY, why, turns)
    least = turns[0].policy.minsources
    if len(agreement.survivors) < least:
        why = f"{len(agreement.survivors)} agree, but minsources asks for {least}"
        return _no(Verdict.NO_MAJORITY, why, turns)
    level = _level(agreement, votes, by_majority=by_majority)
    date = agreement.best.date - agreement.best.offset + agreement.offset
    return Outcome(
        verdict=Verdict.UNCONFIRMED if level is Level.UNCONFIRMED else Verdict.AGREED,
        why="",
        servers=_reports(turns, agreement),
        offset=agreement.offset,
        error=agreement.error,
        delay=agreement.best.delay,
        date=date,
        at=agreement.best.at,
        leap=agreement.leap,
        trust=Trust(
            level=level,
            by=tuple(filter(agreement.survivors.__contains__, votes)),
            since=date,
            error=agreement.error,
        ),
    )


def _level(agreement: Agreement, votes: Mapping[str, Sample], *, by_majority: bool) -> Level:
    if agreement.best.authenticated and all(
        votes[name].authenticated for name in agreement.survivors
    ):
        return Level.AUTHENTICATED
    if by_majority and len(agreement.survivors) > 1:
        return Level.AGREED
    return Level.UNCONFIRMED


def _votes_of(turns: Sequence[Turn]) -> dict[str, Sample]:
    """By name, what those say that have a vote."""
    return {turn.name: vote for turn in turns if (vote := turn.vote)}


def _overlap(one: Agreement, other: Outcome) -> bool:
    return abs(one.offset - other.offset) <= one.error + other.error + _WANDER


def _no(verdict: Verdict, why: str, turns: Sequence[Turn]) -> Outcome:
    return Outcome(verdict=verdict, why=why, servers=_reports(turns, None))


def _failed(counting: Sequence[Turn], turns: Sequence[Turn]) -> Outcome:
    """No server has a vote: the gravest reason says why."""
    gravest = max(counting, key=lambda turn: turn.failure.value, default=None)
    if gravest is None:
        return _no(Verdict.NO_ANSWER, "no server is configured", ())
    refused = gravest.failure is Failure.REFUSED
    verdict = Verdict.REFUSED if refused else Verdict.NO_ANSWER
    return _no(verdict, f"{gravest.name}: {gravest.why}", turns)


def _reports(turns: Sequence[Turn], agreement: Agreement | None) -> tuple[Report, ...]:
    reports = []
    for turn in turns:
        survivor = agreement is not None and turn.name in agreement.survivors
        why = "" if survivor else turn.why
        if not survivor and not why and turn.vote:
            why = _without_part(turn, turns, agreement)
        reports.append(
            Report(
                server=turn.name,
                address=turn.last,
                sample=turn.best,
                survivor=survivor,
                why=why,
                reach=turn.peer.reach,
                jitter=turn.peer.jitter,
            )
        )
    return tuple(reports)


def _without_part(turn: Turn, turns: Sequence[Turn], agreement: Agreement | None) -> str:
    """Why a server with a usable answer does not count."""
    counting = deciding(turns)
    if turn in counting and turn not in one_each(counting):
        return f"another server has the same address, {turn.answered}; both count as one"
    vote = turn.vote
    if turn in counting or not vote or not agreement:
        return "the others contradict it"
    low, high = agreement.offset - agreement.error, agreement.offset + agreement.error
    says = "it agrees" if overlaps(vote, low, high) else "it contradicts that"
    return f"its answer is not authenticated and does not count; {says}"

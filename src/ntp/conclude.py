"""From what each source said to what the round says, and how far it may be trusted."""

from collections.abc import Mapping, Sequence

from ntp.messages import Outcome, Report, Verdict
from ntp.peer import Failure, Peer
from ntp.sample import Sample
from ntp.select import Agreement, agree, overlaps
from ntp.timestamp import date_text
from ntp.trust import Floor, Level, Trust
from wire.record import replace

_WANDER = 1_000_000  # ns; how far our own clock may go astray within a round


def deciding(peers: Sequence[Peer]) -> Sequence[Peer]:
    """Whose word counts: those whose answers prove whose they are, if there are any."""
    if len(peers) == 1:
        return peers
    return [peer for peer in peers if peer.source.authenticates] or peers


def one_each(peers: Sequence[Peer]) -> list[Peer]:
    """Without those that another one already is: two names of one address are one server."""
    if len(peers) == 1:
        return list(peers)
    kept: dict[object, Peer] = {}
    for peer in sorted(peers, key=lambda peer: peer.vote is None):
        kept.setdefault(peer.answered or peer.last or peer, peer)
    return list(kept.values())


def majority_of(peers: Sequence[Peer], among: Sequence[Peer] | None = None) -> Agreement | None:
    """What more than half of `peers`, the configured ones, say; of `among` only, if given."""
    distinct = one_each(peers)
    heard = distinct if among is None else [peer for peer in distinct if peer in among]
    return agree(_votes_of(heard), len(distinct))


def candidate_of(peers: Sequence[Peer]) -> Agreement | None:
    """The date to verify certificates at: what the deciding servers say in plain, or else anybody.

    It is not a date to set a clock by, so a majority of those that answered is enough.
    """
    return agree(_votes_of(one_each(deciding(peers)))) or agree(_votes_of(one_each(peers)))


def conclude(
    peers: Sequence[Peer], *, floor: Floor, secured: bool, candidate: Agreement | None
) -> Outcome:
    """The outcome of a round.

    Args: `secured`: the phase under NTS was reached, if there is to be one; `candidate`: what
    plain answers said before it.
    """
    counting = deciding(peers)
    if not secured and [peer for peer in counting if peer.source.nts]:
        if candidate_of(peers) is None:
            return _decided(peers, peers)
        why = "the time ran out before NTS keys were exchanged"
        return _no(Verdict.NO_ANSWER, why, peers)
    outcome = _decided(counting, peers)
    if outcome.trust is None:
        return outcome
    if candidate and not _overlap(candidate, outcome):
        why = (
            "the authenticated time contradicts the one at which the certificate was verified; "
            "one of the servers lies"
        )
        return _no(Verdict.REFUSED, why, peers)
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


def _decided(counting: Sequence[Peer], peers: Sequence[Peer]) -> Outcome:
    """What those of `peers` say whose word counts."""
    distinct = one_each(counting)
    votes = _votes_of(distinct)
    if not votes:
        return _failed(counting, peers)
    agreement = agree(votes, len(distinct))
    by_majority = agreement is not None
    agreement = agreement or agree(votes)
    if agreement is None:
        why = f"no majority: the {len(votes)} servers that answered contradict each other"
        return _no(Verdict.NO_MAJORITY, why, peers)
    least = peers[0].policy.minsources
    if len(agreement.survivors) < least:
        why = f"{len(agreement.survivors)} agree, but minsources asks for {least}"
        return _no(Verdict.NO_MAJORITY, why, peers)
    level = _level(agreement, votes, by_majority=by_majority)
    date = agreement.best.date - agreement.best.offset + agreement.offset
    return Outcome(
        verdict=Verdict.UNCONFIRMED if level is Level.UNCONFIRMED else Verdict.AGREED,
        why="",
        servers=_reports(peers, agreement),
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


def _votes_of(peers: Sequence[Peer]) -> dict[str, Sample]:
    """By name, what those say that have a vote."""
    return {peer.name: vote for peer in peers if (vote := peer.vote)}


def _overlap(one: Agreement, other: Outcome) -> bool:
    return abs(one.offset - other.offset) <= one.error + other.error + _WANDER


def _no(verdict: Verdict, why: str, peers: Sequence[Peer]) -> Outcome:
    return Outcome(verdict=verdict, why=why, servers=_reports(peers, None))


def _failed(counting: Sequence[Peer], peers: Sequence[Peer]) -> Outcome:
    """Nobody can vote: the gravest reason says why."""
    gravest = max(counting, key=lambda peer: peer.failure.value, default=None)
    if gravest is None:
        return _no(Verdict.NO_ANSWER, "no server is configured", ())
    refused = gravest.failure is Failure.REFUSED
    verdict = Verdict.REFUSED if refused else Verdict.NO_ANSWER
    return _no(verdict, f"{gravest.name}: {gravest.why}", peers)


def _reports(peers: Sequence[Peer], agreement: Agreement | None) -> tuple[Report, ...]:
    reports = []
    for peer in peers:
        survivor = agreement is not None and peer.name in agreement.survivors
        why = "" if survivor else peer.why
        if not survivor and not why and peer.vote:
            why = _without_part(peer, peers, agreement)
        reports.append(
            Report(
                server=peer.name,
                address=peer.last,
                sample=peer.best,
                survivor=survivor,
                why=why,
                reach=peer.source.reach,
                jitter=peer.source.jitter,
            )
        )
    return tuple(reports)


def _without_part(peer: Peer, peers: Sequence[Peer], agreement: Agreement | None) -> str:
    """Why somebody who answered well has no part in the result."""
    counting = deciding(peers)
    if peer in counting and peer not in one_each(counting):
        return f"another server has the same address, {peer.answered}; both count as one"
    vote = peer.vote
    if peer in counting or not vote or not agreement:
        return "the others contradict it"
    low, high = agreement.offset - agreement.error, agreement.offset + agreement.error
    says = "it agrees" if overlaps(vote, low, high) else "it contradicts that"
    return f"its answer is not authenticated and does not count; {says}"

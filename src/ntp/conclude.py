"""From what each source said to what the round says."""

from collections.abc import Sequence

from ntp.messages import Outcome, Report, Verdict
from ntp.peer import Failure, Peer
from ntp.sample import Sample
from ntp.select import Agreement, agree

_WANDER = 1_000_000  # ns; how far our own clock may go astray within a round


def votes_of(peers: Sequence[Peer]) -> dict[str, Sample]:
    """By name, what those say that have a vote."""
    return {peer.name: vote for peer in peers if (vote := peer.vote)}


def votes_agree(peers: Sequence[Peer], out_of: int | None = None) -> Agreement | None:
    """The agreement among `peers`; a majority of `out_of`, by default of those that vote."""
    return agree(votes_of(peers), out_of)


def conclude(peers: Sequence[Peer], *, secured: bool, candidate: Agreement | None) -> Outcome:
    """The outcome of a round.

    Args: `secured`: the phase under NTS was reached, if there is to be one; `candidate`: what
    plain answers said before it.
    """
    under_nts = [peer for peer in peers if peer.source.nts]
    if not under_nts:
        return _decided(peers, peers)
    if not secured:
        plain = _decided(peers, peers)
        if not plain.verdict.usable:
            return plain
        why = "the time was over before NTS keys could be exchanged"
        return Outcome(verdict=Verdict.NO_ANSWER, why=why, servers=_reports(peers, None))
    outcome = _decided(under_nts, peers)
    if not outcome.verdict.usable or candidate is None or _overlap(candidate, outcome):
        return outcome
    why = (
        "the authenticated time contradicts the one at which the certificate was verified; "
        "one of the servers lies"
    )
    return Outcome(verdict=Verdict.REFUSED, why=why, servers=_reports(peers, None))


def _decided(deciding: Sequence[Peer], peers: Sequence[Peer]) -> Outcome:
    """What those of `peers` say whose word counts."""
    votes = votes_of(deciding)
    if not votes:
        return _failed(deciding, peers)
    agreement = agree(votes)
    if agreement is None:
        why = f"no majority: the {len(votes)} servers that answered contradict each other"
        return Outcome(verdict=Verdict.NO_MAJORITY, why=why, servers=_reports(peers, None))
    authenticated = all(votes[name].authenticated for name in agreement.survivors)
    confirmed = authenticated or len(agreement.survivors) > 1
    return Outcome(
        verdict=Verdict.AGREED if confirmed else Verdict.UNCONFIRMED,
        why="",
        servers=_reports(peers, agreement),
        offset=agreement.offset,
        error=agreement.error,
        delay=agreement.best.delay,
        date=agreement.best.date - agreement.best.offset + agreement.offset,
        leap=agreement.leap,
        authenticated=authenticated,
    )


def _overlap(one: Agreement, other: Outcome) -> bool:
    return abs(one.offset - other.offset) <= one.error + other.error + _WANDER


def _failed(deciding: Sequence[Peer], peers: Sequence[Peer]) -> Outcome:
    """Nobody can vote: the gravest reason says why."""
    gravest = max(deciding, key=lambda peer: peer.failure.value, default=None)
    if gravest is None:
        return Outcome(verdict=Verdict.NO_ANSWER, why="no server is configured", servers=())
    refused = gravest.failure is Failure.REFUSED
    return Outcome(
        verdict=Verdict.REFUSED if refused else Verdict.NO_ANSWER,
        why=f"{gravest.name}: {gravest.why}",
        servers=_reports(peers, None),
    )


def _reports(peers: Sequence[Peer], agreement: Agreement | None) -> tuple[Report, ...]:
    reports = []
    for peer in peers:
        survivor = agreement is not None and peer.name in agreement.survivors
        why = "" if survivor else peer.why
        if peer.vote and not survivor and not why:
            why = "the others contradict it"
        reports.append(
            Report(
                server=peer.name,
                address=peer.last,
                sample=peer.best,
                survivor=survivor,
                why=why,
            )
        )
    return tuple(reports)

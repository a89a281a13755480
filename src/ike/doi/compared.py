"""Each proposal of a peer beside each of ours, and why it was refused: what `log debug` shows.

Generators: they compare again what the choice compared (`ike.doi.select`), by the same rules, and
only with `log debug`.
"""

from collections.abc import Iterator, Sequence

from ike.config import ProposalCheck
from ike.doi.differences import phase1_differences, phase2_differences
from ike.doi.proposals import Phase1Suite, Phase2Suite, shown_transform
from ike.errors import AttributesNotSupported, PeerError
from ike.isakmp.message import Message
from ike.isakmp.payloads import Proposal, SaBody, Transform
from ike.numbers.isakmp import PayloadType, ProtocolId


def phase1_compared(
    message: Message, allowed: Sequence[Phase1Suite], check: ProposalCheck
) -> Iterator[str]:
    """Up to the first that will do, in a first message."""
    try:
        offered = SaBody.parse(message.first(PayloadType.SA))
    except PeerError:
        return  # which is told when the message is refused
    for proposal, transform in _transforms(offered):
        head = _head(proposal, transform)
        try:
            theirs = Phase1Suite.read(transform)
        except AttributesNotSupported:
            yield f"{head}: refused"
            continue
        for ours in allowed:
            reasons = list(phase1_differences(theirs, ours, check))
            yield _verdict(head, ours, reasons)
            if not reasons:
                return


def phase2_compared(
    offered: SaBody,
    allowed: Sequence[Sequence[Phase2Suite]],
    check: ProposalCheck,
    pfs: bool,
) -> Iterator[str]:
    """All of them: several may have to go together."""
    for proposal, transform in _transforms(offered):
        head = _head(proposal, transform)
        try:
            theirs = Phase2Suite.read(proposal.protocol, transform)
        except AttributesNotSupported:
            yield f"{head}: refused"
            continue
        for suites in allowed:
            for ours in suites:
                yield _verdict(head, ours, list(phase2_differences(theirs, ours, check, pfs)))


def _transforms(offered: SaBody) -> Iterator[tuple[Proposal, Transform]]:
    for proposal in offered.proposals:
        for transform in proposal.transforms:
            yield proposal, transform


def _head(proposal: Proposal, transform: Transform) -> str:
    text = shown_transform(proposal.protocol, transform)
    number = f"proposal {proposal.number}, " if proposal.protocol != ProtocolId.ISAKMP else ""
    return f"compared: {number}transform {transform.number} of the peer ({text})"


def _verdict(head: str, ours: object, reasons: Sequence[str]) -> str:
    verdict = f"refused: {', '.join(reasons)}" if reasons else "acceptable"
    return f"{head} with ours ({ours}): {verdict}"

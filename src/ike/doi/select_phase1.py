"""Choosing among the transforms of phase 1 (RFC 2408, 4.2; RFC 2409, 5)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ike.config import ProposalCheck, Remote
from ike.crypto.ciphers import CIPHERS
from ike.crypto.groups import SUPPORTED
from ike.crypto.prf import HASHES
from ike.doi.differences import phase1_differences
from ike.doi.proposal_check import (
    kept_lifetime,
    shorter,
    side_by_side,
)
from ike.doi.proposals import Lifetime, Phase1Suite
from ike.errors import AttributesNotSupported, NoProposalChosen
from ike.isakmp.payloads import Proposal, SaBody
from ike.numbers.isakmp import ProtocolId


@dataclass(frozen=True, slots=True)
class Chosen1:
    """`reply` is the peer's proposal with the chosen transform, as it came.

    `suite` holds the lifetime to keep.
    """

    reply: SaBody
    suite: Phase1Suite


def phase1_suites(remote: Remote) -> tuple[Phase1Suite, ...]:
    """What `remote` allows, in its order."""
    return tuple(
        Phase1Suite(
            encryption=p.encryption,
            key_bits=(p.key_bits or 128) if CIPHERS[p.encryption].variable else None,
            hash=p.hash,
            authentication=p.authentication,
            group=p.group,
            lifetime=Lifetime(seconds=p.lifetime_seconds or remote.lifetime_seconds),
        )
        for p in remote.proposals
        if p.encryption in CIPHERS and p.hash in HASHES and p.group in SUPPORTED
    )


def phase1_offer(suites: Iterable[Phase1Suite]) -> SaBody:
    transforms = tuple(suite.transform(at) for at, suite in enumerate(suites, 1))
    return SaBody((Proposal(1, ProtocolId.ISAKMP, b"", transforms),))


def choose_phase1(offered: SaBody, allowed: Sequence[Phase1Suite], check: ProposalCheck) -> Chosen1:
    """The first transform of the peer that is allowed. Raises: NoProposalChosen."""
    seen: list[object] = []
    for proposal in offered.proposals:
        if proposal.protocol != ProtocolId.ISAKMP:
            seen.append(f"protocol {proposal.protocol}")
            continue
        for transform in proposal.transforms:
            try:
                theirs = Phase1Suite.read(transform)
            except AttributesNotSupported as error:
                seen.append(error)
                continue
            for ours in allowed:
                if next(phase1_differences(theirs, ours, check), None) is None:
                    kept = kept_lifetime(theirs.lifetime, ours.lifetime, check)
                    reply = SaBody((replace(proposal, transforms=(transform,)),))
                    return Chosen1(reply, replace(theirs, lifetime=kept))
            seen.append(theirs)
    raise NoProposalChosen(side_by_side(seen, allowed))


def accept_phase1(reply: SaBody, offered: Sequence[Phase1Suite]) -> Phase1Suite:
    """What the responder chose from our offer. A changed lifetime is accepted, the shorter counts.

    Raises: NoProposalChosen if it is none of `offered`.
    """
    if len(reply.proposals) == 1 and len(reply.proposals[0].transforms) == 1:
        try:
            chosen = Phase1Suite.read(reply.proposals[0].transforms[0])
        except AttributesNotSupported as error:
            raise NoProposalChosen(f"the peer answered with {error}") from error
        for suite in offered:
            if replace(chosen, lifetime=suite.lifetime) == suite:
                return replace(suite, lifetime=shorter(chosen.lifetime, suite.lifetime))
        raise NoProposalChosen(side_by_side([chosen], offered))
    raise NoProposalChosen("the peer's answer holds more than one transform")

"""Choosing among the proposals of phase 2 (RFC 2408, 4.2; RFC 2407, 4.5).

A responder takes the first acceptable set of the initiator, whichever of its policies that is for
(`choose_policy`), and answers in the initiator's order.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

from ike.config import EspEncryption, ProposalCheck, Sainfo
from ike.doi.differences import phase2_differences
from ike.doi.proposal_check import (
    kept_lifetime,
    shorter,
    side_by_side,
)
from ike.doi.proposals import (
    AH_TRANSFORMS,
    COMBINED,
    ESP_KEY_BITS,
    INTEGRITY_KEY_OCTETS,
    Lifetime,
    Phase2Suite,
    goes_with,
    shown_transform,
)
from ike.errors import AttributesNotSupported, NoProposalChosen, PeerError
from ike.isakmp.payloads import Proposal, SaBody, Transform
from ike.numbers.doi import EncapsulationMode, Group, Integrity
from ike.numbers.isakmp import ProtocolId
from ike.values import Mode, Protection

Policy = TypeVar("Policy")
Allowed = Sequence[Sequence[Phase2Suite]]
"""The suites that are allowed for each protection of a policy."""


@dataclass(frozen=True, slots=True)
class Chosen2:
    """One set: `suites` and the peer's `spis` by the policy's protections.

    `reply` holds its proposals in the initiator's order, `order` the protection that each is for;
    `shortened` asks for RESPONDER-LIFETIME.
    """

    reply: SaBody
    suites: tuple[Phase2Suite, ...]
    spis: tuple[bytes, ...]
    order: tuple[int, ...]
    shortened: bool = False


def phase2_suites(
    sainfo: Sainfo, protection: Protection, *, udp: bool = False, draft: bool = False
) -> tuple[Phase2Suite, ...]:
    """What `sainfo` allows for one protection of a policy, in its order.

    `udp`: there is a NAT, packets travel in UDP, which `draft` says by the numbers of the drafts.
    """
    ciphers: Sequence[EspEncryption | None] = (
        [None]
        if protection.protocol == ProtocolId.AH
        else [e for e in sainfo.encryption if e.transform in ESP_KEY_BITS]
    )
    return tuple(
        Phase2Suite(
            protocol=protection.protocol,
            encryption=cipher.transform if cipher else None,
            key_bits=_offered_key_bits(cipher),
            integrity=integrity,
            encapsulation=encapsulation(protection.mode, udp=udp, draft=draft),
            group=sainfo.pfs_group or Group.NONE,
            lifetime=Lifetime(seconds=sainfo.lifetime_seconds, kilobytes=sainfo.lifetime_kilobytes),
        )
        for cipher in ciphers
        for integrity in _integrities(sainfo, cipher)
    )


def _integrities(sainfo: Sainfo, cipher: EspEncryption | None) -> Sequence[Integrity]:
    """What goes with the cipher, of what the sainfo names; None is AH."""
    if cipher is None:
        return [each for each in sainfo.integrity if each in AH_TRANSFORMS]
    if cipher.transform in COMBINED:
        return [Integrity.NONE]
    return [
        each
        for each in sainfo.integrity
        if each in INTEGRITY_KEY_OCTETS and goes_with(cipher.transform, each)
    ]


def phase2_offer(sets: Sequence[Sequence[Phase2Suite]], spis: Sequence[bytes]) -> SaBody:
    """One proposal for each protection, all with number 1: all of them or none."""
    return SaBody(
        tuple(
            Proposal(1, suites[0].protocol, spi, _numbered(suites))
            for suites, spi in zip(sets, spis, strict=True)
        )
    )


@dataclass(frozen=True, slots=True)
class _Offer:
    """A proposal with those of its transforms that are understood."""

    proposal: Proposal
    understood: tuple[tuple[Transform, Phase2Suite], ...]

    @classmethod
    def read(cls, proposal: Proposal) -> "_Offer":
        understood = []
        for transform in proposal.transforms:
            try:
                understood.append((transform, Phase2Suite.read(proposal.protocol, transform)))
            except AttributesNotSupported:
                continue
        return cls(proposal, tuple(understood))


def choose_policy(
    offered: SaBody,
    policies: Callable[[tuple[Phase2Suite, ...]], Iterable[tuple[Policy, Allowed]]],
    check: ProposalCheck,
    pfs: bool,
    comparing: Callable[[Allowed], None] = lambda _: None,
) -> tuple[Policy, Chosen2]:
    """The first of the peer's sets that is acceptable under one of our policies, and that policy.

    `policies` is asked for each set, in the peer's order: it is given one transform of each
    proposal (what it takes to make a selector, which behind a NAT differs with the mode, or to
    generate a policy) and yields, in our order, what may be meant, with its allowed suites. It may
    raise a PeerError for a set that nothing here is for. `pfs` says whether a KE payload came.
    `comparing` is told once of all suites that are compared.
    Raises: NoProposalChosen, with both sides' offers; without any policy, the first error of
        `policies`.
    """
    compared: list[Allowed] = []
    nothing: PeerError | None = None
    for members in _sets(offered):
        offers = [_Offer.read(proposal) for proposal in members]
        first = tuple(offer.understood[0][1] for offer in offers if offer.understood)
        try:
            for policy, allowed in policies(first) if first else ():
                if allowed not in compared:
                    compared.append(allowed)
                    comparing(allowed)
                chosen = _choose_set(offers, allowed, check, pfs)
                if chosen is not None:
                    return policy, chosen
        except PeerError as error:
            nothing = nothing or error
    if nothing is not None and not compared:
        raise nothing
    raise NoProposalChosen(_refusal(offered, compared, pfs))


def choose_phase2(offered: SaBody, allowed: Allowed, check: ProposalCheck, pfs: bool) -> Chosen2:
    """The same with one policy that is known. Raises: NoProposalChosen."""
    return choose_policy(offered, lambda _: ((None, allowed),), check, pfs)[1]


def _is_usable(spi: bytes) -> bool:
    """Four octets; those below 256 are reserved (RFC 2406, 2.1)."""
    return len(spi) == 4 and int.from_bytes(spi) > 255


def _sets(offered: SaBody) -> Iterator[list[Proposal]]:
    """Proposals with one number belong together (RFC 2408, 4.2)."""
    for _, members in groupby(offered.proposals, key=lambda proposal: proposal.number):
        yield list(members)


def _choose_set(
    offers: list[_Offer], allowed: Allowed, check: ProposalCheck, pfs: bool
) -> Chosen2 | None:
    """All proposals of the set, each for one protection, or None."""
    if len(offers) != len(allowed):
        return None
    replies: list[Proposal] = []
    order: list[int] = []
    suites: dict[int, Phase2Suite] = {}
    shortened = False
    for offer in offers:
        found = _choose_transform(offer, allowed, check, pfs)
        if found is None or found[0] in suites:
            return None
        at, transform, theirs, ours = found
        kept = kept_lifetime(theirs.lifetime, ours.lifetime, check)
        shortened |= kept != theirs.lifetime and check is ProposalCheck.CLAIM
        replies.append(replace(offer.proposal, transforms=(transform,)))
        order.append(at)
        suites[at] = replace(theirs, lifetime=kept)
    if len({suite.group for suite in suites.values()}) > 1:
        return None
    spis = {at: reply.spi for at, reply in zip(order, replies, strict=True)}
    return Chosen2(
        SaBody(tuple(replies)),
        tuple(suites[at] for at in range(len(allowed))),
        tuple(spis[at] for at in range(len(allowed))),
        tuple(order),
        shortened=shortened,
    )


def _choose_transform(
    offer: _Offer, allowed: Allowed, check: ProposalCheck, pfs: bool
) -> tuple[int, Transform, Phase2Suite, Phase2Suite] | None:
    """The protection that the proposal is for, its first transform that will do, and ours."""
    if not _is_usable(offer.proposal.spi):
        return None
    for at, suites in enumerate(allowed):
        if suites[0].protocol != offer.proposal.protocol:
            continue
        for transform, theirs in offer.understood:
            for ours in suites:
                if next(phase2_differences(theirs, ours, check, pfs), None) is None:
                    return at, transform, theirs, ours
    return None


def accept_phase2(reply: SaBody, offered: Allowed) -> Chosen2:
    """What the responder chose from our offer; a changed lifetime is accepted, the shorter counts.

    Raises: NoProposalChosen if it is not one transform for each protection.
    """
    suites: list[Phase2Suite] = []
    spis: list[bytes] = []
    if len(reply.proposals) != len(offered):
        raise NoProposalChosen(f"{len(reply.proposals)} proposals in the peer's answer")
    for wanted in offered:
        proposal = next((p for p in reply.proposals if p.protocol == wanted[0].protocol), None)
        if proposal is None or len(proposal.transforms) != 1:
            raise NoProposalChosen(
                f"the answer does not have exactly one {wanted[0].protocol.name} transform"
            )
        try:
            theirs = Phase2Suite.read(proposal.protocol, proposal.transforms[0])
        except AttributesNotSupported as error:
            raise NoProposalChosen(f"the peer answered with {error}") from error
        if not _is_usable(proposal.spi):
            raise NoProposalChosen(f"the peer answered with SPI {proposal.spi.hex()}")
        matching = [w for w in wanted if replace(theirs, lifetime=w.lifetime) == w]
        if not matching:
            raise NoProposalChosen(side_by_side([theirs], wanted))
        suites.append(replace(theirs, lifetime=shorter(theirs.lifetime, matching[0].lifetime)))
        spis.append(proposal.spi)
    return Chosen2(reply, tuple(suites), tuple(spis), tuple(range(len(offered))))


def encapsulation(mode: Mode, *, udp: bool, draft: bool) -> EncapsulationMode:
    E = EncapsulationMode
    if mode is Mode.TUNNEL:
        return (E.UDP_TUNNEL_DRAFT if draft else E.UDP_TUNNEL) if udp else E.TUNNEL
    return (E.UDP_TRANSPORT_DRAFT if draft else E.UDP_TRANSPORT) if udp else E.TRANSPORT


def _offered_key_bits(cipher: EspEncryption | None) -> int | None:
    if cipher is None or len(ESP_KEY_BITS[cipher.transform]) == 1:
        return None
    return cipher.key_bits or ESP_KEY_BITS[cipher.transform][0]


def _numbered(suites: Sequence[Phase2Suite]) -> tuple[Transform, ...]:
    return tuple(suite.transform(at) for at, suite in enumerate(suites, 1))


# --- for people ---


@dataclass(frozen=True, slots=True)
class _Shown:
    """One transform of a side, or a set of several by the first transform of each."""

    members: tuple[tuple[Proposal, Transform] | Phase2Suite, ...]

    def __str__(self) -> str:
        return " + ".join(
            str(one) if isinstance(one, Phase2Suite) else _transform_text(*one)
            for one in self.members
        )


def _transform_text(proposal: Proposal, transform: Transform) -> str:
    if proposal.protocol != ProtocolId.IPCOMP and not _is_usable(proposal.spi):
        return f"SPI {proposal.spi.hex()}"
    return shown_transform(proposal.protocol, transform)


def _refusal(offered: SaBody, compared: Sequence[Allowed], pfs: bool) -> str:
    """Both sides' offers, and what is missing for PFS. Only what is listed becomes text."""
    theirs: list[_Shown] = []
    for members in _sets(offered):
        if len(members) == 1:
            theirs += [_Shown(((members[0], t),)) for t in members[0].transforms]
        else:
            theirs.append(_Shown(tuple((m, t) for m in members for t in m.transforms[:1])))
    ours = [_Shown(tuple(together)) for allowed in compared for together in _ways(allowed)]
    asks_pfs = any(suite.group for allowed in compared for suites in allowed for suite in suites)
    note = " (the peer sent no KE payload, that is no PFS)" if asks_pfs and not pfs else ""
    return side_by_side(theirs, ours) + note


def _ways(allowed: Allowed) -> Iterator[tuple[Phase2Suite, ...]]:
    """One protection: each of its suites. A bundle: the first of each, which stands for all."""
    if len(allowed) == 1:
        yield from ((suite,) for suite in allowed[0])
    else:
        yield tuple(suites[0] for suites in allowed)

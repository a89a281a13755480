"""Choosing among proposals (RFC 2408, 4.2; RFC 2409, 5; racoon.conf(5), `proposal_check`)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from ike.config import EspEncryption, ProposalCheck, Remote, Sainfo
from ike.crypto.ciphers import CIPHERS
from ike.crypto.groups import SUPPORTED
from ike.crypto.prf import HASHES
from ike.doi.proposals import (
    AH_TRANSFORMS,
    ESP_KEY_BITS,
    INTEGRITY_KEY_OCTETS,
    Lifetime,
    Phase1Suite,
    Phase2Suite,
)
from ike.errors import AttributesNotSupported, NoProposalChosen
from ike.isakmp.payloads import Proposal, SaBody, Transform
from ike.numbers.doi import EncapsulationMode, EspTransform, Group
from ike.numbers.isakmp import ProtocolId
from ike.values import Mode, Protection

MAX_LISTED: Final = 8
"""Proposals of one side that an error names."""


@dataclass(frozen=True, slots=True)
class Chosen1:
    """`reply` is the peer's proposal with the chosen transform, as it came.

    `suite` holds the lifetime to keep.
    """

    reply: SaBody
    suite: Phase1Suite


@dataclass(frozen=True, slots=True)
class Chosen2:
    """`suites` and `spis` go with `reply.proposals`; `shortened` asks for RESPONDER-LIFETIME."""

    reply: SaBody
    suites: tuple[Phase2Suite, ...]
    spis: tuple[bytes, ...]
    shortened: bool = False


# --- phase 1 ---


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
                if _phase1_fits(theirs, ours, check):
                    kept = _kept_lifetime(theirs.lifetime, ours.lifetime, check)
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
                return replace(suite, lifetime=_shorter(chosen.lifetime, suite.lifetime))
        raise NoProposalChosen(side_by_side([chosen], offered))
    raise NoProposalChosen("the peer's answer holds more than one transform")


def _phase1_fits(theirs: Phase1Suite, ours: Phase1Suite, check: ProposalCheck) -> bool:
    return (
        replace(theirs, key_bits=ours.key_bits, lifetime=ours.lifetime) == ours
        and _key_bits_fit(theirs.key_bits, ours.key_bits, CIPHERS[ours.encryption].key_bits, check)
        and _lifetime_fits(theirs.lifetime, ours.lifetime, check)
    )


# --- phase 2 ---


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
        for integrity in sainfo.integrity
        if integrity in (INTEGRITY_KEY_OCTETS if cipher else AH_TRANSFORMS)
        and not (cipher and cipher.transform == EspTransform.NULL and not integrity)
    )


def phase2_offer(sets: Sequence[Sequence[Phase2Suite]], spis: Sequence[bytes]) -> SaBody:
    """One proposal for each protection, all with number 1: all of them or none."""
    return SaBody(
        tuple(
            Proposal(1, suites[0].protocol, spi, _numbered(suites))
            for suites, spi in zip(sets, spis, strict=True)
        )
    )


def choose_phase2(
    offered: SaBody, allowed: Sequence[Sequence[Phase2Suite]], check: ProposalCheck, pfs: bool
) -> Chosen2:
    """The first of the peer's proposals that gives every protection an allowed transform.

    `allowed` holds the suites for each protection; `pfs` says whether a KE payload came.
    Raises: NoProposalChosen.
    """
    seen: list[object] = []
    for _, members in groupby(offered.proposals, key=lambda proposal: proposal.number):
        chosen = _choose_set(list(members), allowed, check, pfs, seen)
        if chosen is not None:
            return chosen
    wanted = [suite for suites in allowed for suite in suites]
    asks_pfs = any(suite.group for suite in wanted)
    note = " (the peer sent no KE payload, that is no PFS)" if asks_pfs and not pfs else ""
    raise NoProposalChosen(side_by_side(seen, wanted) + note)


def _choose_set(
    members: list[Proposal],
    allowed: Sequence[Sequence[Phase2Suite]],
    check: ProposalCheck,
    pfs: bool,
    seen: list[object],
) -> Chosen2 | None:
    taken: list[tuple[Proposal, Phase2Suite]] = []
    shortened = False
    for suites in allowed:
        found = None
        for proposal in members:
            if proposal.protocol == suites[0].protocol:
                found = _choose_transform(proposal, suites, check, pfs, seen)
        if found is None:
            wanted = {ours[0].protocol for ours in allowed}
            seen.extend(f"protocol {m.protocol}" for m in members if m.protocol not in wanted)
            return None
        proposal, theirs, ours = found
        kept = _kept_lifetime(theirs.lifetime, ours.lifetime, check)
        shortened |= kept != theirs.lifetime and check is ProposalCheck.CLAIM
        taken.append((proposal, replace(theirs, lifetime=kept)))
    if len(members) != len(taken) or len({suite.group for _, suite in taken}) > 1:
        return None
    return Chosen2(
        SaBody(tuple(proposal for proposal, _ in taken)),
        tuple(suite for _, suite in taken),
        tuple(proposal.spi for proposal, _ in taken),
        shortened,
    )


def _choose_transform(
    proposal: Proposal,
    suites: Sequence[Phase2Suite],
    check: ProposalCheck,
    pfs: bool,
    seen: list[object],
) -> tuple[Proposal, Phase2Suite, Phase2Suite] | None:
    if len(proposal.spi) != 4 or int.from_bytes(proposal.spi) < 256:
        seen.append(f"SPI {proposal.spi.hex()}")
        return None
    for transform in proposal.transforms:
        try:
            theirs = Phase2Suite.read(proposal.protocol, transform)
        except AttributesNotSupported as error:
            seen.append(error)
            continue
        for ours in suites:
            if bool(theirs.group) is pfs and _phase2_fits(theirs, ours, check):
                return replace(proposal, transforms=(transform,)), theirs, ours
        seen.append(theirs)
    return None


def accept_phase2(reply: SaBody, offered: Sequence[Sequence[Phase2Suite]]) -> Chosen2:
    """What the responder chose from our offer; a changed lifetime is accepted, the shorter counts.

    Raises: NoProposalChosen if it is not one transform for each protection.
    """
    suites: list[Phase2Suite] = []
    spis: list[bytes] = []
    if len(reply.proposals) != len(offered):
        raise NoProposalChosen(f"{len(reply.proposals)} proposals in the peer's answer")
    for wanted in offered:
        proposal = next((p for p in reply.proposals if p.protocol == wanted[0].protocol), None)
        if proposal is None or len(proposal.transforms) != 1 or len(proposal.spi) != 4:
            raise NoProposalChosen(f"no single {wanted[0].protocol.name} transform in the answer")
        try:
            theirs = Phase2Suite.read(proposal.protocol, proposal.transforms[0])
        except AttributesNotSupported as error:
            raise NoProposalChosen(f"the peer answered with {error}") from error
        matching = [w for w in wanted if replace(theirs, lifetime=w.lifetime) == w]
        if not matching:
            raise NoProposalChosen(side_by_side([theirs], wanted))
        suites.append(replace(theirs, lifetime=_shorter(theirs.lifetime, matching[0].lifetime)))
        spis.append(proposal.spi)
    return Chosen2(reply, tuple(suites), tuple(spis))


def _phase2_fits(theirs: Phase2Suite, ours: Phase2Suite, check: ProposalCheck) -> bool:
    if theirs.group not in SUPPORTED and theirs.group != Group.NONE:
        return False
    lengths = ESP_KEY_BITS.get(ours.encryption, (0,)) if ours.encryption is not None else (0,)
    return (
        replace(
            theirs,
            key_bits=ours.key_bits,
            lifetime=ours.lifetime,
            group=ours.group,
            encapsulation=ours.encapsulation,
        )
        == ours
        and theirs.mode is ours.mode
        and theirs.in_udp is ours.in_udp
        and _group_fits(theirs.group, ours.group, check)
        and _key_bits_fit(theirs.key_bits, ours.key_bits, lengths, check)
        and _lifetime_fits(theirs.lifetime, ours.lifetime, check)
    )


def encapsulation(mode: Mode, *, udp: bool, draft: bool) -> EncapsulationMode:
    E = EncapsulationMode
    if mode is Mode.TUNNEL:
        return (E.UDP_TUNNEL_DRAFT if draft else E.UDP_TUNNEL) if udp else E.TUNNEL
    return (E.UDP_TRANSPORT_DRAFT if draft else E.UDP_TRANSPORT) if udp else E.TRANSPORT


# --- proposal_check ---


def _group_fits(theirs: Group, ours: Group, check: ProposalCheck) -> bool:
    if check is ProposalCheck.OBEY:
        return True
    if check is ProposalCheck.EXACT:
        return theirs == ours
    return ours in (Group.NONE, theirs)


def _key_bits_fit(
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


def _lifetime_fits(theirs: Lifetime, ours: Lifetime, check: ProposalCheck) -> bool:
    match check:
        case ProposalCheck.OBEY | ProposalCheck.CLAIM:
            return True
        case ProposalCheck.STRICT:
            return _at_most(theirs.seconds, ours.seconds) and _at_most(
                theirs.kilobytes, ours.kilobytes
            )
        case ProposalCheck.EXACT:
            return theirs == ours


def _kept_lifetime(theirs: Lifetime, ours: Lifetime, check: ProposalCheck) -> Lifetime:
    if check is ProposalCheck.CLAIM:
        return _shorter(theirs, ours)
    seconds = ours.seconds if theirs.seconds is None else theirs.seconds
    return Lifetime(seconds=seconds, kilobytes=theirs.kilobytes)


def _at_most(theirs: int | None, ours: int | None) -> bool:
    """A side that names no limit sets none: the other side's is kept."""
    return theirs is None or ours is None or theirs <= ours


def _shorter(a: Lifetime, b: Lifetime) -> Lifetime:
    return Lifetime(
        seconds=_least(a.seconds, b.seconds), kilobytes=_least(a.kilobytes, b.kilobytes)
    )


def _least(a: int | None, b: int | None) -> int | None:
    return min((n for n in (a, b) if n is not None), default=None)


def _offered_key_bits(cipher: EspEncryption | None) -> int | None:
    if cipher is None or len(ESP_KEY_BITS[cipher.transform]) == 1:
        return None
    return cipher.key_bits or ESP_KEY_BITS[cipher.transform][0]


def _numbered(suites: Sequence[Phase2Suite]) -> tuple[Transform, ...]:
    return tuple(suite.transform(at) for at, suite in enumerate(suites, 1))


def _listed(things: Sequence[object]) -> str:
    """The first few of them; text is made of no more, for a stranger may have sent many."""
    more = f"; and {len(things) - MAX_LISTED} more" if len(things) > MAX_LISTED else ""
    names = dict.fromkeys(map(str, things[:MAX_LISTED]))
    return ("; ".join(names) or "nothing") + more


def side_by_side(theirs: Sequence[object], ours: Sequence[object]) -> str:
    """Both sides' offers, for people who must find the difference."""
    left, right = _listed(theirs), _listed(ours)
    return f"the peer has: {left} -- configured here: {right}"

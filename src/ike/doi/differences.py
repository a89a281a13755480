"""Where a transform of a peer is not what is allowed here (RFC 2408, 4.2)."""

from collections.abc import Iterator

from ike.config import ProposalCheck
from ike.crypto.ciphers import CIPHERS
from ike.crypto.groups import SUPPORTED
from ike.doi.proposal_check import group_fits, key_bits_fit, lifetime_fits
from ike.doi.proposals import ESP_KEY_BITS, Phase1Suite, Phase2Suite
from ike.numbers.doi import Group


def phase1_differences(
    theirs: Phase1Suite, ours: Phase1Suite, check: ProposalCheck
) -> Iterator[str]:
    """What is wrong with `theirs`; nothing, when it will do."""
    if theirs.encryption != ours.encryption:
        yield "encryption algorithm"
    elif not key_bits_fit(theirs.key_bits, ours.key_bits, CIPHERS[ours.encryption].key_bits, check):
        yield "key length"
    if theirs.hash != ours.hash:
        yield "hash algorithm"
    if theirs.authentication != ours.authentication:
        yield "authentication method"
    if theirs.group != ours.group:
        yield "group"
    if not lifetime_fits(theirs.lifetime, ours.lifetime, check):
        yield "lifetime"


def _lengths(suite: Phase2Suite) -> tuple[int, ...]:
    return (0,) if suite.encryption is None else ESP_KEY_BITS.get(suite.encryption, (0,))


def phase2_differences(
    theirs: Phase2Suite, ours: Phase2Suite, check: ProposalCheck, pfs: bool
) -> Iterator[str]:
    """The same in phase 2; `pfs`: whether a KE payload came."""
    if theirs.protocol != ours.protocol:
        yield "protocol"
    if theirs.encryption != ours.encryption:
        yield "encryption algorithm"
    elif not key_bits_fit(theirs.key_bits, ours.key_bits, _lengths(ours), check):
        yield "key length"
    if theirs.integrity != ours.integrity:
        yield "authentication algorithm"
    if theirs.mode is not ours.mode:
        yield "mode"
    if theirs.in_udp is not ours.in_udp:
        yield "UDP encapsulation"
    if theirs.group and not pfs:
        yield "PFS group without a KE payload"
    elif pfs and not theirs.group:
        yield "KE payload without a PFS group"
    elif theirs.group != Group.NONE and theirs.group not in SUPPORTED:
        yield "PFS group that is not supported"
    elif not group_fits(theirs.group, ours.group, check):
        yield "PFS group"
    if not lifetime_fits(theirs.lifetime, ours.lifetime, check):
        yield "lifetime"

"""The IPsec SAs that a Quick Mode has agreed on (RFC 2409, 5.5)."""

from ike.config import Sainfo
from ike.doi.proposals import Lifetime, Phase2Suite
from ike.phase1.facts import Phase1
from ike.phase2.quick import Phase2
from ike.sa.bundle import limited
from ike.values import Address, Direction, IpsecSa, Mode, Role


def ipsec_sa(
    facts: Phase2, phase1: Phase1, sainfo: Sainfo, index: int, reqid: int, direction: Direction
) -> IpsecSa:
    """One SA of the chosen set, for the protection `index` of the policy, with its keys."""
    assert facts.chosen is not None
    assert facts.selector is not None
    suite = facts.chosen.suites[index]
    inbound = direction is Direction.IN
    spi = facts.spis[index] if inbound else facts.chosen.spis[index]
    ends = (phase1.peer, phase1.local) if inbound else (phase1.local, phase1.peer)
    source, destination = ends
    encryption_key, integrity_key = facts.keymat(suite, spi)
    original = _original_addresses(facts, suite, inbound=inbound)
    return IpsecSa(
        direction=direction,
        source=source.address,
        destination=destination.address,
        spi=int.from_bytes(spi),
        protocol=suite.protocol,
        mode=suite.mode,
        reqid=reqid,
        encryption=suite.encryption,
        encryption_key=encryption_key,
        integrity=suite.integrity,
        integrity_key=integrity_key,
        lifetime=limited(_lifetime(suite, sainfo)),
        selector=facts.selector,
        udp_source=source.port if suite.in_udp else None,
        udp_destination=destination.port if suite.in_udp else None,
        nat_oa_source=original[0],
        nat_oa_destination=original[1],
    )


def _lifetime(suite: Phase2Suite, sainfo: Sainfo) -> Lifetime:
    return Lifetime(
        seconds=suite.lifetime.seconds or sainfo.lifetime_seconds,
        kilobytes=suite.lifetime.kilobytes,
    )


def _original_addresses(
    facts: Phase2, suite: Phase2Suite, *, inbound: bool
) -> tuple[Address | None, Address | None]:
    """Source and destination as the sender of this direction knew them (RFC 3947, 5.2)."""
    known = facts.peer_original_addresses
    if not suite.in_udp or suite.mode is not Mode.TRANSPORT or len(known) != 2:
        return None, None
    initiator, responder = known
    from_initiator = inbound is (facts.role is Role.RESPONDER)
    return (initiator, responder) if from_initiator else (responder, initiator)

"""What a peer owns: which of its connections a proposal is for (RFC 2409, 5.5; RFC 4301, 4.4.3)."""

import random
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from ike.engine import Engine
from ike.errors import InvalidIdInformation
from ike.events import PolicyAdded
from ike.numbers.isakmp import ProtocolId
from ike.peer.peer import Peer
from ike.phase2.owner import Wanted
from ike.values import Mode, PolicyEntry, Protection, Selector
from lab.ike_world import config

HERE, THERE, ELSEWHERE = map(ip_address, ("10.77.0.1", "10.77.0.2", "10.77.0.3"))


def _entry(mode: Mode, protocol: int = 0) -> PolicyEntry:
    return PolicyEntry(
        selector=Selector(
            local=ip_network("10.77.0.1/32"), remote=ip_network("10.2.0.0/24"), protocol=protocol
        ),
        local=HERE,
        remote=THERE,
        protections=(Protection(mode=mode),),
    )


def _peer(*policies: PolicyEntry) -> Peer:
    """With these policies; the one to whom they belong."""
    engine = Engine(config(THERE), entropy=random.Random(1).randbytes)
    for policy in policies:
        engine.handle(PolicyAdded(policy=policy), 0.0)
    return engine._pad.peer_at(THERE)


def _wanted(local: str, remote: str, protocol: int = 0, mode: Mode = Mode.TUNNEL) -> Wanted:
    selector = Selector(local=ip_network(local), remote=ip_network(remote), protocol=protocol)
    return Wanted(
        selector=selector, local=HERE, remote=THERE, protections=((ProtocolId.ESP, mode),)
    )


@pytest.mark.parametrize(
    ("local", "remote", "protocol", "found"),
    [
        ("10.77.0.1/32", "10.2.0.0/24", 0, 0),  # exact
        ("10.77.0.1/32", "10.2.0.9/32", 0, 0),  # covered
        ("10.77.0.1/32", "10.2.0.9/32", 6, 1),  # the narrowest that covers it
    ],
)
def test_the_policy_of_a_proposal_is_the_exact_or_the_narrowest_one(
    local: str, remote: str, protocol: int, found: int
) -> None:
    policies = _entry(Mode.TUNNEL), _entry(Mode.TUNNEL, 6)
    (entry,) = _peer(*policies).entries_for(_wanted(local, remote, protocol))
    assert entry.policy == policies[found]


@pytest.mark.parametrize(
    "wanted",
    [
        _wanted("10.77.0.1/32", "10.3.0.0/24"),
        _wanted("10.77.0.9/32", "10.2.0.0/24"),
        _wanted("10.77.0.1/32", "10.2.0.0/24", mode=Mode.TRANSPORT),
        replace(_wanted("10.77.0.1/32", "10.2.0.0/24"), remote=ELSEWHERE),
    ],
)
def test_a_proposal_for_other_traffic_another_mode_or_from_elsewhere_finds_nothing(
    wanted: Wanted,
) -> None:
    peer = _peer(_entry(Mode.TUNNEL))
    with pytest.raises(InvalidIdInformation, match="no policy found"):
        peer.entries_for(wanted)

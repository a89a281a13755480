"""Which identity a peer may have, and where it may move: the PAD (RFC 4301, 4.4.3).

An entry of the PAD is a `remote` of racoon.conf. It is found by the address a peer has, and says
how the peer proves its identity. What is proved makes the peer (`ProvedIdentity`):

| method                              | proved is                                      |
| ----------------------------------- | ---------------------------------------------- |
| pre-shared key, found by an address | that the peer is at this address               |
| pre-shared key, found by a name     | that name                                      |
| pre-shared key of everybody (`*`)   | nothing: only who is at this address           |
| certificate                         | the identity, which must be in the certificate |
| certificate, `verify_cert off`      | nothing: only who is at this address           |

The identity that a peer claims besides distinguishes peers with the same proof; it gives no right.

| who           | may                         | when                                               |
| ------------- | --------------------------- | -------------------------------------------------- |
| in phase 1    | change its port             | a NAT is between us (`ike.phase1.handshake`)       |
| authenticated | move to another port        | a NAT is between us                                |
| authenticated | move to another address     | that too, no other remote or peer has the address, |
|               |                             | and all its policies are generated and name none   |
|               |                             | of its addresses as traffic: they follow           |
| authenticated | take a connection           | it is for the address where the peer proved its    |
|               |                             | identity, and idle: nobody there holds it, or      |
|               |                             | somebody who proved the same                       |
| authenticated | have a policy generated     | `generate_policy`; the sainfo, or a single host,   |
|               |                             | bounds it; no other peer has a part of it, and no  |
|               |                             | policy is for the same traffic                     |

A move is no proof: the source of one datagram may be forged. A peer that moved gets nothing by its
new address until a phase 1 from there.
"""

from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

from ike.config import GeneratePolicy, Remote
from ike.doi.identity import describe, traffic_identity
from ike.errors import InvalidIdInformation, NoProposalChosen
from ike.isakmp.payloads import Identification
from ike.numbers.doi import Authentication
from ike.peer.databases import Databases
from ike.phase1.facts import Phase1
from ike.phase2.owner import Wanted
from ike.sa.isakmp_sa import IsakmpSa
from ike.values import Address, Endpoint, PolicyEntry, Protection, Selector

if TYPE_CHECKING:
    from ike.peer.connection import Connection
    from ike.peer.peer import Peer


@dataclass(frozen=True, slots=True)
class ProvedIdentity:
    """`proof` is what was proved (the first table); `claimed` is the identity of phase 1."""

    proof: str
    claimed: Identification

    def __str__(self) -> str:
        return describe(self.claimed)


def proved_identity(facts: Phase1) -> ProvedIdentity:
    """What the peer proved in the phase 1 that is established."""
    assert facts.peer_id is not None
    address = str(facts.peer.address)
    if facts.agreed.authentication == Authentication.PRE_SHARED_KEY:
        name = facts.key_name
        proof = f"key of {address if name in (None, '*') else name}"
    elif facts.remote.verify_cert:
        proof = f"certificate of {describe(facts.peer_id)}"
    else:
        proof = f"certificate at {address}"
    return ProvedIdentity(proof, facts.peer_id)


def may_move(
    databases: Databases, peer: "Peer", sa: IsakmpSa, local: Endpoint, remote: Endpoint
) -> bool:
    """Whether an authenticated message moves `sa` to where it came from."""
    nat = sa.facts.nat.detected
    if not nat or local.address != sa.local.address:
        return False
    if remote.address == sa.remote.address:
        return True
    named = databases.context.config.remote_for(remote.address)
    if named is None or named.name != sa.facts.remote.name:
        return False
    if any(other is not peer for other in databases.pad.at(remote.address)):
        return False
    return all(c.generated and not _names_its_end(c.policy) for c in peer.connections.values())


def _names_its_end(policy: PolicyEntry) -> bool:
    """Whether the peer's side is its own address, which changes when it moves."""
    return _is_host(policy.selector, policy.remote)


def may_follow(databases: Databases, connection: "Connection", address: Address) -> bool:
    """Whether a generated policy goes along to where its peer has proved its identity."""
    if not _names_its_end(connection.policy):
        return True
    selector = replace(connection.policy.selector, remote=ip_network(address))
    try:
        _check_free(databases, connection.peer, selector, own_address=True)
        _check_side(databases, selector, connection.policy.local)
    except InvalidIdInformation:
        return False
    return True


def may_take(peer: "Peer", connection: "Connection") -> bool:
    """Whether a connection of another peer at its address may become the peer's."""
    holder = connection.peer
    if holder is peer:
        return True
    there = connection.policy.remote
    if holder.remote is None or peer.remote is None or peer.proved_at != there:
        return False
    if holder.remote.address != peer.remote.address:  # one address may have remotes by port
        return False
    held = any(sa.established and sa.remote.address == there for sa in holder.isakmp_sas)
    if connection.is_idle and not held:
        return True
    return (
        holder.identity is not None
        and peer.identity is not None
        and holder.identity.proof == peer.identity.proof
        and connection.is_idle
    )


def account(peer: "Peer") -> tuple[str, str]:
    """What a peer's share is counted by: whoever has a key can claim any number of identities."""
    name = peer.remote.name if peer.remote is not None else ""
    return name, peer.identity.proof if peer.identity is not None else ""


def check_number(databases: Databases, peer: "Peer") -> None:
    """Whether one more policy may be generated for the peer. Raises: NoProposalChosen."""
    limits = databases.context.config.limits
    generated = sum(connection.generated for connection in peer.connections.values())
    if generated >= limits.connections_per_peer:
        raise NoProposalChosen(f"{generated} connections of one peer")
    alike = databases.generated[account(peer)]
    if alike >= limits.per_proof:
        raise NoProposalChosen(f"{alike} connections of peers with the same key")


def generated_policy(databases: Databases, peer: "Peer", wanted: Wanted) -> PolicyEntry:
    """The policy that the peer asks for. Raises: InvalidIdInformation."""
    remote, selector = peer.remote, wanted.selector
    if remote is None or remote.generate_policy is GeneratePolicy.OFF:
        raise InvalidIdInformation(f"no policy found: {selector}")
    claimed = peer.identity.claimed if peer.identity is not None else None
    _check_bounds(databases, remote, wanted, claimed)
    _check_free(databases, peer, selector, own_address=_is_host(selector, wanted.remote))
    try:
        reqids = [databases.spd.fresh_reqid() for _ in wanted.protections]
    except LookupError as error:
        raise InvalidIdInformation(f"no policy is generated for {selector}: {error}") from error
    return PolicyEntry(
        selector=selector,
        local=wanted.local,
        remote=wanted.remote,
        protections=tuple(
            Protection(protocol=protocol, mode=mode, reqid=reqid)
            for (protocol, mode), reqid in zip(wanted.protections, reqids, strict=True)
        ),
    )


def _check_free(
    databases: Databases, peer: "Peer", selector: Selector, *, own_address: bool
) -> None:
    """The peer's side must not belong to another peer. A data plane has one policy for the same
    traffic: a second one would take the place of the first. Raises: InvalidIdInformation.
    """
    for other in databases.spd.overlapping(selector.remote):
        covers = other.policy.selector.remote != selector.remote
        foreign = other.peer is not peer and not (own_address and covers)
        if foreign or other.policy.selector == selector:
            raise InvalidIdInformation(
                f"no policy is generated for {selector}: {other.policy.selector} is the policy of "
                f"{other.peer}"
            )


def _check_bounds(
    databases: Databases, remote: Remote, wanted: Wanted, claimed: Identification | None
) -> None:
    """The peer's side must be named by the sainfo, or be one host that is not ours."""
    selector = wanted.selector
    sainfo = databases.context.sainfos.find(
        traffic_identity(selector.local, selector.protocol, selector.local_port),
        traffic_identity(selector.remote, selector.protocol, selector.remote_port),
        remote.ph1id,
        claimed,
    )
    if sainfo is None or sainfo.remote is not None:
        return  # without a sainfo nothing is negotiated at all
    if selector.remote.prefixlen < selector.remote.max_prefixlen:
        raise InvalidIdInformation(
            f"no policy is generated for {selector}: a sainfo must name {selector.remote}"
        )
    _check_side(databases, selector, wanted.local)


def _check_side(databases: Databases, selector: Selector, local: Address) -> None:
    ours = selector.local.prefixlen and selector.remote.subnet_of(selector.local)  # type: ignore[arg-type]
    if ours or _is_host(selector, local) or databases.spd.is_ours(selector.remote):
        raise InvalidIdInformation(
            f"no policy is generated for {selector}: {selector.remote} is an address on our side"
        )


def _is_host(selector: Selector, address: Address) -> bool:
    network = selector.remote
    return network.prefixlen == network.max_prefixlen and network.network_address == address

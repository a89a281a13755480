"""What a killed keying daemon left in the data plane, and how it is distinguished from the entries
of others.

Its policies have a reqid of ours (`ike.reqids`). Its SAs have a sequence number of ours; those that
it only reserved have none yet: their reqid tells.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_network

from ike.reqids import CONNECTIONS, GENERATED
from ike.values import PolicyEntry
from mgu.keying.values import OURS, policy_entry
from xfrm.model import Direction, Policy, SecurityAssociation, Selector, Template
from xfrm.setkey.show import TYPE_AND_CODE


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """Policies of connections and of peers as they were, and how many SAs there were.

    Of each policy there may be but a part: its daemon was killed while it installed, replaced or
    removed it. `directions` says which.
    """

    connections: list[PolicyEntry]
    generated: list[PolicyEntry]
    directions: dict[PolicyEntry, set[Direction]]
    sas: int


def policies_left(policies: Iterable[Policy], sas: int) -> Leftovers:
    found: defaultdict[PolicyEntry, set[Direction]] = defaultdict(set)
    for policy in policies:
        if any(_is_ours(template.reqid) for template in policy.templates):
            entry = policy_entry(_outbound(policy))
            if entry is not None:
                found[entry].add(policy.direction)
    made = [entry for entry in found if entry.protections[0].reqid in GENERATED]
    configured = [entry for entry in found if entry.protections[0].reqid in CONNECTIONS]
    return Leftovers(connections=configured, generated=made, directions=found, sas=sas)


def is_left(sa: SecurityAssociation) -> bool:
    return sa.sequence >> 16 == OURS or (sa.larval and _is_ours(sa.reqid))


def acquire_of(larval: SecurityAssociation) -> Policy:
    """What counts of the policy by whose packet a larval SA without SPI came to be."""
    everything = ip_network("0.0.0.0/0" if larval.dst.version == 4 else "::/0")
    template = Template(
        protocol=larval.protocol,
        mode=larval.mode,
        src=larval.src,
        dst=larval.dst,
        reqid=larval.reqid,
    )
    return Policy(
        selector=Selector(src=everything, dst=everything),
        direction=Direction.OUT,
        templates=(template,),
        mark=larval.mark,
        if_id=larval.if_id,
    )


def _is_ours(reqid: int) -> bool:
    return reqid in CONNECTIONS or reqid in GENERATED


def _outbound(policy: Policy) -> Policy:
    """The outbound one of the policies among which is this one."""
    if policy.direction is Direction.OUT:
        return policy
    there = policy.selector
    here = replace(there, src=there.dst, dst=there.src)
    if there.protocol not in TYPE_AND_CODE:  # a type and a code have no direction
        here = replace(here, src_port=there.dst_port, dst_port=there.src_port)
    templates = tuple(replace(each, src=each.dst, dst=each.src) for each in policy.templates)
    return replace(policy, selector=here, direction=Direction.OUT, templates=templates)

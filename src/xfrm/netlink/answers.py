"""Values of `xfrm.model` and events from what the kernel answers and tells."""

import struct
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from wire.record import replace
from xfrm import dataplane
from xfrm.model import (
    Action,
    Address,
    Algorithm,
    Direction,
    Encapsulation,
    Lifetime,
    Malformed,
    Mode,
    Network,
    Policy,
    Protocol,
    SaId,
    SecurityAssociation,
    Selector,
    Template,
    Usage,
)
from xfrm.netlink import attributes as attr
from xfrm.netlink import wire
from xfrm.netlink.attributes import Attribute
from xfrm.netlink.messages import Empty, Message, MessageType
from xfrm.netlink.wire import AF_INET, AF_INET6, ANY_ADDRESS, INFINITE, swap16, swap32

_REMEMBERED: Final = 1024  # addresses: the ends of a gateway's SAs come again and again


def sa_of(message: Message) -> SecurityAssociation:
    """The SA of a NEWSA or UPDSA. Raises Malformed."""
    if not isinstance(message.body, wire.SaInfo):
        raise Malformed(f"no SA in a message of type {message.type}", 0)
    return _sa(message.body, message.attributes)


def policy_of(message: Message) -> Policy:
    """The policy of a NEWPOLICY or UPDPOLICY. Raises Malformed."""
    if not isinstance(message.body, wire.PolicyInfo):
        raise Malformed(f"no policy in a message of type {message.type}", 0)
    return _policy(message.body, message.attributes)


def event_of(message: Message) -> dataplane.Event | None:
    """The event that a multicast message is, or None for one of another kind.

    Raises Malformed.
    """
    match message.body:
        case wire.Acquire() as body:
            return _acquire(body, message.attributes)
        case wire.Expire() as body:
            return _expire(body, message.attributes)
        case wire.Mapping() as body:
            return _mapping(body)
        case wire.SaIdent() as body if message.type == MessageType.DELSA:
            return dataplane.Gone(_sa_id(body))
        case wire.Flush():
            return dataplane.Resync(policies=False)
        case Empty() if message.type == MessageType.FLUSHPOLICY:
            return dataplane.Resync(sas=False)
        case wire.PolicyInfo():
            return dataplane.PolicyAdded(policy_of(message))
        case wire.PolicyIdent():
            return dataplane.PolicyGone(_deleted(message))
        case wire.PolExpire() as body if body.hard:
            return dataplane.PolicyGone(_policy(body.pol, message.attributes))
        case _:
            return None


def _deleted(message: Message) -> Policy:
    """The policy of a DELPOLICY: its body is what was asked for, its selector or its index."""
    value = message.attributes.get(Attribute.POLICY, b"")
    try:
        info = wire.PolicyInfo.unpack(value)
    except struct.error:
        raise Malformed(f"a deleted policy of {len(value)} octets", 0) from None
    return _policy(info, message.attributes)


def _acquire(body: wire.Acquire, attributes: attr.Attributes) -> dataplane.Acquire:
    family = body.policy.sel.family or body.sel.family
    return dataplane.Acquire(
        selector=_selector(body.sel),
        src=_address(body.saddr, family),
        dst=_address(body.id.daddr, family),
        policy=_policy(body.policy, attributes),
        sequence=body.seq,
    )


def _expire(body: wire.Expire, attributes: attr.Attributes) -> dataplane.Expire:
    """The kernel leaves the algorithms out; only the SA of an ACQUIRE has no SPI either."""
    sa = replace(_sa(body.state, attributes), larval=body.state.id.spi == 0)
    return dataplane.Expire(sa=sa, hard=bool(body.hard))


def _sa_id(body: wire.SaIdent) -> SaId:
    return SaId(_address(body.daddr, body.family), Protocol(body.proto), swap32(body.spi))


def _mapping(body: wire.Mapping) -> dataplane.Mapping:
    family = body.id.family
    return dataplane.Mapping(
        sa=_sa_id(body.id),
        reqid=body.reqid,
        old_src=_address(body.old_saddr, family),
        old_port=swap16(body.old_sport),
        new_src=_address(body.new_saddr, family),
        new_port=swap16(body.new_sport),
    )


def _sa(info: wire.SaInfo, attributes: attr.Attributes) -> SecurityAssociation:
    algorithms = {
        "encryption": _algorithm(attributes, Attribute.ALG_CRYPT),
        "authentication": _authentication(attributes),
        "aead": _algorithm_icv(attributes, Attribute.ALG_AEAD),
        "compression": _algorithm(attributes, Attribute.ALG_COMP),
    }
    window = info.replay_window
    if Attribute.REPLAY_ESN_VAL in attributes:
        window = attr.replay_esn(attributes[Attribute.REPLAY_ESN_VAL]).replay_window
    mark = attributes.get(Attribute.MARK)
    if_id = attributes.get(Attribute.IF_ID)
    return SecurityAssociation(
        src=_address(info.saddr, info.family),
        dst=_address(info.id.daddr, info.family),
        spi=swap32(info.id.spi),
        protocol=Protocol(info.id.proto),
        mode=Mode(info.mode),
        reqid=info.reqid,
        **algorithms,
        encapsulation=_encapsulation(attributes),
        replay_window=window,
        esn=bool(info.flags & wire.STATE_ESN),
        lifetime=_lifetime(info.lft),
        selector=_sa_selector(info.sel, info.family),
        usage=_sa_usage(info.curlft, attributes),
        larval=not any(algorithms.values()),
        sequence=info.seq,
        mark=None if mark is None else attr.mark(mark),
        if_id=0 if if_id is None else attr.u32(if_id),
    )


def _policy(info: wire.PolicyInfo, attributes: attr.Attributes) -> Policy:
    try:
        direction, action = Direction(info.dir), Action(info.action)
    except ValueError as error:
        raise Malformed(f"a policy that cannot be decoded: {error}", 0) from None
    mark = attributes.get(Attribute.MARK)
    if_id = attributes.get(Attribute.IF_ID)
    wired = attr.templates(attributes.get(Attribute.TMPL, b""))
    return Policy(
        selector=_selector(info.sel),
        direction=direction,
        action=action,
        templates=tuple(_template(template) for template in wired),
        priority=info.priority,
        index=info.idx,
        lifetime=_lifetime(info.lft),
        usage=_usage(info.curlft),
        mark=None if mark is None else attr.mark(mark),
        if_id=0 if if_id is None else attr.u32(if_id),
    )


@lru_cache(_REMEMBERED)
def _template(wired: attr.Template) -> Template:
    def end(octets: bytes) -> Address | None:
        return None if octets == ANY_ADDRESS else _address(octets, wired.family)

    return Template(
        protocol=Protocol(wired.id.proto),
        mode=Mode(wired.mode),
        src=end(wired.saddr),
        dst=end(wired.id.daddr),
        reqid=wired.reqid,
        spi=swap32(wired.id.spi),
        optional=bool(wired.optional),
    )


def _algorithm(attributes: attr.Attributes, number: Attribute) -> Algorithm | None:
    value = attributes.get(number)
    return None if value is None else attr.algorithm(value)


def _algorithm_icv(attributes: attr.Attributes, number: Attribute) -> Algorithm | None:
    value = attributes.get(number)
    return None if value is None else attr.algorithm_icv(value)


def _authentication(attributes: attr.Attributes) -> Algorithm | None:
    """A dump says it twice, with the check value's length and without."""
    return _algorithm_icv(attributes, Attribute.ALG_AUTH_TRUNC) or _algorithm(
        attributes, Attribute.ALG_AUTH
    )


def _encapsulation(attributes: attr.Attributes) -> Encapsulation | None:
    value = attributes.get(Attribute.ENCAP)
    if value is None:
        return None
    encap = attr.encap(value)
    return Encapsulation(src_port=swap16(encap.sport), dst_port=swap16(encap.dport))


@lru_cache(_REMEMBERED)
def _lifetime(lft: wire.LifetimeCfg) -> Lifetime:
    def limit(number: int) -> int | None:
        return None if number == INFINITE else number

    return Lifetime(
        soft_seconds=lft.soft_add_expires_seconds or None,
        hard_seconds=lft.hard_add_expires_seconds or None,
        soft_octets=limit(lft.soft_byte_limit),
        hard_octets=limit(lft.hard_byte_limit),
        soft_packets=limit(lft.soft_packet_limit),
        hard_packets=limit(lft.hard_packet_limit),
    )


def _sa_usage(cur: wire.LifetimeCur, attributes: attr.Attributes) -> Usage:
    """`use_time` is the first use of an SA; newer kernels tell the last one too."""
    last = attributes.get(Attribute.LASTUSED)
    usage = _usage(cur)
    return usage if last is None else replace(usage, used=attr.u64(last))


def _usage(cur: wire.LifetimeCur) -> Usage:
    return Usage(octets=cur.octets, packets=cur.packets, added=cur.add_time, used=cur.use_time)


def _sa_selector(sel: wire.Selector, family: int) -> Selector | None:
    """A larval SA's selector names no family: it is the SA's own then."""
    if sel[:6] == wire.ANYTHING[:6] and sel[7:10] == wire.ANYTHING[7:10]:
        return None  # of whichever family: it selects nothing
    return _selector(sel, family)


@lru_cache(_REMEMBERED)
def _selector(sel: wire.Selector, unspecified: int = AF_INET) -> Selector:
    family = sel.family or unspecified  # AF_UNSPEC: the policy of a socket
    return Selector(
        src=_network(sel.saddr, sel.prefixlen_s, family),
        dst=_network(sel.daddr, sel.prefixlen_d, family),
        protocol=sel.proto,
        src_port=swap16(sel.sport) if sel.sport_mask else None,
        dst_port=swap16(sel.dport) if sel.dport_mask else None,
    )


@lru_cache(_REMEMBERED)
def _network(octets: bytes, prefix: int, family: int) -> Network:
    """The kernel may keep the bits of a host behind the prefix; a network has none."""
    try:
        if family == AF_INET6:
            return IPv6Network((octets, prefix), strict=False)
        if family == AF_INET:
            return IPv4Network((octets[:4], prefix), strict=False)
    except ValueError as error:
        raise Malformed(f"not a prefix: {error}", 0) from None
    raise Malformed(f"address family {family}", 0)


@lru_cache(_REMEMBERED)
def _address(octets: bytes, family: int) -> Address:
    if family == AF_INET6:
        return IPv6Address(octets)
    if family == AF_INET:
        return IPv4Address(octets[:4])
    raise Malformed(f"address family {family}", 0)

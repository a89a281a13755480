"""XFRM requests from values of `xfrm.model`.

Differs from what setkey and racoon send over PF_KEY: authentication always says how long its check
value is (ALG_AUTH_TRUNC), since the kernel's own idea of SHA-256 is 96 bits and every peer's 128.
"""

from typing import Final

from xfrm.algorithms import Kind, by_linux
from xfrm.model import (
    Address,
    Algorithm,
    Lifetime,
    Mark,
    Mode,
    Network,
    Policy,
    Protocol,
    SaId,
    SecurityAssociation,
    Selector,
    Template,
)
from xfrm.netlink import attributes as attr
from xfrm.netlink import wire
from xfrm.netlink.attributes import Attribute
from xfrm.netlink.messages import Message, MessageType
from xfrm.netlink.wire import AF_INET, AF_INET6, ANY_ADDRESS, INFINITE, swap16, swap32

ALL_PROTOCOLS: Final = 255  # IPSEC_PROTO_ANY

# SPIs below 256 are IANA's (RFC 4303, 2.1); the low ones are left to whoever types them by hand.
_SPIS: Final = (0x0100_0000, 0xFFFF_FFFF)
_CPIS: Final = (0x0100, 0xEFFF)  # RFC 3173, 3.3: from 61440 on they are private

_MAPPING_INTERVAL: Final = 10  # seconds between two notes of the same new port
_LEGACY_WINDOW: Final = 32  # packets; wider windows and ESN need REPLAY_ESN_VAL
_PADDING: Final = bytes(12)


def sa_message(kind: MessageType, sa: SecurityAssociation) -> Message:
    """NEWSA or UPDSA. Raises ValueError for addresses of different families."""
    _same_family(sa.src, sa.dst)
    legacy = not sa.esn and sa.replay_window <= _LEGACY_WINDOW
    info = _sa_info(sa, window=sa.replay_window if legacy else 0)
    attributes = _algorithms(sa)
    if not legacy:
        words = sa.replay_window + 31 >> 5
        state = attr.ReplayEsn(replay_window=sa.replay_window, bitmap=bytes(4 * words))
        attributes[Attribute.REPLAY_ESN_VAL] = attr.pack_replay_esn(state)
    if sa.encapsulation is not None:
        ports = sa.encapsulation
        attributes[Attribute.ENCAP] = attr.pack_encap(
            attr.Encap(wire.UDP_ENCAP_ESPINUDP, swap16(ports.src_port), swap16(ports.dst_port))
        )
        # Or every packet from a new port would be told (MAPPING). Kernels before 5.17 pass it over.
        attributes[Attribute.MTIMER_THRESH] = attr.pack_u32(_MAPPING_INTERVAL)
    return Message(kind, info, attributes | _mark_and_interface(sa))


def delete_sa_message(sa: SaId) -> Message:
    return Message(MessageType.DELSA, _sa_ident(sa), _mark(sa.mark))


def get_sa_message(sa: SaId) -> Message:
    return Message(MessageType.GETSA, _sa_ident(sa), _mark(sa.mark))


def allocate_message(sa: SecurityAssociation) -> Message:
    """ALLOCSPI for the larval `sa`, whose SPI is chosen by the kernel; answered by a NEWSA."""
    _same_family(sa.src, sa.dst)
    low, high = _CPIS if sa.protocol == Protocol.IPCOMP else _SPIS
    body = wire.SpiInfo(_sa_info(sa, window=0), low, high)
    return Message(MessageType.ALLOCSPI, body, _mark_and_interface(sa))


def dump_sas_message(protocol: int = 0) -> Message:
    """All SAs (flags: NLM_F_DUMP), or those of one protocol."""
    proto: dict[int, bytes] = {Attribute.PROTO: bytes((protocol,))} if protocol else {}
    return Message(MessageType.GETSA, attributes=proto)


def dump_policies_message() -> Message:
    return Message(MessageType.GETPOLICY)


def flush_sas_message(protocol: int = ALL_PROTOCOLS) -> Message:
    return Message(MessageType.FLUSHSA, wire.Flush(protocol))


def flush_policies_message() -> Message:
    return Message(MessageType.FLUSHPOLICY)


def policy_message(kind: MessageType, policy: Policy) -> Message:
    """NEWPOLICY (refused if there is one) or UPDPOLICY (replaces). Raises ValueError."""
    info = wire.PolicyInfo(
        _wire_selector(policy.selector),
        _wire_lifetime(policy.lifetime),
        priority=policy.priority,
        idx=policy.index,
        dir=policy.direction,
        action=policy.action,
    )
    attributes = _mark_and_interface(policy)
    if policy.templates:
        family = _family(policy.selector.src)
        wired = tuple(_wire_template(template, family) for template in policy.templates)
        attributes[Attribute.TMPL] = attr.pack_templates(wired)
    return Message(kind, info, attributes)


def delete_policy_message(policy: Policy) -> Message:
    """The policy of this selector, direction, mark and interface; its index is not looked at."""
    body = wire.PolicyIdent(_wire_selector(policy.selector), 0, policy.direction)
    return Message(MessageType.DELPOLICY, body, _mark_and_interface(policy))


def _sa_info(sa: SecurityAssociation, window: int) -> wire.SaInfo:
    family = _family(sa.dst)
    flags = wire.STATE_ESN if sa.esn else 0
    if sa.protocol == Protocol.AH and sa.dst.version == 4:
        flags |= wire.STATE_ALIGN4  # RFC 4302, 2.6; without it Linux fills 64 bits, as in IPv6
    if sa.selector is not None:
        selector = _wire_selector(sa.selector)
    else:
        # Without a selector a tunnel carries both families.
        selector = wire.ANYTHING
        flags |= wire.STATE_AF_UNSPEC if sa.mode == Mode.TUNNEL else 0
    return wire.SaInfo(
        selector,
        wire.Id(_octets(sa.dst), swap32(sa.spi), sa.protocol),
        _octets(sa.src),
        _wire_lifetime(sa.lifetime),
        seq=sa.sequence,
        reqid=sa.reqid,
        family=family,
        mode=sa.mode,
        replay_window=window,
        flags=flags,
    )


def _sa_ident(sa: SaId) -> wire.SaIdent:
    return wire.SaIdent(_octets(sa.dst), swap32(sa.spi), _family(sa.dst), sa.protocol)


def _algorithms(sa: SecurityAssociation) -> dict[int, bytes]:
    attributes: dict[int, bytes] = {}
    if sa.encryption is not None:
        attributes[Attribute.ALG_CRYPT] = attr.pack_algorithm(sa.encryption)
    if sa.authentication is not None:
        algorithm = _with_icv(sa.authentication)
        attributes[Attribute.ALG_AUTH_TRUNC] = attr.pack_algorithm_icv(algorithm)
    if sa.aead is not None:
        attributes[Attribute.ALG_AEAD] = attr.pack_algorithm_icv(sa.aead)
    if sa.compression is not None:
        attributes[Attribute.ALG_COMP] = attr.pack_algorithm(sa.compression)
    return attributes


def _with_icv(algorithm: Algorithm) -> Algorithm:
    """With the check value's length of the RFCs where none is said."""
    row = by_linux(Kind.AUTHENTICATION, algorithm.name)
    if algorithm.icv_bits or row is None:
        return algorithm
    return Algorithm(name=algorithm.name, key=algorithm.key, icv_bits=row.icv_bits)


def _mark_and_interface(value: SecurityAssociation | Policy) -> dict[int, bytes]:
    attributes = _mark(value.mark)
    if value.if_id:
        attributes[Attribute.IF_ID] = attr.pack_u32(value.if_id)
    return attributes


def _mark(mark: Mark | None) -> dict[int, bytes]:
    return {} if mark is None else {Attribute.MARK: attr.pack_mark(mark)}


def _wire_selector(selector: Selector) -> wire.Selector:
    _same_family(selector.src, selector.dst)
    src_port, dst_port = selector.src_port, selector.dst_port
    return wire.Selector(
        daddr=_octets(selector.dst.network_address),
        saddr=_octets(selector.src.network_address),
        dport=0 if dst_port is None else swap16(dst_port),
        dport_mask=0 if dst_port is None else 0xFFFF,
        sport=0 if src_port is None else swap16(src_port),
        sport_mask=0 if src_port is None else 0xFFFF,
        family=_family(selector.dst),
        prefixlen_d=selector.dst.prefixlen,
        prefixlen_s=selector.src.prefixlen,
        proto=selector.protocol,
    )


def _wire_lifetime(lifetime: Lifetime) -> wire.LifetimeCfg:
    def limit(number: int | None) -> int:
        return INFINITE if number is None else number

    return wire.LifetimeCfg(
        limit(lifetime.soft_octets),
        limit(lifetime.hard_octets),
        limit(lifetime.soft_packets),
        limit(lifetime.hard_packets),
        lifetime.soft_seconds or 0,
        lifetime.hard_seconds or 0,
    )


def _wire_template(template: Template, family: int) -> attr.Template:
    ends = (template.src, template.dst)
    family = next((_family(end) for end in ends if end is not None), family)
    src, dst = (ANY_ADDRESS if end is None else _octets(end) for end in ends)
    return attr.Template(
        wire.Id(dst, swap32(template.spi), template.protocol),
        family,
        src,
        template.reqid,
        template.mode,
        optional=int(template.optional),
    )


def _octets(address: Address) -> bytes:
    return address.packed if address.version == 6 else address.packed + _PADDING


def _family(value: Address | Network) -> int:
    return AF_INET6 if value.version == 6 else AF_INET


def _same_family(one: Address | Network, other: Address | Network) -> None:
    if one.version != other.version:
        raise ValueError(f"{one} and {other} are addresses of different families")

"""The keying daemon's values as the data plane's, and back: SAs, policies, algorithms."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Final

from ike import values as ike
from ike.backend import BackendError
from ike.numbers.doi import EspTransform, Integrity
from ike.numbers.isakmp import ProtocolId
from ike.reqids import GENERATED
from ike.values import IpsecSa, PolicyEntry
from wire.secret import Secret
from xfrm import model
from xfrm.algorithms import Kind, by_racoon
from xfrm.setkey.show import TYPE_AND_CODE

OURS: Final = 0x4D47
"""Upper half of the sequence number of each SA that we install: the next start knows it by this.

Not an output mark, though one of mask 0 marks no packet: with any, Linux routes what a tunnel sends
by the marks inside (xfrm_bundle_create). The lower half spreads the SAs over the kernel's hash.
"""
REPLAY_WINDOW: Final = 64  # packets

_DIRECTIONS: Final = (model.Direction.IN, model.Direction.FWD, model.Direction.OUT)
_PRIORITY: Final = 0x80000000  # as setkey's `prio def`
_ICMPV6: Final = 58
_NEIGHBOUR_MESSAGES: Final = (135, 136)  # solicitation and advertisement (RFC 4861, 4.3 and 4.4)

PROTOCOLS: Final = {
    ProtocolId.ESP: model.Protocol.ESP,
    ProtocolId.AH: model.Protocol.AH,
    ProtocolId.IPCOMP: model.Protocol.IPCOMP,
}
PROTOCOL_IDS: Final = {protocol: number for number, protocol in PROTOCOLS.items()}
MODES: Final = {
    ike.Mode.TRANSPORT: model.Mode.TRANSPORT,
    ike.Mode.TUNNEL: model.Mode.TUNNEL,
}
_IKE_MODES: Final = {mode: ours for ours, mode in MODES.items()}
_CIPHERS: Final = {  # racoon's names
    EspTransform.DES: "des",
    EspTransform.TRIPLE_DES: "3des",
    EspTransform.CAST: "cast128",
    EspTransform.BLOWFISH: "blowfish",
    EspTransform.NULL: "null",
    EspTransform.AES: "aes",
    EspTransform.CAMELLIA: "camellia",
    EspTransform.AES_CTR: "aes_ctr",
}
_COMBINED: Final = {
    EspTransform.AES_CCM_8: "aes_ccm_8",
    EspTransform.AES_CCM_12: "aes_ccm_12",
    EspTransform.AES_CCM_16: "aes_ccm_16",
    EspTransform.AES_GCM_8: "aes_gcm_8",
    EspTransform.AES_GCM_12: "aes_gcm_12",
    EspTransform.AES_GCM_16: "aes_gcm_16",
}
_INTEGRITIES: Final = {
    Integrity.HMAC_MD5: "hmac_md5",
    Integrity.HMAC_SHA1: "hmac_sha1",
    Integrity.HMAC_SHA2_256: "hmac_sha256",
    Integrity.HMAC_SHA2_384: "hmac_sha384",
    Integrity.HMAC_SHA2_512: "hmac_sha512",
    Integrity.AES_XCBC_MAC: "aes_xcbc_mac",
}


def association(sa: IpsecSa) -> model.SecurityAssociation:
    """The SA for the data plane. Raises: BackendError for an algorithm that xfrm lacks."""
    encapsulation = None
    if sa.udp_source is not None and sa.udp_destination is not None:
        encapsulation = model.Encapsulation(src_port=sa.udp_source, dst_port=sa.udp_destination)
    return model.SecurityAssociation(
        src=sa.source,
        dst=sa.destination,
        spi=sa.spi,
        protocol=PROTOCOLS[sa.protocol],
        mode=MODES[sa.mode],
        reqid=sa.reqid,
        encryption=_encryption(sa),
        authentication=_authentication(sa),
        aead=_aead(sa),
        encapsulation=encapsulation,
        replay_window=REPLAY_WINDOW,
        lifetime=model.Lifetime(
            soft_seconds=sa.lifetime.soft_seconds,
            hard_seconds=sa.lifetime.hard_seconds,
            soft_octets=_octets(sa.lifetime.soft_kilobytes),
            hard_octets=_octets(sa.lifetime.hard_kilobytes),
        ),
        selector=_sa_selector(sa),
        sequence=OURS << 16 | sa.spi & 0xFFFF,
    )


def _octets(kilobytes: int | None) -> int | None:
    return None if kilobytes is None else kilobytes * 1024


def _sa_selector(sa: IpsecSa) -> model.Selector | None:
    """In transport mode the traffic that the SA may carry; in tunnel mode the policy says it."""
    if sa.mode is ike.Mode.TUNNEL:
        return None
    return _selector(sa.selector, outbound=sa.direction is ike.Direction.OUT)


def _encryption(sa: IpsecSa) -> model.Algorithm | None:
    if sa.encryption is None or sa.encryption in _COMBINED:
        return None
    return _algorithm(
        Kind.ENCRYPTION, _CIPHERS.get(sa.encryption, str(sa.encryption)), sa.encryption_key
    )


def _aead(sa: IpsecSa) -> model.Algorithm | None:
    if sa.encryption not in _COMBINED:
        return None
    return _algorithm(Kind.AEAD, _COMBINED[sa.encryption], sa.encryption_key)


def _authentication(sa: IpsecSa) -> model.Algorithm | None:
    if sa.integrity is Integrity.NONE:
        return None
    return _algorithm(
        Kind.AUTHENTICATION, _INTEGRITIES.get(sa.integrity, str(sa.integrity)), sa.integrity_key
    )


def _algorithm(kind: Kind, name: str, key: Secret) -> model.Algorithm:
    row = by_racoon(kind, name)
    if row is None:
        raise BackendError(f"the data plane has no {kind.value} {name}")
    try:
        return row.algorithm(key.reveal())
    except ValueError as error:
        raise BackendError(str(error)) from error


def policy_entry(
    policy: model.Policy, src: model.Address | None = None, dst: model.Address | None = None
) -> PolicyEntry | None:
    """An outbound policy as the engine sees it; None when it has no end points to key between.

    `src` and `dst` are an ACQUIRE's, for a transport mode policy without addresses of its own.
    """
    if not policy.templates:
        return None
    tunnel = next((t for t in policy.templates if t.mode == model.Mode.TUNNEL), None)
    chosen = tunnel or policy.templates[0]
    selector = policy.selector
    local = _specified(chosen.src) or src or _only_host(selector.src)
    remote = _specified(chosen.dst) or dst or _only_host(selector.dst)
    if local is None or remote is None:
        return None
    protections = tuple(
        ike.Protection(
            protocol=PROTOCOL_IDS[template.protocol],
            mode=_IKE_MODES[template.mode],
            reqid=template.reqid,
        )
        for template in policy.templates
        if template.protocol in PROTOCOL_IDS and template.mode in _IKE_MODES
    )
    return PolicyEntry(
        selector=ike.Selector(
            local=selector.src,
            remote=selector.dst,
            protocol=selector.protocol,
            local_port=selector.src_port or 0,
            remote_port=selector.dst_port or 0,
        ),
        local=local,
        remote=remote,
        protections=protections,
    )


def reqids_of(entry: PolicyEntry) -> set[int]:
    return {protection.reqid for protection in entry.protections}


def is_generated(entry: PolicyEntry) -> bool:
    """Whether a keying daemon made it for a peer."""
    return any(reqid in GENERATED for reqid in reqids_of(entry))


def _specified(address: model.Address | None) -> model.Address | None:
    return None if address is None or address.is_unspecified else address


def _only_host(network: model.Network) -> model.Address | None:
    return network.network_address if network.num_addresses == 1 else None


def policies_of(entry: PolicyEntry) -> Iterator[model.Policy]:
    """The three policies (in, forward, out) that protect the entry's traffic both ways.

    A forward policy allows a gateway to forward packets from the tunnel; `setkey` adds it too.
    With IPv6, neighbours must find each other before they can agree on keys: that stays clear.
    """
    for direction in _DIRECTIONS:
        outbound = direction is model.Direction.OUT
        yield model.Policy(
            selector=_selector(entry.selector, outbound=outbound),
            direction=direction,
            templates=tuple(_templates(entry, outbound=outbound)),
            priority=_PRIORITY,
        )
        if entry.selector.local.version == 6 and entry.selector.protocol == 0:
            yield from _neighbour_discovery(entry.selector, direction)


def _neighbour_discovery(
    selector: ike.Selector, direction: model.Direction
) -> Iterator[model.Policy]:
    whole = _selector(selector, outbound=direction is model.Direction.OUT)
    for message in _NEIGHBOUR_MESSAGES:
        yield model.Policy(
            selector=replace(whole, protocol=_ICMPV6, src_port=message, dst_port=None),
            direction=direction,
            priority=_PRIORITY - 1,  # goes first
        )


def _templates(entry: PolicyEntry, *, outbound: bool) -> Iterator[model.Template]:
    for protection in entry.protections:
        tunnel = protection.mode is ike.Mode.TUNNEL
        src, dst = (entry.local, entry.remote) if outbound else (entry.remote, entry.local)
        yield model.Template(
            protocol=PROTOCOLS[protection.protocol],
            mode=MODES[protection.mode],
            src=src if tunnel else None,
            dst=dst if tunnel else None,
            reqid=protection.reqid,
        )


def _selector(selector: ike.Selector, *, outbound: bool) -> model.Selector:
    ends = (
        (selector.local, selector.local_port or None),
        (selector.remote, selector.remote_port or None),
    )
    (src, src_port), (dst, dst_port) = ends if outbound else (ends[1], ends[0])
    if selector.protocol in TYPE_AND_CODE:  # a type and a code have no direction
        src_port, dst_port = ends[0][1], ends[1][1]
    return model.Selector(
        src=ip_network(src),
        dst=ip_network(dst),
        protocol=selector.protocol,
        src_port=src_port,
        dst_port=dst_port,
    )

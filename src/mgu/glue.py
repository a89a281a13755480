"""Joins the keying daemon to whoever enforces SAs: `ike.backend.Backend` on a `xfrm` Dataplane."""

import logging
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Final

from ike import sa as ike
from ike.backend import BackendError, BackendEvent
from ike.commands import AllocateSpi, FindPolicy
from ike.doi.numbers import EspTransform, Integrity
from ike.events import Acquire, SaExpired, SaGone
from ike.isakmp.numbers import ProtocolId
from ike.sa import IpsecSa, PolicyEntry
from mgu import clock
from wire.secret import Secret
from xfrm import dataplane, model
from xfrm.algorithms import Kind, by_racoon
from xfrm.pfkey import dump_reply

logger = logging.getLogger("ike")

REPLAY_WINDOW: Final = 64  # packets

_DIRECTIONS: Final = (model.Direction.IN, model.Direction.FWD, model.Direction.OUT)
_PRIORITY: Final = 0x80000000  # as setkey's `prio def`
_ICMPV6: Final = 58
_NEIGHBOUR_MESSAGES: Final = (135, 136)  # solicitation and advertisement (RFC 4861, 4.3 and 4.4)

_PROTOCOLS: Final = {
    ProtocolId.ESP: model.Protocol.ESP,
    ProtocolId.AH: model.Protocol.AH,
    ProtocolId.IPCOMP: model.Protocol.IPCOMP,
}
_PROTOCOL_IDS: Final = {protocol: number for number, protocol in _PROTOCOLS.items()}
_MODES: Final = {
    ike.Mode.TRANSPORT: model.Mode.TRANSPORT,
    ike.Mode.TUNNEL: model.Mode.TUNNEL,
}
_IKE_MODES: Final = {mode: ours for ours, mode in _MODES.items()}
_CIPHERS: Final = {  # racoon's names
    EspTransform.DES: "des",
    EspTransform.TRIPLE_DES: "3des",
    EspTransform.CAST: "cast128",
    EspTransform.BLOWFISH: "blowfish",
    EspTransform.NULL: "null",
    EspTransform.AES: "aes",
    EspTransform.CAMELLIA: "camellia",
}
_INTEGRITIES: Final = {
    Integrity.HMAC_MD5: "hmac_md5",
    Integrity.HMAC_SHA1: "hmac_sha1",
    Integrity.HMAC_SHA2_256: "hmac_sha256",
    Integrity.HMAC_SHA2_384: "hmac_sha384",
    Integrity.HMAC_SHA2_512: "hmac_sha512",
}


class XfrmBackend:
    """Every SA that passes through here is the keying daemon's; others are only looked at."""

    def __init__(self, plane: dataplane.Dataplane) -> None:
        self._plane = plane
        self._ours: set[model.SaId] = set()

    async def allocate_spi(self, wanted: AllocateSpi) -> int:
        try:
            return await self._plane.allocate_spi(
                src=wanted.remote,
                dst=wanted.local,
                protocol=_PROTOCOLS[wanted.protocol],
                mode=_MODES[wanted.mode],
                reqid=wanted.reqid,
            )
        except dataplane.XfrmError as error:
            raise BackendError(f"cannot reserve an SPI: {error}") from error

    async def install(self, sa: IpsecSa) -> None:
        made = association(sa)
        try:
            if sa.direction is ike.Direction.IN:
                await self._plane.update_sa(made)
            else:
                await self._plane.add_sa(made)
        except dataplane.XfrmError as error:
            raise BackendError(
                f"cannot install the {sa.direction.value}bound SA {sa.spi:#010x}: {error}"
            ) from error
        self._ours.add(made.id)

    async def delete(self, sa: ike.SaId) -> None:
        gone = model.SaId(sa.destination, _PROTOCOLS[sa.protocol], sa.spi)
        self._ours.discard(gone)
        try:
            await self._plane.delete_sa(gone)
        except dataplane.NoSuchEntry:
            pass
        except dataplane.XfrmError as error:
            raise BackendError(f"cannot delete the SA {sa.spi:#010x}: {error}") from error

    async def find_policy(self, wanted: FindPolicy) -> PolicyEntry | None:
        fitting = [entry for entry in await self.policies() if _fits(entry, wanted)]
        exact = [entry for entry in fitting if entry.selector == wanted.selector]
        if exact:
            return exact[0]
        covering = (entry for entry in fitting if entry.selector.covers(wanted.selector))
        return max(covering, key=_narrowness, default=None)

    async def policies(self) -> list[PolicyEntry]:
        try:
            policies = await self._plane.policies()
        except dataplane.XfrmError as error:
            raise BackendError(f"cannot list the policies: {error}") from error
        outbound = (p for p in policies if p.direction is model.Direction.OUT and p.templates)
        return [entry for policy in outbound if (entry := policy_entry(policy)) is not None]

    async def add_policy(self, policy: PolicyEntry) -> None:
        try:
            for one in policies_of(policy):
                await self._plane.add_policy(one)
        except dataplane.XfrmError as error:
            raise BackendError(f"cannot install the policy {policy.selector}: {error}") from error

    async def remove_policy(self, policy: PolicyEntry) -> None:
        try:
            for one in policies_of(policy):
                await self._plane.delete_policy(one)
        except dataplane.NoSuchEntry:
            pass
        except dataplane.XfrmError as error:
            raise BackendError(f"cannot remove the policy {policy.selector}: {error}") from error

    async def dump(self, protocol: ProtocolId) -> bytes:
        try:
            sas = await self._plane.sas()
        except dataplane.XfrmError as error:
            raise BackendError(f"cannot list the SAs: {error}") from error
        if protocol is not ProtocolId.ANY:
            sas = [sa for sa in sas if sa.protocol == _PROTOCOLS[protocol]]
        return dump_reply(sas, pid=os.getpid(), now=clock.now_ns() // 1_000_000_000)

    async def events(self) -> AsyncIterator[BackendEvent]:
        async for event in self._plane.events():
            match event:
                case dataplane.Acquire(policy=policy, src=src, dst=dst):
                    entry = policy_entry(policy, src, dst)
                    if entry is not None:
                        yield Acquire(policy=entry)
                case dataplane.Expire(sa=sa, hard=hard) if sa.id in self._ours:
                    if hard:
                        self._ours.discard(sa.id)
                    yield SaExpired(sa=_sa_id(sa.id), hard=hard)
                case dataplane.Gone(sa=gone) if gone in self._ours:
                    self._ours.discard(gone)
                    yield SaGone(sa=_sa_id(gone))
                case dataplane.Resync():
                    for lost in await self._lost():
                        yield SaGone(sa=_sa_id(lost))
                case _:
                    pass  # a changed NAT mapping is seen by the engine's own datagrams

    async def _lost(self) -> set[model.SaId]:
        """Which of ours somebody took away while nobody told us."""
        try:
            present = {sa.id for sa in await self._plane.sas()}
        except dataplane.XfrmError as error:
            logger.error("cannot list the SAs: %s", error)
            return set()
        lost = self._ours - present
        self._ours -= lost
        return lost


def _sa_id(sa: model.SaId) -> ike.SaId:
    return ike.SaId(sa.dst, _PROTOCOL_IDS[sa.protocol], sa.spi)


def association(sa: IpsecSa) -> model.SecurityAssociation:
    """The SA for the data plane. Raises: BackendError for an algorithm that xfrm lacks."""
    encapsulation = None
    if sa.udp_source is not None and sa.udp_destination is not None:
        encapsulation = model.Encapsulation(src_port=sa.udp_source, dst_port=sa.udp_destination)
    return model.SecurityAssociation(
        src=sa.source,
        dst=sa.destination,
        spi=sa.spi,
        protocol=_PROTOCOLS[sa.protocol],
        mode=_MODES[sa.mode],
        reqid=sa.reqid,
        encryption=_encryption(sa),
        authentication=_authentication(sa),
        encapsulation=encapsulation,
        replay_window=REPLAY_WINDOW,
        lifetime=model.Lifetime(
            soft_seconds=sa.lifetime.soft_seconds,
            hard_seconds=sa.lifetime.hard_seconds,
            soft_octets=_octets(sa.lifetime.soft_kilobytes),
            hard_octets=_octets(sa.lifetime.hard_kilobytes),
        ),
        selector=_sa_selector(sa),
    )


def _octets(kilobytes: int | None) -> int | None:
    return None if kilobytes is None else kilobytes * 1024


def _sa_selector(sa: IpsecSa) -> model.Selector | None:
    """In transport mode the traffic that the SA may carry; in tunnel mode the policy says it."""
    if sa.mode is ike.Mode.TUNNEL:
        return None
    return _selector(sa.selector, outbound=sa.direction is ike.Direction.OUT)


def _encryption(sa: IpsecSa) -> model.Algorithm | None:
    if sa.encryption is None:
        return None
    return _algorithm(
        Kind.ENCRYPTION, _CIPHERS.get(sa.encryption, str(sa.encryption)), sa.encryption_key
    )


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
    tunnel = next((t for t in policy.templates if t.mode == model.Mode.TUNNEL), None)
    chosen = tunnel or policy.templates[0]
    selector = policy.selector
    local = _specified(chosen.src) or src or _only_host(selector.src)
    remote = _specified(chosen.dst) or dst or _only_host(selector.dst)
    if local is None or remote is None:
        return None
    protections = tuple(
        ike.Protection(
            protocol=_PROTOCOL_IDS[template.protocol],
            mode=_IKE_MODES[template.mode],
            reqid=template.reqid,
        )
        for template in policy.templates
        if template.protocol in _PROTOCOL_IDS and template.mode in _IKE_MODES
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


def _specified(address: model.Address | None) -> model.Address | None:
    return None if address is None or address.is_unspecified else address


def _only_host(network: model.Network) -> model.Address | None:
    return network.network_address if network.num_addresses == 1 else None


def policies_of(entry: PolicyEntry) -> Iterator[model.Policy]:
    """The three policies (in, forward, out) that protect the entry's traffic both ways.

    A forward policy lets a gateway pass on what came through the tunnel; `setkey` adds it too.
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
            protocol=_PROTOCOLS[protection.protocol],
            mode=_MODES[protection.mode],
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
    return model.Selector(
        src=ip_network(src),
        dst=ip_network(dst),
        protocol=selector.protocol,
        src_port=src_port,
        dst_port=dst_port,
    )


def _fits(entry: PolicyEntry, wanted: FindPolicy) -> bool:
    if entry.local != wanted.local or entry.remote != wanted.remote:
        return False
    return any(
        protection.protocol == wanted.protocol and protection.mode is wanted.mode
        for protection in entry.protections
    )


def _narrowness(entry: PolicyEntry) -> tuple[int, int, int]:
    selector = entry.selector
    return (
        selector.local.prefixlen + selector.remote.prefixlen,
        int(selector.protocol != 0),
        int(selector.local_port != 0) + int(selector.remote_port != 0),
    )

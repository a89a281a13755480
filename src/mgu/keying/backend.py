"""Joins the keying daemon to the data plane: `ike.backend.Backend` on a `xfrm` Dataplane."""

import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

from ike import values as ike
from ike.backend import BackendError, BackendEvent
from ike.commands import AllocateSpi
from ike.events import Acquire, PolicyAdded, PolicyRemoved, SaExpired, SaGone
from ike.numbers.isakmp import ProtocolId
from ike.reqids import CONNECTIONS
from ike.values import IpsecSa, PolicyEntry
from mgu.keying.leftovers import Leftovers, acquire_of, is_left, policies_left
from mgu.keying.owners import Owners
from mgu.keying.values import (
    MODES,
    PROTOCOL_IDS,
    PROTOCOLS,
    association,
    is_generated,
    policies_of,
    policy_entry,
    reqids_of,
)
from xfrm import dataplane, model
from xfrm.pfkey import dump_reply

logger = logging.getLogger("ike")


class XfrmBackend:
    """Every SA that passes through here is the keying daemon's; others are only looked at."""

    def __init__(self, plane: dataplane.Dataplane) -> None:
        self._plane = plane
        self._ours: set[model.SaId] = set()
        self._owners = Owners()
        self._policies: dict[int, PolicyEntry] = {}  # as told, by the data plane's index
        self._missed: set[int] = set()  # reqids of the SAs that `take_over` deleted
        self._stale = False  # a list of the policies failed

    async def allocate_spi(self, wanted: AllocateSpi) -> int:
        try:
            return await self._plane.allocate_spi(
                src=wanted.remote,
                dst=wanted.local,
                protocol=PROTOCOLS[wanted.protocol],
                mode=MODES[wanted.mode],
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
        gone = model.SaId(sa.destination, PROTOCOLS[sa.protocol], sa.spi)
        self._ours.discard(gone)
        try:
            await self._plane.delete_sa(gone)
        except dataplane.NoSuchEntry:
            pass
        except dataplane.XfrmError as error:
            raise BackendError(f"cannot delete the SA {sa.spi:#010x}: {error}") from error

    async def policies(self) -> list[PolicyEntry]:
        try:
            policies = await self._plane.policies()
        except dataplane.XfrmError as error:
            raise BackendError(f"cannot list the policies: {error}") from error
        return [entry for policy in policies if (entry := _entry(policy)) is not None]

    async def add_policy(self, policy: PolicyEntry) -> None:
        """Install it in place of the one for its traffic, which stays if this is refused."""
        done: list[model.Policy] = []
        try:
            for one in policies_of(policy):
                await self._plane.add_policy(one)
                done.append(one)
        except dataplane.XfrmError as error:
            await self._put_back(done)
            raise BackendError(f"cannot install the policy {policy.selector}: {error}") from error
        for one in done:
            self._owners.took(one, policy)

    async def _put_back(self, done: list[model.Policy]) -> None:
        """Have what was there before each of `done`; where that is refused too, the new one stays:
        it lets nothing pass in clear.
        """
        for one in done:
            before = self._owners.before(one)
            try:
                if before is not None:
                    await self._plane.add_policy(before)
                else:
                    await self._plane.delete_policy(one)
            except dataplane.XfrmError as error:
                logger.error("an incomplete policy stays in place: %s", error)

    async def remove_policy(self, policy: PolicyEntry) -> None:
        """Remove it, except where another has replaced it meanwhile."""
        try:
            for one in policies_of(policy):
                if self._owners.is_of(one, policy):
                    with suppress(dataplane.NoSuchEntry):
                        await self._plane.delete_policy(one)
                    self._owners.left(one)
        except dataplane.XfrmError as error:
            raise BackendError(f"cannot remove the policy {policy.selector}: {error}") from error
        await self.ask_again(policy)  # should it come back

    async def ask_again(self, policy: PolicyEntry) -> None:
        outbound = next(p for p in policies_of(policy) if p.direction is model.Direction.OUT)
        try:
            await self._plane.ask_again(outbound, policy.local, policy.remote)
        except dataplane.XfrmError as error:
            raise BackendError(str(error)) from error

    async def take_over(self) -> Leftovers:
        """Find what a killed daemon left. Policies stay, and those of peers are made whole.

        Its SAs are deleted: they cannot be renewed. Their policies' next packets ask for new ones,
        and so do we, for a peer that only sends. What is others' is not touched.
        """
        try:
            deleted = [sa async for sa in self._delete_left()]
            left = policies_left(await self._plane.policies(), len(deleted))
        except dataplane.XfrmError as error:
            raise BackendError(f"cannot take over what an earlier daemon left: {error}") from error
        self._missed = {sa.reqid for sa in deleted if not sa.larval}
        for entry, directions in left.directions.items():
            self._owners.found(entry, directions)
        for entry in left.generated:
            await self.add_policy(entry)
        return left

    async def _delete_left(self) -> AsyncIterator[model.SecurityAssociation]:
        for sa in await self._plane.sas():
            if sa.larval and sa.spi == 0:  # of an Acquire that was not received
                await self._plane.ask_again(acquire_of(sa), sa.src, sa.dst)
            elif is_left(sa):
                with suppress(dataplane.NoSuchEntry):  # it ended meanwhile
                    await self._plane.delete_sa(sa.id)
                yield sa

    async def dump(self, protocol: ProtocolId) -> bytes:
        try:
            sas = await self._plane.sas()
        except dataplane.XfrmError as error:
            raise BackendError(f"cannot list the SAs: {error}") from error
        if protocol is not ProtocolId.ANY:
            sas = [sa for sa in sas if sa.protocol == PROTOCOLS[protocol]]
        return dump_reply(sas, pid=os.getpid(), now=int(time.time()))

    async def events(self) -> AsyncIterator[BackendEvent]:
        """First every policy that needs SAs, of any program; then what happens."""
        for told in await self._policies_compared():
            yield told
        for entry in list(self._policies.values()):
            if reqids_of(entry) & self._missed.intersection(CONNECTIONS):
                yield Acquire(policy=entry)
        async for event in self._plane.events():
            if self._stale:
                for told in await self._policies_compared():
                    yield told
            for told in await self._told(event):
                yield told

    async def _told(self, event: dataplane.Event) -> list[BackendEvent]:
        match event:
            case dataplane.Acquire(policy=policy, src=src, dst=dst):
                entry = policy_entry(policy, src, dst)
                return [] if entry is None else [Acquire(policy=entry)]
            case dataplane.Expire(sa=sa, hard=hard) if sa.id in self._ours:
                if hard:
                    self._ours.discard(sa.id)
                return [SaExpired(sa=_sa_id(sa.id), hard=hard)]
            case dataplane.Gone(sa=gone) if gone in self._ours:
                self._ours.discard(gone)
                return [SaGone(sa=_sa_id(gone))]
            case dataplane.PolicyAdded(policy=policy):
                return self._policy_is(policy.index, _entry(policy))
            case dataplane.PolicyGone(policy=policy):
                return self._policy_is(policy.index, None)
            case dataplane.Mapping():
                await self._follow(event)
            case dataplane.Resync(sas=sas, policies=policies):
                lost = [SaGone(sa=_sa_id(sa)) for sa in await self._lost()] if sas else []
                return [*lost, *(await self._policies_compared() if policies else [])]
            case _:
                pass  # an SA of others
        return []

    def _policy_is(self, index: int, entry: PolicyEntry | None) -> list[BackendEvent]:
        """Note what the policy of this index is now; what of that is news."""
        before = self._policies.pop(index, None)
        if entry is not None:
            self._policies[index] = entry
        if entry == before:
            return []
        news: list[BackendEvent] = []
        if before is not None:
            news.append(PolicyRemoved(policy=before))
        if entry is not None:
            news.append(PolicyAdded(policy=entry, generated=is_generated(entry)))
        return news

    async def _policies_compared(self) -> list[BackendEvent]:
        """What is there against what was told. Without a list that stands; the next event asks."""
        try:
            listed = {policy.index: _entry(policy) for policy in await self._plane.policies()}
        except dataplane.XfrmError as error:
            logger.error("cannot list the policies: %s", error)
            self._stale = True
            return []
        self._stale = False
        gone = self._policies.keys() - listed.keys()
        now = [*((index, None) for index in gone), *listed.items()]
        return [told for index, entry in now for told in self._policy_is(index, entry)]

    async def _follow(self, moved: dataplane.Mapping) -> None:
        """Send to the port that the peer's NAT uses now, and expect packets from there.

        A new address is left to the engine: only an authenticated message may move a peer.
        """
        if moved.new_src != moved.old_src:
            return
        try:
            for sa in await self._plane.sas():
                ports = _moved_ports(sa, moved) if sa.id in self._ours else None
                if ports is not None:
                    await self._plane.update_sa(replace(sa, encapsulation=ports))
        except dataplane.XfrmError as error:
            logger.warning("the peer %s moved: %s", moved.old_src, error)

    async def _lost(self) -> set[model.SaId]:
        """Which of ours were deleted without an event."""
        known = set(self._ours)  # what comes while the list is made may not be in it
        try:
            present = {sa.id for sa in await self._plane.sas()}
        except dataplane.XfrmError as error:
            logger.error("cannot list the SAs: %s", error)
            return set()
        lost = (known & self._ours) - present
        self._ours -= lost
        return lost


def _entry(policy: model.Policy) -> PolicyEntry | None:
    """None for those that ask for no SA between ends that are known."""
    return policy_entry(policy) if policy.direction is model.Direction.OUT else None


def _moved_ports(
    sa: model.SecurityAssociation, moved: dataplane.Mapping
) -> model.Encapsulation | None:
    """The ports of an SA of the peer that moved; None for other SAs."""
    ports = sa.encapsulation
    if ports is None:
        return None
    if sa.id == moved.sa:
        return replace(ports, src_port=moved.new_port)
    is_reverse = (sa.src, sa.dst) == (moved.sa.dst, moved.old_src)
    if is_reverse and ports.dst_port == moved.old_port:
        return replace(ports, dst_port=moved.new_port)
    return None


def _sa_id(sa: model.SaId) -> ike.SaId:
    return ike.SaId(sa.dst, PROTOCOL_IDS[sa.protocol], sa.spi)

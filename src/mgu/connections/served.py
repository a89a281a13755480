"""The connections that the keying daemon serves: their policies, kept as the files say.

A policy goes when its connection was stopped, removed or changed, or when the daemon is stopped. A
file that cannot be read says nothing of the kind: what it protected stays protected.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from ike.backend import BackendError
from ike.events import DeleteIsakmp, DeletePolicySas, Event
from ike.reqids import CONNECTIONS
from ike.values import PolicyEntry
from mgu.connections import folder
from mgu.connections.connection import BadConnection
from mgu.give_way import give_way
from mgu.keying.backend import XfrmBackend

logger = logging.getLogger("ike")


class Served:
    """Installs and removes policies; `tell` is the engine's inbox."""

    def __init__(self, backend: XfrmBackend, tell: Callable[[Event], None]) -> None:
        self._backend = backend
        self._tell = tell
        self._installed: dict[str, PolicyEntry] = {}
        self._left: list[PolicyEntry] = []  # of a killed daemon, and not yet known whose
        self._problems: dict[str, str] = {}
        self._one_at_a_time = asyncio.Lock()

    async def take_over(self) -> None:
        """Go on where a killed daemon ended, before the first `update`."""
        try:
            left = await self._backend.take_over()
        except BackendError as error:
            logger.error("%s", error)
            return
        self._left = left.connections
        policies = len(left.connections) + len(left.generated)
        if policies or left.sas:
            logger.warning(
                "an earlier daemon was killed: its policies (%d) are kept, its SAs (%d) are"
                " deleted, as they cannot be renewed",
                policies,
                left.sas,
            )

    async def start(self) -> None:
        """The first `update`. It starts no thread: one that runs before the privileges are dropped
        would keep them.
        """
        async with self._one_at_a_time:
            await self._update(self._look())

    async def update(self) -> None:
        """Make the policies those of the connections that are up; errors go to the log."""
        async with self._one_at_a_time:
            await self._update(await asyncio.to_thread(self._look, give_way))

    def _look(self, give_way: Callable[[], None] = lambda: None) -> dict[str, PolicyEntry]:
        """What the files say now, one for each connection; `give_way` is called between them."""
        self._problems = {}
        return dict(self._with_reqids(dict(self._wanted(give_way))))

    async def _update(self, wanted: dict[str, PolicyEntry]) -> None:
        """What is new is in place before what was there goes: nothing is open in between."""
        before = dict(self._installed)
        for name, policy in wanted.items():
            if before.get(name) != policy:
                await self._install(name, policy)
        for name in before.keys() - wanted.keys() - self._problems.keys():
            del self._installed[name]
        await self._withdraw(before.values())
        if not self._problems:
            await self._remove_left()
        try:
            folder.write_problems(self._problems)
        except OSError as error:
            logger.warning(
                "%s: %s; 'ipsec --list' may show old problems", error.filename, error.strerror
            )

    async def clear(self) -> None:
        """Remove what was installed; the engine has sent its deletes already."""
        for policy in self._installed.values():
            try:
                await self._backend.remove_policy(policy)
            except BackendError as error:
                logger.error("%s", error)
        self._installed = {}
        await self._remove_left()

    async def _install(self, name: str, policy: PolicyEntry) -> None:
        try:
            await self._backend.add_policy(policy)
        except BackendError as error:
            self._trouble(name, error)
            return
        self._installed[name] = policy
        self._left = [left for left in self._left if left != policy]
        logger.info("connection %s: %s", name, policy.selector)

    async def _withdraw(self, before: Iterable[PolicyEntry]) -> None:
        """Remove those of `before` that no connection has any more."""
        kept = set(self._installed.values())
        remotes = {policy.remote for policy in kept}
        for policy in before:
            if policy in kept:
                continue
            try:
                await self._backend.remove_policy(policy)
            except BackendError as error:
                logger.error("%s", error)
            self._tell(DeletePolicySas(policy=policy))
            if policy.remote not in remotes:
                self._tell(DeleteIsakmp(remote=policy.remote, local=policy.local))

    async def _remove_left(self) -> None:
        """What no connection asks for: they were stopped or changed while no daemon ran."""
        for policy in self._left:
            try:
                await self._backend.remove_policy(policy)
            except BackendError as error:
                logger.error("a policy of an earlier daemon stays: %s", error)
        self._left = []

    def _wanted(self, give_way: Callable[[], None]) -> Iterator[tuple[str, PolicyEntry]]:
        for name in [*folder.names(), *folder.unreadable()]:
            give_way()
            try:
                connection = folder.load(name)
                if folder.is_up(connection):
                    yield name, connection.policy(folder.source_of(connection))
            except (BadConnection, OSError, ValueError) as error:
                self._trouble(name, error)

    def _with_reqids(self, wanted: dict[str, PolicyEntry]) -> Iterator[tuple[str, PolicyEntry]]:
        """Each with a reqid of its own: that of the same policy where it is in place, the file's if
        nobody has it, or else a free one.
        """
        present = {_traffic(p): _reqid(p) for p in (*self._left, *self._installed.values())}
        taken = set(present.values())
        chosen: dict[str, int] = {}
        for name, policy in wanted.items():
            reqid, preferred = present.pop(_traffic(policy), None), _reqid(policy)
            if reqid is not None:
                chosen[name] = reqid
            elif preferred in CONNECTIONS and preferred not in taken:
                chosen[name] = preferred
                taken.add(preferred)
        free = (reqid for reqid in CONNECTIONS if reqid not in taken)
        for name, policy in wanted.items():
            yield name, _as(policy, chosen[name] if name in chosen else next(free))

    def _trouble(self, name: str, error: Exception) -> None:
        logger.error("connection %s: %s", name, error)
        self._problems[name] = str(error)


def _reqid(policy: PolicyEntry) -> int:
    return policy.protections[0].reqid


def _as(policy: PolicyEntry, reqid: int) -> PolicyEntry:
    """The policy with this reqid."""
    protections = tuple(replace(each, reqid=reqid) for each in policy.protections)
    return replace(policy, protections=protections)


def _traffic(policy: PolicyEntry) -> PolicyEntry:
    return _as(policy, 0)

"""The connections that the keying daemon serves: their policies, kept as the files say."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator

from ike.backend import Backend, BackendError
from ike.events import DeleteIsakmp, DeletePolicySas, Event
from ike.values import PolicyEntry
from mgu.connections import folder
from mgu.connections.connection import BadConnection

logger = logging.getLogger("ike")


class Served:
    """Installs and removes policies; `tell` is the engine's inbox."""

    def __init__(self, backend: Backend, tell: Callable[[Event], None]) -> None:
        self._backend = backend
        self._tell = tell
        self._installed: dict[str, PolicyEntry] = {}
        self._problems: dict[str, str] = {}
        self._one_at_a_time = asyncio.Lock()

    async def update(self) -> None:
        """Make the policies those of the connections that are up; errors go to the log."""
        async with self._one_at_a_time:
            await self._update()

    async def _update(self) -> None:
        self._problems = {}
        wanted = await asyncio.to_thread(lambda: dict(self._wanted()))  # a file for each
        for name, policy in list(self._installed.items()):
            if name in self._problems:
                continue  # what its file says now is not understood: what it said stays protected
            if wanted.get(name) != policy:
                await self._withdraw(name, policy, wanted.values())
        for name, policy in wanted.items():
            if name not in self._installed:
                await self._install(name, policy)
        try:
            folder.write_problems(self._problems)
        except OSError as error:
            logger.warning("%s: %s; 'ipsec' may show old problems", error.filename, error.strerror)

    async def clear(self) -> None:
        """Remove what was installed; the engine has said good-bye already."""
        for name, policy in list(self._installed.items()):
            await self._remove(name, policy)

    async def _install(self, name: str, policy: PolicyEntry) -> None:
        try:
            await self._backend.add_policy(policy)
        except BackendError as error:
            self._trouble(name, error)
            return
        self._installed[name] = policy
        logger.info("connection %s: %s", name, policy.selector)

    async def _withdraw(
        self, name: str, policy: PolicyEntry, wanted: Iterable[PolicyEntry]
    ) -> None:
        await self._remove(name, policy)
        self._tell(DeletePolicySas(policy=policy))
        if all(other.remote != policy.remote for other in wanted):
            self._tell(DeleteIsakmp(remote=policy.remote, local=policy.local))

    async def _remove(self, name: str, policy: PolicyEntry) -> None:
        del self._installed[name]
        try:
            await self._backend.remove_policy(policy)
        except BackendError as error:
            logger.error("connection %s: %s", name, error)

    def _wanted(self) -> Iterator[tuple[str, PolicyEntry]]:
        for name in folder.names():
            try:
                connection = folder.load(name)
                if folder.is_up(connection):
                    yield name, connection.policy(folder.source_of(connection))
            except (BadConnection, OSError) as error:
                self._trouble(name, error)

    def _trouble(self, name: str, error: Exception) -> None:
        logger.error("connection %s: %s", name, error)
        self._problems[name] = str(error)

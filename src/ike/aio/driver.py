"""The keying daemon: the engine on its sockets, its data plane and its admin socket.

The engine's commands are carried out here. What it tells the data plane is done in order by one
worker; what it asks runs beside it, and the answer comes back through the inbox.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from ike.aio.admin import AdminServer
from ike.aio.requests import Desk, Reloaded
from ike.aio.sockets import Sockets, entropy
from ike.backend import Backend, BackendError
from ike.commands import (
    AddPolicy,
    AllocateSpi,
    AskAgain,
    Command,
    DeleteSa,
    ExportKeys,
    InstallSa,
    Log,
    RemovePolicy,
    Report,
    SendDatagram,
    Stopped,
)
from ike.config import Config
from ike.engine import Engine
from ike.events import (
    Acquire,
    Event,
    Reload,
    SaInstalled,
    SaRefused,
    SpiAllocated,
    SpiRefused,
    Stop,
)
from ike.values import IpsecSa
from wire.fault import CannotGoOn, Faults, Guarded
from wire.runner import clock, run

logger = logging.getLogger("ike")

_DROPS_TOLD: Final = 60.0  # seconds between two lines about dropped datagrams
FAREWELL: Final = 3.0  # seconds for the deletes to leave when the daemon stops

Asked = Coroutine[Any, Any, Event]
Keys = ExportKeys | IpsecSa


class Driver:
    """Runs one engine. `export` gets every key if the configuration asks for that.

    `reload(apply)` reads the configuration again, applies it to the engine, then does the rest; it
    raises ValueError when the configuration is refused.
    """

    def __init__(
        self,
        config: Config,
        backend: Backend,
        sockets: Sockets,
        *,
        date: Callable[[], float],
        reload: Callable[[Callable[[Config], None]], Awaitable[Reloaded]],
        export: Callable[[Keys], None] | None = None,
        port: int = 500,
    ) -> None:
        self.engine = Engine(config, entropy=entropy)
        self.admin: AdminServer | None = None
        self._faults = Faults(logger)
        self._inbox: asyncio.Queue[Event] = asyncio.Queue()
        self._told: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._stopped = asyncio.Event()
        self._backend = backend
        self._sockets = sockets
        self._export = export
        self._port = port
        self._date = date
        self._reload = reload
        self.desk = Desk(
            self.engine,
            backend,
            self.tell,
            config=config,
            date=date,
            reload=self._take_configuration,
            dropped=sockets.dropped,
            port=port,
        )

    def tell(self, event: Event) -> None:
        """Put an event into the engine's inbox."""
        self._inbox.put_nowait(event)

    def reload_soon(self) -> None:
        """Read the configuration again (SIGHUP); a refusal is in the log."""
        self._told.put_nowait(self._reload_quietly)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then send deletes to the peers and remove our SAs and
        policies.

        A fault costs what was being done; MANY of them end it (`wire.fault`).
        """
        core = Guarded[Event, Command](self.engine, self._faults)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(run(core, self._inbox, self._perform)),
                tasks.create_task(self._sockets.pump(self._inbox, self._date)),
                tasks.create_task(self._follow_backend()),
                tasks.create_task(self._work()),
                tasks.create_task(self._tell_drops()),
            ]
            await stop.wait()
            self.tell(Stop())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    await self._stopped.wait()
                    await self._told.join()
            for task in running:
                task.cancel()

    async def _take_configuration(self) -> Reloaded:
        return await self._reload(lambda config: self.tell(Reload(config=config)))

    async def _reload_quietly(self) -> None:
        with contextlib.suppress(ValueError):
            await self.desk.reload()

    async def _tell_drops(self) -> None:
        while True:
            await asyncio.sleep(_DROPS_TOLD)
            self._sockets.tell_drops()

    async def _follow_backend(self) -> None:
        async for event in self._backend.events():
            if isinstance(event, Acquire):
                self.tell(Acquire(policy=event.policy, local_port=self._port))
            else:
                self.tell(event)
        raise CannotGoOn("the data plane has ended")

    async def _work(self) -> None:
        while True:
            work = await self._told.get()
            try:
                await work()
            except BackendError as error:
                logger.error("%s", error)
            except Exception as error:  # noqa: BLE001 - the outermost loop of a daemon
                self._faults.survive(
                    error, "changing the data plane, or reading the files", clock()
                )
            finally:
                self._told.task_done()

    def _perform(self, command: Command) -> Asked | None:
        match command:
            case SendDatagram():
                self._sockets.send(command)
            case Log():
                extra = {"peer": str(command.peer)} if command.peer else None
                logger.log(command.level, "%s", command.text, extra=extra)
            case Report():
                if self.admin is not None and self.admin.watched:
                    for event in self.desk.events(command):
                        self.admin.publish(event)
            case AllocateSpi():
                return self._allocate(command)
            case InstallSa():
                return self._install(command)
            case DeleteSa(sa=sa):
                self._told.put_nowait(lambda: self._backend.delete(sa))
            case AddPolicy(policy=policy):
                self._told.put_nowait(lambda: self._backend.add_policy(policy))
            case RemovePolicy(policy=policy):
                self._told.put_nowait(lambda: self._backend.remove_policy(policy))
            case AskAgain(policy=policy):
                self._told.put_nowait(lambda: self._backend.ask_again(policy))
            case ExportKeys():
                if self._export is not None:
                    self._export(command)
            case Stopped():
                self._stopped.set()
        return None

    async def _allocate(self, command: AllocateSpi) -> Event:
        try:
            spi = await self._backend.allocate_spi(command)
        except BackendError as error:
            return SpiRefused(ask=command.ask, reason=str(error))
        return SpiAllocated(ask=command.ask, spi=spi)

    async def _install(self, command: InstallSa) -> Event:
        try:
            await self._backend.install(command.sa)
        except BackendError as error:
            return SaRefused(ask=command.ask, reason=str(error))
        if self._export is not None:
            self._export(command.sa)
        return SaInstalled(ask=command.ask)

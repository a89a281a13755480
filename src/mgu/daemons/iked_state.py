"""What changes while the keying daemon runs: its configuration, its connections, its addresses."""

import argparse
import asyncio
import gc
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from ike.aio.requests import Reloaded
from ike.commands import Level
from ike.conf.configuration import Configuration, load
from ike.conf.errors import ConfError
from ike.config import Config
from ike.events import AddressGone, Event
from ike.values import Address
from mgu import logs, paths
from mgu.connections.served import Served
from mgu.give_way import give_way
from wire.source import DIFFERS, Notice

logger = logging.getLogger("ike")

EXPORT: Final = "MGU_EXPORT_KEYS"

_SETTLE: Final = 0.2  # seconds: addresses come and go in pairs
_DEBUG: Final = {"debug": 1, "debug2": 2}
_QUIET: Final = {"error": logging.ERROR, "warning": logging.WARNING, "notify": logs.NOTIFY}


class State:
    """`configuration` is the one that the daemon was started with."""

    def __init__(self, options: argparse.Namespace, configuration: Configuration) -> None:
        self._options = options
        self._started = configuration
        self.served: Served | None = None
        self._one_at_a_time = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None

    def engine_config(self, configuration: Configuration) -> Config:
        return replace(
            configuration.engine,
            natt_port=self._options.natt_port,
            export_keys=export_folder(self._options) is not None,
            log=_listening(),
        )

    async def reload(self, apply: Callable[[Config], None]) -> Reloaded:
        """Read all files again: first the engine has the new configuration, then there are policies
        that ask for it. Raises: ValueError with the report when it is refused.
        """
        async with self._one_at_a_time:
            return await self._reload(apply)

    async def _reload(self, apply: Callable[[Config], None]) -> Reloaded:
        try:  # in a thread: many remotes take a second, and the peers wait for nobody
            configuration = await asyncio.to_thread(_read, self._options.conf)
        except ConfError as error:
            logger.error("%s", error.report())
            raise ValueError(error.report()) from error
        set_levels(self._options, configuration)
        restart = tuple(self._needs_restart(configuration))
        for notice in configuration.notices:
            logger.log(level_of(notice), "%s", notice)
        for text in restart:
            logger.warning("%s", text)
        config = self.engine_config(configuration)
        apply(config)
        if self.served is not None:
            await self.served.update()
        logger.info("configuration read again from %s", self._options.conf)
        return Reloaded(config, restart)

    def _needs_restart(self, new: Configuration) -> Iterator[str]:
        """A sentence for each thing that a running daemon cannot take over."""
        old = self._started
        listening = (old.listen, old.listen_natt, old.strict_address)
        changed = {
            "listen": listening != (new.listen, new.listen_natt, new.strict_address),
            "adminsock": old.admin != new.admin,
            "path pidfile": self._options.pidfile is None and old.pidfile != new.pidfile,
        }
        for name, differs in changed.items():
            if differs:
                yield f"a change of '{name}' takes effect at the next start: restart the daemon"

    def addresses_changed(self, tell: Callable[[Event], None], gone: frozenset[Address]) -> None:
        """Have the engine delete SAs of addresses; look for connections that are possible."""
        for address in gone:
            tell(AddressGone(address=address))
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look())

    async def _look(self) -> None:
        await asyncio.sleep(_SETTLE)
        if self.served is not None:
            await self.served.update()


def _read(conf: Path) -> Configuration:
    """Read the files, with no garbage collection meanwhile: with many peers one holds up all
    threads for 40 ms and more. What was read is set apart from later ones. Raises: ConfError.
    """
    gc.disable()
    try:
        return load(conf, paths.root(), give_way)
    finally:
        gc.freeze()
        gc.enable()


def level_of(notice: Notice) -> int:
    """Of the log: what is read differently is known, and was chosen so."""
    return logging.INFO if notice.kind == DIFFERS else logging.WARNING


def _listening() -> Level:
    """The lowest level that a handler writes."""
    levels = (Level.DEBUG2, Level.DEBUG)
    return next((level for level in levels if logger.isEnabledFor(level)), Level.INFO)


def export_folder(options: argparse.Namespace) -> Path | None:
    named = options.export_keys or os.environ.get(EXPORT)
    return Path(named) if named else None


def debug_level(options: argparse.Namespace, configuration: Configuration) -> int:
    """As -d counts: the more of the command line's and the configuration's."""
    asked: int = options.debug
    return max(asked, _DEBUG.get(configuration.log, 0))


def set_levels(options: argparse.Namespace, configuration: Configuration) -> None:
    """Log from there on that the command line and `log` name."""
    logs.set_levels(debug_level(options, configuration))
    if not options.debug and configuration.log in _QUIET:
        logger.setLevel(_QUIET[configuration.log])

"""The supplicant of one port: the core, the interface, the files.

An interface or a file that is missing, or cannot be used, ends nothing: the port stays closed, the
log and `status verbose` name what is missing, and it continues when that is there.

`Supervisor` is what a program holds: `async with Supervisor(...) as port: await port.authorized()`,
and what the control interface controls (`eapol.control.Supervised`).
"""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final, Self

from eapol.aio.inbox import Inbox
from eapol.config import Config, check
from eapol.errors import CredentialError, EapolError, PassphraseNeeded
from eapol.events import (
    Command,
    Event,
    FrameReceived,
    Look,
    Looked,
    PortAuthorized,
    PortUnauthorized,
    Request,
    SendFrame,
    Tell,
    Terminate,
    Terminated,
    UseNetwork,
    UseTls,
)
from eapol.methods.table import needs_tls
from eapol.notices import (
    DEBUG,
    WARNING,
    EapFailure,
    EapStatus,
    Notice,
    PassphraseAsked,
    PeerCertificateOctets,
    SubnetStatusUpdate,
    printable,
)
from eapol.settings import Network
from eapol.status import Status
from eapol.supplicant import Supplicant
from eapol.system.files import Files, exposed
from eapol.system.interface import Attach, Interface
from eapol.tls import ClientContext, KeyLog
from eapol.turns import Turns
from wire.fault import Faults, Guarded
from wire.runner import run
from wire.secret import Secret

_FOR_LISTENERS: Final = (EapStatus, SubnetStatusUpdate)
"""Notices that would only fill the log; wpa_supplicant, too, keeps them to its control socket."""

_LEVELS: Final = {DEBUG: logging.DEBUG, WARNING: logging.WARNING}
_log = logging.getLogger("eapol")


Configured = Callable[[], Config]
"""Reads the configuration; called at start, and for RECONFIGURE. Raises: EapolError."""


class _Ended(Exception):
    """The core said Terminated."""


class Supervisor:
    """The supplicant of `interface`, as `configured()` says, judging certificates at `date()`.

    `bring_up` and what opening the interface raises: see `Interface`, which `attach` may replace.
    `keylog` gets the TLS secrets: only for captures in a laboratory.
    Raises: EapolError if the configuration cannot be used.
    """

    def __init__(
        self,
        interface: str,
        configured: Configured,
        *,
        date: Callable[[], datetime],
        bring_up: bool = False,
        keylog: KeyLog | None = None,
        attach: Attach = Interface,
    ) -> None:
        self.interface = interface
        self._configured = configured
        self._date = date
        self._keylog = keylog
        self._inbox = Inbox()
        self._listeners: list[Callable[[Notice], None]] = []
        self._open = asyncio.Event()
        self._keys: PortAuthorized | None = None
        self._files: Files | None = None
        self._task: asyncio.Task[None] | None = None
        self._dropped = 0
        self.config = configured()
        self._turns = Turns(self.config.networks)
        self.network = _chosen(self.config)
        self._core = Supplicant(entropy=os.urandom, eapol_version=self.config.eapol_version)
        self._attached = attach(interface, self._frame, self._inbox.put_nowait, bring_up=bring_up)
        self._start()

    # For programs

    async def __aenter__(self) -> Self:
        self._attached.start()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._attached.close()

    async def authorized(self) -> PortAuthorized:
        """Wait until the port is open; its keys."""
        await self._open.wait()
        assert self._keys is not None
        return self._keys

    async def end(self, *, logoff: bool = True) -> None:
        """Log off, and wait until that is on the wire."""
        self._inbox.put_nowait(Terminate(logoff=logoff))
        await self.ended()

    async def ended(self) -> None:
        """Wait until the core has ended, for whatever reason."""
        assert self._task is not None
        await asyncio.shield(self._task)

    # For the control interface

    @property
    def address(self) -> bytes:
        """The interface's, 6 octets."""
        return self._attached.address

    @property
    def waits_for_interface(self) -> bool:
        """Whether there was none to open yet."""
        return self._attached.is_missing

    def status(self) -> Status:
        status, trouble = self._core.status(), self._attached.trouble
        return status if trouble is None else replace(status, failure=trouble)

    def request(self, request: Request) -> None:
        """Raises: TooBusy."""
        self._inbox.ask(request)

    def listen(self, tell: Callable[[Notice], None]) -> Callable[[], None]:
        self._listeners.append(tell)
        return lambda: self._listeners.remove(tell)

    def use(self, network: Network) -> None:
        """Begin anew with `network`. Raises: EapolError, and the old one goes on."""
        files = tls = None
        if not network.disabled:
            check(network)
        if not network.disabled and needs_tls(network):
            files = Files(network, self.config.blobs)
            tls = self._context(network, files)
        self._begin_with(network, files, tls)

    def reconfigure(self) -> None:
        """Read the configuration again. Raises: EapolError, and the old one goes on."""
        config = self._configured()
        before, self.config = self.config, config
        try:
            self.use(_chosen(config))
        except EapolError:
            self.config = before
            raise
        self._turns = Turns(config.networks)
        if _control(config) != _control(before):
            _log.warning(
                "%s: the control socket is not changed: ctrl_interface and its group take effect"
                " at the next start",
                self.interface,
            )

    def passphrase(self, secret: Secret) -> None:
        """Raises: CredentialError if it is wrong."""
        self.use(replace(self.network, private_key_passwd=secret))

    # Inside

    def _start(self) -> None:
        """With the first network whose files can be used; where none can, the first one waits."""
        if not self._starts(self.network, *self._turns.networks[1:]):
            self._wait_for(self.network)

    def _starts(self, *networks: Network) -> bool:
        for network in networks:
            try:
                self.use(network)
            except CredentialError as error:
                if len(networks) > 1:
                    _log.warning("%s: %s; this network is passed over", self.interface, error)
            else:
                return True
        return False

    def _wait_for(self, network: Network) -> None:
        try:
            self.use(network)
        except CredentialError as error:
            if isinstance(error, PassphraseNeeded) and self.config.ctrl_interface is not None:
                self._tell(PassphraseAsked())
            files = Files(network, self.config.blobs)
            files.changed()  # from now on
            self._begin_with(network, files, None, f"{error}; waiting for the file to change")

    def _failed(self) -> None:
        """The next network's turn comes, if there is one that can be used."""
        following = self._turns.after_failure(self.network)
        if following is None or not self._starts(following):
            return
        at = self._turns.networks.index(following) + 1
        what = "%s: trying the next network, %d of %d"
        _log.info(what, self.interface, at, len(self._turns.networks))

    def _begin_with(
        self,
        network: Network,
        files: Files | None,
        tls: ClientContext | None,
        waits: str | None = None,
    ) -> None:
        self.network, self._files = network, files
        version = self.config.eapol_version
        begin = UseNetwork(network=network, tls=tls, waits=waits, eapol_version=version)
        self._inbox.put_nowait(begin)

    def _context(self, network: Network, files: Files) -> ClientContext:
        context = ClientContext(network.tls, files.load(), self._keylog)
        for warning in context.warnings:
            self._tell(warning)
        if network.private_key is not None and exposed(network.private_key):
            key = network.private_key
            _log.warning("%s: other users can read this key; run: chmod 600 %s", key, key)
        return context

    def _look(self) -> None:
        """At what may have changed without a sign."""
        if self._files is not None and self._files.changed():
            self._read_again(self._files)
        self._attached.look()
        if self._dropped:
            what = "%s: %d frames came faster than they could be handled, and were dropped"
            _log.warning(what, self.interface, self._dropped)
            self._dropped = 0
        self._inbox.put_nowait(Looked(date=self._date()))

    def _read_again(self, files: Files) -> None:
        try:
            tls = self._context(self.network, files)
        except CredentialError as error:
            if self._core.is_ready:
                what = f"{error}; the file read before stays in use"
                _log.warning("%s: %s", self.interface, what)
            else:
                waits = f"{error}; waiting for the file to change"
                self._begin_with(self.network, files, None, waits)
            return
        _log.info("%s: certificate files changed and were read again", self.interface)
        self._inbox.put_nowait(UseTls(tls=tls))

    async def _run(self) -> None:
        try:
            core = Guarded[Event, Command](self._core, Faults(_log))
            await run(core, self._inbox, self._perform)
        except* _Ended:
            pass

    def _perform(self, command: Command) -> None:
        match command:
            case SendFrame(octets=octets):
                self._attached.send(octets)
            case Tell(notice=notice):
                self._tell(notice)
                if isinstance(notice, EapFailure):
                    self._failed()
            case PortAuthorized():
                self._opened(command)
            case PortUnauthorized():
                self._opened(None)
            case Look():
                self._look()
            case Terminated():
                raise _Ended

    def _opened(self, keys: PortAuthorized | None) -> None:
        self._keys = keys
        if keys is None:
            self._open.clear()
        else:
            self._open.set()
            self._turns.after_success()

    def _tell(self, notice: Notice) -> None:
        if not isinstance(notice, PeerCertificateOctets):
            quiet = isinstance(notice, _FOR_LISTENERS)
            level = logging.DEBUG if quiet else _LEVELS.get(notice.level, logging.INFO)
            _log.log(level, "%s: %s", self.interface, printable(str(notice)))
        for listener in list(self._listeners):
            listener(notice)

    def _frame(self, octets: bytes, source: bytes) -> None:
        if self._inbox.full_of_frames:
            self._dropped += 1
            return
        self._inbox.put_nowait(FrameReceived(octets=octets, source=source, date=self._date()))


def _chosen(config: Config) -> Network:
    return config.network or Network(disabled=True)


def _control(config: Config) -> tuple[str | None, str | None]:
    return config.ctrl_interface, config.ctrl_interface_group

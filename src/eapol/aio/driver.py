"""One port's supplicant at work: the core, the packet socket, the carrier, the files.

`Supervisor` is what a program holds: `async with Supervisor(...) as port: await port.authorized()`,
and what the control interface controls (`eapol.control.Supervised`).
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final, Self

from eapol.aio.files import Files, exposed
from eapol.aio.link import LinkWatch, address_of, mtu_of
from eapol.aio.port import Port, index_of
from eapol.config import Config
from eapol.errors import CredentialError, EapolError, PassphraseNeeded, PortError
from eapol.events import (
    CheckFiles,
    Command,
    Event,
    FrameReceived,
    LinkChanged,
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
from eapol.notices import (
    DEBUG,
    WARNING,
    EapStatus,
    Notice,
    PassphraseAsked,
    PeerCertificateOctets,
    SubnetStatusUpdate,
)
from eapol.settings import Network
from eapol.status import Status
from eapol.supplicant import Supplicant
from eapol.tls import ClientContext, KeyLog
from wire.rtnetlink import Link
from wire.runner import run
from wire.secret import Secret

QUEUE: Final = 256
"""Events waiting; frames beyond it are dropped, as a full socket buffer would."""

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

    Raises EapolError if the configuration, a file or the interface cannot be used; opening the
    interface needs CAP_NET_RAW. `keylog` gets the TLS secrets: only for captures in a laboratory.
    """

    def __init__(
        self,
        interface: str,
        configured: Configured,
        *,
        date: Callable[[], datetime],
        keylog: KeyLog | None = None,
    ) -> None:
        self.interface = interface
        self._configured = configured
        self._date = date
        self._keylog = keylog
        self._inbox: asyncio.Queue[Event] = asyncio.Queue()
        self._listeners: list[Callable[[Notice], None]] = []
        self._open = asyncio.Event()
        self._keys: PortAuthorized | None = None
        self._files: Files | None = None
        self._task: asyncio.Task[None] | None = None
        self.config = configured()
        self.network = _chosen(self.config)
        self._index = index_of(interface)
        self.address = address_of(interface)
        self._core = Supplicant(eapol_version=self.config.eapol_version, mtu=mtu_of(interface))
        self._start_with(self.network)
        self._port = Port(interface, self._frame)
        self._watch = LinkWatch(interface, self._link)

    # For programs

    async def __aenter__(self) -> Self:
        self._port.start()
        self._watch.start()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._watch.close()
        self._port.close()

    async def authorized(self) -> PortAuthorized:
        """Wait until the port is open; its keys."""
        await self._open.wait()
        assert self._keys is not None
        return self._keys

    async def end(self, *, logoff: bool = True) -> None:
        """Log off, and wait until that is on the wire."""
        self.request(Terminate(logoff=logoff))
        await self.ended()

    async def ended(self) -> None:
        """Wait until the core has ended, for whatever reason."""
        assert self._task is not None
        await asyncio.shield(self._task)

    # For the control interface

    def status(self) -> Status:
        return self._core.status()

    def request(self, request: Request) -> None:
        self._inbox.put_nowait(request)

    def listen(self, tell: Callable[[Notice], None]) -> Callable[[], None]:
        self._listeners.append(tell)
        return lambda: self._listeners.remove(tell)

    def use(self, network: Network) -> None:
        """Begin anew with `network`. Raises: CredentialError, and the old one goes on."""
        files = tls = None
        if not network.disabled:
            files = Files(network, self.config.blobs)
            tls = self._context(network, files)
        self.network, self._files = network, files
        self._inbox.put_nowait(UseNetwork(network=network, tls=tls))

    def reconfigure(self) -> None:
        """Read the configuration again. Raises: EapolError, and the old one goes on."""
        config = self._configured()
        before, self.config = self.config, config
        try:
            self.use(_chosen(config))
        except EapolError:
            self.config = before
            raise

    def passphrase(self, secret: Secret) -> None:
        """Raises: CredentialError if it is wrong."""
        self.use(replace(self.network, private_key_passwd=secret))

    # Inside

    def _start_with(self, network: Network) -> None:
        try:
            self.use(network)
        except PassphraseNeeded as error:
            if self.config.ctrl_interface is None:
                raise
            _log.error("%s: %s, or with 'wpa_cli passphrase 0 ...'", self.interface, error)
            self._tell(PassphraseAsked())

    def _context(self, network: Network, files: Files) -> ClientContext:
        context = ClientContext(network.tls, files.load(), self._keylog)
        for warning in context.warnings:
            self._tell(warning)
        if network.private_key is not None and exposed(network.private_key):
            _log.warning("%s: others can read this key; chmod 600 it", network.private_key)
        return context

    def _check_files(self) -> None:
        files = self._files
        if files is None or not files.changed():
            return
        try:
            tls = self._context(self.network, files)
        except CredentialError as error:
            _log.warning("%s: %s; the one read before stays in use", self.interface, error)
            return
        _log.info("%s: certificate files changed and were read again", self.interface)
        self._inbox.put_nowait(UseTls(tls=tls))

    async def _run(self) -> None:
        try:
            await run(self._core, self._inbox, self._perform)
        except* _Ended:
            pass

    def _perform(self, command: Command) -> None:
        match command:
            case SendFrame(octets=octets):
                self._port.send(octets)
            case Tell(notice=notice):
                self._tell(notice)
            case PortAuthorized():
                self._opened(command)
            case PortUnauthorized():
                self._opened(None)
            case CheckFiles():
                self._check_files()
            case Terminated():
                raise _Ended

    def _opened(self, keys: PortAuthorized | None) -> None:
        self._keys = keys
        if keys is None:
            self._open.clear()
        else:
            self._open.set()

    def _tell(self, notice: Notice) -> None:
        if not isinstance(notice, PeerCertificateOctets):
            quiet = isinstance(notice, _FOR_LISTENERS)
            level = logging.DEBUG if quiet else _LEVELS.get(notice.level, logging.INFO)
            _log.log(level, "%s: %s", self.interface, notice)
        for listener in list(self._listeners):
            listener(notice)

    def _frame(self, octets: bytes, source: bytes) -> None:
        if self._inbox.qsize() >= QUEUE:
            self._port.dropped["queue full"] += 1
            return
        self._inbox.put_nowait(FrameReceived(octets=octets, source=source, date=self._date()))

    def _link(self, state: Link | None) -> None:
        if state is None:
            _log.warning("%s: the interface is gone; waiting for it", self.interface)
            self._inbox.put_nowait(LinkChanged(up=False))
            return
        if state.index != self._index:
            self._reopen()
        self._index, self.address = state.index, state.address
        self._inbox.put_nowait(LinkChanged(up=state.up, mtu=state.mtu))

    def _reopen(self) -> None:
        try:
            self._port.open()
        except PortError as error:
            _log.error("%s", error)


def _chosen(config: Config) -> Network:
    return config.network or Network(disabled=True)

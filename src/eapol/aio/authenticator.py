"""A switch port on an interface, with its own EAP-TLS server or an external one.

    async with Switch("sw0", server_context, authorized=open_port, unauthorized=close_port):
        ...

or from a shell, with a line for each change of the port:

    python -m eapol.aio.authenticator -i sw0 --ca ca.pem --cert server.pem --key server.key
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, Self

from eapol.aio.inbox import FRAMES
from eapol.authenticator import (
    Authenticator,
    AuthenticatorSettings,
    ServerAbandoned,
    ServerAsked,
    ServerReplied,
)
from eapol.authenticator.port import PortCommand
from eapol.authenticator.server import Answer
from eapol.authenticator.settings import above_zero
from eapol.engine import TlsContext
from eapol.errors import EapolError
from eapol.events import (
    FrameReceived,
    LinkChanged,
    Look,
    PortAuthorized,
    PortUnauthorized,
    Reauthenticate,
    SendFrame,
    Tell,
    Terminated,
)
from eapol.notices import WARNING, printable
from eapol.settings import Credentials, NamedOctets, NamedSecret, TlsPolicy, TlsVersion
from eapol.system.interface import Attach, Interface
from eapol.system.keylog import key_log
from wire import files
from wire.runner import run
from wire.secret import Secret

Happening = FrameReceived | LinkChanged | Reauthenticate | ServerReplied


class Server(Protocol):
    """An authentication server that takes its time: RADIUS, see `mgu.switch`."""

    async def respond(self, asked: ServerAsked) -> Answer:
        """Raises nothing: a server that does not answer is an Answer, too."""
        ...

    def abort(self) -> None:
        """The conversation ended."""
        ...


_log = logging.getLogger("eapol")


class Switch:
    """`tls` is for an EAP-TLS server of the port's own; with None `server` is asked.

    `authorized(authenticator, keys)` is called each time a supplicant is let in (again),
    `unauthorized()` when the port closes. Opening `interface` needs CAP_NET_RAW, see `Interface`,
    which `attach` may replace."""

    def __init__(
        self,
        interface: str,
        tls: TlsContext | None,
        settings: AuthenticatorSettings | None = None,
        *,
        server: Server | None = None,
        authorized: Callable[[Authenticator, PortAuthorized], None],
        unauthorized: Callable[[], None],
        date: Callable[[], datetime] = lambda: datetime.now(UTC),
        attach: Attach = Interface,
    ) -> None:
        assert (tls is None) is (server is not None), "one server, no more and no less"
        self._server = server
        self.core = Authenticator(tls, settings)
        self.interface = interface
        self._authorized = authorized
        self._unauthorized = unauthorized
        self._date = date
        self._inbox: asyncio.Queue[Happening] = asyncio.Queue()
        self._attached = attach(interface, self._frame, self._inbox.put_nowait)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._attached.start()
        self._task = asyncio.create_task(run(self.core, self._inbox, self._perform))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._attached.close()

    def reauthenticate(self) -> None:
        self._inbox.put_nowait(Reauthenticate())

    def _perform(self, command: PortCommand) -> Coroutine[Any, Any, Happening] | None:
        match command:
            case ServerAsked():
                return self._ask(command)
            case ServerAbandoned():
                if self._server is not None:
                    self._server.abort()
            case SendFrame(octets=octets):
                self._attached.send(octets)
            case Tell(notice=notice):
                level = logging.WARNING if notice.level >= WARNING else logging.INFO
                _log.log(level, "%s (switch): %s", self.interface, printable(str(notice)))
            case PortAuthorized():
                self._authorized(self.core, command)
            case PortUnauthorized():
                self._unauthorized()
            case Look() | Terminated():
                pass
        return None

    async def _ask(self, asked: ServerAsked) -> ServerReplied:
        assert self._server is not None
        return ServerReplied(ask=asked.ask, answer=await self._server.respond(asked))

    def _frame(self, octets: bytes, source: bytes) -> None:
        if (
            self._inbox.qsize() < FRAMES
        ):  # or dropped, as by a full socket buffer: EAP repeats itself
            event = FrameReceived(octets=octets, source=source, date=self._date())
            self._inbox.put_nowait(event)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m eapol.aio.authenticator",
        description="Authenticate the supplicants on an interface with EAP-TLS, as a switch does.",
        allow_abbrev=False,
    )
    add = made.add_argument
    add("-i", dest="interface", required=True)
    add("--ca", type=Path, required=True, help="the CA of the supplicants' certificates")
    add("--cert", type=Path, required=True, help="the server's certificate and chain")
    add("--key", type=Path, required=True, help="the server's private key")
    add("--reauth", type=above_zero, metavar="SECONDS", help="seconds between authentications")
    add("--quiet", type=float, default=60.0, metavar="SECONDS", help="quietPeriod (60)")
    add("--fragment", type=int, default=1020, metavar="OCTETS", help="TLS data in one packet")
    add("--tls-max", type=TlsVersion, default=TlsVersion.TLS_1_3, metavar="TLSv1.2|TLSv1.3")
    add("--no-promise", action="store_true", help="leave out RFC 9190's protected success")
    add("--key-log", type=Path, metavar="FILE", help="append the TLS secrets to FILE")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        asyncio.run(serve(options))
    except (EapolError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


async def serve(options: argparse.Namespace, attach: Attach = Interface) -> None:
    """Until it is cancelled. Raises: EapolError, OSError."""
    from eapol.tls import ServerContext

    credentials = Credentials(
        ca=NamedOctets(str(options.ca), files.read(options.ca)),
        certificate=NamedOctets(str(options.cert), files.read(options.cert)),
        key=NamedSecret(str(options.key), Secret(files.read(options.key))),
    )
    settings = AuthenticatorSettings(
        fragment_size=options.fragment,
        reAuthPeriod=options.reauth,
        quietPeriod=options.quiet,
        promise=not options.no_promise,
    )

    with key_log(options.key_log) as keylog:
        tls = ServerContext(TlsPolicy(max_version=options.tls_max), credentials, keylog)
        switch = Switch(
            options.interface,
            tls,
            settings,
            authorized=_print_authorized,
            unauthorized=lambda: print("unauthorized", flush=True),
            attach=attach,
        )
        async with switch:
            print("ready", flush=True)
            await asyncio.Event().wait()


def _print_authorized(port: Authenticator, _: PortAuthorized) -> None:
    print(f"authorized {port.identity!r} {port.tls}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""`mgu supplicant`: the 802.1X supplicant of one wired port, with wpa_supplicant's options."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mgu import exits, paths
from mgu.arguments import Parser
from mgu.daemons import date
from wire import files

KEEP: Final = frozenset({"CAP_NET_RAW", "CAP_DAC_READ_SEARCH"})
"""To open the packet socket again, and to read renewed files of any owner."""

EXPORT: Final = "MGU_EXPORT_KEYS"  # as for mgu iked: a folder

EPILOG: Final = f"""\
SIGHUP makes the daemon read its configuration again, as does 'wpa_cli reconfigure'.

environment:
  {EXPORT}  as --key-log, to the file tls.keys in this directory

exit codes:
  {exits.OK}   ended by TERMINATE, SIGTERM or SIGINT
  {exits.FAILED}   the configuration or the control socket cannot be used, or another program speaks
     EAPOL on the interface. It waits for an interface or a file that is missing
  {exits.NO_PERMISSION}   not enough permission (start it as root)
  {exits.USAGE}  wrong usage
"""
_log = logging.getLogger("eapol")

if TYPE_CHECKING:
    from eapol.aio.driver import Supervisor
    from eapol.config import Config
    from eapol.notices import Notice


def parser() -> argparse.ArgumentParser:
    made = Parser(
        "mgu supplicant",
        description="Authenticate a wired port with IEEE 802.1X.",
        epilog=EPILOG,
    )
    add = made.add_argument
    add("-i", dest="interface", metavar="IF", help="interface, such as eth0")
    add(
        "-c",
        dest="config",
        metavar="FILE",
        type=Path,
        help=f"configuration (default {paths.WPA_SUPPLICANT_CONF})",
    )
    add("-D", dest="driver", metavar="DRIVER", default="wired", help="only 'wired' exists")
    add(
        "-C", dest="control", metavar="DIR", help="directory of the control socket (ctrl_interface)"
    )
    add("-B", dest="background", action="store_true", help="run in the background")
    add("-P", dest="pidfile", metavar="FILE", type=Path, help="write the process id here")
    add("-f", dest="log", metavar="FILE", type=Path, help="log to this file")
    add("-s", dest="syslog", action="store_true", help="log to syslog")
    add("-d", dest="debug", action="count", default=0, help="log each change of state")
    add("-q", dest="quiet", action="store_true", help="log warnings and errors only")
    add("-t", dest="stamps", action="store_true", help="accepted; every line has its date")
    add("--no-logoff", action="store_true", help="leave the port open at the switch at exit")
    add(
        "--key-log",
        metavar="FILE",
        type=Path,
        help="write TLS secrets here, for Wireshark; whoever has them can decrypt the traffic",
    )
    add("-v", dest="version", action="store_true", help="show the version")
    date.add_option(made)
    return made


def _complete(made: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """What argparse cannot say: what must be given, and what is taken if it is not."""
    if options.interface is None:
        made.error("-i is missing: which interface?")
    if options.driver != "wired":
        made.error(f"-D {options.driver}: this supplicant is for wired ports; use -D wired")
    if options.config is None:
        options.config = paths.under_root(paths.WPA_SUPPLICANT_CONF)
    for name in ("config", "log", "pidfile", "key_log"):  # -B changes the working directory
        path = getattr(options, name)
        setattr(options, name, path.absolute() if path is not None else None)
    if options.key_log is None and os.environ.get(EXPORT):
        options.key_log = Path(os.environ[EXPORT]).absolute() / "tls.keys"


def main(argv: Sequence[str] | None = None) -> int:
    made = parser()
    options = made.parse_args(argv)
    if options.version:
        from importlib.metadata import version

        print(f"mgu supplicant {version('mgusec')}")
        return exits.OK
    _complete(made, options)
    from mgu import daemon, logs

    with ExitStack() as stack:
        try:
            if options.background:
                daemon.detach(options.pidfile)
            elif options.pidfile is not None:
                stack.enter_context(daemon.pidfile(options.pidfile))
        except (daemon.AlreadyRunning, OSError) as error:
            print(f"mgu supplicant: {_said(error)}", file=sys.stderr)
            return exits.FAILED
        logs.setup(
            "wpa_supplicant",
            file=options.log,
            debug=options.debug,
            syslog=options.syslog,
            stderr=options.log is None and not options.syslog,
        )
        if options.quiet:
            _log.setLevel(logging.WARNING)
        return daemon.run(lambda stop: serve(options, stop))


async def serve(options: argparse.Namespace, stop: asyncio.Event) -> int:
    from eapol.errors import EapolError, NotPermitted
    from eapol.system.keylog import key_log

    try:
        with key_log(options.key_log) as keylog:
            if keylog is not None:
                _log.warning(
                    "the TLS secrets are written to %s: for laboratories only", options.key_log
                )
            return await _serve(options, keylog, stop)
    except NotPermitted as error:
        _log.error("%s", error)
        return exits.NO_PERMISSION
    except (EapolError, OSError) as error:
        _log.error("%s", _said(error))
        return exits.FAILED


def _said(error: Exception) -> str:
    """Without Python's "[Errno 2]"."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _kept(supervisor: "Supervisor", answers: bool) -> frozenset[str]:
    """Of the capabilities of root. Who asks on the control socket is answered at a socket of his
    own, which Debian's wpa_cli makes writable for nobody else: members of the group, and root if we
    are not. An interface that is still to come has to be brought up then."""
    kept = set(KEEP)
    if answers and (supervisor.config.ctrl_interface_group or os.geteuid() != 0):
        kept.add("CAP_DAC_OVERRIDE")
    if supervisor.waits_for_interface:
        kept.add("CAP_NET_ADMIN")
    return frozenset(kept)


def _confine(options: argparse.Namespace, control: Path | None) -> None:
    """To the folders that it writes to: CAP_DAC_OVERRIDE opens all others."""
    from mgu import privileges

    paths = (control, options.log, options.key_log, options.pidfile)
    try:
        privileges.confine({path.parent for path in paths if path is not None})
    except OSError as error:
        _log.warning("the disk cannot be made read-only for this daemon: %s", error.strerror)


async def _serve(
    options: argparse.Namespace, keylog: Callable[[bytes], None] | None, stop: asyncio.Event
) -> int:
    import eapol.tls  # noqa: F401 - what takes long, before the date is right
    from eapol.aio.control import Control
    from eapol.aio.driver import Supervisor
    from mgu import clock, daemon, privileges

    if not await date.right(options.wait_date, stop):
        return exits.OK
    supervisor = Supervisor(
        options.interface, _reader(options), date=clock.now, bring_up=True, keylog=keylog
    )
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(supervisor)
        config = supervisor.config
        path = _control_path(options, config.ctrl_interface)
        if path is not None:
            group = config.ctrl_interface_group
            await stack.enter_async_context(Control(path, supervisor, group=group))
        _confine(options, path)
        privileges.become_user()  # the directory of the control socket stays root's
        privileges.drop(_kept(supervisor, path is not None))
        supervisor.listen(lambda notice: _tell_manager(supervisor, notice))
        hangup = partial(_read_again, supervisor)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup)
        daemon.ready()
        await _until_ended(supervisor, stop, logoff=not options.no_logoff)
    return exits.OK


def _read_again(supervisor: "Supervisor") -> None:
    from eapol.errors import EapolError

    try:
        supervisor.reconfigure()
    except EapolError as error:
        _log.error("%s; what was read before stays in use", error)
    else:
        _log.info("%s: the configuration was read again", supervisor.interface)


async def _until_ended(supervisor: "Supervisor", stop: asyncio.Event, *, logoff: bool) -> None:
    """Until a signal, or TERMINATE over the control socket."""
    ended = asyncio.create_task(supervisor.ended())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not ended.done():
        await supervisor.end(logoff=logoff)
    await ended


def _tell_manager(supervisor: "Supervisor", notice: "Notice") -> None:
    from eapol.notices import Connected, Disconnected, Warned
    from mgu import daemon

    if isinstance(notice, Connected | Disconnected | Warned):
        status = supervisor.status()
        why = "" if status.failure is None else f": {status.failure}"
        state = status.port_status.value.lower()
        daemon.notify(f"STATUS=port {supervisor.interface} {state}{why}")


def _reader(options: argparse.Namespace) -> Callable[[], "Config"]:
    from eapol.config import parse
    from eapol.errors import EapolError

    def read() -> "Config":
        try:
            text = files.read(options.config).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise EapolError(
                f"{options.config}: cannot be read ({error.strerror}); net8021x writes it"
            ) from error
        config = parse(text, str(options.config))
        for warning in config.warnings:
            _log.warning("%s", warning)
        return config

    return read


def _control_path(options: argparse.Namespace, configured: str | None) -> Path | None:
    folder = options.control or configured
    return Path(folder) / options.interface if folder else None

"""`mgu iked`: the IKEv1 keying daemon, with racoon's options."""

import argparse
import asyncio
import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from grp import getgrnam
from importlib.metadata import version
from pathlib import Path
from pwd import getpwnam
from typing import Final

from ike.aio.admin import AdminServer, AdminSocketInUse
from ike.aio.driver import Driver
from ike.aio.sockets import Listening, PortInUse
from ike.conf.configuration import AdminSocket, Configuration, load
from ike.conf.errors import ConfError
from mgu import clock, daemon, exits, logs, paths, privileges
from mgu.arguments import Parser
from mgu.connections.served import Served
from mgu.daemons import date
from mgu.daemons.iked_state import EXPORT, State, debug_level, export_folder, level_of, set_levels
from mgu.keying.addresses import AddressWatch
from mgu.keying.keys import KeyFiles
from mgu.keying.plane import CHOICE, Opener, Plane, open_plane
from mgu.services.table import become_user
from xfrm.dataplane import XfrmError

logger = logging.getLogger("ike")

KEEP: Final = frozenset({"CAP_NET_ADMIN", "CAP_DAC_READ_SEARCH"})
"""For the kernel's SAs and policies, and to read changed files, which are root's alone."""

REFUSALS: Final = (XfrmError, PortInUse, AdminSocketInUse, daemon.AlreadyRunning, OSError)
"""Of a start; `main` has words for them."""

EPILOG: Final = f"""\
SIGHUP and 'racoonctl reload-config' make the daemon read its files again.

environment
  {CHOICE:<15}  auto (default), kernel or userspace: the data plane
  {EXPORT:<15}  as --export-keys

exit codes: {exits.OK} stopped, {exits.FAILED} failed, {exits.NO_PERMISSION} no permission, \
{exits.USAGE} wrong usage
"""


def parser() -> Parser:
    made = Parser(
        "mgu iked",
        description="Negotiate keys for IPsec with IKEv1 (RFC 2407, 2408, 2409).",
        epilog=EPILOG,
    )
    add = made.add_argument
    add("-4", dest="ipv4", action="store_true", help="IPv4 only")
    add("-6", dest="ipv6", action="store_true", help="IPv6 only")
    add("-F", dest="foreground", action="store_true", help="stay in the foreground")
    add("-f", dest="conf", metavar="FILE", type=Path, help=f"default {paths.RACOON_CONF}")
    add("-l", dest="log", metavar="FILE", type=Path, help="log to FILE, not to syslog")
    add(
        "-d",
        dest="debug",
        action="count",
        default=0,
        help="log each message and each proposal compared; -dd also payloads decoded",
    )
    add("-v", dest="verbose", action="store_true", help="log to standard error too")
    add("-p", dest="port", metavar="PORT", type=_port, default=500, help="isakmp port")
    add("-P", dest="natt_port", metavar="PORT", type=_port, default=4500, help="NAT-T port")
    add("-L", dest="places", action="store_true", help="accepted; lines name no source file")
    add("-B", dest="backup", action="store_true", help="accepted; SAs are not kept on disk")
    add("-t", dest="test", action="store_true", help="check the configuration, do nothing")
    add("-V", dest="version", action="store_true", help="show the version")
    add("--pidfile", metavar="FILE", type=Path, help="write the process id here")
    add("--export-keys", metavar="DIR", type=Path, help="write all keys here, for Wireshark")
    date.add_option(made)
    return made


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 0xFFFF:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port")
    return int(text)


def main(argv: Sequence[str] | None = None, opener: Opener = open_plane) -> int:
    """`opener` opens the data plane and the sockets."""
    options = parser().parse_args(argv)
    if options.version:
        print(f"mgu iked {version('mgusec')} (IKEv1, racoon.conf)")
        return exits.OK
    conf = (options.conf or paths.under_root(paths.RACOON_CONF)).absolute()
    try:
        configuration = load(conf, paths.root())
    except ConfError as error:
        print(f"racoon: {error.report()}", file=sys.stderr)
        return exits.FAILED
    if options.test:
        for notice in configuration.notices:
            print(f"{notice.kind}: {notice}")
        return exits.OK
    options.conf = conf
    for name in ("log", "pidfile", "export_keys"):  # the background changes the working directory
        path = getattr(options, name)
        setattr(options, name, path.absolute() if path is not None else None)
    try:
        return _run(options, configuration, opener)
    except XfrmError as error:
        denied = error.code in (errno.EPERM, errno.EACCES)
        return _failed(str(error), exits.NO_PERMISSION if denied else exits.FAILED)
    except (PortInUse, AdminSocketInUse, daemon.AlreadyRunning) as error:
        return _failed(str(error), exits.FAILED)
    except PermissionError as error:
        return _failed(f"{error.strerror}: start it as root", exits.NO_PERMISSION)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _failed(f"{name}{error.strerror}", exits.FAILED)


def _failed(text: str, code: int) -> int:
    logger.error("%s", text)
    return code


def _run(options: argparse.Namespace, configuration: Configuration, opener: Opener) -> int:
    # numpy's library would start threads when it is loaded, which keep the privileges of a start
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    pidfile = options.pidfile or configuration.pidfile
    if not options.foreground:
        daemon.detach(pidfile)
    _start_log(options, configuration)

    async def serve(stop: asyncio.Event) -> int:
        async with AsyncExitStack() as stack:
            if options.foreground and pidfile is not None:
                stack.enter_context(daemon.pidfile(pidfile))
            try:
                if await date.right(options.wait_date, stop):
                    plane = await opener(stack, listening(options, configuration))
                    await _serve(options, configuration, plane, stack, stop)
            except Exception:
                stack.pop_all()  # no orderly stop: the policies stay, and the next start takes over
                raise
        logger.info("racoon process %d shutdown", os.getpid())
        return exits.OK

    return daemon.run(serve, REFUSALS)


def _start_log(options: argparse.Namespace, configuration: Configuration) -> None:
    stderr = options.verbose or (options.foreground and options.log is None)
    has_syslog = paths.under_root(logs.SYSLOG_SOCKET).exists()
    logs.setup(
        "racoon",
        file=options.log,
        debug=debug_level(options, configuration),
        syslog=options.log is None and has_syslog and "JOURNAL_STREAM" not in os.environ,
        stderr=stderr,
    )
    set_levels(options, configuration)
    for notice in configuration.notices:
        logger.log(level_of(notice), "%s", notice)


async def _serve(
    options: argparse.Namespace,
    configuration: Configuration,
    plane: Plane,
    stack: AsyncExitStack,
    stop: asyncio.Event,
) -> None:
    logger.info("IPsec by the %s data plane", plane.name)
    state = State(options, configuration)
    driver = _driver(options, state, configuration, plane, stack)
    state.served = Served(plane.backend, driver.tell)
    stack.push_async_callback(state.served.clear)
    await state.served.take_over()
    await state.served.start()
    if not configuration.admin.disabled:  # whoever can ask finds everything in place
        driver.admin = await _open_admin(configuration.admin, driver)
        stack.push_async_callback(driver.admin.close)
    become_user("racoon")
    privileges.drop(KEEP)
    watch = AddressWatch(partial(state.addresses_changed, driver.tell))
    stack.callback(watch.close)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, driver.reload_soon)
    daemon.ready()
    await driver.run(stop)


def _driver(
    options: argparse.Namespace,
    state: State,
    configuration: Configuration,
    plane: Plane,
    stack: AsyncExitStack,
) -> Driver:
    export = None
    folder = export_folder(options)
    if folder is not None:
        files = KeyFiles(folder)
        stack.callback(files.close)
        export = files.write
    return Driver(
        state.engine_config(configuration),
        plane.backend,
        plane.sockets,
        date=lambda: clock.now_ns() / 1e9,
        reload=state.reload,
        export=export,
        port=options.port,
    )


def listening(options: argparse.Namespace, configuration: Configuration) -> Listening:
    return Listening(
        isakmp=configuration.listen,
        natt=configuration.listen_natt,
        isakmp_port=options.port,
        natt_port=options.natt_port,
        versions=(4,) if options.ipv4 else (6,) if options.ipv6 else (4, 6),
    )


async def _open_admin(admin: AdminSocket, driver: Driver) -> AdminServer:
    path = paths.under_root(admin.path or paths.RACOON_SOCKET)
    return await AdminServer.open(
        path,
        driver.desk.answer,
        mode=admin.mode,
        owner=_id(admin.owner, lambda name: getpwnam(name).pw_uid),
        group=_id(admin.group, lambda name: getgrnam(name).gr_gid),
    )


def _id(name: str | None, look_up: Callable[[str], int]) -> int:
    """A user or group id; -1 leaves it. Raises: OSError for an unknown name."""
    if name is None:
        return -1
    if name.isdecimal():
        return int(name)
    try:
        return look_up(name)
    except KeyError:
        raise OSError(0, f"adminsock: there is no user or group '{name}'") from None

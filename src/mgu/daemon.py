"""The life of a daemon: signals, going to the background, pid files, telling that it is ready.

sd_notify(3) goes to the socket of NOTIFY_SOCKET: systemd, or `mgu.services` without systemd.
"""

import asyncio
import atexit
import contextlib
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NoReturn

from mgu import exits, privileges
from mgu.notify import notify
from wire.fault import CannotGoOn
from wire.shortage import is_shortage

_log = logging.getLogger("mgu")


__all__ = ["AlreadyRunning", "detach", "notify", "pidfile", "ready", "run"]


class AlreadyRunning(Exception):
    """Another process holds the pid file; the text names both."""


class _Background:
    """The pipe on which the process that started us waits, once `detach` was called."""

    pipe: int | None = None


def run(
    main: Callable[[asyncio.Event], Coroutine[Any, Any, int]],
    refusals: tuple[type[Exception], ...] = (),
) -> int:
    """Run `main(stop)` to its end and return its exit code.

    Raises: `refusals`, for which the caller has words. Any other exception is a fault: it is in the
    log with what was being done, and the exit code is FAILED.

    SIGTERM and SIGINT set `stop`; a second one cancels `main`. SIGHUP does nothing, unless `main`
    takes it: a closed terminal, or who rotates the logs, ends no daemon. Under a watchdog
    (WATCHDOG_USEC) the loop reports every half period that it still turns. No core is dumped.
    """
    privileges.forbid_core_dumps()

    async def guarded() -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_in_callback)
        task = asyncio.ensure_future(main(stop))

        def on_signal() -> None:
            if stop.is_set():
                task.cancel()
            notify("STOPPING=1")
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        watchdog = asyncio.create_task(_watchdog())
        try:
            return await task
        except asyncio.CancelledError:
            if not stop.is_set():
                raise
            return exits.FAILED
        except refusals:
            raise
        except Exception as error:  # noqa: BLE001 - its supervisor restarts the daemon
            _tell_fault(error)
            return exits.FAILED
        finally:
            watchdog.cancel()

    try:
        return asyncio.run(guarded())
    except RuntimeError as error:
        if not is_shortage(error):
            raise
        return exits.FAILED  # it was told; asyncio wants a thread to end the others


def _tell_fault(error: BaseException, where: str = "") -> None:
    """Into the log: what it was, what was being done, and where in the program."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            _tell_fault(each, where)
        return
    if isinstance(error, CannotGoOn):
        _log.error("%s: the daemon cannot continue and ends", error)
        return
    if is_shortage(error):
        _log.critical("there is not enough memory: the daemon cannot continue and ends")
        return
    doing = "".join(f" {note}" for note in getattr(error, "__notes__", [where] if where else []))
    name = type(error).__name__
    _log.critical("internal error%s: %s: %s", doing, name, error, exc_info=error)


def _in_callback(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What asyncio met outside of `main`: in a callback, or in a task that nobody awaits."""
    error, what = context.get("exception"), str(context.get("message", ""))
    if error is None:
        _log.error("%s", what)
    else:
        _tell_fault(error, f"in the background ({what})")


async def _watchdog() -> None:
    period = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6  # seconds
    while period:
        notify("WATCHDOG=1")
        await asyncio.sleep(period / 2)


def ready() -> None:
    """The daemon serves from now on: lets `detach`'s parent exit, and the service manager go on."""
    notify(f"READY=1\nMAINPID={os.getpid()}")
    if _Background.pipe is not None:
        os.write(_Background.pipe, b"\0")
        os.close(_Background.pipe)
        _Background.pipe = None
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.close(null)


def detach(path: Path | None = None) -> None:
    """Go to the background; with `path`, as its pid file (see `pidfile`).

    The process that called it exits only when the daemon calls `ready()`: with 0, or with the
    daemon's own exit code when that ended first. Call it before threads, loops and sockets.
    Raises: AlreadyRunning (in the daemon).
    """
    first = os.fork()
    if first:
        _, status = os.waitpid(first, 0)
        os._exit(_exit_code(status))
    os.setsid()
    reader, writer = os.pipe()
    second = os.fork()  # no session leader: the daemon never gets a controlling terminal
    if second:
        os.close(writer)
        _await_ready(reader, second)
    os.close(reader)
    os.chdir("/")
    _Background.pipe = writer
    if path is not None:
        holder = contextlib.ExitStack()
        holder.enter_context(pidfile(path))
        atexit.register(holder.close)


def _await_ready(reader: int, child: int) -> NoReturn:
    """End this process as the daemon's start went."""
    if os.read(reader, 1):
        os._exit(exits.OK)
    _, status = os.waitpid(child, 0)
    os._exit(_exit_code(status) or exits.FAILED)  # it ended, and was never ready


def _exit_code(status: int) -> int:
    """As a shell would report it: 128 and the signal's number for one that was killed."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def pidfile(path: Path) -> Iterator[None]:
    """Hold `path` with our pid in it while the block runs.

    The file is locked, so that one of a dead daemon does not matter. If it cannot be written, that
    is a warning, and the daemon continues without it.
    Raises: AlreadyRunning if a living process holds it.
    """
    file = None
    try:
        file = _locked(path)
        os.ftruncate(file, 0)
        os.write(file, b"%d\n" % os.getpid())
    except OSError as error:
        _log.warning("%s: the pid file cannot be written: %s", path, error.strerror)
    try:
        yield
    finally:
        if file is not None:
            with contextlib.suppress(OSError):  # it is root's folder, and we are not root any more
                path.unlink(missing_ok=True)
            os.close(file)


def _locked(path: Path) -> int:
    """Raises: AlreadyRunning, OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_ino == path.stat().st_ino:
                return file
        except BlockingIOError:
            other = os.read(file, 32).decode("ascii", "replace").strip()
            os.close(file)
            program = Path(sys.argv[0]).name
            raise AlreadyRunning(
                f"{path}: {program} runs already as process {other}; stop it first: kill {other}"
            ) from None
        except FileNotFoundError:
            pass  # its holder removed it between our open and our lock: once more
        os.close(file)

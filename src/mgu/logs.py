"""Log lines in racoon's form, for every daemon of the gateway.

File and standard error: `YYYY-MM-DD HH:MM:SS: LEVEL: text`, in local time by the gateway's date.
Syslog: `racoon: LEVEL: text`, facility daemon; the date is the syslog daemon's business.
"""

import contextlib
import logging
import logging.handlers
import os
import select
import socket
import stat
import sys
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Final, TextIO

from mgu import clock
from mgu.logbound import Bound
from mgu.paths import under_root
from wire.unix import short_name

NOTIFY: Final = 25  # racoon's "notify": more than news, less than a warning
DEBUG2: Final = 5
LOGGERS: Final = ("ntp", "eapol", "ike", "xfrm", "mgu")
SYSLOG_SOCKET: Final = "/dev/log"
_ESCAPED: Final = "backslashreplace"  # file names need not be text
_DAEMON: Final = 3 << 3  # syslog's facility (RFC 5424, 6.2.1)
_SEVERITIES: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (NOTIFY, 5),
    (logging.INFO, 6),
    (0, 7),
)
_LEVELS: Final = {
    logging.CRITICAL: "ERROR",
    NOTIFY: "NOTIFY",
    DEBUG2: "DEBUG2",
}


logger = logging.getLogger("mgu")


class _Text(logging.Formatter):
    """`LEVEL: text`, level names as racoon's; with a `peer` in `extra`, `[PEER] LEVEL: text`."""

    def format(self, record: logging.LogRecord) -> str:
        level = _LEVELS.get(record.levelno, record.levelname)
        peer = getattr(record, "peer", None)
        return f"{f'[{peer}] ' if peer else ''}{level}: {super().format(record)}"


class _DatedText(_Text):
    """`YYYY-MM-DD HH:MM:SS: LEVEL: text`."""

    def format(self, record: logging.LogRecord) -> str:
        shift = clock.now_ns() / 1e9 - datetime.now(UTC).timestamp() if clock.simulated() else 0.0
        date = datetime.fromtimestamp(record.created + shift, UTC).astimezone()
        return f"{date:%Y-%m-%d %H:%M:%S}: {super().format(record)}"


def _opener(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY, 0o640)


class _File(logging.handlers.WatchedFileHandler):
    """A log file. What cannot be written is lost; one that was moved away is used until there is
    another. `why` says why there is none.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file, encoding="utf-8", errors=_ESCAPED, delay=True)
        self.why = ""
        self.reopenIfNeeded()

    def reopenIfNeeded(self) -> None:
        old = self.stream
        try:
            if old is not None:
                found = os.stat(self.baseFilename)
                if (found.st_dev, found.st_ino) == (self.dev, self.ino):
                    return
        except OSError:
            pass  # moved away
        try:
            self.stream = self._open()
            self._statstream()
            if old is not None:
                old.close()
        except OSError as error:  # of a full disk, or of a folder that is not ours
            self.why = error.strerror or str(error)

    def _open(self) -> TextIOWrapper:
        """Writing to a pipe without a reader must not block."""
        return open(self.baseFilename, "a", encoding="utf-8", errors=_ESCAPED, opener=_opener)

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            super().emit(record)


class _Stderr(logging.StreamHandler[TextIO]):
    """Standard error. If it is a pipe or a socket that is not read (a stopped journal), lines are
    lost, and the daemon does not block.
    """

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._number = -1  # of its file descriptor, if it may block
        with contextlib.suppress(OSError):  # it is none of the system's
            number = self.stream.fileno()
            if stat.S_IFMT(os.fstat(number).st_mode) in (stat.S_IFIFO, stat.S_IFSOCK):
                self._number = number

    def emit(self, record: logging.LogRecord) -> None:
        if self._number < 0:
            super().emit(record)
            return
        octets = f"{self.format(record)}\n".encode(errors=_ESCAPED)
        room = select.poll()
        room.register(self._number, select.POLLOUT)
        with contextlib.suppress(OSError):  # it has no reader any more
            for at in range(0, len(octets), select.PIPE_BUF):
                if not room.poll(0):  # one is writable when it takes so much: pipe(7)
                    return
                os.write(self._number, octets[at : at + select.PIPE_BUF])


class _Syslog(logging.Handler):
    """Lines to syslog. Where its daemon does not take them, lines are lost, never time."""

    def __init__(self, program: str) -> None:
        """Raises: OSError when no program listens."""
        super().__init__()
        self.setFormatter(_Text())
        self._program = program
        self._socket = _to_syslog()

    def emit(self, record: logging.LogRecord) -> None:
        severity = next(number for level, number in _SEVERITIES if record.levelno >= level)
        line = f"<{_DAEMON | severity}>{self._program}: {self.format(record)}".encode(
            errors=_ESCAPED
        )
        try:
            self._socket.send(line)
        except BlockingIOError:
            pass  # it is behind
        except OSError:  # it was restarted
            with contextlib.suppress(OSError):
                anew = _to_syslog()
                self._socket.close()
                self._socket = anew
                anew.send(line)

    def close(self) -> None:
        self._socket.close()
        super().close()


def _to_syslog() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        with short_name(under_root(SYSLOG_SOCKET)) as name:
            made.connect(name)
    except BaseException:
        made.close()
        raise
    made.setblocking(False)
    return made


def setup(
    program: str,
    *,
    file: Path | None = None,
    debug: int = 0,
    syslog: bool = False,
    stderr: bool = True,
) -> None:
    """Send the log of all packages to `file`, syslog (as `program`) and standard error.

    `debug` counts -d options: 0 logs from INFO on, 1 adds DEBUG, 2 adds DEBUG2. Other libraries
    are heard from WARNING on. Without -d, what comes by the thousand is left out and counted
    (`mgu.logbound`). Calling it again replaces what was set up before.
    A missing syslog is a warning, and so is a `file` that cannot be opened: it is tried again.
    """
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, _Text):
            root.removeHandler(old)
            with contextlib.suppress(OSError):  # of a full disk
                old.close()
    handlers: list[logging.Handler] = []
    refusals: list[str] = []
    if file is not None:
        opened = _File(file)
        handlers.append(opened)
        if opened.stream is None:
            refusals.append(f"the log file {file} cannot be written: {opened.why}")
    if stderr or refusals:
        handlers.append(_Stderr())
    for handler in handlers:
        handler.setFormatter(_DatedText())
    if syslog:
        try:
            handlers.append(_Syslog(program))
        except OSError as error:
            refusals.append(f"no syslog at {SYSLOG_SOCKET}: {error.strerror}")
    for handler in handlers:
        root.addHandler(handler)
    logging.raiseExceptions = False  # a full disk costs lines, and is not told line by line
    set_levels(debug)
    for text in refusals:
        logger.warning("%s", text)


def set_levels(debug: int) -> None:
    """Log from there on that `debug` says, a count of -d options."""
    level = (logging.INFO, logging.DEBUG, DEBUG2)[min(debug, 2)]
    for name in LOGGERS:
        _prepare(logging.getLogger(name), level)


def _prepare(logger: logging.Logger, level: int) -> None:
    logger.setLevel(level)
    for old in logger.filters[:]:
        if isinstance(old, Bound):
            logger.removeFilter(old)
    if level >= logging.INFO:
        logger.addFilter(Bound(logger))

"""Supervises one daemon and restarts it, if there is no init system.

One process for each service. It owns no socket that others reach: the daemon tells it what
sd_notify(3) tells systemd. When it is killed itself the daemon continues, and the next `mgu up`
starts a new one, which takes the daemon over.
"""

import contextlib
import hashlib
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

from mgu.notify import notify
from mgu.services import keeper
from mgu.services.process import Process, recorded
from wire.files import write_whole
from wire.lean import Final
from wire.timer import TimerFired

LOOK: Final = 60.0  # seconds between two looks at the size of the log
AGAIN: Final = 5.0  # seconds between two attempts to write the pid file
LARGEST: Final = 1 << 20
"""Octets of a log; then it becomes NAME.log.1, in place of the one before."""
_CREDENTIALS: Final = struct.Struct("=iII")  # unix(7): pid, uid, gid


class Supervisor:
    def __init__(self, name: str, command: list[str], pid_file: Path, log: Path) -> None:
        self._name, self._command, self._log_file = name, command, log
        self._pid_file = pid_file
        self._daemon: Process | None = recorded(pid_file)
        self._handle = -1  # the daemon's pidfd
        self._adopt()
        self._keeper = keeper.Keeper(name, time.monotonic(), adopted=self._handle >= 0)
        self._signals = _signals()
        self._notices = _notices(pid_file)
        self._manager = os.environ.get("NOTIFY_SOCKET")
        self._code: int | None = None
        self._unwritten = False  # the pid file, for the disk was full
        self._logging = False

    def run(self) -> int:
        """Until the daemon is not to be started again; its exit code, or OK after SIGTERM."""
        if self._handle >= 0:
            self._tell("READY=1")
        look = time.monotonic() + LOOK
        while self._code is None:
            now = time.monotonic()
            limit = min(look, self._keeper.deadline, now + AGAIN if self._unwritten else look)
            events = self._wait(max(0.0, limit - now))
            for event in events or [TimerFired()]:
                self._handle_event(event)
            if self._unwritten and not events:
                self._write_pid_file()
            if time.monotonic() >= look:
                rotate(self._log_file)
                look = time.monotonic() + LOOK
        return self._code

    def _handle_event(self, event: keeper.Event) -> None:
        for command in self._keeper.handle(event, time.monotonic()):
            match command:
                case keeper.Start():
                    self._start()
                case keeper.Terminate():
                    self._signal(signal.SIGTERM)
                case keeper.Kill():
                    self._signal(signal.SIGKILL)
                case keeper.Say(text=text):
                    self._say(text)
                case keeper.End(code=code):
                    with contextlib.suppress(OSError):
                        self._pid_file.unlink(missing_ok=True)
                    self._code = code

    def _wait(self, seconds: float) -> list[keeper.Event]:
        watched: list[socket.socket | int] = [self._signals, self._notices]
        if self._handle >= 0:
            watched.append(self._handle)
        readable, _, _ = select.select(watched, [], [], seconds)
        events: list[keeper.Event] = []
        if self._notices in readable:
            events += self._heard()
        if self._handle in readable:
            events.append(self._reaped())
        if self._signals in readable:
            events += [keeper.Stop() for number in self._signals.recv(64) if number in _ENDS]
        return events

    def _heard(self) -> list[keeper.Event]:
        """What the daemon says; others are not listened to."""
        events: list[keeper.Event] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                room = socket.CMSG_SPACE(_CREDENTIALS.size)
                text, ancillary, _, _ = self._notices.recvmsg(4096, room)
                if self._daemon is None or _sender(ancillary) != self._daemon.pid:
                    continue
                words = text.split(b"\n")
                if b"READY=1" in words:
                    self._tell("READY=1")
                    events.append(keeper.Ready())
                elif b"WATCHDOG=1" in words:
                    events.append(keeper.Alive())
        return events

    def _start(self) -> None:
        try:
            pid = self._spawned()
        except OSError as error:
            self._say(f"{self._command[0]} cannot be started: {error.strerror}")
            self._handle_event(keeper.Ended(None))
            return
        self._daemon, self._handle = Process.of(pid), os.pidfd_open(pid)
        self._unwritten = False
        self._write_pid_file()

    def _write_pid_file(self) -> None:
        """Who asks whether the daemon runs goes by it. On a full disk it is written later."""
        if self._handle < 0:
            return
        try:
            write_whole(self._pid_file, f"{self._daemon}\n".encode())
        except OSError as error:
            if not self._unwritten:
                self._say(f"{error.filename}: the pid file cannot be written: {error.strerror}")
            self._unwritten = True
        else:
            self._unwritten = False

    def _spawned(self) -> int:
        output = _opened(self._log_file)
        env = {
            **os.environ,
            "NOTIFY_SOCKET": "@" + self._notices.getsockname()[1:].decode(),
            "WATCHDOG_USEC": str(int(keeper.SILENCE * 1e6)),
        }
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ]
        try:
            return os.posix_spawn(self._command[0], self._command, env, file_actions=actions)
        finally:
            os.close(output)

    def _adopt(self) -> None:
        """Take over the daemon of a supervisor that was killed."""
        if self._daemon is None:
            return
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(self._daemon.pid)
            # The handle is taken before the check: what it watches is what was checked.
            if self._daemon.alive:
                self._handle = handle
            else:
                os.close(handle)

    def _reaped(self) -> keeper.Ended:
        assert self._daemon is not None
        os.close(self._handle)
        self._handle = -1
        code = None
        with contextlib.suppress(ChildProcessError):  # adopted
            _, status = os.waitpid(self._daemon.pid, 0)
            code = os.waitstatus_to_exitcode(status)
        self._tell(f"EXIT_STATUS={code}")
        return keeper.Ended(code)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def _say(self, text: str) -> None:
        """Into the daemon's log, in the form of its lines."""
        from mgu import logs  # late: most starts have nothing to say, and everybody waits for them

        if not self._logging:
            logs.setup("mgu", file=self._log_file, stderr=False)
            self._logging = True
        logs.logger.warning("%s", text)

    def _tell(self, state: str) -> None:
        """To the command that started us, once."""
        manager, self._manager = self._manager, None
        if manager is not None:
            notify(state)


def rotate(log: Path, largest: int = LARGEST) -> None:
    """Keep the end of a log that has grown too large as NAME.log.1, and empty it.

    It is emptied, not replaced, because the daemon has it open. On a full disk old lines are lost.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size <= largest:
            return
        with contextlib.suppress(OSError), log.open("rb") as file:
            file.seek(-largest, os.SEEK_END)
            write_whole(log.with_name(f"{log.name}.1"), file.read(largest), 0o640)
        os.truncate(log, 0)


_ENDS: Final = frozenset({signal.SIGTERM, signal.SIGINT})


def _signals() -> socket.socket:
    """Readable when a signal has come; its octets are the numbers."""
    ours, kernels = socket.socketpair()
    for each in (ours, kernels):
        each.setblocking(False)
    signal.set_wakeup_fd(kernels.detach())
    ignore: Callable[[int, object], None] = lambda *_: None  # noqa: E731 - the number is what counts
    for number in (*_ENDS, signal.SIGHUP):
        signal.signal(number, ignore)
    return ours


def _notices(pid_file: Path) -> socket.socket:
    """Where the daemon says how it is: no file, so that no full or missing disk is in the way.

    The same for all supervisors of a service: one that takes a daemon over hears it.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    name = hashlib.sha256(os.fsencode(pid_file)).hexdigest()[:32]
    try:
        made.bind(f"\0mgu-supervise-{name}")
    except OSError:  # whoever has that name hears nothing that matters
        made.bind("")  # the kernel chooses one: unix(7), autobind
    made.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    made.setblocking(False)
    return made


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return int(_CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0])
    return None


def _opened(log: Path) -> int:
    """The log, for the daemon's output; without one it goes nowhere."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

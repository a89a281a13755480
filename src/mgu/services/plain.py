"""Services without an init system: pid files, a log file and a marker that says "at boot".

`mgu up` starts what is marked, each with a supervisor that starts it again when it ends
(`mgu.services.supervise`). Readiness comes as sd_notify(3) would bring it.
"""

import os
import select
import socket
import time
from pathlib import Path

from mgu.files import locked, write_whole
from mgu.paths import RUN_DIR, STATE_DIR, under_root
from mgu.services.process import Process, recorded
from mgu.services.table import MGU, Service, ServiceError
from wire.lean import Final

LOG_DIR: Final = "/var/log"
_LAST_WORDS: Final = 5  # lines of the log that a failure quotes
_PATIENCE: Final = 15.0  # seconds: more than the supervisor has with the daemon


class Plain:
    name = "plain"

    def enable(self, service: Service) -> None:
        if not self.enabled(service):  # once more might fail on a full disk
            write_whole(_marker(service), b"started at boot by 'mgu up'\n")

    def disable(self, service: Service) -> None:
        _marker(service).unlink(missing_ok=True)

    def enabled(self, service: Service) -> bool:
        return _marker(service).exists()

    def running(self, service: Service) -> bool:
        return _lives(_pid_file(service))

    def start(self, service: Service, within: float) -> None:
        # Another command that starts it at this moment waits, and then finds it running.
        with locked(under_root(f"{RUN_DIR}/{service.name}.lock")):
            if not self.running(service):
                self._end(_supervisor_file(service))  # it waits between two starts
                self._start(service, within)
            elif not _lives(_supervisor_file(service)):
                self._start(service, within)  # one that takes the daemon over

    def _start(self, service: Service, within: float) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notices:
            notices.bind("")  # the kernel chooses an abstract name: unix(7), autobind
            log = log_file(service)
            begin = log.stat().st_size if log.exists() else 0
            process = Process.of(_spawn(service, log, notices))
            if process is None:
                raise ServiceError(f"{service.name} ended at once{_last_words(service, begin)}")
            try:
                write_whole(_supervisor_file(service), f"{process}\n".encode())
                _await_ready(service, process, notices, within, begin)
            except OSError:
                process.stop()
                raise

    def stop(self, service: Service) -> None:
        for file in (_supervisor_file(service), _pid_file(service)):
            self._end(file)

    @staticmethod
    def _end(file: Path) -> None:
        process = recorded(file)
        if process is not None:
            process.stop(_PATIENCE)
        file.unlink(missing_ok=True)


def log_file(service: Service) -> Path:
    """Where the daemon's standard output and error go."""
    return under_root(f"{LOG_DIR}/{service.name}.log")


def _pid_file(service: Service) -> Path:
    return under_root(f"{RUN_DIR}/{service.name}.pid")


def _marker(service: Service) -> Path:
    return under_root(f"{STATE_DIR}/enabled/{service.name}")


def _supervisor_file(service: Service) -> Path:
    return under_root(f"{RUN_DIR}/{service.name}.supervisor.pid")


def _lives(pid_file: Path) -> bool:
    process = recorded(pid_file)
    return process is not None and process.alive


def _spawn(service: Service, log: Path, notices: socket.socket) -> int:
    """The supervisor in a session of its own, its output appended to `log`. Returns its pid."""
    log.parent.mkdir(parents=True, exist_ok=True)
    files = ["--pid-file", str(_pid_file(service)), "--log", str(log)]
    argv = [*MGU, "supervise", *files, service.name, "--", *service.argv]
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        argv[0],
        argv,
        {**os.environ, "NOTIFY_SOCKET": "@" + notices.getsockname()[1:].decode()},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o640),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _await_ready(
    service: Service, supervisor: Process, notices: socket.socket, within: float, begin: int
) -> None:
    """Raises: ServiceError, with what the daemon logged after offset `begin`."""
    handle = os.pidfd_open(supervisor.pid)
    watched: list[socket.socket | int] = [notices, handle]
    try:
        limit = time.monotonic() + within
        while (left := limit - time.monotonic()) > 0:
            readable, _, _ = select.select(watched, [], [], left)
            words = notices.recv(4096).split(b"\n") if notices in readable else []
            if b"READY=1" in words:
                return
            if words or handle in readable:
                how = _how(words, supervisor)
                raise ServiceError(f"{service.name} {how}{_last_words(service, begin)}")
    finally:
        os.close(handle)
    Plain().stop(service)
    raise ServiceError(
        f"{service.name} was not ready within {within:g} s and was stopped"
        f"{_last_words(service, begin)}"
    )


def _how(words: list[bytes], supervisor: Process) -> str:
    """How the first start ended, from the supervisor's report."""
    for word in words:
        name, _, code = word.decode("ascii", "replace").partition("=")
        if name == "EXIT_STATUS":
            return f"ended with exit code {code}"
    supervisor.alive  # noqa: B018 - reaps it
    return "ended"


def _last_words(service: Service, begin: int) -> str:
    log = log_file(service)
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode("utf-8", "replace").splitlines()[-_LAST_WORDS:]
    if not lines:
        return f"; it logged nothing (log: {log})"
    return "\n".join([f"; {log}:", *(f"  {line}" for line in lines)])

"""Services without an init system: a pid file, a log file and a marker that says "at boot".

`mgu up` starts what is marked. The daemon's readiness comes as sd_notify(3) would bring it.
"""

import contextlib
import os
import select
import socket
import time
from pathlib import Path

from mgu.files import locked, write_whole
from mgu.paths import RUN_DIR, STATE_DIR, under_root
from mgu.services.process import Process
from mgu.services.table import Service, ServiceError
from wire.lean import Final

LOG_DIR: Final = "/var/log"
_LAST_WORDS: Final = 5  # lines of the log that a failure quotes


class Plain:
    name = "plain"

    def enable(self, service: Service) -> None:
        write_whole(_marker(service), b"started at boot by 'mgu up'\n")

    def disable(self, service: Service) -> None:
        _marker(service).unlink(missing_ok=True)

    def enabled(self, service: Service) -> bool:
        return _marker(service).exists()

    def running(self, service: Service) -> bool:
        process = _recorded(service)
        return process is not None and process.alive

    def start(self, service: Service, within: float) -> None:
        # Whoever else starts it at this moment waits, and then finds it running.
        with locked(under_root(f"{RUN_DIR}/{service.name}.lock")):
            if not self.running(service):
                self._start(service, within)

    def _start(self, service: Service, within: float) -> None:
        import tempfile  # late: it takes 3 ms, and most calls start nothing

        with tempfile.TemporaryDirectory(prefix="mgu-") as folder:
            path = f"{folder}/notify"
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notices:
                notices.bind(path)
                log = log_file(service)
                begin = log.stat().st_size if log.exists() else 0
                pid = _spawn(service, log, path)
                process = Process.of(pid)
                if process is not None:
                    write_whole(_pid_file(service), f"{process}\n".encode())
                _await_ready(service, pid, notices, within, begin)

    def stop(self, service: Service) -> None:
        process = _recorded(service)
        if process is not None:
            process.stop()
        _pid_file(service).unlink(missing_ok=True)


def log_file(service: Service) -> Path:
    """Where the daemon's standard output and error go."""
    return under_root(f"{LOG_DIR}/{service.name}.log")


def _pid_file(service: Service) -> Path:
    return under_root(f"{RUN_DIR}/{service.name}.pid")


def _marker(service: Service) -> Path:
    return under_root(f"{STATE_DIR}/enabled/{service.name}")


def _recorded(service: Service) -> Process | None:
    try:
        return Process.parse(_pid_file(service).read_text(encoding="ascii"))
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _spawn(service: Service, log: Path, notify: str) -> int:
    """The daemon in a session of its own, its output appended to `log`. Returns its pid."""
    log.parent.mkdir(parents=True, exist_ok=True)
    argv = service.argv
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        argv[0],
        argv,
        {**os.environ, "NOTIFY_SOCKET": notify},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o640),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _await_ready(
    service: Service, pid: int, notices: socket.socket, within: float, begin: int
) -> None:
    """Raises: ServiceError, with what the daemon logged after offset `begin`."""
    handle = os.pidfd_open(pid)
    watched: list[socket.socket | int] = [notices, handle]
    try:
        limit = time.monotonic() + within
        while (left := limit - time.monotonic()) > 0:
            readable, _, _ = select.select(watched, [], [], left)
            if notices in readable and b"READY=1" in notices.recv(4096).split(b"\n"):
                return
            if handle in readable:
                code = _exit_code(pid)
                raise ServiceError(f"{service.name} ended{code}{_last_words(service, begin)}")
    finally:
        os.close(handle)
    process = Process.of(pid)
    if process is not None:
        process.stop()
    raise ServiceError(
        f"{service.name} was not ready within {within:g} s and was stopped"
        f"{_last_words(service, begin)}"
    )


def _exit_code(pid: int) -> str:
    with contextlib.suppress(ChildProcessError):
        _, status = os.waitpid(pid, 0)
        return f" with exit code {os.waitstatus_to_exitcode(status)}"
    return ""


def _last_words(service: Service, begin: int) -> str:
    log = log_file(service)
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode("utf-8", "replace").splitlines()[-_LAST_WORDS:]
    if not lines:
        return f"; it said nothing (log: {log})"
    return "\n".join([f"; {log}:", *(f"  {line}" for line in lines)])

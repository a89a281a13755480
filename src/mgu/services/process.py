"""A process of ours, identified so that another process with the same number is not mistaken for
it.
"""

import contextlib
import os
import select
import signal
from pathlib import Path

from wire.lean import Self
from wire.record import Record


class Process(Record):
    """`started` is clock ticks since boot (proc(5), field 22 of /proc/PID/stat)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The living process with that number now."""
        fields = _stat(pid)
        if fields is None or fields[0] in ("Z", "X"):
            return None
        return cls(pid, int(fields[19]))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """From the content of a pid file: `PID STARTED`."""
        try:
            pid, started = map(int, text.split())
        except ValueError:
            return None
        return cls(pid, started)

    def __str__(self) -> str:
        return f"{self.pid} {self.started}"

    @property
    def alive(self) -> bool:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)  # if it is our own child: no zombie stays
        return Process.of(self.pid) == self

    def stop(self, patience: float = 10.0) -> None:
        """SIGTERM, and SIGKILL after `patience` seconds; returns when it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            for number in (signal.SIGTERM, signal.SIGKILL):
                # The handle is taken before the check: what it signals is what was checked.
                if not self.alive:
                    return
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
                select.select([handle], [], [], patience)
            self.alive  # noqa: B018 - reaps it
        finally:
            os.close(handle)


def recorded(pid_file: Path) -> Process | None:
    """Whose pid file it is, alive or not."""
    try:
        return Process.parse(pid_file.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        return None


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third (state) on; the second may hold spaces."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()

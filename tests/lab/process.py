"""Peers as child processes, whose output is shown with the test that fails."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from lab.netns import Namespace

_SHOWN = 20_000  # characters of each log in a report
_PATIENCE = 3.0 if os.environ.get("UML") == "1" else 1.0  # a guest beside others is slow


class Ended(AssertionError):
    """The process ended, or did not say what was awaited; the text holds its output."""


class Process:
    """One started program. Its stdout and stderr go to one file, `output`.

    It gets SIGKILL when the test run dies, however that happens. `private` names directories
    that are an empty tmpfs for this process only (needs root).
    """

    started: list["Process"] = []  # noqa: RUF012 - of this test run, for the report; see lab.plugin

    def __init__(
        self,
        argv: Sequence[str],
        *,
        namespace: Namespace | None = None,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        private: Sequence[str] = (),
    ) -> None:
        self.name = name or Path(argv[0]).name
        handle, path = tempfile.mkstemp(prefix=f"mgu-{os.getpid()}-{self.name}.", suffix=".log")
        self.output = Path(path)
        command = ["setpriv", "--pdeathsig", "KILL", "--", *_in_private(private), *argv]
        environment = {**os.environ, **(env or {})}
        with os.fdopen(handle, "wb") as file:
            if namespace is not None:
                self._child = namespace.popen(command, output=file, env=environment, cwd=cwd)
            else:
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=cwd,
                    start_new_session=True,
                )
        self._read = 0  # characters that `line` has looked at
        Process.started.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._child.poll()

    @property
    def text(self) -> str:
        """All that it printed so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    async def line(self, pattern: str, within: float = 10.0) -> re.Match[str]:
        """The next match of `pattern` in what it prints; each call goes on behind the last match.

        Raises: Ended if the process ends before, or `within` seconds pass.
        """
        limit = time.monotonic() + within * _PATIENCE
        while (found := self._look(pattern, limit)) is None:  # noqa: ASYNC110 - a file is read
            await asyncio.sleep(0.01)
        return found

    def wait_line(self, pattern: str, within: float = 10.0) -> re.Match[str]:
        """As `line`, for tests and fixtures without a loop."""
        limit = time.monotonic() + within * _PATIENCE
        while (found := self._look(pattern, limit)) is None:
            time.sleep(0.01)
        return found

    def _look(self, pattern: str, limit: float) -> re.Match[str] | None:
        running = self.running  # asked first: what it printed before its end counts
        text = self.text
        found = re.compile(pattern, re.MULTILINE).search(text, self._read)
        if found is not None:
            self._read = found.end()
        elif not running:
            raise Ended(f"{self.name} ended with {self.exit_code}, without {pattern!r}:\n{text}")
        elif time.monotonic() > limit:
            raise Ended(f"{self.name} did not print {pattern!r} in time:\n{text}")
        return found

    def signal(self, number: int) -> None:
        self._child.send_signal(number)

    def wait(self, within: float = 60.0) -> int:
        """The exit code, once it has ended by itself. Raises: subprocess.TimeoutExpired."""
        return self._child.wait(within * _PATIENCE)

    def stop(self, patience: float = 5.0) -> int:
        """SIGTERM, then SIGKILL for the whole session; returns the exit code. Can be repeated."""
        if self.running:
            self._child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(patience)
        with contextlib.suppress(ProcessLookupError):  # its children, and itself if still there
            os.killpg(self._child.pid, signal.SIGKILL)
        return self._child.wait()


def until(condition: Callable[[], bool], within: float = 60.0) -> None:
    """Look until it is so. Raises: AssertionError after `within` seconds."""
    limit = time.monotonic() + within * _PATIENCE
    while not condition():
        assert time.monotonic() < limit, f"not so within {within:g} s"
        time.sleep(0.05)


def _in_private(folders: Sequence[str]) -> list[str]:
    """A command prefix that gives a program its own empty `folders`."""
    if not folders:
        return []
    mounts = "".join(f"mkdir -p {folder}; mount -t tmpfs tmpfs {folder}; " for folder in folders)
    return ["unshare", "--mount", "sh", "-ec", f'{mounts}exec "$@"', "sh"]


def report_sections() -> Iterator[tuple[str, str]]:
    """Title and text of the log of every process of the running test, for its report."""
    for process in Process.started:
        text = process.text
        cut = "[...]\n" if len(text) > _SHOWN else ""
        yield f"{process.name} (pid {process.pid})", cut + text[-_SHOWN:]


def forget_stopped() -> None:
    """After a test: the logs of what has ended are not the next test's."""
    for process in Process.started[:]:
        if not process.running:
            Process.started.remove(process)
            process.output.unlink(missing_ok=True)

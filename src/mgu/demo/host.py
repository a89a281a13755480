"""A host of the demo: a namespace, a root directory of its own, and commands that are shown."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from mgu.demo.netns import Namespace

PYTHON: Final = (sys.executable, "-P", "-m")
_PATIENCE: Final = 60.0  # seconds for any command


class DemoFailed(Exception):
    """A step did not do what it must; the text says which and how. `logs` tell more."""

    def __init__(self, reason: str, logs: Sequence[Path] = ()) -> None:
        super().__init__(reason)
        self.logs = logs


class Host:
    """`root` is its MGU_ROOT; its daemons' logs are below."""

    def __init__(self, label: str, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.label = label
        self.namespace = Namespace(label)
        self.root = folder / label
        (self.root / "run").mkdir(parents=True)
        (self.root / "var").mkdir()
        (self.root / "var/run").symlink_to("../run")
        self.env = {**os.environ, "MGU_ROOT": str(self.root), **(env or {})}
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def logs(self) -> list[Path]:
        return sorted((self.root / "var/log").glob("*.log"))

    def shown(self, *words: str, cwd: Path | None = None, may_fail: bool = False) -> str:
        """Print a command as typed, run it, print what it prints; returns that.

        The first word is one of this project's commands, `ping` (ours, too) or `swanctl`.
        Raises: DemoFailed.
        """
        print(f"\n{self.label}# {shlex.join(words)}", flush=True)
        output, code = self._run(words, cwd)
        print(output, end="", flush=True)
        if code and not may_fail:
            raise DemoFailed(f"'{shlex.join(words)}' ended with exit code {code}", self.logs)
        return output

    def quiet(self, *words: str) -> bool:
        """Whether a command succeeds."""
        return self._run(words, None)[1] == 0

    def _run(self, words: Sequence[str], cwd: Path | None) -> tuple[str, int]:
        result = self.namespace.call(
            subprocess.run,
            _argv(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.env,
            cwd=cwd or self.root,
            timeout=_PATIENCE,
        )
        return result.stdout, result.returncode

    def start(self, name: str, argv: Sequence[str], ready: str) -> Path:
        """Start a server that runs until the end; waits until its output has the word `ready`.

        Returns: its log. Raises: DemoFailed.
        """
        log = self.root / f"var/log/{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            child = self.namespace.popen(argv, output=file, env=self.env, cwd=self.root)
        self._children.append(child)
        wait_for(
            lambda: ready in log.read_text(errors="replace"),
            f"{name} on {self.label} did not start",
            [log],
            while_running=child,
        )
        return log

    def delete(self) -> None:
        """End all its processes and remove it."""
        self.namespace.delete()
        for child in self._children:
            child.wait()


def _argv(words: Sequence[str]) -> list[str]:
    """The program behind a name: ours, but for those that are only Debian's."""
    name, *rest = words
    if name == "ping":
        return [*PYTHON, "mgu.demo.ping", *rest]
    if name == "mgu":
        return [*PYTHON, "mgu.main", *rest]
    if name == "swanctl":
        return list(words)
    return [*PYTHON, "mgu.main", *words]


def wait_for(
    condition: Callable[[], bool],
    reason: str,
    logs: Sequence[Path] = (),
    *,
    within: float = 10.0,
    while_running: subprocess.Popen[bytes] | None = None,
) -> None:
    """Look until `condition()`; after `within` seconds raises DemoFailed with `reason`."""
    end = time.monotonic() + within
    while not condition():
        if while_running is not None and while_running.poll() is not None:
            raise DemoFailed(f"{reason}: it ended with {while_running.returncode}", logs)
        if time.monotonic() > end:
            raise DemoFailed(f"{reason} within {within:g} s", logs)
        time.sleep(0.02)

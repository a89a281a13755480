"""Our own end of a tunnel in a namespace: its own root, the commands, and the keying daemon."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ike.admin.framing import Command, Request, StatusForm
from lab.netns import Namespace
from lab.process import Process
from mgu.admin_client import Connection, Refused

_MGU: Final = (sys.executable, "-P", "-m", "mgu.main")
_WAIT: Final = 0.01  # seconds between two looks


class Keying:
    """Commands run in `namespace` with the files below `root`."""

    def __init__(self, namespace: Namespace, root: Path, env: Mapping[str, str]) -> None:
        self.namespace = namespace
        self.root = root
        self.env = {**os.environ, "MGU_ROOT": str(root), "TZ": "UTC", **env}

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run an mgu command; a failure is an AssertionError with its output."""
        with self.namespace.entered():
            done = subprocess.run(
                [*_MGU, *words],
                env=self.env,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        if check:
            assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
        return done

    def ipsec(self, *words: str) -> str:
        return self.run("ipsec", *words).stdout

    def racoonctl(self, *words: str) -> str:
        return self.run("racoonctl", *words).stdout

    def status(self) -> dict[str, Any]:
        """What `racoonctl status -f json` prints, without a process for it."""
        with Connection(self.socket) as connection:
            reply = connection.ask(Request(command=Command.STATUS_VERBOSE, subject=StatusForm.JSON))
        document: dict[str, Any] = json.loads(reply.body)
        return document

    @property
    def socket(self) -> Path:
        return self.root / "var/run/racoon/racoon.sock"

    def answers(self) -> bool:
        """Whether the daemon answers racoonctl."""
        try:
            self.status()
        except Refused:
            return False
        return True

    def tunnels(self) -> int:
        """How many pairs of IPsec SAs are established."""
        return sum(child["state"] == "established" for child in self.status()["phase2"])

    def octets(self) -> list[int]:
        """What each SA has carried, as `racoonctl show-sa ipsec` prints it."""
        shown = self.racoonctl("show-sa", "ipsec")
        return [int(octets) for octets in re.findall(r"current: (\d+)\(bytes\)", shown)]

    def edit(self, path: str, old: str, new: str) -> None:
        """Change a configuration file as an administrator would."""
        file = self.root / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def ping(self, to: str, count: int = 3, source: str | None = None) -> bool:
        """Whether every one of `count` echo requests was answered.

        With -W alone, the answer to the last is lost for ping when it takes longer than 50 ms. With
        -w, ping goes on sending until `count` are answered: those beyond `count` do not matter.
        """
        options = ["-I", source] if source else []
        limit = str(3 + count // 20)
        done = self.namespace.run(
            "ping", "-c", str(count), "-i", "0.05", "-w", limit, *options, to, check=False
        )
        answered = {int(number) for number in re.findall(r"icmp_seq=(\d+) ttl=", str(done.stdout))}
        return answered >= set(range(1, count + 1))

    @contextmanager
    def iked(self, *options: str) -> Iterator[Process]:
        """The keying daemon while the block runs."""
        conf = str(self.root / "etc/racoon.conf")
        argv = [*_MGU, "iked", "-F", "-f", conf, *options]
        with Process(argv, namespace=self.namespace, name="iked", env=self.env) as daemon:
            daemon.wait_line("IPsec by the .* data plane")
            until(self.answers)
            yield daemon


def until(what: Callable[[], bool], within: float = 10.0) -> None:
    """Wait for what processes beside us bring about. Raises AssertionError after `within` s."""
    limit = time.monotonic() + within
    while not what():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(_WAIT)

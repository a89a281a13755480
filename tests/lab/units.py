"""What the tests of the gateway under a real systemd share: its configuration, and its switch."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lab.netns import Namespace
from lab.process import Process
from lab.systemd import Systemd
from mgu import services
from mgu.demo.papers import IDENTITY, Papers

PYTHON: Final = (sys.executable, "-P", "-m")
MAIN: Final = (*PYTHON, "mgu.main")
BOOT: Final = "gateway.target"


def readable_by_all() -> None:
    """This program where everybody can read it, as an installation is."""
    for folder in (Path(sys.executable).resolve(), Path(sys.executable), Path(__file__)):
        for each in folder.parents:
            each.chmod(each.stat().st_mode | 0o011)


def ip(*commands: str) -> None:
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)


@contextmanager
def switch(
    papers: Papers, interface: str, *options: str, namespace: Namespace | None = None
) -> Iterator[Process]:
    """The authenticator at the other end of eth0."""
    files = [
        word
        for option, name in (("--ca", "ca"), ("--cert", "server"), ("--key", "key"))
        for word in (option, str(papers.server / f"{name}.pem"))
    ]
    argv = [*PYTHON, "eapol.aio.authenticator", "-i", interface, *files, *options]
    with Process(argv, name="switch", namespace=namespace) as running:
        running.wait_line("ready", 30)
        yield running


def install(init: Systemd, papers: Papers) -> None:
    """The certificates, as an administrator does it; the port is enabled."""
    files = {name: str(papers.client / f"{name}.pem") for name in ("client", "ca", "key")}
    given = ("-l", files["client"], "-c", files["ca"], "-i", IDENTITY, "-p", files["key"], "-a")
    init.run(*MAIN, "net8021x", *given)


def make_boot_target(init: Systemd) -> None:
    """What multi-user.target has of ours, but alone."""
    names = " ".join(f"{each.name}.service" for each in reversed(services.SERVICES))
    Path("/etc/systemd/system", BOOT).write_text(f"[Unit]\nWants={names}\nAfter={names}\n")
    init.run("systemctl", "daemon-reload")

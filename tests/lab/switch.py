"""Our own authenticator as a process, as a switch with its EAP-TLS server."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.netns import Namespace
from lab.peers.freeradius import SECRET
from lab.pki import Site, write
from lab.process import Process


@contextmanager
def switch(namespace: Namespace, folder: Path, site: Site, *options: str) -> Iterator[Process]:
    """`python -m eapol.aio.authenticator -i eth0`, ready; it prints each change of its port."""
    files = write(folder, "switch", site.server, site.root)
    argv = [sys.executable, "-m", "eapol.aio.authenticator", "-i", "eth0"]
    argv += ["--ca", str(files.ca), "--cert", str(files.certificate), "--key", str(files.key)]
    with Process([*argv, *options], namespace=namespace, name="switch") as process:
        process.wait_line("^ready")
        yield process


@contextmanager
def radius_switch(
    namespace: Namespace, folder: Path, *options: str, interface: str = "eth0"
) -> Iterator[Process]:
    """`python -m mgu.switch`, ready, with the RADIUS server of its namespace behind it."""
    secret = folder / "radius.secret"
    secret.write_text(f"{SECRET}\n")
    argv = [sys.executable, "-m", "mgu.switch", "-i", interface, "--radius", "127.0.0.1"]
    argv += ["--secret-file", str(secret), *options]
    with Process(argv, namespace=namespace, name="switch") as process:
        process.wait_line("^ready")
        yield process

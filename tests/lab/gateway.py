"""The gateway's port as the tests use it: `mgu supplicant` in a namespace, and its control socket.

The directory of the control socket is short-lived and short-named, for a socket's path may count no
more than 107 octets.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from eapol.config import Config, text
from eapol.settings import Network
from lab import require
from lab.netns import Namespace
from lab.pki import Issued, Site, write
from lab.process import Process
from mgu.wpa_ctrl import Client, NotServed, fields

IDENTITY = b"gw-0001"


class Supplicant:
    """A running supplicant, ours or Debian's, and what its control socket says."""

    def __init__(self, process: Process, folder: Path, interface: str = "eth0") -> None:
        self.process = process
        self.folder = folder
        self.interface = interface

    def ask(self, command: str) -> str:
        with Client(self.folder, self.interface) as client:
            return client.request(command)

    def status(self) -> dict[str, str]:
        return fields(self.ask("STATUS-VERBOSE"))

    def until(self, within: float = 10.0, **wanted: str) -> dict[str, str]:
        """The status as soon as it has `wanted` (blanks of a name written as underscores)."""
        limit = time.monotonic() + within
        while True:
            shown = self.status()
            plain = {name.replace(" ", "_"): value for name, value in shown.items()}
            if wanted.items() <= plain.items():
                return shown
            assert time.monotonic() < limit, f"not {wanted} in {within} s but {shown}"
            time.sleep(0.01)

    def authorized(self, within: float = 10.0) -> dict[str, str]:
        return self.until(within, suppPortStatus="Authorized", EAP_state="SUCCESS")

    def held(self, within: float = 10.0) -> dict[str, str]:
        return self.until(within, Supplicant_PAE_state="HELD", suppPortStatus="Unauthorized")


def network(
    folder: Path, site: Site, client: Issued | None = None, passphrase: bytes | None = None
) -> Network:
    """A network with the site's certificates, written to `folder`."""
    files = write(folder, "gw", client or site.client, site.root, passphrase=passphrase)
    return Network(
        identity=IDENTITY,
        ca_cert=str(files.ca),
        client_cert=str(files.certificate),
        private_key=str(files.key),
    )


@contextmanager
def supplicant(
    namespace: Namespace,
    network: Network,
    *options: str,
    group: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Supplicant]:
    """`mgu supplicant -i eth0` with that network, until the block ends."""
    argv = [sys.executable, "-m", "mgu.main", "supplicant", "-d", *options]
    with _running(namespace, argv, network, group=group, env=env) as running:
        yield running


@contextmanager
def debians(
    namespace: Namespace, network: Network, phase1: str | None = None
) -> Iterator[Supplicant]:
    """Debian's wpa_supplicant with that network; `phase1` in its own words."""
    argv = [require.program("wpa_supplicant"), "-D", "wired"]
    with _running(namespace, argv, network, phase1=phase1) as running:
        yield running


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short name."""
    folder = Path(tempfile.mkdtemp(prefix="mgu-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(
    namespace: Namespace,
    argv: list[str],
    network: Network,
    *,
    group: str | None = None,
    phase1: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Supplicant]:
    with short_folder() as folder:
        folder.chmod(0o770)
        config = Config(ctrl_interface=str(folder), ctrl_interface_group=group, networks=(network,))
        path = folder / "conf"
        content = text(config)
        if phase1 is not None:
            content = content.replace("}", f'\tphase1="{phase1}"\n}}')
        path.write_text(content)
        words = [*argv, "-i", "eth0", "-c", str(path)]
        name = "mgu-supplicant" if "mgu.main" in argv else "wpa_supplicant"
        with Process(words, namespace=namespace, name=name, env=env) as process:
            running = Supplicant(process, folder)
            wait(lambda: _answers(running), process)
            yield running


def _answers(running: Supplicant) -> bool:
    try:
        return running.ask("PING") == "PONG\n"
    except NotServed:
        return False


def wait(holds: Callable[[], bool], process: Process, within: float = 10.0) -> None:
    """Until `holds()`; a process that ended fails at once."""
    limit = time.monotonic() + within
    while not holds():
        assert process.running, f"{process.name} ended with {process.exit_code}"
        assert time.monotonic() < limit
        time.sleep(0.005)

"""The other ends by this project's own server roles: nothing of the distribution is needed."""

import threading
from pathlib import Path
from typing import Final

from mgu.demo.host import PYTHON, Host
from mgu.demo.office import FIREWALL, GATEWAY, HEAD_OFFICE, TIME_SERVER, Office
from mgu.demo.papers import Papers

TLS_KEYS: Final = "tls-switch"


class OwnPeers:
    description = (
        "our own: ntp.server, eapol.authenticator (a switch with a built-in EAP-TLS server), mgu "
        "iked"
    )

    def __init__(self, keys: Path) -> None:
        self._keys = keys
        self._watcher: threading.Thread | None = None
        self._closing = threading.Event()

    def start_time_server(self, office: Office) -> None:
        argv = [*PYTHON, "ntp.aio.server", "-b", TIME_SERVER]
        office.timeserver.start("ntp-server", argv, ready="serving on")

    def start_switch(self, office: Office, papers: Papers) -> None:
        files = {name: str(papers.server / f"{name}.pem") for name in ("ca", "server", "key")}
        argv = [*PYTHON, "eapol.aio.authenticator", "-i", "port1"]
        argv += ["--ca", files["ca"], "--cert", files["server"], "--key", files["key"]]
        argv += ["--key-log", str(self._keys / TLS_KEYS)]
        log = office.switch.start("authenticator", argv, ready="ready")
        self._watcher = threading.Thread(target=self._watch, args=(office, log), daemon=True)
        self._watcher.start()

    def _watch(self, office: Office, log: Path) -> None:
        """The port follows what the authenticator says, line by line."""
        with log.open(encoding="utf-8", errors="replace") as lines:
            while not self._closing.wait(0.01):
                for line in lines:
                    if line.startswith(("authorized", "unauthorized")):
                        office.set_authorized(line.startswith("authorized"))

    def start_firewall(self, office: Office, key: str) -> None:
        """`ipsec` configures it, as it does the gateway: the other way round."""
        firewall: Host = office.firewall
        firewall.shown(
            "ipsec",
            "--create",
            "--name=branch",
            f"--src-address={FIREWALL}",
            f"--src-network={HEAD_OFFICE}",
            f"--dst-address={GATEWAY}",
            f"--dst-network={GATEWAY}/32",
            f"--dst-preshared-key={key}",
            "--start",
        )

    def close(self) -> None:
        self._closing.set()
        if self._watcher is not None:
            self._watcher.join()

"""The other ends by this project's own server roles: nothing of the distribution is needed."""

from contextlib import ExitStack

from mgu.demo.host import PYTHON
from mgu.demo.office import FIREWALL, GATEWAY, HEAD_OFFICE, TIME_SERVER, Office
from mgu.demo.papers import Papers
from mgu.demo.port import PortControl


class OwnPeers:
    description = """this project's own roles: ntp.server; eapol.authenticator, a switch
with a built-in EAP-TLS server (the authentication server idles); mgu iked on the firewall"""

    def __init__(self) -> None:
        self._running = ExitStack()

    def start_time_server(self, office: Office) -> None:
        argv = [*PYTHON, "ntp.aio.server", "-b", TIME_SERVER]
        office.timeserver.start("ntp-server", argv, ready="serving on")

    def start_switch(self, office: Office, papers: Papers) -> None:
        files = {name: str(papers.server / f"{name}.pem") for name in ("ca", "server", "key")}
        argv = [*PYTHON, "eapol.aio.authenticator", "-i", "port1"]
        argv += ["--ca", files["ca"], "--cert", files["server"], "--key", files["key"]]
        log = office.switch.start("authenticator", argv, ready="ready")
        control = PortControl(log, "authorized ", "unauthorized", office.set_authorized)
        self._running.callback(control.start().stop)

    def start_firewall(self, office: Office, key: str) -> None:
        """`ipsec` configures it, as it does the gateway: the other way round."""
        office.firewall.shown(
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

    def first_from_remote(self, office: Office) -> None:
        """The node's first packet brings the tunnel up."""

    def close(self) -> None:
        self._running.close()

"""What the demo tells: the manual's chapters 5 and 6, step by step, each checked."""

import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from mgu import exits
from mgu.boot import port_status
from mgu.demo import wireshark
from mgu.demo.host import DemoFailed, wait_for
from mgu.demo.office import FIREWALL, GATEWAY, HEAD_OFFICE, NODE, TIME_SERVER, Office
from mgu.demo.papers import IDENTITY, Papers, issue
from mgu.demo.peers import Peers

FOLDER: Final = Path("/run/demo")
_LOG_LINES: Final = 30  # of each log, when a step fails
_EXPORT: Final = "MGU_EXPORT_KEYS"


def run(peers: str, output: Path) -> int:
    """Tell it; returns the exit code."""
    begin = time.monotonic()
    try:
        FOLDER.mkdir(mode=0o755)  # on a /run of our own, which goes with us
        _tell(peers, FOLDER, output)
    except DemoFailed as error:
        _explain(error)
        return exits.FAILED
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return exits.FAILED
    print(f"\nAll steps did what they must, in {time.monotonic() - begin:.1f} s.")
    return exits.OK


def _explain(error: DemoFailed) -> None:
    for log in error.logs:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        print(f"\n--- {log.name}, the last lines", *lines, sep="\n", file=sys.stderr)
    print(f"\ndemo: FAILED: {error}", file=sys.stderr)


def _tell(chosen: str, folder: Path, output: Path) -> None:
    keys = folder / "keys"
    keys.mkdir(mode=0o700)
    with ExitStack() as stack:
        peers = _peers(chosen)
        office = Office(folder, {_EXPORT: str(keys), "MGU_DATAPLANE": "userspace"})
        stack.callback(office.delete)
        stack.callback(peers.close)
        capture = office.capture()
        stack.enter_context(capture)
        story = Story(office, peers, issue(folder / "papers"))
        with _written_at_the_end(output, office, capture, keys):
            story.tell()


def _peers(chosen: str) -> Peers:
    if chosen == "own":
        from mgu.demo.own import OwnPeers

        return OwnPeers()
    from mgu.demo.real import RealPeers

    return RealPeers()


class Story:
    """The steps, in their order. Each raises DemoFailed when it did not do what it must."""

    def __init__(self, office: Office, peers: Peers, papers: Papers) -> None:
        self.office = office
        self.gateway = office.gateway
        self.peers = peers
        self.papers = papers

    def tell(self) -> None:
        self.set_the_scene()
        self.right_time()
        self.open_port()
        self.keyed_tunnel()
        self.reboot()

    def set_the_scene(self) -> None:
        _title("The branch office")
        print(f"""
    gateway {GATEWAY} -- switch -- firewall {FIREWALL} == head office {HEAD_OFFICE}
                             |                                (node {NODE})
                             +-- time server {TIME_SERVER}

Every host is a network namespace; each `host# command` below runs there, below a root directory of
its own. The gateway's clock is a simulated one (MGU_CLOCK): this machine's is not touched.
IPsec is done in user space (MGU_DATAPLANE=userspace), so that any kernel will do.
Other ends: {self.peers.description}.""")
        self.office.forget_date()
        self.peers.start_time_server(self.office)
        self.peers.start_switch(self.office, self.papers)

    def right_time(self) -> None:
        _title("Right time (manual, 5.1)")
        self.gateway.shown("localNTP", "-s")
        self.gateway.shown("localNTP", "-a", "-n", TIME_SERVER)
        off = abs(self.office.date() - time.time())
        _must(off < 0.1, f"the gateway's date is {off:.3f} s off")
        print(f"\nThe gateway's date is right now, within {off * 1000:.1f} ms.")

    def open_port(self) -> None:
        _title("Open port (manual, 5.3 and 5.4)")
        self._port_must_be(open_=False)
        self.gateway.shown(
            "net8021x",
            *("-l", "./client.pem", "-c", "./ca.pem", "-i", IDENTITY, "-p", "./key.pem", "-a"),
            cwd=self.papers.client,
        )
        print("\nThe manual reboots here; `mgu up` is what the service files call at boot.")
        self.gateway.shown("mgu", "up", "port")
        status = self.gateway.shown("wpa_cli", "status")
        for line in ("Supplicant PAE state=AUTHENTICATED", "suppPortStatus=Authorized"):
            _must(line in status, f"wpa_cli status does not say {line}")
        self._port_must_be(open_=True)

    def _port_must_be(self, *, open_: bool) -> None:
        """The switch is asked by traffic, not by its own word."""

        def passes() -> bool:
            return self.gateway.quiet("ping", "-c1", "-W0.3", FIREWALL)

        if open_:
            wait_for(passes, "the switch passes nothing, though the port is authorized", within=3)
            print(f"\nThe switch passes the gateway's traffic: {FIREWALL} answers a ping.")
        else:
            _must(not passes(), "the switch passes traffic of a port that is not authorized")
            print(f"\nThe port is closed: {FIREWALL} does not answer a ping of the gateway.")

    def keyed_tunnel(self) -> None:
        _title("Keyed tunnel (manual, 6.1)")
        tunnel_key = secrets.token_urlsafe(12)
        self.peers.start_firewall(self.office, tunnel_key)
        self.gateway.shown(
            "ipsec",
            "--create",
            "--name=office",
            f"--dst-address={FIREWALL}",
            f"--dst-network={HEAD_OFFICE}",
            f"--src-preshared-key={secrets.token_urlsafe(12)}",
            f"--dst-preshared-key={tunnel_key}",
            "--start",
        )
        print("\nFrom the remote side first, as the manual recommends:")
        self.peers.first_from_remote(self.office)
        self.office.node.shown("ping", "-c3", "-W3", GATEWAY)
        self.gateway.shown("ping", "-c3", "-W3", NODE)
        self._show_sas()
        print()
        for line in self.gateway_log("racoon"):
            if "established" in line:
                print(line)

    def _show_sas(self) -> None:
        self.gateway.shown("racoonctl", "-ll", "show-sa", "isakmp")
        output = self.gateway.shown("racoonctl", "show-sa", "ipsec")
        _must(output.count("state=mature") >= 2, "there are no IPsec SAs in both directions")
        _must("aes-cbc" in output and "hmac-sha1" in output, "not the manual's algorithms")
        _must("current: 0(bytes)" not in output, "an IPsec SA has carried nothing")

    def reboot(self) -> None:
        _title("Reboot: everything again, from the files alone")
        self.gateway.shown("mgu", "down")
        self._port_must_be(open_=False)
        self._lose_power()
        print("\nThe power is gone: /run is empty, and the gateway's clock says 1970 again.")
        self.gateway.shown("mgu", "up")
        self._port_must_be(open_=True)
        print("\nThis time the gateway's first packet brings the tunnel up:")
        self.gateway.shown("ping", "-c3", "-W3", NODE)
        self.office.node.shown("ping", "-c3", "-W3", GATEWAY)
        self._show_sas()
        status = port_status(self.gateway.root / "run/wpa_supplicant/eth0")
        _must(status.get("suppPortStatus") == "Authorized", "the port did not stay authorized")

    def _lose_power(self) -> None:
        run = self.gateway.root / "run"
        shutil.rmtree(run)
        run.mkdir()
        self.office.forget_date()

    def gateway_log(self, service: str) -> list[str]:
        log = self.gateway.root / f"var/log/{service}.log"
        return log.read_text(encoding="utf-8", errors="replace").splitlines()


@contextmanager
def _written_at_the_end(
    output: Path, office: Office, capture: wireshark.Frames, keys: Path
) -> Iterator[None]:
    """Captures, keys and logs are of use after a failure, too."""
    try:
        yield
    finally:
        captures = wireshark.write(output, capture, keys)
        _copy_logs(office, output / "logs")
        print(f"\nCaptures, keys and logs are in {output}.", flush=True)
    _title("The captures")
    clear, sealed = wireshark.count(capture)
    print(f"\n{len(capture.frames)} frames of {len(captures)} links:\n")
    print(*(f"    {path}" for path in captures), sep="\n")
    print(f"""
Between gateway and firewall: {sealed} packets of ESP, and {clear} of the tunnel's traffic in clear.
The keys are in {output / wireshark.PROFILE}, a configuration folder of Wireshark. This
shows EAP-TLS, ISAKMP and ESP decrypted:

    WIRESHARK_CONFIG_DIR={output / wireshark.PROFILE} wireshark {captures[0]}

Whoever has these files reads the traffic; only you can read them (mode 0600).""")
    _must(sealed > 0, "there is no ESP on the wire")
    _must(clear == 0, f"{clear} packets of the tunnel's traffic went over the wire in clear")


def _copy_logs(office: Office, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for host in office.hosts:
        for log in host.logs:
            shutil.copyfile(log, folder / f"{host.label}-{log.name}")


def _title(text: str) -> None:
    print(f"\n=== {text} {'=' * (90 - len(text))}")


def _must(condition: bool, reason: str) -> None:
    if not condition:
        raise DemoFailed(reason)

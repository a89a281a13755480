"""hostapd as an 802.1X switch of one port (driver=wired), with FreeRADIUS or its own EAP server.

Like a real switch it sends to the PAE group address. Unlike one it does not poll a silent port,
and does not notice that the link went away: `Hostapd.restart` is the switch that was restarted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import require
from lab.netns import Namespace
from lab.peers.freeradius import PORT, SECRET
from lab.pki import Authority, Issued
from lab.process import Process

_COMMON = """\
interface={interface}
driver=wired
logger_stdout=-1
logger_stdout_level=0
ieee8021x=1
eapol_version=2
use_pae_group_addr=1
eap_reauth_period={reauth}
"""

_RADIUS = f"""\
own_ip_addr=127.0.0.1
nas_identifier=switch
auth_server_addr=127.0.0.1
auth_server_port={PORT}
auth_server_shared_secret={SECRET}
"""

_OWN_SERVER = """\
eap_server=1
eap_user_file={folder}/eap_users
ca_cert={folder}/ca.pem
server_cert={folder}/server.pem
private_key={folder}/server-key.pem
fragment_size={fragment_size}
tls_flags={tls_flags}
check_crl={check_crl}
"""

_RADIUS_SERVER = f"""\
interface=lo
driver=none
logger_stdout=-1
logger_stdout_level=0
radius_server_clients={{folder}}/radius_clients
radius_server_auth_port={PORT}
radius_server_ipv6=1
"""


@dataclass(frozen=True, kw_only=True)
class OwnServer:
    """hostapd's own EAP server. `tls_flags` and `more` as hostapd.conf has them, `users` as its
    eap_user_file does."""

    server: Issued
    ca: Authority
    fragment_size: int = 1398
    tls_flags: str = "[ENABLE-TLSv1.3]"
    users: str = "* TLS"
    more: str = ""
    crl: bytes | None = None


class Hostapd:
    """The running switch. `authorized` waits for its own word, not the supplicant's."""

    def __init__(self, argv: list[str], namespace: Namespace) -> None:
        self._argv = argv
        self._namespace = namespace
        self.process = self._start()

    def _start(self) -> Process:
        process = Process(self._argv, namespace=self._namespace, name="hostapd")
        process.wait_line("AP-ENABLED")
        return process

    def restart(self) -> None:
        """All ports are closed again, and nobody is told."""
        self.process.stop()
        self.process = self._start()

    def authorized(self, within: float = 10.0) -> None:
        """The port opens, after the last thing that was awaited."""
        self.process.wait_line("IEEE 802.1X: authorizing port", within)

    def unauthorized(self, within: float = 10.0) -> None:
        self.process.wait_line("IEEE 802.1X: unauthorizing port", within)


@contextmanager
def hostapd(
    namespace: Namespace,
    folder: Path,
    *,
    interface: str = "eth0",
    own_server: OwnServer | None = None,
    reauth: int = 0,
) -> Iterator[Hostapd]:
    """Runs while the block does. `reauth` in seconds, 0 for never; `folder` for its files."""
    configuration = folder / "hostapd.conf"
    text = _COMMON.format(interface=interface, folder=folder, reauth=reauth)
    if own_server is None:
        text += _RADIUS
    else:
        text += _own_server(folder, own_server)
    configuration.write_text(text)
    made = Hostapd([require.program("hostapd"), "-d", str(configuration)], namespace)
    try:
        yield made
    finally:
        made.process.stop()


@contextmanager
def radius_server(namespace: Namespace, folder: Path, own_server: OwnServer) -> Iterator[Process]:
    """hostapd without a port, as a RADIUS server at 1812 of its namespace."""
    configuration = folder / "hostapd-radius.conf"
    text = _RADIUS_SERVER.format(folder=folder) + _own_server(folder, own_server)
    configuration.write_text(text)
    (folder / "radius_clients").write_text(f"127.0.0.1 {SECRET}\n::1 {SECRET}\n")
    argv = [require.program("hostapd"), "-d", str(configuration)]
    with Process(argv, namespace=namespace, name="hostapd") as process:
        process.wait_line("AP-ENABLED")
        yield process


def _own_server(folder: Path, settings: OwnServer) -> str:
    (folder / "eap_users").write_text(f"{settings.users}\n")
    (folder / "server.pem").write_bytes(settings.server.certificate_pem())
    (folder / "server-key.pem").write_bytes(settings.server.key_pem())
    (folder / "ca.pem").write_bytes(settings.ca.certificate_pem() + (settings.crl or b""))
    return (
        _OWN_SERVER.format(
            folder=folder,
            fragment_size=settings.fragment_size,
            tls_flags=settings.tls_flags,
            check_crl=0 if settings.crl is None else 1,
        )
        + f"{settings.more}\n"
    )

"""The other ends by Debian's programs: chronyd, hostapd with FreeRADIUS, strongSwan."""

import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from mgu.demo.host import DemoFailed, Host
from mgu.demo.office import (
    AUTH_SERVER,
    FIREWALL,
    GATEWAY,
    HEAD_OFFICE,
    SWITCH,
    Office,
)
from mgu.demo.papers import Papers
from mgu.demo.port import PortControl
from mgu.files import PRIVATE, write_whole

_RADIUS_SECRET: Final = "between switch and server"
_RADIUS_USER: Final = "freerad"
_CHARON: Final = "/usr/lib/ipsec/charon"
_PLUGINS: Final = "random nonce aes sha1 sha2 hmac gmp openssl constraints kdf"

_CHRONYD: Final = """\
local stratum 1
allow all
cmdport 0
bindcmdaddress /
pidfile {folder}/chronyd.pid
"""

_HOSTAPD: Final = f"""\
interface=port1
driver=wired
logger_stdout=-1
logger_stdout_level=1
ieee8021x=1
use_pae_group_addr=1
own_ip_addr={SWITCH}
nas_identifier=switch
auth_server_addr={AUTH_SERVER}
auth_server_port=1812
auth_server_shared_secret={_RADIUS_SECRET}
"""

_RADIUSD: Final = """\
prefix = /usr
libdir = /usr/lib/freeradius
logdir = {folder}
run_dir = {folder}
raddbdir = {folder}
log {{
    destination = stdout
    auth = yes
}}
security {{
    status_server = no
}}
client switch {{
    ipaddr = {switch}
    secret = "{secret}"
    require_message_authenticator = yes
}}
modules {{
    eap {{
        default_eap_type = tls
        tls-config common {{
            private_key_file = {folder}/key.pem
            certificate_file = {folder}/server.pem
            ca_file = {folder}/ca.pem
            tls_min_version = "1.2"
            tls_max_version = "1.3"
        }}
        tls {{
            tls = common
        }}
    }}
}}
server default {{
    listen {{
        type = auth
        ipaddr = {address}
        port = 1812
    }}
    authorize {{
        eap
    }}
    authenticate {{
        eap
    }}
}}
"""

# The gateway is the peer and the far end of the tunnel in one: a mark keeps IKE out of the tunnel.
_STRONGSWAN: Final = """\
charon {{
  load = {plugins} kernel-libipsec kernel-netlink socket-default vici updown
  install_virtual_ip = no
  filelog {{
    stderr {{
      default = 1
      flush_line = yes
    }}
  }}
  plugins {{
    vici {{
      socket = unix://{folder}/vici
    }}
    kernel-libipsec {{
      allow_peer_ts = yes
    }}
    kernel-netlink {{
      fwmark = !0x42
    }}
    socket-default {{
      fwmark = 0x42
    }}
  }}
}}
"""

_SWANCTL: Final = """\
connections {{
  gateway {{
    version = 1
    local_addrs = {firewall}
    remote_addrs = {gateway}
    proposals = aes128-sha1-modp1024
    local {{
      auth = psk
      id = {firewall}
    }}
    remote {{
      auth = psk
      id = {gateway}
    }}
    children {{
      branch {{
        local_ts = {network}
        remote_ts = {gateway}/32
        esp_proposals = aes128-sha1
      }}
    }}
  }}
}}
secrets {{
  ike-gateway {{
    id = {gateway}
    secret = "{key}"
  }}
}}
"""


class RealPeers:
    description = """Debian's chronyd, hostapd (wired) with FreeRADIUS, and strongSwan (with its
own ESP in user space, kernel-libipsec, which is always ESP in UDP)"""

    def __init__(self) -> None:
        self._running = ExitStack()

    def start_time_server(self, office: Office) -> None:
        host = office.timeserver
        conf = host.root / "chrony.conf"
        write_whole(conf, _CHRONYD.format(folder=host.root).encode())
        argv = [_program("chronyd"), "-x", "-d", "-u", "root", "-f", str(conf)]
        host.start("chronyd", argv, ready="Running with root privileges")

    def start_switch(self, office: Office, papers: Papers) -> None:
        self._start_freeradius(office.authserver, papers)
        conf = office.switch.root / "hostapd.conf"
        write_whole(conf, _HOSTAPD.encode(), PRIVATE)
        argv = [_program("hostapd"), "-d", str(conf)]
        log = office.switch.start("hostapd", argv, ready="AP-ENABLED")
        control = PortControl(
            log,
            "IEEE 802.1X: authorizing port",
            "IEEE 802.1X: unauthorizing port",
            office.set_authorized,
        )
        self._running.callback(control.start().stop)

    def _start_freeradius(self, host: Host, papers: Papers) -> None:
        """As its own user, which has a folder of its own."""
        folder = host.root / "raddb"
        shutil.copytree(papers.server, folder)
        text = _RADIUSD.format(
            folder=folder, switch=SWITCH, address=AUTH_SERVER, secret=_RADIUS_SECRET
        )
        write_whole(folder / "radiusd.conf", text.encode(), PRIVATE)
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, _RADIUS_USER, _RADIUS_USER)
        user = ["--reuid", _RADIUS_USER, "--regid", _RADIUS_USER, "--clear-groups"]
        radiusd = [_program("freeradius"), "-X", "-d", str(folder), "-n", "radiusd"]
        argv = [_program("setpriv"), *user, "--", *radiusd]
        host.start("freeradius", argv, ready="Ready to process requests")

    def start_firewall(self, office: Office, key: str) -> None:
        host = office.firewall
        conf = host.root / "strongswan.conf"
        write_whole(conf, _STRONGSWAN.format(folder=host.root, plugins=_PLUGINS).encode())
        text = _SWANCTL.format(firewall=FIREWALL, gateway=GATEWAY, network=HEAD_OFFICE, key=key)
        write_whole(host.root / "swanctl.conf", text.encode(), PRIVATE)
        host.env["STRONGSWAN_CONF"] = str(conf)
        if not Path(_CHARON).exists():
            raise DemoFailed(f"there is no {_CHARON}: run tests/lab/install-peers as root")
        host.start("strongswan", [_CHARON], ready="worker threads")
        host.shown("swanctl", *_swanctl(host, "--load-all", "--noprompt", "--file", "swanctl.conf"))

    def first_from_remote(self, office: Office) -> None:
        """kernel-libipsec does not wait for packets: strongSwan is told to begin."""
        host = office.firewall
        host.shown("swanctl", *_swanctl(host, "--initiate", "--child", "branch", "--timeout", "10"))

    def close(self) -> None:
        self._running.close()


def _swanctl(host: Host, *words: str) -> list[str]:
    return [*words, "--uri", f"unix://{host.root}/vici"]


def _program(name: str) -> str:
    """Raises: DemoFailed if it is not installed."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise DemoFailed(f"there is no {name}: run tests/lab/install-peers as root")
    return path

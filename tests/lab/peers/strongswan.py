"""strongSwan 5.9 as a peer: a charon of its own in a namespace, told what to do over vici.

With kernel-netlink it keys the kernel's ESP (in a guest); with kernel-libipsec it encrypts by
itself over a TUN device, always in UDP, which works on any kernel.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import require
from lab.netns import Namespace
from lab.pki import Files
from lab.process import Process

_PLUGINS: Final = (
    "random nonce aes sha1 sha2 md5 hmac gmp openssl gcrypt curve25519 ccm ctr gcm xcbc"
    " pem pkcs1 pkcs8 x509 pubkey constraints kdf"
)
# With the peer itself in the traffic selector, IKE and ESP must not enter the TUN device again.
_MARKED: Final = """
    kernel-netlink {
      fwmark = !0x42
    }
    socket-default {
      fwmark = 0x42
    }
"""
_CHARON: Final = "/usr/lib/ipsec/charon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """What this strongSwan agrees to. Networks of None: transport mode between the hosts.

    `identity` is the peer's, where that is not its address. With `certificate` both sides sign; a
    subject of None is then any that our CA vouches for. `intermediates`, each a CA's file, stand
    between our CA and our certificate: strongSwan sends them.
    """

    local: str
    remote: str
    identity: str | None = None
    secret: str = "a pre-shared key"
    local_network: str | None = None
    remote_network: str | None = None
    ike: str = "aes128-sha1-modp1024"
    esp: str = "aes128-sha1"
    encapsulate: bool = False
    trap: bool = False
    rekey_seconds: int = 3600
    certificate: Files | None = None
    intermediates: Sequence[Path] = ()
    ike_rekey_seconds: int = 14400
    aggressive: bool = False

    @property
    def configuration(self) -> str:
        transport = self.local_network is None
        scope = (
            "mode = transport"
            if transport
            else f"local_ts = {self.local_network}\nremote_ts = {self.remote_network}"
        )
        return f"""
connections {{
  peer {{
    version = 1
    aggressive = {"yes" if self.aggressive else "no"}
    local_addrs = {self.local}
    remote_addrs = {self.remote}
    proposals = {self.ike}
    encap = {"yes" if self.encapsulate else "no"}
    rekey_time = 0
    reauth_time = {self.ike_rekey_seconds}
    dpd_delay = 0
    local {{
      {self._local}
    }}
    remote {{
      {self._remote}
    }}
    children {{
      child {{
        {scope}
        esp_proposals = {self.esp}
        rekey_time = {self.rekey_seconds}
        start_action = {"trap" if self.trap else "none"}
      }}
    }}
  }}
}}
{self._secrets}
"""

    @property
    def _local(self) -> str:
        if self.certificate is None:
            return f"auth = psk\nid = {self.local}"
        return f"auth = pubkey\ncerts = {self.certificate.certificate}"

    @property
    def _remote(self) -> str:
        if self.certificate is None:
            return f"auth = psk\nid = {self.identity or self.remote}"
        return f'auth = pubkey\nid = "{self.identity or "%any"}"'

    @property
    def _secrets(self) -> str:
        if self.certificate is not None:
            files = enumerate((self.certificate.ca, *self.intermediates))
            sections = "".join(f" ca{n} {{\n cacert = {file}\n }}\n" for n, file in files)
            return f"authorities {{\n{sections}}}\n"
        return f"""
secrets {{
  ike-peer {{
    id = {self.identity or self.remote}
    secret = "{self.secret}"
  }}
}}
"""


class StrongSwan:
    """A running charon; `process.text` is its log."""

    def __init__(self, process: Process, namespace: Namespace, folder: Path) -> None:
        self.process = process
        self.namespace = namespace
        self._folder = folder

    def swanctl(self, *arguments: str, check: bool = True) -> str:
        """The output of a swanctl command; its failure is an AssertionError with the output."""
        command = [require.program("swanctl"), *arguments, "--uri", f"unix://{self._folder}/vici"]
        environment = {**os.environ, "SWANCTL_DIR": str(self._folder)}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        output = done.stdout + done.stderr
        if check:
            assert done.returncode == 0, f"{' '.join(command)}\n{output}"
        return output

    def load(self, tunnel: Tunnel) -> None:
        """Take the connection and its secret, in place of those before."""
        file = self._folder / "swanctl.conf"
        file.write_text(tunnel.configuration)
        if tunnel.certificate is not None:
            keys = self._folder / "private"
            keys.mkdir(exist_ok=True)
            shutil.copy(tunnel.certificate.key, keys)
        self.swanctl("--load-all", "--clear", "--noprompt", "--file", str(file))

    def initiate(self, *, check: bool = True, seconds: int = 20) -> str:
        """Bring the child up as initiator; the log of doing so."""
        patience = ("--timeout", str(seconds))
        return self.swanctl("--initiate", "--child", "child", *patience, check=check)

    def terminate(self) -> None:
        self.swanctl("--terminate", "--ike", "peer", "--timeout", "10")

    def sas(self) -> str:
        return self.swanctl("--list-sas")

    def established(self) -> bool:
        return "INSTALLED" in self.sas()

    def octets(self) -> tuple[int, int]:
        """How many octets the child has carried, in and out."""
        carried = re.findall(r"^\s+(?:in|out)\s.*?(\d+) bytes", self.sas(), re.MULTILINE)
        return int(carried[0]), int(carried[1])


def _configuration(folder: Path, userspace: bool) -> str:
    plane = "kernel-libipsec kernel-netlink" if userspace else "kernel-netlink"
    return f"""
charon {{
  load_modular = no
  load = {_PLUGINS} {plane} socket-default vici updown
  install_virtual_ip = no
  delete_rekeyed = yes
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes
  retransmit_timeout = 1.0
  retransmit_base = 1.4
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
    {_MARKED if userspace else ""}
  }}
}}
"""


@contextmanager
def strongswan(
    namespace: Namespace, folder: Path, tunnel: Tunnel, *, userspace: bool = False
) -> Iterator[StrongSwan]:
    """A charon in `namespace` that has loaded `tunnel`; `folder` takes its files."""
    charon = require.file(_CHARON)
    conf = folder / "strongswan.conf"
    conf.write_text(_configuration(folder, userspace))
    with Process(
        [str(charon)],
        namespace=namespace,
        name="strongswan",
        env={"STRONGSWAN_CONF": str(conf)},
        private=["/run"],
    ) as process:
        process.wait_line("spawning .* worker threads")
        peer = StrongSwan(process, namespace, folder)
        peer.load(tunnel)
        yield peer

"""The branch office: which host is on which cable, and what the switch forwards.

                    +-------- switch --------+
    gateway --------| port1            port4 |-------- firewall ---- node
    192.168.1.100   |   port2      port3     |    192.168.1.200   192.168.2.10
                    +-----|----------|-------+    192.168.2.1
                time server      authentication server
                192.168.1.10     192.168.1.20

Before it is authorized, port1 is isolated like port4: the gateway reaches the time server (the
manual's limited access) and nothing of the head office.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from mgu.demo.capture import Capture
from mgu.demo.host import Host
from mgu.demo.netns import Veth

GATEWAY: Final = "192.168.1.100"
TIME_SERVER: Final = "192.168.1.10"
AUTH_SERVER: Final = "192.168.1.20"
SWITCH: Final = "192.168.1.2"
FIREWALL: Final = "192.168.1.200"
INSIDE: Final = "192.168.2.1"
NODE: Final = "192.168.2.10"
HEAD_OFFICE: Final = "192.168.2.0/24"

_PORTS: Final = ("port1", "port2", "port3", "port4")


class Office:
    """All hosts, cabled. `env` is for the gateway and the firewall."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.clock = folder / "gateway.clock"
        self.hosts: list[Host] = []
        self.gateway = self._host("gateway", folder, {**env, "MGU_CLOCK": str(self.clock)})
        self.switch = self._host("switch", folder)
        self.timeserver = self._host("timeserver", folder)
        self.authserver = self._host("authserver", folder)
        self.firewall = self._host("firewall", folder, env)
        self.node = self._host("node", folder)
        self._cable()
        self.set_authorized(False)

    def _host(self, label: str, folder: Path, env: dict[str, str] | None = None) -> Host:
        host = Host(label, folder, env)
        for scope in ("all", "default"):  # its chatter would hide what is shown
            with suppress(FileNotFoundError):
                host.namespace.sysctl(f"net.ipv6.conf.{scope}.disable_ipv6", "1")
        self.hosts.append(host)
        return host

    def _cable(self) -> None:
        switch = self.switch.namespace
        at_switch = (
            (self.gateway, GATEWAY),
            (self.timeserver, TIME_SERVER),
            (self.authserver, AUTH_SERVER),
            (self.firewall, FIREWALL),
        )
        for port, (host, address) in zip(_PORTS, at_switch, strict=True):
            Veth((host.namespace, "eth0"), (switch, port))
            host.namespace.add_address("eth0", f"{address}/24")
        switch.add_bridge("br0", _PORTS)
        switch.add_address("br0", f"{SWITCH}/24")
        switch.isolate_port("port4", isolated=True)
        Veth((self.firewall.namespace, "eth1"), (self.node.namespace, "eth0"))
        self.firewall.namespace.add_address("eth1", f"{INSIDE}/24")
        self.firewall.namespace.sysctl("net.ipv4.ip_forward", "1")
        self.node.namespace.add_address("eth0", f"{NODE}/24")
        self.node.namespace.add_route("0.0.0.0/0", via=INSIDE)
        self.gateway.namespace.add_route("0.0.0.0/0", via=FIREWALL)

    def capture(self) -> Capture:
        """A capture of every link, not yet running."""
        capture = Capture()
        for port, end in zip(
            _PORTS, ("gateway", "timeserver", "authserver", "firewall"), strict=True
        ):
            capture.add(self.switch.namespace, port, f"switch-{end}")
        capture.add(self.firewall.namespace, "eth1", "firewall-node")
        return capture

    def set_authorized(self, authorized: bool) -> None:
        """What the switch does with the gateway's port."""
        self.switch.namespace.isolate_port("port1", isolated=not authorized)

    def forget_date(self) -> None:
        """The gateway has no clock that runs without power: it is 1970 again."""
        self.clock.write_text(f"{-time.time_ns()}\n")

    def date(self) -> float:
        """The gateway's date, Unix seconds."""
        return time.time() + int(self.clock.read_text()) / 1e9

    def delete(self) -> None:
        for host in self.hosts:
            host.delete()

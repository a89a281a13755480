"""One connection as /etc/sysconf/network-scripts/ifcfg-NICK says it (`KEY=value` lines).

The keys are those of the ifcfg files that IPsec networks have had on Red Hat's systems, and a few
more for the manual's ports and protocols. The file is read line by line, never run by a shell.
"""

import re
import shlex
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ike.conf.protocols import protocol_number
from wire.lean import TYPE_CHECKING, Final
from wire.record import Record

if TYPE_CHECKING:
    from ike.values import PolicyEntry

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NICKNAME: Final = re.compile(r"[A-Za-z0-9]+")
PRE_SHARED_KEY: Final = "PSK"
CERTIFICATE: Final = "X509"
PORT_PROTOCOLS: Final = frozenset({6, 17, 33, 132, 136})  # those that have ports

_ALL: Final = IPv4Address("255.255.255.255")
_COMMENT: Final = "# IPsec connection, written by ipsec; see ipsec -h"


class BadConnection(Exception):
    """A connection that cannot be; one sentence that says why and what to do."""


class Connection(Record, kw_only=True):
    """`network` (behind the peer) or `src_network` (behind us) makes it a tunnel.

    `src` None is eth0's address when the connection comes up.

    Ports of 0 and protocol 0 are any. `reqid` is the one that its policy gets, of
    `ike.reqids.CONNECTIONS`, when no other has it; 0 leaves the choice to the daemon.
    """

    name: str
    dst: Address
    src: Address | None = None
    network: Network | None = None
    src_network: Network | None = None
    protocol: int = 0
    src_port: int = 0
    dst_port: int = 0
    method: str = PRE_SHARED_KEY
    reqid: int = 0
    on_boot: bool = True

    @property
    def is_tunnel(self) -> bool:
        return self.network is not None or self.src_network is not None

    def policy(self, src: Address) -> "PolicyEntry":
        """What is to be protected between `src` and the peer."""
        from ike.values import Mode, PolicyEntry, Protection, Selector  # late: for the daemon only

        mode = Mode.TUNNEL if self.is_tunnel else Mode.TRANSPORT
        return PolicyEntry(
            selector=Selector(
                local=self.src_network or ip_network(src),
                remote=self.network or ip_network(self.dst),
                protocol=self.protocol,
                local_port=self.src_port,
                remote_port=self.dst_port,
            ),
            local=src,
            remote=self.dst,
            protections=(Protection(mode=mode, reqid=self.reqid),),
        )

    def settings(self) -> dict[str, str]:
        """The lines of its ifcfg file; an empty value is a line that is not there."""
        return {
            "TYPE": "IPSEC",
            "ONBOOT": "yes" if self.on_boot else "no",
            "IKE_METHOD": self.method,
            "SRC": str(self.src or ""),
            "DST": str(self.dst),
            "SRCNET": str(self.src_network or ""),
            "DSTNET": str(self.network or ""),
            "IPPROTO": str(self.protocol or ""),
            "SRCPORT": str(self.src_port or ""),
            "DSTPORT": str(self.dst_port or ""),
            "REQID": str(self.reqid or ""),
        }


def check(connection: Connection) -> None:
    """Raises: BadConnection for what no policy can say."""
    if not NICKNAME.fullmatch(connection.name):
        raise BadConnection(f"'{connection.name}' is not a nickname: use letters and digits only")
    versions = {connection.dst.version}
    if connection.src:
        versions.add(connection.src.version)
    if connection.network:
        versions.add(connection.network.version)
    if connection.src_network:
        versions.add(connection.src_network.version)
    if len(versions) > 1:
        raise BadConnection("source, destination and network mix IPv4 and IPv6")
    if connection.dst.is_multicast or connection.dst.is_unspecified or connection.dst == _ALL:
        raise BadConnection(f"{connection.dst} is not an address of a peer")
    if connection.src == connection.dst:
        raise BadConnection(f"source and destination are both {connection.dst}")
    ports = connection.src_port or connection.dst_port
    if ports and connection.protocol not in PORT_PROTOCOLS:
        raise BadConnection(
            "a port needs a protocol that has ports: add --ip-proto=tcp, udp or sctp"
        )


def parse(name: str, text: str) -> Connection:
    """The connection that an ifcfg file's text describes. Raises: BadConnection."""
    values = _values(text)
    if values.get("TYPE") != "IPSEC":
        raise BadConnection("the line TYPE=IPSEC is missing")
    if "DST" not in values:
        raise BadConnection("the line DST=ADDRESS is missing")
    try:
        connection = Connection(
            name=name,
            dst=ip_address(values["DST"]),
            src=ip_address(values["SRC"]) if values.get("SRC") else None,
            network=ip_network(values["DSTNET"]) if values.get("DSTNET") else None,
            src_network=ip_network(values["SRCNET"]) if values.get("SRCNET") else None,
            protocol=_protocol(values.get("IPPROTO", "")),
            src_port=_port(values.get("SRCPORT", "")),
            dst_port=_port(values.get("DSTPORT", "")),
            method=values.get("IKE_METHOD", PRE_SHARED_KEY),
            reqid=int(values.get("REQID") or 0),
            on_boot=values.get("ONBOOT", "yes").lower() == "yes",
        )
    except ValueError as error:
        raise BadConnection(str(error)) from None
    check(connection)
    return connection


def render(connection: Connection, before: str = "") -> str:
    """The ifcfg file's text; other lines of the file as it was `before` stay where they are."""
    settings = connection.settings()
    lines = []
    for line in before.splitlines() or [_COMMENT]:
        key = line.partition("=")[0].strip()
        if key not in settings:
            lines.append(line)
        elif value := settings.pop(key):
            lines.append(f"{key}={value}")
    lines += [f"{key}={value}" for key, value in settings.items() if value]
    return "\n".join(lines) + "\n"


def _values(text: str) -> dict[str, str]:
    values = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            raise BadConnection(f"line {number} has a quote that is not closed") from None
        if words:
            key, equals, value = words[0].partition("=")
            if not equals:
                raise BadConnection(f"line {number} is not KEY=value")
            values[key] = value
    return values


def _protocol(text: str) -> int:
    number = protocol_number(text or "any")
    if number is None:
        raise ValueError(f"there is no IP protocol '{text}'")
    return number


def _port(text: str) -> int:
    port = int(text or 0)
    if not 0 <= port <= 0xFFFF:
        raise ValueError(f"{text} is not a port")
    return port

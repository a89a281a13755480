"""What can be chosen of the userspace data path."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`mtu` leaves room for ESP in UDP over IPv4 in a path of 1500 octets, with any algorithm.

    `offload`: exchange TCP with the host in packets of up to 64 KB; None: if numpy is installed.
    `ike_ports`: UDP ports of this host whose packets come in clear, whatever the policies say.
    """

    name: str = "mgu%d"
    mtu: int = 1400
    offload: bool | None = None
    ike_ports: frozenset[int] = frozenset({500, 4500})

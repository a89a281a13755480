"""What can be chosen of the userspace data path, and what it can do."""

from dataclasses import dataclass

from xfrm.dataplane import Unsupported
from xfrm.model import Mode, SecurityAssociation


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


def check(sa: SecurityAssociation, *, in_udp: bool) -> None:
    """Whether the path can do it; `in_udp` with encapsulation, too. Raises: Unsupported."""
    if sa.mode not in (Mode.TUNNEL, Mode.TRANSPORT):
        raise Unsupported(f"the userspace data path has no mode {sa.mode}")
    if sa.encapsulation is not None and not in_udp:
        raise Unsupported("ESP in UDP needs the socket of port 4500, which is not open")

"""A time server as we know it, from one round to the next."""

from functools import lru_cache

from ntp.association import Association
from wire.lean import Final

NTP_PORT: Final = 123
NTS_KE_PORT: Final = 4460  # TCP, RFC 8915, 8
MAX_SPACING: Final = 4096.0  # s


class Source:
    """One server: its name, how it is asked, and what it demanded of us.

    `hosts`: numeric addresses, tried in turn; empty until `lookup` is resolved. `at_least`: seconds
    between two requests, as the server wants it; `not_before`: when it may be asked next (monotonic
    s). `refused`: the kiss code by which the server forbade us to ask again, for good.
    """

    def __init__(
        self,
        *,
        name: str,
        association: Association,
        lookup: str = "",
        port: int = NTP_PORT,
        nts: bool = False,
        nts_port: int = NTS_KE_PORT,
    ) -> None:
        self.name = name
        self.association = association
        self.nts = nts
        self.nts_host, self.nts_port = lookup or name, nts_port
        self.at_least = 0.0
        self.not_before = float("-inf")
        self.refused = ""
        self.serve_from(lookup or name, port)

    def asked(self, now: float) -> None:
        """A request goes out `now`."""
        self.not_before = now + self.at_least

    def slow_down(self, asked_every: float, now: float) -> None:
        """RATE: ask at most half as often as now, every `asked_every` s (RFC 5905, 7.4)."""
        self.at_least = min(2 * max(self.at_least, asked_every), MAX_SPACING)
        self.not_before = now + self.at_least

    def serve_from(self, host: str, port: int) -> None:
        """The key exchange named who serves the time (RFC 8915, 4.1.7 and 4.1.8)."""
        self.lookup, self.port = host, port
        self.hosts: tuple[str, ...] = (host,) if is_numeric(host) else ()

    def forget_addresses(self) -> None:
        """Nobody answered: a name may lead elsewhere by the next time."""
        if not is_numeric(self.lookup):
            self.hosts = ()


def is_numeric(host: str) -> bool:
    """Whether `host` is an address that needs no resolver (IPv4, or IPv6 with or without %zone)."""
    if ":" in host:
        from ipaddress import IPv6Address  # late: most gateways name IPv4 addresses

        try:
            IPv6Address(host)
        except ValueError:
            return False
        return True
    parts = host.split(".")
    if len(parts) != 4 or not host.isascii() or not all(map(str.isdigit, parts)):
        return False
    return max(map(len, parts)) <= 3 and max(map(int, parts)) <= 255


@lru_cache(maxsize=64)
def reference_id(host: str) -> bytes:
    """How a server that takes its time from `host` names it (RFC 5905, 7.3): the address, or the
    first four octets of the MD5 of an IPv6 address. Zeros for no address."""
    if not host:
        return bytes(4)
    if ":" not in host:
        return bytes(map(int, host.split(".")))
    from hashlib import md5
    from ipaddress import IPv6Address

    packed = IPv6Address(host.partition("%")[0]).packed
    return md5(packed, usedforsecurity=False).digest()[:4]

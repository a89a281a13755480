"""A time server as we know it, from one round to the next."""

from functools import lru_cache

from ntp.onwire import OnWire
from ntp.sample import Sample
from wire.lean import Final

NTP_PORT: Final = 123
NTS_KE_PORT: Final = 4460  # TCP, RFC 8915, 8
MAX_SPACING: Final = 1024.0  # s; the longest interval between two rounds
BANISHED: Final = 1024.0  # s
_ROUNDS: Final = 8  # that `reach` and `jitter` look back
_MEMBERS: Final = 4  # of a pool; RFC 8633, 3.2


class Peer:
    """One server: its name, how it is asked, and what it demanded of us.

    `hosts`: numeric addresses, tried in turn; empty until `lookup` is resolved. `at_least`: seconds
    between two requests, as the server wants it; `not_before`: when it may be asked next (monotonic
    s). `refused`: the kiss code by which the server forbade us to ask again. `authenticates`: its
    answers prove whose they are. `pool`: each address of the name is a server, see `members`.
    """

    def __init__(
        self,
        *,
        name: str,
        on_wire: OnWire,
        lookup: str = "",
        port: int = NTP_PORT,
        nts: bool = False,
        nts_port: int = NTS_KE_PORT,
        pool: bool = False,
    ) -> None:
        self.name = name
        self.on_wire = on_wire
        self.nts = nts
        self.nts_host, self.nts_port = lookup or name, nts_port
        self.authenticates = nts or on_wire.authentication is not None
        self.pool = pool
        self.members: tuple[Peer, ...] = ()
        self.reach = 0  # RFC 5905, 9.1: a bit for each round, the last one lowest
        self._tried = 0
        self._offsets: list[int] = []
        self.at_least = 0.0
        self.not_before = float("-inf")
        self.refused = ""
        self.serve_from(lookup or name, port)

    @property
    def jitter(self) -> int:
        """How much its last answers differ from the best of them, ns (RFC 5905, 10)."""
        if len(self._offsets) < 2:
            return 0
        newest, *others = self._offsets
        squares = sum((other - newest) ** 2 for other in others)
        return int((squares / len(others)) ** 0.5)

    @property
    def is_gone(self) -> bool:
        """Whether it was asked in eight rounds, and answered in none."""
        return self._tried >= _ROUNDS and not self.reach

    def asked(self, now: float) -> None:
        """A request goes out `now`."""
        self.not_before = now + self.at_least

    def round_ended(self, best: Sample | None) -> None:
        """It was asked in a round that ends now; `best`: of its samples."""
        self._tried += 1
        self.reach = (self.reach << 1 | (best is not None)) & (1 << _ROUNDS) - 1
        if best:
            self._offsets.insert(0, best.offset)
            del self._offsets[_ROUNDS:]

    def clock_was_set(self) -> None:
        """What was measured against our clock before says nothing any more."""
        self.on_wire.lost()
        self._offsets.clear()
        for member in self.members:
            member.clock_was_set()

    def forbid(self, code: str, now: float) -> None:
        """The server sent a kiss code that forbids us to ask again.

        Differs: RFC 5905, 7.4 means for good. One forged answer of an on-path attacker would then
        silence the server until a restart; we ask once more after the longest interval.
        """
        self.refused, self.not_before = code, now + BANISHED

    def is_forbidden(self, now: float) -> bool:
        """Whether it may not be asked `now`; once that time is over it is asked as any other."""
        if self.refused and now >= self.not_before:
            self.refused = ""
        return bool(self.refused)

    def slow_down(self, asked_every: float, now: float) -> None:
        """RATE: ask at most half as often as now, every `asked_every` s (RFC 5905, 7.4)."""
        self.at_least = min(2 * max(self.at_least, asked_every), MAX_SPACING)
        self.not_before = now + self.at_least

    def serve_from(self, host: str, port: int) -> None:
        """The key exchange named who serves the time (RFC 8915, 4.1.7 and 4.1.8)."""
        self.lookup, self.port = host, port
        self.hosts: tuple[str, ...] = (host,) if is_numeric(host) else ()

    def found(self, hosts: tuple[str, ...]) -> None:
        """Its name has these addresses; for a pool, some of them are its members from now on."""
        if not self.pool:
            self.hosts = hosts
            return
        self.members = tuple(
            Peer(
                name=f"{self.name} ({host})",
                on_wire=self.on_wire.another(),
                lookup=host,
                port=self.port,
            )
            for host in hosts[:_MEMBERS]
        )

    def forget_addresses(self) -> None:
        """There was no answer: a name may lead elsewhere by the next time."""
        if not is_numeric(self.lookup):
            self.hosts = ()
        is_silent = not any(member.reach & 1 or member.refused for member in self.members)
        if is_silent or any(member.is_gone for member in self.members):
            self.members = ()


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

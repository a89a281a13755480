"""What the host sends into the TUN device: one table of routes, one rule in front of it.

The rule sends everything without MARK through the table, so that what we send ourselves, and IKE,
never comes back. Each protected network is a route in it, with the source address that the policy
asks for, if the host has one. All goes again at `close`.

The routes go with the device, too, when the process is killed. Behind each there is one that says
"unreachable": it stays then, so that nothing leaves in clear until the next start takes over.

Nothing is asked of the kernel that we know: `watch` tells when the host's addresses changed, or
when somebody took away a rule or a route of ours.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xfrm.dataplane import XfrmError
from xfrm.model import Address, Direction, Network, Policy
from xfrm.tun.outer import MARK, MASK
from xfrm.tun.watch import Changes, Watch

if TYPE_CHECKING:
    from pyroute2.iproute.linux import AsyncIPRoute

logger = logging.getLogger("xfrm")

TABLE: Final = 4500
PRIORITY: Final = 450  # of the rule: after the local table (0), before main (32766)
_FIB_RULE_INVERT: Final = 2  # linux/fib_rules.h
_ADDR_GEN_NONE: Final = 1  # linux/if_link.h: no link-local address, no router solicitations
_UNREACHABLE: Final = 7  # linux/rtnetlink.h: RTN_UNREACHABLE
_LAST: Final = 1 << 30  # the metric of a route that counts only when there is no other
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)


class Routes:
    """The device's state, its routes and the rule. Errors are XfrmError.

    `local` is the host's own addresses when they were last looked at. The event loop can watch
    this object: it is readable when `stale` may have become true.
    """

    def __init__(self, netlink: "AsyncIPRoute", index: int, watch: Watch) -> None:
        self._netlink = netlink
        self._index = index
        self._watch = watch
        self._changes = Changes()
        self._routes: dict[Network, Address | None] = {}
        self._left_behind: set[Network] = set()  # barriers that a killed process left
        self._families: list[int] = []
        self._lock = asyncio.Lock()
        self._warned = False
        self.local: frozenset[Address] = frozenset()

    @classmethod
    async def open(cls, device: str, mtu: int) -> "Routes":
        """Bring the device up, and put the rules in place."""
        from pyroute2.iproute.linux import AsyncIPRoute
        from pyroute2.netlink.exceptions import NetlinkError

        netlink = AsyncIPRoute()
        try:
            index = socket.if_nametoindex(device)
            routes = cls(netlink, index, Watch(index, TABLE))
        except OSError as error:
            netlink.close()
            raise XfrmError(f"the device {device} cannot be watched: {error}") from error
        try:
            await routes._start(mtu)
        except (NetlinkError, OSError) as error:
            routes._watch.close()
            netlink.close()
            raise XfrmError(f"the device {device} cannot be set up: {error}") from error
        return routes

    def fileno(self) -> int:
        return self._watch.fileno()

    @property
    def stale(self) -> bool:
        """Whether others changed something since `follow`, so that it has to be called again."""
        self._notice()
        return bool(self._changes)

    def _notice(self) -> None:
        changes = self._watch.drain()
        changes.routes &= self._routes.keys()  # those that we removed are not there
        self._changes.add(changes)

    def let_go(self) -> None:
        """End here, and leave the rules and the barriers."""
        self._watch.close()
        self._netlink.close()

    async def close(self) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            for family in self._families:
                with suppress(NetlinkError):
                    await self._rule("del", family)
            for network in self._routes.keys() | self._left_behind:
                await self._remove(network)
        finally:
            self.let_go()

    async def follow(self, policies: Sequence[Policy]) -> None:
        """Make the routes those of `policies`, with the host's addresses of now."""
        from pyroute2.netlink.exceptions import NetlinkError

        async with self._lock:
            self._notice()
            changes, self._changes = self._changes, Changes()
            try:
                if changes.addresses:
                    await self._look()
                wanted = self._wanted(policies)
                self._warn_of_filter(wanted, policies)
                if changes.everything:
                    await self._restore_rules()
                await self._become(wanted, lost=wanted if changes.everything else changes.routes)
            except (NetlinkError, OSError) as error:
                self._changes.add(changes)
                raise XfrmError(f"the routes into the tunnel cannot be set: {error}") from error

    def tell_left_behind(self) -> None:
        """Say what a killed process blocks that no policy is known for: it stays so, to be safe."""
        unknown = sorted(map(str, self._left_behind - self._routes.keys()))
        if unknown:
            logger.warning(
                "%s: protected by an earlier process whose policies are not known; nothing is sent "
                "there until this one is stopped in order",
                ", ".join(unknown),
            )

    def _wanted(self, policies: Iterable[Policy]) -> dict[Network, Address | None]:
        wanted: dict[Network, Address | None] = {}
        for policy in policies:
            if policy.direction == Direction.OUT and policy.templates:
                network = policy.selector.dst
                wanted[network] = wanted.get(network) or self._source(policy.selector.src)
        return wanted

    def _warn_of_filter(self, wanted: Iterable[Network], policies: Iterable[Policy]) -> None:
        """Strict reverse path filters drop a peer's packets where its address is routed to us."""
        if self._warned:
            return
        peers = {each.dst for policy in policies for each in policy.templates if each.dst}
        caught = _contained(peers, wanted)
        strict = _strict_filters() if caught else []
        if strict:
            self._warned = True
            logger.warning(
                "packets from %s may be dropped by the strict reverse path filter of %s: "
                "'sysctl net.ipv4.conf.all.rp_filter=2' makes it loose",
                caught[0],
                ", ".join(strict),
            )

    async def _become(
        self, wanted: dict[Network, Address | None], lost: Container[Network]
    ) -> None:
        """`lost`: those that somebody took away."""
        for network in self._routes.keys() - wanted.keys():
            self._routes.pop(network)
            self._left_behind.discard(network)
            await self._remove(network)
        for network, source in wanted.items():
            known = network in self._routes and network not in lost
            if not known or self._routes[network] != source:
                await self._barrier("replace", network)
                await self._route("replace", network, source)
                self._routes[network] = source

    async def _start(self, mtu: int) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        inet6 = ("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _ADDR_GEN_NONE)]})
        with suppress(NetlinkError):  # a kernel without IPv6
            await self._netlink.link("set", index=self._index, IFLA_AF_SPEC={"attrs": [inet6]})
        await self._netlink.link("set", index=self._index, mtu=mtu, state="up")
        for family in _FAMILIES:
            try:
                await self._place_rule(family)
            except NetlinkError as error:
                if family == socket.AF_INET6 and error.code in (
                    errno.EAFNOSUPPORT,
                    errno.EOPNOTSUPP,
                ):
                    continue
                raise
            self._families.append(family)
            async for message in await self._netlink.get_routes(family=family, table=TABLE):
                if message["type"] == _UNREACHABLE:
                    everything = "0.0.0.0" if family == socket.AF_INET else "::"
                    prefix = (message.get("dst") or everything, message["dst_len"])
                    self._left_behind.add(ip_network(prefix))
        self._watch.drain()  # our own
        await self._look()

    async def _place_rule(self, family: int) -> None:
        """Ours is there before one of a killed process, with another mark, goes."""
        await self._add_rule(family)
        async for rule in await self._netlink.get_rules(family=family, table=TABLE):
            mark = rule.get("fwmark"), rule.get("fwmask")
            if rule.get("priority") == PRIORITY and mark != (MARK, MASK):
                await self._rule("del", family, *mark)

    async def _restore_rules(self) -> None:
        for family in self._families:
            await self._add_rule(family)

    async def _add_rule(self, family: int) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            await self._rule("add", family)
        except NetlinkError as error:
            if error.code != errno.EEXIST:
                raise

    async def _rule(
        self, verb: str, family: int, mark: int | None = MARK, mask: int | None = MASK
    ) -> None:
        await self._netlink.rule(
            verb,
            family=family,
            priority=PRIORITY,
            table=TABLE,
            fwmark=mark,
            fwmask=mask,
            flags=_FIB_RULE_INVERT,
        )

    async def _route(self, verb: str, network: Network, source: Address | None) -> None:
        family = socket.AF_INET if network.version == 4 else socket.AF_INET6
        prefsrc = {} if source is None else {"prefsrc": str(source)}
        await self._netlink.route(
            verb, family=family, dst=str(network), oif=self._index, table=TABLE, **prefsrc
        )

    async def _remove(self, network: Network) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        with suppress(NetlinkError):  # somebody was faster
            await self._route("del", network, None)
        with suppress(NetlinkError):
            await self._barrier("del", network)

    async def _barrier(self, verb: str, network: Network) -> None:
        family = socket.AF_INET if network.version == 4 else socket.AF_INET6
        where = {"dst": str(network), "table": TABLE, "priority": _LAST}
        await self._netlink.route(verb, family=family, type="unreachable", **where)

    async def _look(self) -> None:
        messages = await self._netlink.get_addr()
        own = [message.get("local") or message.get("address") async for message in messages]
        self.local = frozenset(ip_address(address) for address in own)

    def _source(self, network: Network) -> Address | None:
        """The host's address in `network`: what it talks from, to be protected."""
        return min((own for own in self.local if own in network), key=int, default=None)


def _contained(addresses: Iterable[Address], networks: Iterable[Network]) -> list[Address]:
    """Those addresses that are in a network; there may be hundreds of each."""
    prefixes = {
        (each.version, host := each.max_prefixlen - each.prefixlen,
         int(each.network_address) >> host)
        for each in networks
    }  # fmt: skip
    lengths = {(version, host) for version, host, _ in prefixes}
    return [
        each
        for each in addresses
        if any((each.version, host, int(each) >> host) in prefixes
               for version, host in lengths if version == each.version)
    ]  # fmt: skip


def _strict_filters() -> list[str]:
    """The interfaces whose reverse path filter is strict; 'all' counts where it is larger."""
    values: dict[str, int] = {}
    for file in sorted(Path("/proc/sys/net/ipv4/conf").glob("*/rp_filter")):
        with suppress(OSError, ValueError):
            values[file.parent.name] = int(file.read_text())
    everywhere = values.pop("all", 0)
    kept = {name: value for name, value in values.items() if name not in ("default", "lo")}
    return [name for name, value in kept.items() if max(value, everywhere) == 1]

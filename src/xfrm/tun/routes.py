"""What the host sends into the TUN device: one table of routes, one rule in front of it.

The rule sends everything without MARK through the table, so that what we send ourselves, and IKE,
never comes back. Each protected network is a route in it, with the source address that the policy
asks for, if the host has one. All goes again at `close`.

The routes go with the device, too, when the process is killed. Behind each there is one that says
"unreachable": it stays then, so that nothing leaves in clear until the next start takes over.

Nothing is asked of the kernel that we know: `watch` tells when the host's addresses changed, or
when another program removed a rule or a route of ours.
"""

import asyncio
import errno
import logging
import os
import socket
from contextlib import ExitStack, closing, suppress
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

from wire.rtnetlink import UNREACHABLE, DumpEnd, put_route, remove_route
from wire.watch import Feed
from xfrm.dataplane import XfrmError
from xfrm.model import Address, Direction, Network, Policy, Selector
from xfrm.tun.outer import MARK, MASK
from xfrm.tun.rpfilter import RpFilter
from xfrm.tun.watch import Changes, Watch

if TYPE_CHECKING:
    from pyroute2.iproute.linux import AsyncIPRoute

logger = logging.getLogger("xfrm")

TABLE: Final = 4500
PRIORITY: Final = 450  # of the rule: after the local table (0), before main (32766)
_FIB_RULE_INVERT: Final = 2  # linux/fib_rules.h
_ADDR_GEN_NONE: Final = 1  # linux/if_link.h: no link-local address, no router solicitations
_LAST: Final = 1 << 30  # the metric of a route that counts only when there is no other
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)


class Routes:
    """The device's state, its routes and the rule. Errors are XfrmError.

    `local` is the host's own addresses when they were last looked at. The event loop can watch
    this object: it is readable when `stale` may have become true.
    """

    def __init__(self, netlink: "AsyncIPRoute", requests: Feed, index: int, watch: Watch) -> None:
        """`requests` is of no group: routes are changed by it."""
        self._netlink = netlink
        self._requests = requests
        self._index = index
        self._watch = watch
        self._changes = Changes()
        self._filter = RpFilter()
        self._policies: dict[Network, dict[Selector, Policy]] = {}  # that want a route there
        self._routes: dict[Network, Address | None] = {}
        self._left_behind: set[Network] = set()  # barriers that a killed process left
        self._families: list[int] = []
        self._lock = asyncio.Lock()
        self.local: frozenset[Address] = frozenset()

    @classmethod
    async def open(cls, device: str, mtu: int) -> "Routes":
        """Bring the device up, and put the rules in place."""
        from pyroute2.iproute.linux import AsyncIPRoute
        from pyroute2.netlink.exceptions import NetlinkError

        with ExitStack() as stack:
            try:
                netlink = AsyncIPRoute()
                stack.callback(netlink.close)
                requests = stack.enter_context(closing(Feed(())))
                index = socket.if_nametoindex(device)
                watch = stack.enter_context(closing(Watch(index, TABLE)))
                routes = cls(netlink, requests, index, watch)
                await routes._start(mtu)
            except (NetlinkError, OSError) as error:
                raise XfrmError(f"the device {device} cannot be set up: {error}") from error
            stack.pop_all()
        return routes

    def fileno(self) -> int:
        return self._watch.fileno()

    @property
    def stale(self) -> bool:
        """Whether others changed something since `follow`, so that it has to be called again, or
        to be waited for."""
        self._notice()
        return bool(self._changes) or self._lock.locked()

    def _notice(self) -> None:
        changes = self._watch.drain()
        changes.routes &= self._routes.keys()  # those that we removed are not there
        self._changes.add(changes)

    def let_go(self) -> None:
        """End here, and leave the rules and the barriers."""
        self._requests.close()
        self._watch.close()
        self._netlink.close()

    async def close(self) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            for family in self._families:
                with suppress(NetlinkError):
                    await self._rule("del", family)
            for network in self._routes.keys() | self._left_behind:
                self._remove(network)
        finally:
            self.let_go()

    def add(self, policy: Policy) -> None:
        """Have the route that `policy` wants, if any. Raises XfrmError."""
        self.remove(policy, keep=_is_routed(policy))
        if _is_routed(policy):
            network = policy.selector.dst
            self._policies.setdefault(network, {})[policy.selector] = policy
            self._filter.add(policy)
            self._set(network)

    def remove(self, policy: Policy, *, keep: bool = False) -> None:
        """The policy of this selector and direction is there no more; `keep`: another comes."""
        network = policy.selector.dst
        policies = self._policies.get(network, {})
        if policy.direction != Direction.OUT or policy.selector not in policies:
            return
        self._filter.remove(policies.pop(policy.selector))
        if not policies:
            del self._policies[network]
        if not keep:
            self._set(network)

    async def follow(self) -> None:
        """Have all routes and rules again, with the host's addresses of now. Raises XfrmError."""
        from pyroute2.netlink.exceptions import NetlinkError

        async with self._lock:
            self._notice()
            changes, self._changes = self._changes, Changes()
            try:
                if changes.addresses:
                    await self._look()
                if changes.everything:
                    await self._restore_rules()
                lost = set(self._routes) if changes.everything else changes.routes
                for network in self._policies.keys() | self._routes.keys():
                    self._set(network, again=network in lost)
            except (NetlinkError, OSError, XfrmError) as error:
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

    def _set(self, network: Network, *, again: bool = False) -> None:
        """Make the route there what the policies want; `again`: it was removed."""
        policies = self._policies.get(network)
        if not policies:
            if network in self._routes:
                del self._routes[network]
                self._left_behind.discard(network)
                self._remove(network)
            return
        found = (self._source(policy.selector.src) for policy in policies.values())
        source = next((each for each in found if each is not None), None)
        if again or network not in self._routes or self._routes[network] != source:
            self._request(put_route(network, TABLE, metric=_LAST, kind=UNREACHABLE))
            try:
                self._request(put_route(network, TABLE, index=self._index, source=source))
            except XfrmError:
                if source is None:
                    raise
                source = None  # this address has just gone, and `watch` will tell it
                self._request(put_route(network, TABLE, index=self._index))
            self._routes[network] = source

    def _remove(self, network: Network) -> None:
        with suppress(XfrmError):  # another program was faster
            self._request(remove_route(network, TABLE, index=self._index))
        with suppress(XfrmError):
            self._request(remove_route(network, TABLE, metric=_LAST, kind=UNREACHABLE))

    def _request(self, message: bytes) -> None:
        """The kernel has answered when `send` returns. Raises XfrmError."""
        try:
            self._requests.send(message)
            answers, _ = self._requests.read()
        except OSError as error:
            raise XfrmError(f"a route cannot be set: {error.strerror}") from error
        for answer in answers:
            if isinstance(answer, DumpEnd) and answer.error:
                raise XfrmError(f"a route cannot be set: {os.strerror(answer.error)}")

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
                if message["type"] == UNREACHABLE:
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

    async def _look(self) -> None:
        messages = await self._netlink.get_addr()
        own = [message.get("local") or message.get("address") async for message in messages]
        self.local = frozenset(ip_address(address) for address in own)

    def _source(self, network: Network) -> Address | None:
        """The host's address in `network`: what it talks from, to be protected."""
        return min((own for own in self.local if own in network), key=int, default=None)


def _is_routed(policy: Policy) -> bool:
    return policy.direction == Direction.OUT and bool(policy.templates)

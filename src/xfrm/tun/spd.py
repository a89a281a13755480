"""The security policy database (RFC 4301, 4.4.1): what is to be done with a flow."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from xfrm.dataplane import NoSuchEntry, Unsupported
from xfrm.esp.packet import Flow
from xfrm.model import Direction, Mode, Network, Policy, Protocol, Selector, Usage
from xfrm.names import policy_name

HELD_PACKETS: Final = 32  # per policy, while IKE makes the SA


class Matcher:
    """A selector made ready: integers and masks instead of address objects."""

    __slots__ = ("_dst", "_dst_mask", "_dst_port", "_protocol", "_src", "_src_mask", "_src_port",
                 "_version")  # fmt: skip

    def __init__(self, selector: Selector) -> None:
        self._version = selector.dst.version
        self._src, self._src_mask = _numbers(selector.src)
        self._dst, self._dst_mask = _numbers(selector.dst)
        self._protocol = selector.protocol
        self._src_port = selector.src_port
        self._dst_port = selector.dst_port

    def matches(self, flow: Flow) -> bool | None:
        """None: it would, were it not for ports that a fragment does not show."""
        if (
            flow.version != self._version
            or flow.src & self._src_mask != self._src
            or flow.dst & self._dst_mask != self._dst
            or (self._protocol and flow.protocol != self._protocol)
        ):
            return False
        if self._src_port is None and self._dst_port is None:
            return True
        if flow.src_port is None:
            return None
        return self._src_port in (None, flow.src_port) and self._dst_port in (None, flow.dst_port)


class PolicyEntry:
    """A policy, the packets held for it, and when it last asked for an SA (monotonic seconds)."""

    __slots__ = ("asked", "date", "held", "matcher", "order", "policy", "used")

    def __init__(self, policy: Policy, order: int, date: int) -> None:
        self.policy = policy
        self.matcher = Matcher(policy.selector)
        self.order = order
        self.date = date
        self.used = 0
        self.asked: float | None = None
        self.held: deque[tuple[float, bytes]] = deque(maxlen=HELD_PACKETS)

    def snapshot(self) -> Policy:
        return replace(self.policy, usage=Usage(added=self.date, used=self.used))


class UnknownPorts(Exception):
    """A fragment without ports met a policy that looks at them (RFC 4301, 7.2)."""


class Spd:
    """All policies. The one with the lowest priority number decides, of equal ones the older."""

    def __init__(self) -> None:
        self._entries: dict[tuple[Selector, Direction], PolicyEntry] = {}
        self._ordered: dict[Direction, list[PolicyEntry]] = {way: [] for way in Direction}
        self._count = 0

    def __iter__(self) -> Iterator[PolicyEntry]:
        return iter(self._entries.values())

    def put(self, policy: Policy, date: int) -> PolicyEntry:
        """Install `policy` in place of the one with its selector and direction, if any.

        Raises Unsupported.
        """
        _check(policy)
        self._count += 1
        old = self._entries.get((policy.selector, policy.direction))
        index = old.policy.index if old is not None else self._count << 3 | policy.direction
        entry = PolicyEntry(replace(policy, index=index), self._count, date)
        if old is not None:
            entry.held = old.held
        self._entries[policy.selector, policy.direction] = entry
        self._sort()
        return entry

    def remove(self, policy: Policy) -> PolicyEntry:
        """Raises NoSuchEntry."""
        entry = self._entries.pop((policy.selector, policy.direction), None)
        if entry is None:
            raise NoSuchEntry(f"{policy_name(policy)} is not there")
        self._sort()
        return entry

    def get(self, policy: Policy) -> PolicyEntry | None:
        """The one with the selector and direction of `policy`."""
        return self._entries.get((policy.selector, policy.direction))

    def ordered(self, direction: Direction) -> list[Policy]:
        """The policies in the order in which they are asked."""
        return [entry.policy for entry in self._ordered[direction]]

    def find(self, direction: Direction, flow: Flow) -> PolicyEntry | None:
        """The policy that decides over `flow`. Raises UnknownPorts."""
        for entry in self._ordered[direction]:
            matches = entry.matcher.matches(flow)
            if matches is None:
                raise UnknownPorts
            if matches:
                return entry
        return None

    def _sort(self) -> None:
        for direction, entries in self._ordered.items():
            entries[:] = sorted(
                (entry for entry in self if entry.policy.direction == direction),
                key=lambda entry: (entry.policy.priority, entry.order),
            )


def _check(policy: Policy) -> None:
    if policy.per_socket:
        raise Unsupported("the userspace data path has no policies of single sockets")
    if policy.mark is not None or policy.if_id:
        raise Unsupported("marks and xfrm interfaces are for a kernel with ESP")
    if len(policy.templates) > 1:
        raise Unsupported(
            f"the userspace data path does one transform per policy, but {policy_name(policy)} "
            f"asks for {len(policy.templates)}: take ESP with authentication instead of ESP and AH"
        )
    for template in policy.templates:
        if template.protocol not in (Protocol.ESP, Protocol.AH):
            raise Unsupported(f"the userspace data path has no {template.protocol}")
        if template.mode not in (Mode.TUNNEL, Mode.TRANSPORT):
            raise Unsupported(f"the userspace data path has no mode {template.mode}")
        if template.mode == Mode.TUNNEL and (template.src is None or template.dst is None):
            raise Unsupported("a tunnel needs both its end points in the policy")


def _numbers(network: Network) -> tuple[int, int]:
    return int(network.network_address), int(network.netmask)

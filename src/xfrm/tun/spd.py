"""The security policy database (RFC 4301, 4.4.1): what is done with a flow."""

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

from xfrm.dataplane import NoSuchEntry, Unsupported
from xfrm.esp.packet import Flow
from xfrm.model import Direction, Mode, Network, Policy, Protocol, Selector, Usage
from xfrm.names import policy_name


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
    """A policy as it is in the database; the one with the lowest `rank` decides."""

    __slots__ = ("date", "matcher", "policy", "rank", "used")

    def __init__(self, policy: Policy, order: int, date: int) -> None:
        self.policy = policy
        self.matcher = Matcher(policy.selector)
        self.rank = policy.priority, order
        self.date = date
        self.used = 0

    def snapshot(self) -> Policy:
        return replace(self.policy, usage=Usage(added=self.date, used=self.used))


class UnknownPorts(Exception):
    """A fragment without ports met a policy that looks at them (RFC 4301, 7.2): `entry`."""

    def __init__(self, entry: PolicyEntry) -> None:
        super().__init__()
        self.entry = entry


_Key = tuple[int, int, int, int | None, int | None]  # networks, protocol, ports


class _Shape:
    """The policies whose selectors look at the same bits of a packet: a table of their values.

    There is one selector for a value, so one look-up finds the only one that can match. For
    packets without ports there is a second table, without the ports, of the lowest ranks.
    """

    __slots__ = ("_by_protocol", "_by_value", "_dst_mask", "_no_ports", "_ports", "_src_mask")

    def __init__(self, selector: Selector) -> None:
        self._src_mask = int(selector.src.netmask)
        self._dst_mask = int(selector.dst.netmask)
        self._by_protocol = bool(selector.protocol)
        self._ports = (selector.src_port is not None, selector.dst_port is not None)
        self._by_value: dict[_Key, PolicyEntry] = {}
        self._no_ports: dict[_Key, list[PolicyEntry]] = {}  # the lowest rank first

    def __bool__(self) -> bool:
        return bool(self._by_value)

    def add(self, entry: PolicyEntry) -> None:
        value = _value(entry.policy.selector)
        self._by_value[value] = entry
        if any(self._ports):
            insort(self._no_ports.setdefault(_without_ports(value), []), entry, key=_rank)

    def remove(self, entry: PolicyEntry) -> None:
        value = _value(entry.policy.selector)
        del self._by_value[value]
        if any(self._ports):
            entries = self._no_ports[_without_ports(value)]
            entries.remove(entry)
            if not entries:
                del self._no_ports[_without_ports(value)]

    def find(self, flow: Flow) -> PolicyEntry | None:
        """The policy that matches, or would if the ports were known (see `undecided`)."""
        src, dst = flow.src & self._src_mask, flow.dst & self._dst_mask
        protocol = flow.protocol if self._by_protocol else 0
        if self.undecided(flow):
            entries = self._no_ports.get((src, dst, protocol, None, None))
            return entries[0] if entries else None
        by_src, by_dst = self._ports
        src_port = flow.src_port if by_src else None
        dst_port = flow.dst_port if by_dst else None
        return self._by_value.get((src, dst, protocol, src_port, dst_port))

    def undecided(self, flow: Flow) -> bool:
        return flow.src_port is None and any(self._ports)


class Spd:
    """All policies. The one with the lowest priority number decides, of equal ones the older.

    `find` costs a look-up for each shape of selectors, of which there are few, and a change costs
    the same, however many policies there are.
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[Selector, Direction], PolicyEntry] = {}
        self._shapes: dict[tuple[Direction, int], dict[Hashable, _Shape]] = {
            (way, version): {} for way in Direction for version in (4, 6)
        }
        self._ordered: dict[Direction, list[PolicyEntry]] = {way: [] for way in Direction}
        self._count = 0

    def __iter__(self) -> Iterator[PolicyEntry]:
        return iter(self._entries.values())

    def get(self, policy: Policy) -> PolicyEntry | None:
        """The entry with the selector and direction of `policy`."""
        return self._entries.get((policy.selector, policy.direction))

    def put(self, policy: Policy, date: int) -> PolicyEntry:
        """Install `policy` in place of the one with its selector and direction, if any.

        Raises Unsupported.
        """
        _check(policy)
        self._count += 1
        old = self.get(policy)
        index = old.policy.index if old is not None else self._count << 3 | policy.direction
        entry = PolicyEntry(replace(policy, index=index), self._count, date)
        if old is not None:
            self._take_out(old)
        selector, way = policy.selector, policy.direction
        self._entries[selector, way] = entry
        shapes = self._shapes[way, selector.dst.version]
        shapes.setdefault(_shape(selector), _Shape(selector)).add(entry)
        insort(self._ordered[way], entry, key=_rank)
        return entry

    def remove(self, policy: Policy) -> PolicyEntry:
        """Raises NoSuchEntry."""
        entry = self.get(policy)
        if entry is None:
            raise NoSuchEntry(f"{policy_name(policy)} is not there")
        self._take_out(entry)
        return entry

    def ordered(self, direction: Direction) -> Sequence[PolicyEntry]:
        """The policies in the order in which they are asked."""
        return self._ordered[direction]

    def find(self, direction: Direction, flow: Flow) -> PolicyEntry | None:
        """The policy that decides over `flow`. Raises UnknownPorts."""
        best: PolicyEntry | None = None
        undecided = False
        for shape in self._shapes[direction, flow.version].values():
            entry = shape.find(flow)
            if entry is not None and (best is None or entry.rank < best.rank):
                best, undecided = entry, shape.undecided(flow)
        if best is not None and undecided:
            raise UnknownPorts(best)
        return best

    def _take_out(self, entry: PolicyEntry) -> None:
        selector, way = entry.policy.selector, entry.policy.direction
        del self._entries[selector, way]
        shapes = self._shapes[way, selector.dst.version]
        shape = shapes[_shape(selector)]
        shape.remove(entry)
        if not shape:
            del shapes[_shape(selector)]
        ordered = self._ordered[way]
        del ordered[bisect_left(ordered, entry.rank, key=_rank)]


def _rank(entry: PolicyEntry) -> tuple[int, int]:
    return entry.rank


def _shape(selector: Selector) -> Hashable:
    """What the selector looks at."""
    ports = selector.src_port is None, selector.dst_port is None
    return selector.src.prefixlen, selector.dst.prefixlen, bool(selector.protocol), ports


def _value(selector: Selector) -> _Key:
    src, dst = int(selector.src.network_address), int(selector.dst.network_address)
    return src, dst, selector.protocol, selector.src_port, selector.dst_port


def _without_ports(value: _Key) -> _Key:
    return (*value[:3], None, None)


def _check(policy: Policy) -> None:
    if policy.per_socket:
        raise Unsupported("the userspace data path does not support per-socket policies")
    if policy.mark is not None or policy.if_id:
        raise Unsupported(
            "the userspace data path does not support marks and xfrm interfaces: they need a"
            " kernel with ESP"
        )
    if len(policy.templates) > 1:
        raise Unsupported(
            f"the userspace data path supports one transform per policy, but {policy_name(policy)} "
            f"asks for {len(policy.templates)}: use ESP with authentication instead of ESP and AH"
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

"""What happens to a packet, either way (RFC 4301, 5.1 and 5.2). No I/O: `Ports` has the functions.

Decisions are made once per flow and kept: `_out` maps a flow to the function that sends its
packets, `_in` has the flows that may come by an inbound SA. A change of an SA or a policy drops
those that use it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final

from xfrm.dataplane import Acquire, XfrmError
from xfrm.esp.packet import (
    IPIP,
    IPV6,
    NO_NEXT_HEADER,
    TCP,
    UDP,
    Flow,
    congestion_marked,
    flow,
    fragment_key,
    total_length,
    traffic_class,
)
from xfrm.esp.reasons import Reason, Refused
from xfrm.esp.sad import Entry, Sad, accepts, ends_of
from xfrm.model import (
    Action,
    Address,
    Direction,
    Mode,
    Protocol,
    SaId,
    SecurityAssociation,
    Selector,
)
from xfrm.tun.flows import Flows
from xfrm.tun.spd import Matcher, PolicyEntry, Spd, UnknownPorts
from xfrm.tun.transport import Joiner, rebuilt, upper_layer
from xfrm.tun.waiting import Waiting

Send = Callable[[bytes, int], object]  # packet from SPI on (AH: from IP header on), TOS of outer
FlowKey = bytes | Flow

_FLOWS: Final = 1 << 14  # remembered decisions, each way
_FRAGMENTS: Final = 512  # first fragments whose ports are remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where packets go, and what only the host knows."""

    to_host: Callable[[bytes], object]
    to_peer: Callable[[SecurityAssociation], Send]
    in_clear: Callable[[bytes], object]
    returned: Callable[[Address], None]  # our own packets to this peer came back to us
    is_local: Callable[[Address], bool]
    acquire: Callable[[Acquire], None]
    now: Callable[[], float]  # monotonic seconds
    date: Callable[[], int]  # Unix seconds


class Forwarder:
    """The packet path between the host and the peers. Nothing here raises for a bad packet:
    `counters` has how many were refused and why."""

    def __init__(
        self, sad: Sad, spd: Spd, ports: Ports, ike_ports: frozenset[int] = frozenset()
    ) -> None:
        """`ike_ports`: UDP ports of this host that IKE and ESP in UDP send from."""
        self._ike_ports = ike_ports
        self._sad = sad
        self._spd = spd
        self._ports = ports
        self._out: Flows[FlowKey, Callable[[bytes], object]] = Flows(_FLOWS)
        self._in: Flows[tuple[Entry, FlowKey], bool] = Flows(_FLOWS)
        self._waiting = Waiting()
        self._first_fragments: dict[bytes, Flow] = {}
        self._joiner = Joiner()
        self.counters: Counter[Reason] = Counter()

    # Changes

    def sa_changed(self, sa: SecurityAssociation) -> None:
        """It came, went, or will be replaced soon: decide anew, and send what waited."""
        if sa.larval:
            return
        ends = ends_of(sa)
        self._out.forget_sa(ends)
        self._in.forget_sa(sa.id)
        self._send_all(self._waiting.take(ends, self._ports.now()))

    def ask_again(self, policy: PolicyEntry) -> None:
        """The next packet of `policy` asks for its SA, though one has asked already."""
        self._waiting.ask_again(policy)

    def policy_added(self, entry: PolicyEntry) -> None:
        for flows in (self._out, self._in):
            flows.forget_taken_over(entry)

    def policy_removed(self, entry: PolicyEntry) -> None:
        """What waited for it is decided anew: there may be another in its place."""
        for flows in (self._out, self._in):
            flows.forget_policy(entry)
        self._send_all(self._waiting.take_of(entry, self._ports.now()))

    @property
    def deadline(self) -> float | None:
        """When packets that wait have waited long enough (monotonic seconds)."""
        return self._waiting.deadline

    def age(self) -> None:
        """Drop the packets that waited too long."""
        self.counters[Reason.OUT_NO_STATES] += self._waiting.age(self._ports.now())

    def _send_all(self, packets: Sequence[bytes]) -> None:
        for packet in packets:
            self.outbound((packet,))

    # From the host to a peer

    def outbound(self, packets: Sequence[bytes]) -> None:
        """What the host routed to us: packets of one flow, in their order."""
        try:
            key = self._key(packets[0])
            way = self._out.get(key) or self._decide(key, packets[0])
        except Refused as refused:
            header = Reason.OUT_HEADER if refused.reason is Reason.IN_HEADER else refused.reason
            self.counters[header] += 1
            return
        except (OSError, XfrmError):  # there is no way to send to this peer
            self.counters[Reason.OUT_ERROR] += 1
            return
        for packet in packets:
            try:
                way(packet)
            except Refused as refused:
                self.counters[refused.reason] += 1
            except OSError:
                self.counters[Reason.OUT_ERROR] += 1

    def _key(self, packet: bytes) -> FlowKey:
        """What names the flow of `packet` in the caches. Raises Refused (IN_HEADER)."""
        # Nearly all packets: an IPv4 header of 20 octets, TCP or UDP, no fragment.
        if (
            len(packet) >= 28
            and packet[0] == 0x45
            and packet[9] in (TCP, UDP)
            and not (packet[6] & 0x3F or packet[7])
        ):
            return packet[9:10] + packet[12:24]
        return self._flow(packet)

    def _flow(self, packet: bytes) -> Flow:
        """The flow; a later fragment has the ports of its first (RFC 4301, 7.4)."""
        of = flow(packet)
        name = fragment_key(packet)
        if name is None:
            return of
        if of.src_port is None:
            return self._first_fragments.get(name, of)
        if len(self._first_fragments) >= _FRAGMENTS:
            self._first_fragments.clear()
        self._first_fragments[name] = of
        return of

    def _decide(self, key: FlowKey, packet: bytes) -> Callable[[bytes], object]:
        of = self._flow(packet)
        if self._is_own(of, packet):
            self._ports.returned(_address(of, of.dst))
            return self._drop(Reason.OUT_LOOP)
        try:
            policy = self._spd.find(Direction.OUT, of)
        except UnknownPorts as unknown:
            way = self._drop(Reason.OUT_BLOCKED)
            return self._out.put(key, way, of, unknown.entry, None)
        if policy is None:
            return self._out.put(key, self._unprotected(of), of, Direction.OUT, None)
        policy.used = policy.used or self._ports.date()
        if policy.policy.action == Action.BLOCK:
            return self._out.put(key, self._drop(Reason.OUT_BLOCKED), of, policy, None)
        if not policy.policy.templates:
            return self._out.put(key, self._unprotected(of), of, policy, None)
        template = policy.policy.templates[0]
        src, dst = _tunnel_ends(policy, of)
        entry = self._sad.outbound(template, src, dst)
        if entry is not None:
            entry.used = entry.used or self._ports.date()
            way = self._protected(entry)
        elif template.optional:
            way = self._unprotected(of)
        else:
            way = partial(self._hold, policy, src, dst)
        ends = src, dst, template.protocol, template.mode, template.reqid
        return self._out.put(key, way, of, policy, ends)

    def _is_own(self, of: Flow, packet: bytes) -> bool:
        """IKE's datagram, or a packet of an SA of ours: another program cleared our mark.

        To send it again would bring it back again, for ever.
        """
        if of.protocol == UDP:
            ours = of.src_port in self._ike_ports
        elif of.protocol in (Protocol.ESP, Protocol.AH):
            at = (packet[0] & 15) * 4 if of.version == 4 else 40
            at += 4 if of.protocol == Protocol.AH else 0
            spi = int.from_bytes(packet[at : at + 4], "big")
            ours = self._sad.get(SaId(_address(of, of.dst), Protocol(of.protocol), spi)) is not None
        else:
            return False
        return ours and self._ports.is_local(_address(of, of.src))

    def _protected(self, entry: Entry) -> Callable[[bytes], object]:
        seal = entry.outbound.seal
        send = self._ports.to_peer(entry.sa)

        def protect(packet: bytes) -> None:
            # RFC 4301, 5.1.2: DSCP and ECN of the outer header are the inner's.
            if packet[0] >> 4 == 4:
                send(seal(packet, IPIP), packet[1])
            else:
                send(seal(packet, IPV6), traffic_class(packet))

        def protect_transport(packet: bytes) -> None:
            whole = upper_layer(packet, self._joiner)
            if whole is not None:
                send(seal(whole[1], whole[0]), traffic_class(packet))

        return protect if entry.sa.mode == Mode.TUNNEL else protect_transport

    def _unprotected(self, of: Flow) -> Callable[[bytes], object]:
        """No policy, or one that says bypass: as the kernel does, let it go in clear."""
        destination = _address(of, of.dst)
        if destination.is_multicast or destination.is_link_local:
            return lambda _: None  # the host's own neighbour discovery on the device
        return self._ports.in_clear

    def _drop(self, reason: Reason) -> Callable[[bytes], object]:
        def drop(_: bytes) -> None:
            raise Refused(reason)

        return drop

    def _hold(self, policy: PolicyEntry, src: Address, dst: Address, packet: bytes) -> None:
        """Keep `packet` until there is an SA from `src` to `dst`, and ask for one."""
        template = policy.policy.templates[0]
        ends = src, dst, template.protocol, template.mode, template.reqid
        kept, ask = self._waiting.add(ends, policy, packet, self._ports.now())
        if not kept:
            self.counters[Reason.OUT_NO_STATES] += 1
        if ask:
            selector = _selector(self._flow(packet))
            self._ports.acquire(
                Acquire(selector=selector, src=src, dst=dst, policy=policy.snapshot())
            )

    # From a peer to the host

    def inbound(self, entry: Entry, packet: bytes, low: int, outer_tos: int) -> None:
        """A packet that came for the SA `entry`, with the sequence number field `low`."""
        try:
            next_header, inner = entry.inbound.open(packet, low)
            if next_header == NO_NEXT_HEADER:
                raise Refused(Reason.IN_DUMMY)
            if entry.sa.mode == Mode.TUNNEL:
                inner = self._admitted(entry, next_header, inner)
                if outer_tos & 3 == 3:
                    inner = congestion_marked(outer_tos, inner)
            else:
                inner = rebuilt(entry.sa, next_header, inner, outer_tos)
                inner = self._admitted(entry, IPIP if inner[0] >> 4 == 4 else IPV6, inner)
            self._ports.to_host(inner)
        except Refused as refused:
            self.counters[refused.reason] += 1
        except OSError:
            self.counters[Reason.IN_DEVICE] += 1

    def _admitted(self, entry: Entry, next_header: int, inner: bytes) -> bytes:
        """`inner` without the padding behind it, if the policies let it come by this SA."""
        if next_header not in (IPIP, IPV6):
            raise Refused(Reason.IN_MODE)
        size = total_length(inner)
        if (inner[0] >> 4 == 4) != (next_header == IPIP):
            raise Refused(Reason.IN_MODE)
        key = entry, self._key(inner)
        if not self._in.get(key):
            of = self._flow(inner)
            self._in.put(key, True, of, self._checked(entry.sa, of), entry.sa.id)
            entry.used = entry.used or self._ports.date()
        return inner if size == len(inner) else inner[:size]

    def _checked(self, sa: SecurityAssociation, of: Flow) -> PolicyEntry | Direction:
        """The policy that accepts the packet, which must be the SA's (RFC 4301, 5.2, step 4).

        Raises Refused.
        """
        if sa.selector is not None and Matcher(sa.selector).matches(of) is not True:
            raise Refused(Reason.IN_MISMATCH)
        way = Direction.IN if self._ports.is_local(_address(of, of.dst)) else Direction.FWD
        try:
            policy = self._spd.find(way, of)
        except UnknownPorts:
            raise Refused(Reason.IN_BLOCKED) from None
        tunnel = sa.mode == Mode.TUNNEL
        if policy is None:
            if tunnel:
                raise Refused(Reason.IN_NO_POLICY)
            return way  # as the kernel: in clear it would have come in, too
        policy.used = policy.used or self._ports.date()
        if policy.policy.action == Action.BLOCK:
            raise Refused(Reason.IN_BLOCKED)
        templates = policy.policy.templates
        if not any(accepts(template, sa) for template in templates) and (templates or tunnel):
            raise Refused(Reason.IN_TEMPLATE)
        return policy


def _tunnel_ends(policy: PolicyEntry, of: Flow) -> tuple[Address, Address]:
    """The two ends of the SA for `of`: the template's, in transport mode those of the flow."""
    template = policy.policy.templates[0]
    if template.mode == Mode.TUNNEL and template.src is not None and template.dst is not None:
        return template.src, template.dst
    return _address(of, of.src), _address(of, of.dst)


def _address(of: Flow, number: int) -> Address:
    return IPv4Address(number) if of.version == 4 else IPv6Address(number)


def _selector(of: Flow) -> Selector:
    """Exactly this flow."""
    return Selector(
        src=ip_network(_address(of, of.src)),
        dst=ip_network(_address(of, of.dst)),
        protocol=of.protocol,
        src_port=of.src_port or None,
        dst_port=of.dst_port or None,
    )

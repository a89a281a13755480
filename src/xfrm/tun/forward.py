"""What happens to a packet, either way (RFC 4301, 5.1 and 5.2). No I/O: `Ports` has the functions.

Decisions are made once per flow and kept: `_out` maps a flow to the function that sends its
packets, and each inbound SA has the set of flows that may come by it. Any change of an SA or a
policy forgets all of them.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from xfrm.esp.sad import Entry, Sad, accepts
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
from xfrm.tun.spd import Matcher, PolicyEntry, Spd, UnknownPorts
from xfrm.tun.transport import Joiner, rebuilt, upper_layer

Send = Callable[[bytes, int], object]  # packet from SPI on (AH: from IP header on), TOS of outer
FlowKey = bytes | Flow

_FLOWS: Final = 4096  # remembered decisions, each way and SA
_FRAGMENTS: Final = 512  # first fragments whose ports are remembered
ACQUIRE_SECONDS: Final = 30.0  # the kernel's net.core.xfrm_acq_expires
HELD_SECONDS: Final = 10.0  # older packets are worth nothing to who sent them


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
        """`ike_ports`: UDP ports of this host that IKE and ESP in UDP speak from."""
        self._ike_ports = ike_ports
        self._sad = sad
        self._spd = spd
        self._ports = ports
        self._out: dict[FlowKey, Callable[[bytes], object]] = {}
        self._in: dict[Entry, set[FlowKey]] = {}
        self._first_fragments: dict[bytes, Flow] = {}
        self._joiner = Joiner()
        self.counters: Counter[Reason] = Counter()

    def forget(self) -> None:
        """SAs or policies changed: decide anew."""
        self._out.clear()
        self._in.clear()

    def release(self) -> None:
        """Send what was held for policies that now have an SA."""
        now = self._ports.now()
        for policy in self._spd:
            if policy.held and self._sa_of(policy, self._flow(policy.held[0][1])) is not None:
                held = list(policy.held)
                policy.held.clear()
                for since, packet in held:
                    if now - since < HELD_SECONDS:
                        self.outbound((packet,))

    # From the host to a peer

    def outbound(self, packets: Sequence[bytes]) -> None:
        """What the host routed to us: packets of one flow, in their order."""
        try:
            key = self._key(packets[0])
            way = self._out.get(key)
            if way is None:
                if len(self._out) >= _FLOWS:
                    self._out.clear()
                way = self._out[key] = self._decide(packets[0])
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

    def _decide(self, packet: bytes) -> Callable[[bytes], object]:
        of = self._flow(packet)
        if self._is_own(of, packet):
            self._ports.returned(_address(of, of.dst))
            return self._drop(Reason.OUT_LOOP)
        try:
            policy = self._spd.find(Direction.OUT, of)
        except UnknownPorts:
            return self._drop(Reason.OUT_BLOCKED)
        if policy is None:
            return self._unprotected(of)
        policy.used = policy.used or self._ports.date()
        if policy.policy.action == Action.BLOCK:
            return self._drop(Reason.OUT_BLOCKED)
        if not policy.policy.templates:
            return self._unprotected(of)
        entry = self._sa_of(policy, of)
        if entry is None:
            if policy.policy.templates[0].optional:
                return self._unprotected(of)
            return lambda packet: self._hold(policy, packet)
        policy.asked = None
        entry.used = entry.used or self._ports.date()
        return self._protected(entry)

    def _is_own(self, of: Flow, packet: bytes) -> bool:
        """IKE's datagram, or a packet of an SA of ours: somebody took our mark off it.

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

    def _sa_of(self, policy: PolicyEntry, of: Flow) -> Entry | None:
        """The SA for packets of the flow `of` by an outbound policy."""
        if policy.policy.direction != Direction.OUT or not policy.policy.templates:
            return None
        return self._sad.outbound(policy.policy.templates[0], *_tunnel_ends(policy, of))

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

    def _hold(self, policy: PolicyEntry, packet: bytes) -> None:
        """Keep `packet` until there is an SA, and ask for one."""
        now = self._ports.now()
        if len(policy.held) == policy.held.maxlen:
            self.counters[Reason.OUT_NO_STATES] += 1
        policy.held.append((now, packet))
        if policy.asked is not None and now - policy.asked < ACQUIRE_SECONDS:
            return
        policy.asked = now
        of = self._flow(packet)
        src, dst = _tunnel_ends(policy, of)
        self._ports.acquire(
            Acquire(selector=_selector(of), src=src, dst=dst, policy=policy.snapshot())
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
        key = self._key(inner)
        admitted = self._in.get(entry)
        if admitted is None:
            admitted = self._in[entry] = set()
            entry.used = entry.used or self._ports.date()
        if key not in admitted:
            self._check(entry.sa, self._flow(inner))
            if len(admitted) >= _FLOWS:
                admitted.clear()
            admitted.add(key)
        return inner if size == len(inner) else inner[:size]

    def _check(self, sa: SecurityAssociation, of: Flow) -> None:
        """RFC 4301, 5.2, step 4: the packet must be what the SA was made for."""
        if sa.selector is not None and Matcher(sa.selector).matches(of) is not True:
            raise Refused(Reason.IN_MISMATCH)
        local = self._ports.is_local(_address(of, of.dst))
        try:
            policy = self._spd.find(Direction.IN if local else Direction.FWD, of)
        except UnknownPorts:
            raise Refused(Reason.IN_BLOCKED) from None
        tunnel = sa.mode == Mode.TUNNEL
        if policy is None:
            if tunnel:
                raise Refused(Reason.IN_NO_POLICY)
            return  # as the kernel: in clear it would have come in, too
        policy.used = policy.used or self._ports.date()
        if policy.policy.action == Action.BLOCK:
            raise Refused(Reason.IN_BLOCKED)
        templates = policy.policy.templates
        if not any(accepts(template, sa) for template in templates) and (templates or tunnel):
            raise Refused(Reason.IN_TEMPLATE)


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

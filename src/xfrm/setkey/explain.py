"""SAs and policies in words, what belongs to what, and what looks wrong: `setkey -D --explain`.

No key is shown, so that the text can be sent to a support team. What belongs together is what the
kernel joins (xfrm_state_find, xfrm_policy_ok): protocol, mode, request id and, for a tunnel, the
end points of a policy's template must be those of the SA.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from xfrm.algorithms import Kind, row_of
from xfrm.model import (
    Action,
    Address,
    Algorithm,
    Direction,
    Lifetime,
    Mode,
    Network,
    Policy,
    Protocol,
    SecurityAssociation,
    Selector,
    Template,
)
from xfrm.pfkey import State, state_of
from xfrm.setkey.show import TYPE_AND_CODE, upper_protocol

_DIRECTIONS: Final = {
    Direction.IN: "arriving",
    Direction.OUT: "leaving",
    Direction.FWD: "passing through",
    Direction.SOCKET_IN: "arriving for one socket",
    Direction.SOCKET_OUT: "leaving one socket",
}

# /proc/net/xfrm_stat (Documentation/networking/xfrm_proc.rst), those that somebody can act on.
STATISTICS: Final = {
    "XfrmInNoStates": "arrived for an unknown SPI: the peer still uses an SA that was deleted here",
    "XfrmInStateProtoError": "failed authentication or decryption: keys or algorithms differ",
    "XfrmInStateModeError": "arrived in the other mode: one end says tunnel, the other transport",
    "XfrmInStateSeqError": "were replayed, or came too late for the replay window",
    "XfrmInStateExpired": "arrived for an SA whose lifetime is over",
    "XfrmInStateMismatch": "arrived with another ESP-in-UDP setting than the SA's",
    "XfrmInStateInvalid": "arrived while the SA was being deleted",
    "XfrmInTmplMismatch": "were not protected as the policy for them asks",
    "XfrmInNoPols": "were protected, and no `in` or `fwd` policy matches them",
    "XfrmInPolBlock": "were discarded by an `in` policy",
    "XfrmFwdHdrError": "could not be looked up for forwarding",
    "XfrmOutNoStates": "had a policy and no SA: no keying daemon runs, or its negotiation failed",
    "XfrmOutStateProtoError": "could not be encrypted",
    "XfrmOutStateSeqError": "would have repeated a sequence number: the SA has used all",
    "XfrmOutStateExpired": "had an SA whose lifetime is over",
    "XfrmOutPolBlock": "were discarded by an `out` policy",
    "XfrmAcquireError": "needed keys, and no keying daemon listens",
}


def explain(
    sas: Sequence[SecurityAssociation], policies: Sequence[Policy], now: int
) -> Iterator[str]:
    """Lines without newlines; those that begin with "  !" say what looks wrong.

    `now` is Unix seconds.
    """
    policies = [policy for policy in policies if not policy.per_socket]
    known = _Known(sas, policies)
    for sa in sas:
        yield from _explain_sa(sa, known, now)
    for policy in policies:
        yield from _explain_policy(policy, known)
    if not sas and not policies:
        yield "There are no SAs and no policies: everything passes as it is."


def explain_statistics(counters: Mapping[str, int]) -> Iterator[str]:
    """What the kernel refused since it started, by the names of /proc/net/xfrm_stat."""
    for name, meaning in STATISTICS.items():
        count = counters.get(name, 0)
        if count:
            yield f"  ! {count} packets {meaning} ({name})"


def parse_statistics(text: str) -> dict[str, int]:
    """/proc/net/xfrm_stat; lines of another form are passed over."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdecimal()}


_Place = tuple[Protocol, Mode, Address | None, Address | None]


class _Known:
    """SAs and policies by their ends, so that nothing is compared with all others."""

    def __init__(self, sas: Sequence[SecurityAssociation], policies: Sequence[Policy]) -> None:
        self._sas: dict[_Place, list[SecurityAssociation]] = {}
        self._policies: dict[_Place, dict[int, Policy]] = {}  # each by its turn
        self._ways = {(policy.direction, policy.selector) for policy in policies}
        for sa in sas:
            for place in _places_of_sa(sa):
                self._sas.setdefault(place, []).append(sa)
        for turn, policy in enumerate(policies):
            for template in policy.templates:
                self._policies.setdefault(_place(template, policy), {})[turn] = policy

    def users(self, sa: SecurityAssociation) -> list[Policy]:
        """The policies whose packets may use, or may have used, this SA, in their order."""
        near: dict[int, Policy] = {}
        for place in _places_of_sa(sa):
            near |= self._policies.get(place, {})
        policies = (near[turn] for turn in sorted(near))
        return [each for each in policies if any(_serves(sa, t, each) for t in each.templates)]

    def serving(
        self, template: Template, policy: Policy, *, any_reqid: bool = False
    ) -> list[SecurityAssociation]:
        near = self._sas.get(_place(template, policy), [])
        return [
            sa
            for sa in near
            if not sa.larval and _serves(sa, template, policy, any_reqid=any_reqid)
        ]

    def has(self, direction: Direction, selector: Selector) -> bool:
        return (direction, selector) in self._ways


def _place(template: Template, policy: Policy) -> _Place:
    """Where the SAs of a template are: of transport mode, between hosts, or between any."""
    if template.mode == Mode.TUNNEL:
        return template.protocol, template.mode, template.src, template.dst
    src, dst = policy.selector.src, policy.selector.dst
    if src.prefixlen == src.max_prefixlen and dst.prefixlen == dst.max_prefixlen:
        return template.protocol, template.mode, src.network_address, dst.network_address
    return template.protocol, template.mode, None, None


def _places_of_sa(sa: SecurityAssociation) -> list[_Place]:
    ends: _Place = (sa.protocol, sa.mode, sa.src, sa.dst)
    return [ends] if sa.mode == Mode.TUNNEL else [ends, (sa.protocol, sa.mode, None, None)]


def _explain_sa(sa: SecurityAssociation, known: _Known, now: int) -> Iterator[str]:
    yield f"SA {sa.protocol.name} 0x{sa.spi:08x} {sa.src} -> {sa.dst}: {_protection(sa)}"
    if sa.larval:
        age = _duration(now - sa.usage.added)
        yield f"  waiting for its keys for {age}: a keying daemon negotiates, or none runs"
        return
    yield f"  {_usage(sa, now)}; {_lifetime(sa.lifetime)}"
    users = known.users(sa)
    for policy in users:
        yield f"  for {_traffic(policy)}"
    yield from _sa_warnings(sa, users, now)


def _protection(sa: SecurityAssociation) -> str:
    words = [sa.mode.name.lower()]
    words += [
        _algorithm(kind, algorithm)
        for kind, algorithm in (
            (Kind.ENCRYPTION, sa.encryption),
            (Kind.AEAD, sa.aead),
            (Kind.AUTHENTICATION, sa.authentication),
            (Kind.COMPRESSION, sa.compression),
        )
        if algorithm is not None
    ]
    if sa.encapsulation is not None:
        words.append(f"in UDP {sa.encapsulation.src_port} -> {sa.encapsulation.dst_port}")
    if sa.reqid:
        words.append(f"request id {sa.reqid}")
    if sa.replay_window:
        words.append(f"replay window {sa.replay_window} packets")
    if sa.esn:
        words.append("64-bit sequence numbers")
    return ", ".join(words)


def _algorithm(kind: Kind, algorithm: Algorithm) -> str:
    row = row_of(kind, algorithm)
    name = algorithm.name if row is None else row.setkey[0]
    key = f" (key of {len(algorithm.key) * 8} bits)" if len(algorithm.key) else ""
    check = f" truncated to {algorithm.icv_bits} bits" if kind is Kind.AUTHENTICATION else ""
    return f"{name}{key}{check}"


def _usage(sa: SecurityAssociation, now: int) -> str:
    usage = sa.usage
    age = _duration(now - usage.added)
    if not usage.packets:
        return f"never used in {age}"
    return f"{usage.packets} packets, {usage.octets} octets in {age}"


def _lifetime(life: Lifetime) -> str:
    limits = [_duration(life.hard_seconds)] if life.hard_seconds else []
    limits += [f"{life.hard_octets} octets"] if life.hard_octets else []
    limits += [f"{life.hard_packets} packets"] if life.hard_packets else []
    return f"lives {' or '.join(limits) or 'until it is deleted'}"


def _sa_warnings(sa: SecurityAssociation, users: Sequence[Policy], now: int) -> Iterator[str]:
    if not users:
        yield "  ! no policy uses it: it sends nothing, and what it receives is discarded"
    if state_of(sa, now) is State.DYING:
        yield "  ! its soft lifetime is over, and it was not replaced"
    if not sa.replay_window and any(user.direction is Direction.IN for user in users):
        yield "  ! replayed packets are accepted: the replay window is 0"
    check = sa.authentication
    row = None if check is None else row_of(Kind.AUTHENTICATION, check)
    if check is not None and row is not None and check.icv_bits != row.icv_bits:
        yield (
            f"  ! {row.setkey[0]} is truncated to {check.icv_bits} bits, the standard to"
            f" {row.icv_bits}: a peer that keeps to the standard discards its packets"
        )


def _explain_policy(policy: Policy, known: _Known) -> Iterator[str]:
    yield f"Policy for {_traffic(policy)}: {_verdict(policy)}"
    for template in policy.templates:
        yield from _explain_template(template, policy, known)
    if policy.direction is Direction.IN and policy.templates:
        tunnel = any(template.mode == Mode.TUNNEL for template in policy.templates)
        if tunnel and not known.has(Direction.FWD, policy.selector):
            yield "  ! it has no `fwd` policy: these packets would not be forwarded"


def _verdict(policy: Policy) -> str:
    if policy.action is Action.BLOCK:
        return "discard"
    return "protect" if policy.templates else "let pass as it is"


def _traffic(policy: Policy) -> str:
    return f"{_DIRECTIONS[policy.direction]} packets {_selector(policy.selector)}"


def _selector(selector: Selector) -> str:
    def end(network: Network, port: int | None) -> str:
        host = network.prefixlen == network.max_prefixlen
        name = network.network_address if host else network
        return f"{name}" if port is None else f"{name} port {port}"

    protocol = f" {upper_protocol(selector.protocol)}" if selector.protocol else ""
    if selector.protocol not in TYPE_AND_CODE:
        src, dst = end(selector.src, selector.src_port), end(selector.dst, selector.dst_port)
        return f"{src} -> {dst}{protocol}"
    kind = "" if selector.src_port is None else f" type {selector.src_port}"
    code = "" if selector.dst_port is None else f" code {selector.dst_port}"
    return f"{end(selector.src, None)} -> {end(selector.dst, None)}{protocol}{kind}{code}"


def _explain_template(template: Template, policy: Policy, known: _Known) -> Iterator[str]:
    name = f"{template.protocol.name} {template.mode.name.lower()}"
    if template.src is not None and template.dst is not None:
        name += f" {template.src} -> {template.dst}"
    serving = known.serving(template, policy)
    if serving:
        newest = max(serving, key=lambda sa: sa.usage.added)
        yield f"  by {name}: SA 0x{newest.spi:08x}"
        return
    if policy.direction is not Direction.OUT:
        yield f"  ! by {name}: no such SA, so such packets are discarded"
    elif template.optional:
        yield f"  by {name}: no such SA, and the level is `use`: packets are sent without it"
    else:
        yield (
            f"  ! by {name}: no such SA; the next packet makes the kernel ask a keying daemon,"
            " and packets are discarded until there is one"
        )
    for sa in known.serving(template, policy, any_reqid=True):
        yield (
            f"  ! SA 0x{sa.spi:08x} matches but for its request id: {sa.reqid}, the policy's is"
            f" {template.reqid}"
        )


def _serves(
    sa: SecurityAssociation, template: Template, policy: Policy, *, any_reqid: bool = False
) -> bool:
    """Whether packets of the policy may use, or may have used, this SA."""
    if (sa.protocol, sa.mode) != (template.protocol, template.mode):
        return False
    outward = policy.direction is Direction.OUT
    if sa.reqid != template.reqid and (outward or template.reqid) and not any_reqid:
        return False
    if template.mode == Mode.TUNNEL:
        return (sa.src, sa.dst) == (template.src, template.dst)
    return sa.src in policy.selector.src and sa.dst in policy.selector.dst


def _duration(seconds: int) -> str:
    if abs(seconds) < 120:
        return f"{seconds} s"
    if abs(seconds) < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h"

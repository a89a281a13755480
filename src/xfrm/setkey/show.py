"""SAs and policies as `setkey -D`, `setkey -DP` and `racoonctl show-sa ipsec` print them.

The words, tabs and trailing blanks are what the manual and the programs of ipsec-tools print, so
that scripts which read them keep working. Keys are shown, as the manual does: for root's eyes.
"""

from datetime import UTC, datetime, tzinfo
from typing import Final

from xfrm.algorithms import Kind, row_of
from xfrm.model import (
    Action,
    Address,
    Algorithm,
    Direction,
    Mode,
    Network,
    Policy,
    Protocol,
    SecurityAssociation,
    Template,
)
from xfrm.pfkey import state_of

NO_SAS: Final = "No SAD entries."
NO_POLICIES: Final = "No SPD entries."

# Kernel priorities of `prio low`, `prio def` and `prio high` without an offset; less goes first.
PRIORITY_LOW: Final = 0xC0000000
PRIORITY_DEFAULT: Final = 0x80000000
PRIORITY_HIGH: Final = 0x40000000

UPPER_PROTOCOLS: Final = {
    "any": 0,
    "icmp": 1,
    "igmp": 2,
    "ip4": 4,
    "tcp": 6,
    "udp": 17,
    "dccp": 33,
    "ipv6": 41,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmp6": 58,
    "ospf": 89,
    "pim": 103,
    "vrrp": 112,
    "l2tp": 115,
    "sctp": 132,
    "mh": 135,
    "udplite": 136,
}
_UPPER_NAMES: Final = {number: name for name, number in UPPER_PROTOCOLS.items()} | {0: "255"}
TYPE_AND_CODE: Final = frozenset({1, 58, 135})  # upper protocols that have a type, not ports

_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"  # whatever the locale
_NEVER: Final = " " * 20  # as wide as a date
_PROTOCOLS: Final = {Protocol.ESP: "esp", Protocol.AH: "ah", Protocol.IPCOMP: "ipcomp"}
_MODES: Final = {Mode.TRANSPORT: "transport", Mode.TUNNEL: "tunnel"}
_DIRECTIONS: Final = {
    Direction.IN: "in",
    Direction.OUT: "out",
    Direction.FWD: "fwd",
    Direction.SOCKET_IN: "in(socket)",
    Direction.SOCKET_OUT: "out(socket)",
}


def show_sa(
    sa: SecurityAssociation,
    *,
    sequence: int = 0,
    pid: int = 0,
    now: int,
    zone: tzinfo | None = None,
) -> str:
    """The SA in ten lines or so, each ended by a newline.

    `now` is Unix seconds; dates are shown in `zone`, by default the machine's. `sequence` and
    `pid` are the dump's.
    """
    usage, life = sa.usage, sa.lifetime
    state = state_of(sa, now).name.lower()
    age = now - usage.added if usage.added else 0
    lines = [
        f"{_end(sa.src, sa, source=True)} {_end(sa.dst, sa, source=False)} \n",
        f"\t{_protocol(sa)} mode={_mode(sa.mode)} spi={sa.spi}(0x{sa.spi:08x})"
        f" reqid={sa.reqid}(0x{sa.reqid:08x})\n",
        *_algorithms(sa),
        f"\tseq=0x{0:08x} replay={sa.replay_window} flags=0x{0:08x} state={state} \n",
        f"\tcreated: {_date(usage.added, zone)}\tcurrent: {_date(now, zone)}\n",
        f"\tdiff: {age}(s)\thard: {life.hard_seconds or 0}(s)\tsoft: {life.soft_seconds or 0}(s)\n",
        f"\tlast: {_date(usage.used, zone)}\thard: 0(s)\tsoft: 0(s)\n",
        f"\tcurrent: {usage.octets}(bytes)\thard: {life.hard_octets or 0}(bytes)"
        f"\tsoft: {life.soft_octets or 0}(bytes)\n",
        f"\tallocated: {usage.packets}\thard: {life.hard_packets or 0}"
        f"\tsoft: {life.soft_packets or 0}\n",
        f"\tsadb_seq={sequence} pid={pid} refcnt=0\n",
    ]
    return "".join(lines)


def show_policy(
    policy: Policy,
    *,
    sequence: int = 0,
    pid: int = 0,
    zone: tzinfo | None = None,
    ports: bool = False,
) -> str:
    """The policy in lines, each ended by a newline; `ports` shows those of tunnel end points."""
    usage = policy.usage
    lines = [
        "(per-socket policy) \n" if policy.per_socket else f"{_selector(policy)}\n",
        f"\t{_DIRECTIONS[policy.direction]} {_priority(policy)}{_action(policy)}\n",
        *(f"\t{show_template(template, ports=ports)}\n" for template in policy.templates),
        f"\tcreated: {_date(usage.added, zone)}  lastused: {_date(usage.used, zone)}\n",
        f"\tlifetime: {policy.lifetime.hard_seconds or 0}(s) validtime: 0(s)\n",
        f"\tspid={policy.index} seq={sequence} pid={pid}\n",
        "\trefcnt=1\n",
    ]
    return "".join(lines)


def show_template(template: Template, *, ports: bool = False) -> str:
    """A rule as setkey.conf has it: PROTOCOL/MODE/SRC-DST/LEVEL."""
    port = "[0]" if ports else ""
    ends = ""
    if template.src is not None and template.dst is not None:
        ends = f"{template.src}{port}-{template.dst}{port}"
    if template.optional:
        level = "use"
    elif template.reqid:
        level = f"unique:{template.reqid}"
    else:
        level = "require"
    protocol = _PROTOCOLS.get(template.protocol, str(template.protocol))
    return f"{protocol}/{_mode(template.mode)}/{ends}/{level}"


def upper_protocol(number: int) -> str:
    """As a policy shows it: 255 is any."""
    return _UPPER_NAMES.get(number, str(number))


def _end(address: Address, sa: SecurityAssociation, *, source: bool) -> str:
    if sa.encapsulation is None:
        return str(address)
    port = sa.encapsulation.src_port if source else sa.encapsulation.dst_port
    return f"{address}[{port}]"


def _protocol(sa: SecurityAssociation) -> str:
    name = _PROTOCOLS.get(sa.protocol, str(sa.protocol))
    return f"{name}-udp" if sa.encapsulation is not None else name


def _mode(mode: Mode) -> str:
    return _MODES.get(mode, str(mode))


def _algorithms(sa: SecurityAssociation) -> list[str]:
    lines = []
    for kind, letter, algorithm in (
        (Kind.ENCRYPTION, "E", sa.encryption),
        (Kind.AEAD, "E", sa.aead),
        (Kind.AUTHENTICATION, "A", sa.authentication),
    ):
        if algorithm is not None and len(algorithm.key):
            lines.append(f"\t{letter}: {_name(kind, algorithm)} {_key(algorithm)}\n")
    if sa.compression is not None:
        # The next line goes on behind it: so do setkey's.
        lines.append(f"\tC: {_name(Kind.COMPRESSION, sa.compression)} ")
    return lines


def _name(kind: Kind, algorithm: Algorithm) -> str:
    row = row_of(kind, algorithm)
    return algorithm.name if row is None else row.setkey[0]


def _key(algorithm: Algorithm) -> str:
    text = algorithm.key.reveal().hex()
    return "".join(f" {text[at : at + 8]}" for at in range(0, len(text), 8))


def _date(seconds: int, zone: tzinfo | None) -> str:
    """Such as "May  4 14:05:30 2015"; blanks for never."""
    if not seconds:
        return _NEVER
    try:
        date = datetime.fromtimestamp(seconds, UTC).astimezone(zone)
    except (OverflowError, ValueError, OSError):
        return f"{seconds:<20}"
    month = _MONTHS[3 * date.month - 3 : 3 * date.month]
    return f"{month} {date.day:>2} {date:%H:%M:%S} {date.year:04}"


def _selector(policy: Policy) -> str:
    selector = policy.selector
    upper = upper_protocol(selector.protocol)
    if selector.protocol in TYPE_AND_CODE:
        kind, code = selector.src_port, selector.dst_port
        given = "" if kind is None and code is None else f" {_any(kind, '255')},{_any(code, '255')}"
        return f"{_network(selector.src)} {_network(selector.dst)} {upper}{given}"
    src = f"{_network(selector.src)}[{_any(selector.src_port)}]"
    dst = f"{_network(selector.dst)}[{_any(selector.dst_port)}]"
    return f"{src} {dst} {upper}"


def _any(number: int | None, word: str = "any") -> str:
    return word if number is None else str(number)


def _network(network: Network) -> str:
    return str(network.network_address if network.prefixlen == network.max_prefixlen else network)


def _priority(policy: Policy) -> str:
    priority = policy.priority
    if policy.per_socket or not priority:
        return ""
    if priority < PRIORITY_DEFAULT // 4 * 3:
        word, base = "high", PRIORITY_HIGH
    elif priority < PRIORITY_DEFAULT // 4 * 5:
        word, base = "def", PRIORITY_DEFAULT
    else:
        word, base = "low", PRIORITY_LOW
    offset = base - priority
    if not offset:
        return f"prio {word} "
    return f"prio {word} {'+' if offset > 0 else '-'} {abs(offset)} "


def _action(policy: Policy) -> str:
    if policy.action is Action.BLOCK:
        return "discard"
    return "ipsec" if policy.templates else "none"

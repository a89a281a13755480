"""Names of IP protocols: /etc/protocols, and the usual ones where that file is missing."""

from functools import cache

from wire.lean import Final
from wire.source import number

FILE: Final = "/etc/protocols"
_USUAL: Final = {
    "icmp": 1,
    "icmp6": 58,  # racoon's own name
    "igmp": 2,
    "ipencap": 4,
    "tcp": 6,
    "udp": 17,
    "ipv6": 41,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": 58,
    "ospf": 89,
    "vrrp": 112,
    "l2tp": 115,
    "sctp": 132,
}


@cache
def known() -> dict[str, int]:
    """Every name and alias with its number, `any` among them as 0."""
    names = {"any": 0} | _USUAL
    try:
        with open(FILE, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return names
    for line in lines:
        match line.partition("#")[0].split():
            case [name, number, *aliases] if number.isdecimal():
                names |= dict.fromkeys([name, *aliases], int(number))
            case _:
                pass  # a blank line, or none that we read
    return names


def protocol_name(wanted: int) -> str:
    """The usual name of a protocol, or its digits."""
    return next((name for name, value in known().items() if value == wanted), str(wanted))


def protocol_number(text: str) -> int | None:
    """The number of a name or of a number's digits; None when there is no such protocol."""
    if text.isdecimal():
        return number(text, 255)
    names = known()
    return names.get(text, names.get(text.lower()))

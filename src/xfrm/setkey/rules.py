"""Policies of a setkey file: -P and what follows it. All raise SetkeyError."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from wire.addresses import unscoped
from xfrm.model import Action, Address, Direction, Mode, Protocol, Template
from xfrm.setkey.associations import mode
from xfrm.setkey.show import PRIORITY_DEFAULT, PRIORITY_HIGH, PRIORITY_LOW
from xfrm.setkey.statements import CHOOSE_REQID, SetkeyError
from xfrm.setkey.syntax import nearest, place_of
from xfrm.setkey.words import decimal

if TYPE_CHECKING:
    from lark import Token, Tree

_DIRECTIONS: Final = {"in": Direction.IN, "out": Direction.OUT, "fwd": Direction.FWD}
_ACTIONS: Final = ("discard", "none", "ipsec")
_PROTOCOLS: Final = {"esp": Protocol.ESP, "ah": Protocol.AH, "ipcomp": Protocol.IPCOMP}
_LEVELS: Final = ("default", "use", "require", "unique")
_PRIORITIES: Final = {"low": PRIORITY_LOW, "def": PRIORITY_DEFAULT, "high": PRIORITY_HIGH}
_PRIORITY: Final = re.compile(r"(low|def|high)?([+-])?([0-9]{1,10})?")
_PORT: Final = re.compile(r"\[[^\]]*\]$")
_MOST_UNIQUE: Final = 32767


def direction(word: Token) -> Direction:
    found = _DIRECTIONS.get(word)
    if found is None:
        raise SetkeyError(f"'{word}' is not one of in, out, fwd", place_of(word))
    return found


def policy(parts: list[Token | Tree[Token]]) -> tuple[Direction, int, Action, tuple[Template, ...]]:
    """What follows -P: direction, kernel priority, action, rules."""
    words = [part for part in parts if isinstance(part, str)]
    trees = [part for part in parts if not isinstance(part, str)]
    toward, action = direction(words[0]), words[1]
    priority = PRIORITY_DEFAULT
    written: list[Token] = []
    for tree in trees:
        children = [child for child in tree.children if isinstance(child, str)]
        if tree.data == "priority":
            priority = _priority(children)
        else:
            written += children
    if action not in _ACTIONS:
        hint = nearest(str(action), _ACTIONS)
        raise SetkeyError(f"'{action}' is not one of discard, none, ipsec{hint}", place_of(action))
    if (action == "ipsec") != bool(written):
        text = "ipsec needs rules behind it" if action == "ipsec" else f"{action} takes no rules"
        raise SetkeyError(text, place_of(action))
    verdict = Action.BLOCK if action == "discard" else Action.ALLOW
    return toward, priority, verdict, tuple(_rule(word) for word in written)


def _priority(words: list[Token]) -> int:
    """setkey counts upwards, the kernel downwards: more is earlier here, later there."""
    text = "".join(words)
    match = _PRIORITY.fullmatch(text)
    if match is None or (match[1] and bool(match[2]) != bool(match[3])):
        raise SetkeyError(
            f"'{' '.join(words)}' is no priority such as 10, -10, high, low + 5", place_of(words[0])
        )
    base = _PRIORITIES[match[1] or "def"]
    offset = int(match[3] or 0)
    found = base + offset if match[2] == "-" else base - offset
    if not 0 < found < 1 << 32:
        raise SetkeyError(f"the priority {text} is too far off", place_of(words[0]))
    return found


def _rule(word: Token) -> Template:
    """PROTOCOL/MODE/SRC-DST/LEVEL; the last two may be missing."""
    parts = word.split("/")
    if not 2 <= len(parts) <= 4:
        raise SetkeyError(f"'{word}' is no rule PROTOCOL/MODE/SRC-DST/LEVEL", place_of(word))
    protocol_name, mode_name, ends, level = parts + ["", "default"][len(parts) - 2 :]
    protocol = _PROTOCOLS.get(protocol_name)
    if protocol is None:
        raise SetkeyError(f"'{protocol_name}' is not one of esp, ah, ipcomp", place_of(word))
    found_mode = mode(mode_name, place_of(word))
    src, dst = _ends(word, found_mode, ends)
    optional, reqid = _level(word, level)
    return Template(
        protocol=protocol, mode=found_mode, src=src, dst=dst, optional=optional, reqid=reqid
    )


def _ends(word: Token, found_mode: Mode, text: str) -> tuple[Address | None, Address | None]:
    """A tunnel's two end points; ports behind them, and end points in transport mode, are idle."""
    src, dash, dst = text.partition("-")
    if found_mode != Mode.TUNNEL:
        return None, None
    if not dash:
        raise SetkeyError(
            "a tunnel needs its end points, such as 10.0.0.1-10.0.0.2", place_of(word)
        )
    try:
        ends = unscoped(_PORT.sub("", src)), unscoped(_PORT.sub("", dst))
    except ValueError as error:
        raise SetkeyError(f"{error}", place_of(word)) from None
    if ends[0].version != ends[1].version:
        raise SetkeyError("a tunnel's end points are of one family", place_of(word))
    return ends


def _level(word: Token, text: str) -> tuple[bool, int]:
    """Whether the rule may be left out, and its reqid."""
    name, colon, number = text.partition(":")
    if name not in _LEVELS or (colon and name != "unique"):
        hint = nearest(name, _LEVELS)
        raise SetkeyError(f"'{text}' is not one of {', '.join(_LEVELS)}{hint}", place_of(word))
    if not colon:
        return name == "use", CHOOSE_REQID if name == "unique" else 0
    reqid = decimal(number, _MOST_UNIQUE)
    if not reqid:
        raise SetkeyError(f"unique takes 1 to {_MOST_UNIQUE}, not '{number}'", place_of(word))
    return False, reqid

"""Policies of a setkey file: -P and what follows it. All raise SetkeyError."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from wire.addresses import unscoped
from wire.grammar import Statement
from wire.source import Word, nearest
from xfrm.model import Action, Address, Direction, Mode, Protocol, Template
from xfrm.setkey.associations import mode
from xfrm.setkey.show import PRIORITY_DEFAULT, PRIORITY_HIGH, PRIORITY_LOW
from xfrm.setkey.statements import CHOOSE_REQID, SetkeyError
from xfrm.setkey.words import decimal

_DIRECTIONS: Final = {"in": Direction.IN, "out": Direction.OUT, "fwd": Direction.FWD}
_ACTIONS: Final = ("discard", "none", "ipsec")
_PROTOCOLS: Final = {"esp": Protocol.ESP, "ah": Protocol.AH, "ipcomp": Protocol.IPCOMP}
_LEVELS: Final = ("default", "use", "require", "unique")
_PRIORITIES: Final = {"low": PRIORITY_LOW, "def": PRIORITY_DEFAULT, "high": PRIORITY_HIGH}
_PRIORITY: Final = re.compile(r"(low|def|high)?([+-])?([0-9]{1,10})?")
_PORT: Final = re.compile(r"\[[^\]]*\]$")
_MOST_UNIQUE: Final = 32767


def direction(word: Word) -> Direction:
    found = _DIRECTIONS.get(word)
    if found is None:
        raise SetkeyError(f"'{word}' is not one of in, out, fwd", word.place)
    return found


def policy(
    words: Sequence[Word], parts: Sequence[Statement]
) -> tuple[Direction, int, Action, tuple[Template, ...]]:
    """What follows -P: direction, kernel priority, action, rules."""
    toward, action = direction(words[0]), words[1]
    priority = PRIORITY_DEFAULT
    written: list[Word] = []
    for part in parts:
        if part.name == "priority":
            priority = _priority(part.words)
        else:
            written += part.words
    if action not in _ACTIONS:
        hint = nearest(str(action), _ACTIONS)
        raise SetkeyError(f"'{action}' is not one of discard, none, ipsec{hint}", action.place)
    if (action == "ipsec") != bool(written):
        text = (
            "ipsec needs a rule PROTOCOL/MODE/SRC-DST/LEVEL after it"
            if action == "ipsec"
            else f"{action} allows no rules"
        )
        raise SetkeyError(text, action.place)
    verdict = Action.BLOCK if action == "discard" else Action.ALLOW
    return toward, priority, verdict, tuple(_rule(word) for word in written)


def _priority(words: Sequence[Word]) -> int:
    """setkey counts upwards, the kernel downwards: more is earlier here, later there."""
    text = "".join(words)
    match = _PRIORITY.fullmatch(text)
    if match is None or (match[1] and bool(match[2]) != bool(match[3])):
        raise SetkeyError(
            f"'{' '.join(words)}' is not a priority such as 10, -10, high, low + 5", words[0].place
        )
    base = _PRIORITIES[match[1] or "def"]
    offset = int(match[3] or 0)
    found = base + offset if match[2] == "-" else base - offset
    if not 0 < found < 1 << 32:
        raise SetkeyError(f"the priority {text} is out of range", words[0].place)
    return found


def _rule(word: Word) -> Template:
    """PROTOCOL/MODE/SRC-DST/LEVEL; the last two may be missing."""
    parts = "".join(word.split()).split("/")
    if not 2 <= len(parts) <= 4:
        raise SetkeyError(f"'{word}' is not a rule PROTOCOL/MODE/SRC-DST/LEVEL", word.place)
    protocol_name, mode_name, ends, level = parts + ["", "default"][len(parts) - 2 :]
    protocol = _PROTOCOLS.get(protocol_name)
    if protocol is None:
        raise SetkeyError(f"'{protocol_name}' is not one of esp, ah, ipcomp", word.place)
    found_mode = mode(mode_name, word.place)
    src, dst = _ends(word, found_mode, ends)
    optional, reqid = _level(word, level)
    return Template(
        protocol=protocol, mode=found_mode, src=src, dst=dst, optional=optional, reqid=reqid
    )


def _ends(word: Word, found_mode: Mode, text: str) -> tuple[Address | None, Address | None]:
    """A tunnel's two end points; ports behind them, and end points in transport mode, are idle."""
    src, dash, dst = text.partition("-")
    if found_mode != Mode.TUNNEL:
        return None, None
    if not dash:
        raise SetkeyError("a tunnel needs its end points, such as 10.0.0.1-10.0.0.2", word.place)
    try:
        ends = unscoped(_PORT.sub("", src)), unscoped(_PORT.sub("", dst))
    except ValueError as error:
        raise SetkeyError(f"{error}", word.place) from None
    if ends[0].version != ends[1].version:
        raise SetkeyError("a tunnel's end points are of one family", word.place)
    return ends


def _level(word: Word, text: str) -> tuple[bool, int]:
    """Whether the rule may be left out, and its reqid."""
    name, colon, number = (text or "default").partition(":")
    if name not in _LEVELS or (colon and name != "unique"):
        hint = nearest(name, _LEVELS)
        raise SetkeyError(f"'{text}' is not one of {', '.join(_LEVELS)}{hint}", word.place)
    if not colon:
        return name == "use", CHOOSE_REQID if name == "unique" else 0
    reqid = decimal(number, _MOST_UNIQUE)
    if not reqid:
        raise SetkeyError(
            f"unique needs a number of 1 to {_MOST_UNIQUE}, not '{number}'", word.place
        )
    return False, reqid

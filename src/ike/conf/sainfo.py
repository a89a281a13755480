"""`sainfo { }` of racoon.conf as the engine's `Sainfo`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network, summarize_address_range
from typing import Final

from ike.conf.errors import ConfError
from ike.conf.identifiers import identifier
from ike.conf.protocols import known, protocol_number
from ike.conf.reading import Notes
from ike.conf.values import (
    INTEGRITIES,
    PHASE2_CIPHERS,
    address,
    group,
    key_bits,
    lifetime,
    named,
    number,
    port,
)
from ike.config import EspEncryption, Sainfo, SainfoId
from ike.numbers.doi import Integrity
from ike.values import Network
from wire.grammar import Statement
from wire.source import Word, nearest

_SIDES: Final = ("anonymous", "clientaddr", "id")
_LISTS: Final = ("encryption_algorithm", "authentication_algorithm")
_NOBODYS: Final = {
    "for_group": "no peer is a member of a group, as XAuth is not supported",
    "clientaddr": "no peer is given an address, as mode_cfg is not supported",
    "range": "a policy is for networks, and a peer that names a range is refused",
}


def sainfo(statement: Statement, notes: Notes) -> Sainfo | None:
    """What phase 2 may negotiate between two ends; None if it can be no traffic's.

    Raises: ConfError.
    """
    parts = {part.name: part for part in statement.block}
    parts |= {name: _joined(statement, name) for name in _LISTS if name in parts}
    idle = next((parts[name] for name in ("for_group", "clientaddr") if name in parts), None)
    if idle is not None:
        notes.passed_over(idle.place, f"this sainfo is never used: {_NOBODYS[idle.name]}")
        return None
    sides = [_side(part, notes) for part in statement.block if part.name in _SIDES]
    if any(side is _NO_TRAFFIC for side in sides):
        text = f"this sainfo is never used: {_NOBODYS['range']}"
        notes.passed_over(statement.place, text)
        return None
    return _made(sides, parts, notes)


def _joined(statement: Statement, name: str) -> Statement:
    """As in racoon, a second list of algorithms is added to the first."""
    first, *more = (part for part in statement.block if part.name == name)
    words = (*first.words, *(word for part in more for word in part.values))
    return replace(first, words=words)


def _made(
    sides: Sequence[SainfoId | None], settings: Mapping[str, Statement], notes: Notes
) -> Sainfo:
    default = Sainfo()
    if "my_identifier" in settings:
        place = settings["my_identifier"].place
        notes.passed_over(place, "my_identifier has no effect here: it belongs in remote")
    lasting = settings.get("lifetime")
    if lasting and lasting.value.text == "byte":
        text = "lifetime byte is not supported; give lifetime time"
        raise ConfError(text, lasting.value.place, ["time"])
    pfs = settings.get("pfs_group")
    remoteid = settings.get("remoteid")
    origin = settings.get("from")
    return Sainfo(
        local=sides[0],
        remote=sides[-1],
        pfs_group=group(pfs.value) if pfs else None,
        lifetime_seconds=lifetime(lasting) if lasting else default.lifetime_seconds,
        encryption=_encryption(settings.get("encryption_algorithm"), default, notes),
        integrity=_integrity(settings.get("authentication_algorithm"), default),
        remoteid=number(remoteid.value) if remoteid else 0,
        peer=identifier(origin.values, notes) if origin else None,
    )


_NO_TRAFFIC: Final = SainfoId()


def _side(part: Statement, notes: Notes) -> SainfoId | None:
    """None is anonymous; _NO_TRAFFIC is a range that is not a network."""
    if part.name == "anonymous":
        return None
    kind, *rest = part.words
    if kind.text not in ("address", "subnet"):
        return SainfoId(identifier=identifier(part.words, notes))
    extra = {sub.name: sub.words[0] for sub in part.block}
    network = _network(rest, extra.get("prefix"))
    if network is None:
        return _NO_TRAFFIC
    return SainfoId(
        network=network,
        port=port(extra["port"]) if "port" in extra else 0,
        protocol=_protocol(rest[-1]),
    )


def _network(rest: Sequence[Word], prefix: Word | None) -> Network | None:
    """ADDRESS or ADDRESS-ADDRESS, the protocol behind them; host bits do not matter."""
    first, last = address(rest[0]), address(rest[-2])
    if len(rest) > 2:
        try:
            (only,) = summarize_address_range(first, last)
        except (ValueError, TypeError):
            return None
        return only
    length = number(prefix) if prefix is not None else first.max_prefixlen
    if length > first.max_prefixlen:
        raise ConfError(f"{first}/{length} is not a network", rest[0].place)
    return ip_network((first, length), strict=False)


def _protocol(word: Word) -> int:
    found = protocol_number(word.text)
    if found is None:
        hint = nearest(word.text, list(known()))
        raise ConfError(f"there is no IP protocol '{word.text}'{hint}", word.place)
    return found


def _encryption(
    setting: Statement | None, default: Sainfo, notes: Notes
) -> tuple[EspEncryption, ...]:
    """The ciphers in order; those that are not supported are left out."""
    if setting is None:
        return default.encryption
    unknown = [w for w in setting.values if not w.text.isdigit() and w.text not in PHASE2_CIPHERS]
    for word in unknown:
        notes.passed_over(word.place, f"the encryption algorithm {word} is not supported: left out")
    made = tuple(_ciphers(setting.values, skip=unknown))
    if not made:
        text = "none of the encryption algorithms can be done: this traffic is not negotiated"
        notes.passed_over(setting.place, text)
    return made


def _ciphers(values: Sequence[Word], skip: Sequence[Word]) -> Iterator[EspEncryption]:
    for word, following in zip(values, [*values[1:], None], strict=True):
        if word.text.isdigit() or word in skip:
            continue
        transform = named(word, PHASE2_CIPHERS, "encryption algorithm")
        bits = 0
        if following is not None and following.text.isdigit():
            bits = key_bits(transform, following)
        yield EspEncryption(transform, bits)


def _integrity(setting: Statement | None, default: Sainfo) -> tuple[Integrity, ...]:
    if setting is None:
        return default.integrity
    return tuple(named(word, INTEGRITIES, "integrity algorithm") for word in setting.values)

"""`sainfo { }` of racoon.conf as the engine's `Sainfo`."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Final

from ike.conf.errors import ConfError
from ike.conf.protocols import known, protocol_number
from ike.conf.reading import Notes
from ike.conf.values import (
    INTEGRITIES,
    PHASE2_CIPHERS,
    address,
    group,
    identifier,
    key_bits,
    named,
    number,
    port,
    seconds,
)
from ike.config import EspEncryption, Sainfo, SainfoId
from ike.numbers.doi import Integrity
from wire.grammar import Statement
from wire.source import Word, nearest

_SIDES: Final = ("anonymous", "clientaddr", "id")
_REFUSED: Final = {
    "from": "sainfo ... from is not supported; use remoteid with the remote's ph1id",
    "for_group": "sainfo ... group needs XAuth, which is not supported",
    "clientaddr": "clientaddr needs mode_cfg, which is not supported",
}


def sainfo(statement: Statement, notes: Notes) -> Sainfo:
    """What phase 2 may negotiate between two ends. Raises: ConfError."""
    for part in statement.block:
        if part.name in _REFUSED:
            raise ConfError(_REFUSED[part.name], part.place)
    sides = [_side(part) for part in statement.block if part.name in _SIDES]
    settings = {part.name: part for part in statement.block if part.name not in _SIDES}
    default = Sainfo()
    if "my_identifier" in settings:
        notes.passed_over(settings["my_identifier"].place, "my_identifier belongs in remote")
    lifetime = settings.get("lifetime")
    if lifetime and lifetime.value.text == "byte":
        text = "lifetime byte is not supported; give lifetime time"
        raise ConfError(text, lifetime.value.place, ["time"])
    pfs = settings.get("pfs_group")
    remoteid = settings.get("remoteid")
    return Sainfo(
        local=sides[0],
        remote=sides[-1],
        pfs_group=group(pfs.value) if pfs else None,
        lifetime_seconds=seconds(*lifetime.words[2:4]) if lifetime else default.lifetime_seconds,
        encryption=_encryption(settings.get("encryption_algorithm"), default, notes),
        integrity=_integrity(settings.get("authentication_algorithm"), default),
        remoteid=number(remoteid.value) if remoteid else 0,
    )


def _side(part: Statement) -> SainfoId | None:
    if part.name == "anonymous":
        return None
    kind, *rest = part.words
    if kind.text not in ("address", "subnet"):
        return SainfoId(identifier=identifier(part.words))
    if len(rest) > 2:
        raise ConfError("address ranges are not supported; write a subnet", rest[1].place)
    extra = {sub.name: sub.words[0] for sub in part.block}
    host = address(rest[0])
    length = number(extra["prefix"]) if "prefix" in extra else host.max_prefixlen
    try:
        network = ip_network((host, length))
    except ValueError:
        raise ConfError(f"{host}/{length} is not a network", rest[0].place) from None
    return SainfoId(
        network=network,
        port=port(extra["port"]) if "port" in extra else 0,
        protocol=_protocol(rest[-1]),
    )


def _protocol(word: Word) -> int:
    found = protocol_number(word.text)
    if found is None:
        hint = nearest(word.text, list(known()))
        raise ConfError(f"there is no IP protocol '{word.text}'{hint}", word.place)
    return found


def _encryption(
    setting: Statement | None, default: Sainfo, notes: Notes
) -> tuple[EspEncryption, ...]:
    """The ciphers in order; with others beside them, those that are not supported are left out."""
    if setting is None:
        return default.encryption
    names = [word for word in setting.values if not word.text.isdigit()]
    unknown = [word for word in names if word.text not in PHASE2_CIPHERS]
    if len(unknown) < len(names):
        for word in unknown:
            notes.passed_over(word.place, f"the encryption algorithm {word.text} is left out")
    return tuple(_ciphers(setting.values, skip=unknown if len(unknown) < len(names) else []))


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

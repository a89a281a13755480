"""SAs of a setkey file. All raise SetkeyError."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from wire.grammar import Statement, shown
from wire.source import Notices, Place, Word, nearest, octets_of
from xfrm.algorithms import NOT_IN_LINUX, BadKey, Kind, Row, by_setkey, setkey_names
from xfrm.model import (
    Address,
    Algorithm,
    Encapsulation,
    Lifetime,
    Mode,
    Protocol,
    SecurityAssociation,
)
from xfrm.setkey.statements import SetkeyError
from xfrm.setkey.words import number

# `any` is what PF_KEY calls "either"; Linux makes it transport mode.
MODES: Final = {"transport": Mode.TRANSPORT, "tunnel": Mode.TUNNEL, "any": Mode.TRANSPORT}
_PADDINGS: Final = ("zero-pad", "random-pad", "seq-pad", "nocyclic-seq")
_MOST: Final = (1 << 64) - 2
NATT_PORT: Final = 4500


@dataclass
class Options:
    """What stands between the SPI and the algorithms, and the algorithms themselves."""

    mode: Mode = Mode.TRANSPORT
    replay_window: int = 0
    reqid: int = 0
    limits: dict[str, int] = field(default_factory=dict)
    encryption: Algorithm | None = None
    authentication: Algorithm | None = None
    aead: Algorithm | None = None
    compression: Algorithm | None = None

    def read(self, statement: Statement, notices: Notices) -> None:
        """Take in one option or algorithm."""
        words = statement.words
        match statement.name:
            case "mode":
                self.mode = mode(str(words[0]), words[0].place)
            case "replay":
                self.replay_window = number(words[0], "a replay window", 0, 32 * 1024)
                text = "a replay window is in packets, as Linux counts it; setkey(8) has octets"
                notices.differs(words[0].place, text)
            case "reqid":
                self.reqid = number(words[0], "a request id", 0, 0xFFFFFFFF)
            case "pad":
                _padding(words[0], notices)
            case "context":
                raise SetkeyError("security contexts (-ctx) are not supported", statement.place)
            case "hard_seconds" | "soft_seconds" | "hard_octets" | "soft_octets" as name:
                limit = number(words[0], "a lifetime", 0, _MOST)
                if limit:
                    self.limits[name] = limit
            case "encrypt":
                self._encrypt(words)
            case "authenticate":
                self.authentication = _algorithm((Kind.AUTHENTICATION,), words)[1]
            case "compress":
                self.compression = _algorithm((Kind.COMPRESSION,), words)[1]
            case other:
                raise AssertionError(other)

    def _encrypt(self, words: tuple[Word, ...]) -> None:
        row, algorithm = _algorithm((Kind.ENCRYPTION, Kind.AEAD), words)
        if row.kind is Kind.AEAD:
            self.aead = algorithm
        else:
            self.encryption = algorithm

    def sa(
        self,
        src: tuple[Address, int | None],
        dst: tuple[Address, int | None],
        spi: int,
        protocol: Protocol,
        *,
        in_udp: bool,
        place: Place,
    ) -> SecurityAssociation:
        """The SA between two addresses with their ports."""
        self._check(protocol, place)
        encryption = self.encryption
        if protocol == Protocol.ESP and self.authentication and not encryption:
            encryption = _null()
        encapsulation = None
        if in_udp:
            encapsulation = Encapsulation(
                src_port=NATT_PORT if src[1] is None else src[1],
                dst_port=NATT_PORT if dst[1] is None else dst[1],
            )
        return SecurityAssociation(
            src=src[0],
            dst=dst[0],
            spi=spi,
            protocol=protocol,
            mode=self.mode,
            reqid=self.reqid,
            encryption=encryption,
            authentication=self.authentication,
            aead=self.aead,
            compression=self.compression,
            encapsulation=encapsulation,
            replay_window=self.replay_window,
            lifetime=Lifetime(**self.limits),
        )

    def _check(self, protocol: Protocol, place: Place) -> None:
        ciphers = self.encryption is not None or self.aead is not None
        if protocol == Protocol.ESP and not (ciphers or self.authentication):
            raise SetkeyError("an esp SA needs -E ALGORITHM KEY, or -A, or both", place)
        if protocol == Protocol.AH and (ciphers or not self.authentication):
            raise SetkeyError("an ah SA needs -A ALGORITHM KEY and no other algorithm", place)
        if (protocol == Protocol.IPCOMP) != (self.compression is not None):
            raise SetkeyError("-C is for ipcomp only, and ipcomp needs it", place)
        if self.aead is not None and self.authentication is not None:
            raise SetkeyError(f"{self.aead.name} includes authentication: remove -A", place)


def mode(name: str, place: Place) -> Mode:
    found = MODES.get(name)
    if found is None:
        hint = nearest(name, MODES)
        raise SetkeyError(f"'{name}' is not one of {', '.join(MODES)}{hint}", place)
    return found


def _padding(word: Word, notices: Notices) -> None:
    """Linux pads as RFC 4303 says, and never repeats a sequence number."""
    if word not in _PADDINGS:
        raise SetkeyError(f"'{word}' is not one of {', '.join(_PADDINGS)}", word.place)
    notices.passed_over(word.place, f"{word} has no effect: Linux pads as RFC 4303 says")


def _null() -> Algorithm:
    row = by_setkey(Kind.ENCRYPTION, "null")
    assert row is not None
    return row.algorithm(b"")


def _algorithm(kinds: tuple[Kind, ...], words: tuple[Word, ...]) -> tuple[Row, Algorithm]:
    name = words[0]
    key = _key(words[1]) if len(words) > 1 else b""
    for kind in kinds:
        row = by_setkey(kind, str(name))
        if row is None:
            continue
        try:
            return row, row.algorithm(key)
        except BadKey as error:
            raise SetkeyError(str(error), words[-1].place) from None
    if name in NOT_IN_LINUX:
        raise SetkeyError(f"Linux has no '{name}'", name.place)
    known = [each for kind in kinds for each in setkey_names(kind)]
    hint = nearest(str(name), known) or f"; known: {', '.join(known)}"
    raise SetkeyError(f"{shown(name)} is not a known {kinds[0].value} algorithm{hint}", name.place)


def _key(word: Word) -> bytes:
    """ "text" or 0xHEX. The key is never part of an error's text."""
    if word.quoted:
        return octets_of(word)
    if not word.lower().startswith("0x"):
        raise SetkeyError('a key is "text" or 0x and hexadecimal digits', word.place)
    try:
        return bytes.fromhex(word[2:])
    except ValueError:
        odd = (
            "an odd number of digits"
            if len(word) % 2
            else "a character that is not a hexadecimal digit"
        )
        raise SetkeyError(f"this key has {odd}", word.place) from None

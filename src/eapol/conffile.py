"""The syntax of wpa_supplicant.conf: lines, blocks and values, without their meaning.

A line is `key=value`, or opens or closes a block. `#` begins a comment, except between the first
two double quotes of a line. A value is "text", P"text with escapes", hexadecimal octets, or
a bare word or number; NULL unsets a text. What the keys mean is `eapol.config`'s business.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from eapol.errors import EapolError
from wire.source import Place, Source, SourceError, Word


class ConfigError(EapolError, SourceError):
    """The configuration cannot be used; the text says where, why and what to do."""


@dataclass(frozen=True, slots=True)
class Assignment:
    key: Word
    value: Word


@dataclass(frozen=True, slots=True)
class Block:
    """`network={ ... }`, or a blob, whose lines stay as they are."""

    kind: Word
    assignments: tuple[Assignment, ...] = ()
    raw: str = ""

    def last(self, key: str) -> Assignment | None:
        """The assignment of `key` that counts."""
        found = [entry for entry in self.assignments if entry.key == key]
        return found[-1] if found else None


BLOB: Final = "blob-base64-"
UNSET: Final = "NULL"
_OPENING: Final = re.compile(r"(?P<kind>[A-Za-z0-9_.-]+)\s*=\s*\{\s*$")
_BEGUN: Final = re.compile(r"[A-Za-z0-9_.-]+\s*=?\s*\{")
_Lines = Iterator[Word]


def hidden(shown: Iterable[str]) -> str:
    """What no excerpt of the file shows: all values, but for those of the options in `shown`.

    A word that nobody knows may be a misspelt `password`.
    """
    return (
        rf"^\s*+(?!(?:{'|'.join(shown)})\s*=)(?![\w.-]+\s*=\s*{{\s*$)"
        r"[\w.-]*+\s*+=?\s*+(?P<secret>.*)"
    )


def read(source: Source) -> Iterator[Assignment | Block]:
    """The file's assignments and blocks, in order. Raises ConfigError."""
    if wrong := source.in_utf16:
        raise ConfigError(wrong, Place(source, 1, 1))
    lines = _lines(source)
    for line in lines:
        opening = _OPENING.match(line)
        if opening is None:
            yield _global(line)
            continue
        kind = line.part(*opening.span("kind"))
        if kind.startswith(BLOB):
            yield Block(kind, raw=_raw(lines, kind))
        else:
            yield Block(kind, tuple(_assignment(inner) for inner in _inner(lines, kind)))


def octets_of(value: str) -> bytes:
    """The octets of a string value: "text", P"escaped text" or hexadecimal. Raises ConfigError.

    No error shows a value: it may be a passphrase, and errors go to the log.
    """
    if value.startswith('"'):
        return _quoted(value[1:]).encode("utf-8", "surrogateescape")
    if value.startswith('P"'):
        return _unescaped(_quoted(value[2:]))
    try:
        return bytes.fromhex(value) if value.isalnum() or not value else _no_string()
    except ValueError:
        return _no_string()


def value_of(octets: bytes) -> str:
    """A value that `octets_of` reads back as `octets`: quoted where it is printable text."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.hex()
    return f'"{text}"' if text.isprintable() else octets.hex()


def _lines(source: Source) -> _Lines:
    """Lines that say something, without comments."""
    for line in source.lines():
        stripped = _stripped(_uncommented(line))
        if stripped:
            yield stripped


def _stripped(word: Word) -> Word:
    first = len(word) - len(word.lstrip())
    return word.part(first, max(first, len(word.rstrip())))


def _uncommented(line: Word) -> Word:
    """As wpa_supplicant, which looks at the first two double quotes of a line and no others."""
    mark, first = line.find("#"), line.find('"')
    if 0 <= first < mark:
        mark = line.find("#", max(first, line.find('"', first + 1)))
    return line if mark < 0 else line.part(0, mark)


def _global(line: Word) -> Assignment:
    at = line.find("\r")
    if at >= 0:
        what = "a carriage return within the line; lines end in LF or in CR LF"
        raise ConfigError(what, line.part(at).place)
    if _BEGUN.match(line):
        what = (
            "the '{' of a block ends its line, and each option and the '}' have lines of their own"
        )
        raise ConfigError(what, line.place)
    return _assignment(line)


def _assignment(line: Word) -> Assignment:
    at = line.find("=")
    key = _stripped(line.part(0, max(at, 0)))
    if not key:
        raise ConfigError("this line is not of the form key=value", line.place)
    return Assignment(key, _stripped(line.part(at + 1)))


def _inner(lines: _Lines, kind: Word) -> _Lines:
    for line in lines:
        if line == "}":
            return
        if _OPENING.match(line):
            what = f"a block inside the block of line {kind.line}; is its closing '}}' missing?"
            raise ConfigError(what, line.place)
        yield line
    raise ConfigError("this block is never closed; add a line '}'", kind.place)


def _raw(lines: _Lines, kind: Word) -> str:
    kept: list[str] = []
    for line in lines:
        if line == "}":
            return "".join(kept)
        kept.append(line)
    raise ConfigError("this blob is never closed; add a line '}'", kind.place)


def _quoted(rest: str) -> str:
    if not rest.endswith('"'):
        raise ConfigError("the closing double quote is missing")
    return rest[:-1]


def _no_string() -> bytes:
    raise ConfigError('the value is neither hexadecimal nor in double quotes; write ="VALUE"')


_ESCAPE: Final = re.compile(rb"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_LETTERS: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"e": b"\x1b"}


def _unescaped(text: str) -> bytes:
    def octets(match: re.Match[bytes]) -> bytes:
        code = match[1]
        if code[:1] == b"x" and len(code) > 1:
            return bytes([int(code[1:], 16)])
        if code.isdigit():
            return bytes([int(code, 8) & 0xFF])
        return _LETTERS.get(code, code)

    return _ESCAPE.sub(octets, text.encode("utf-8", "surrogateescape"))

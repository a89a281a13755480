"""The syntax of wpa_supplicant.conf: lines, blocks and values, whatever they mean.

A line is `key=value`, or opens or closes a block. `#` begins a comment, except between the first
and the last double quote of a line. A value is "text", P"text with escapes", hexadecimal octets, or
a bare word or number. What the keys mean is `eapol.config`'s business.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from eapol.errors import EapolError


class ConfigError(EapolError):
    """The configuration cannot be used; the text says where, why and what to do."""

    def __init__(self, what: str, name: str = "", line: int = 0) -> None:
        where = f"{name}:{line}: " if line else f"{name}: " if name else ""
        super().__init__(where + what)
        self.what = what
        self.line = line


@dataclass(frozen=True, slots=True)
class Assignment:
    key: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Block:
    """`network={ ... }`, or a blob, whose lines stay as they are."""

    kind: str
    line: int
    assignments: tuple[Assignment, ...] = ()
    raw: str = ""


BLOB: Final = "blob-base64-"
_OPENING: Final = re.compile(r"(?P<kind>[A-Za-z0-9_.-]+)\s*=\s*\{\s*$")


def read(text: str, name: str) -> Iterator[Assignment | Block]:
    """The file's assignments and blocks, in order. Raises ConfigError.

    `name` is the file's, for the errors.
    """
    lines = _lines(text)
    for number, line in lines:
        opening = _OPENING.match(line)
        if opening is None:
            yield _assignment(line, number, name)
        elif opening["kind"].startswith(BLOB):
            yield Block(opening["kind"], number, raw=_raw(lines, number, name))
        else:
            inner = tuple(_assignment(*entry, name) for entry in _inner(lines, number, name))
            yield Block(opening["kind"], number, inner)


def octets_of(value: str) -> bytes:
    """The octets of a string value: "text", P"escaped text" or hexadecimal. Raises ConfigError.

    No error shows a value: it may be a passphrase, and errors go to the log.
    """
    if value.startswith('"'):
        return _quoted(value[1:]).encode("utf-8", "surrogateescape")
    if value.startswith('P"'):
        return _unescaped(_quoted(value[2:]))
    try:
        return bytes.fromhex(value) if value.isalnum() else _no_string()
    except ValueError:
        return _no_string()


def value_of(octets: bytes) -> str:
    """A value that `octets_of` reads back as `octets`: quoted where it is printable text."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.hex()
    return f'"{text}"' if text.isprintable() else octets.hex()


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that say something, without comments, with their numbers from 1."""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = _uncommented(line).strip()
        if stripped:
            yield number, stripped


def _uncommented(line: str) -> str:
    first, last = line.find('"'), line.rfind('"')
    mark = line.find("#")
    if mark < 0 or mark < first or first < 0:
        return line if mark < 0 else line[:mark]
    after = line.find("#", last)
    return line if after < 0 else line[:after]


def _assignment(line: str, number: int, name: str) -> Assignment:
    key, equals, value = line.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError("this line is not of the form key=value", name, number)
    return Assignment(key, value.strip(), number)


def _inner(lines: Iterator[tuple[int, str]], opened: int, name: str) -> Iterator[tuple[str, int]]:
    for number, line in lines:
        if line == "}":
            return
        if _OPENING.match(line):
            what = f"a block inside the block of line {opened}; is its closing '}}' missing?"
            raise ConfigError(what, name, number)
        yield line, number
    raise ConfigError("this block is never closed; add a line '}'", name, opened)


def _raw(lines: Iterator[tuple[int, str]], opened: int, name: str) -> str:
    kept: list[str] = []
    for _, line in lines:
        if line == "}":
            return "".join(kept)
        kept.append(line)
    raise ConfigError("this blob is never closed; add a line '}'", name, opened)


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

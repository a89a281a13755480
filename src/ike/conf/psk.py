"""psk.txt: one pre-shared key a line, `NAME blanks KEY`; the first line with the name counts.

`#` in the first column begins a comment. The key is the rest of the line, blanks and all; one that
begins with `0x` is hexadecimal. The name `*` is every peer's.

A line without a name or a key is passed over with a notice. A line whose key
cannot be read leaves its peer without a key: no later line, and no `*`, stands in for it.
"""

import re
from codecs import BOM_UTF8

from ike.conf.errors import ConfError
from wire import files
from wire.lean import TYPE_CHECKING, Final
from wire.record import Record
from wire.secret import Secret
from wire.source import Notices, Place, Source, Word, octets_of, printable

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from ike.config import PreSharedKeys

_ENTRY: Final = re.compile(r"(?P<name>[^ \t\r\f\v]++)[ \t\r\f\v]++(?P<key>.+)")
_NONE: Final = Secret(b"")
LONGEST: Final = 1023  # octets of a line; racoon reads no longer ones


class Entry(Record):
    """A line of psk.txt: its number from 1, the name, the key; empty if it cannot be read."""

    line: int
    name: str
    key: Secret


def parse(name: str, content: bytes, notices: Notices | None = None) -> list[Entry]:
    """The entries of the psk.txt called `name`. No notice shows a key."""
    notices = Notices() if notices is None else notices
    source = Source.of(name, content, secret=".+")
    if content.startswith(BOM_UTF8):
        mark = "the byte order mark is passed over; to racoon it is a part of the first name"
        notices.differs(Place(source, 1, 1), mark)
    if wrong := source.in_utf16:
        notices.passed_over(Place(source, 1, 1), wrong)
        return []
    found = (_entry(line, notices) for line in source.lines())
    return [entry for entry in found if entry is not None]


def _entry(line: Word, notices: Notices) -> Entry | None:
    if line.startswith("#") or not line.strip():
        return None
    match = _ENTRY.fullmatch(line)
    if match is None:
        indented = line[0].isspace()
        wrong = "it begins with a blank" if indented else "a line is a name, blanks, and a key"
        notices.passed_over(line.place, f"this line has no effect: {wrong}")
        return None
    peer, written = match["name"], octets_of(match["key"])
    key = key_of(written)
    if len(octets_of(line)) > LONGEST:
        notices.passed_over(line.place, _without(peer, f"its line has more than {LONGEST} octets"))
        key = _NONE
    elif not key:
        notices.passed_over(line.place, _without(peer, "it begins with 0x, and is not hexadecimal"))
    return Entry(line.line, octets_of(peer).decode("utf-8", "backslashreplace"), key)


def _without(peer: str, why: str) -> str:
    return f"{printable(peer)} has no key, because this line cannot be read: {why}"


def key_of(text: bytes) -> Secret:
    """The key that is written so; empty if it begins with 0x, and is not hexadecimal."""
    if not text.startswith(b"0x"):
        return Secret(text)
    try:
        return Secret(bytes.fromhex("".join(text[2:].decode("ascii").split())))
    except ValueError:
        return _NONE


def read(path: "Path", notices: Notices | None = None) -> "PreSharedKeys":
    """The keys of a file that is root's (or ours) and closed to others. Raises: ConfError."""
    from ike.config import PreSharedKeys  # late: the commands that change the file know no policy

    try:
        content, status = files.read_with_status(path, link=False)
    except OSError as error:
        raise ConfError(f"cannot read the pre-shared keys in {path}: {error.strerror}") from None
    check_private(path, status)
    entries = parse(str(path), content, notices)
    return PreSharedKeys(tuple((entry.name, entry.key) for entry in entries))


def check_private(path: "Path", status: "os.stat_result") -> None:
    """Refuse a file of secrets that others own or can open, as racoon does. Raises: ConfError."""
    if doubt := files.doubt(path, status):
        raise ConfError(doubt)

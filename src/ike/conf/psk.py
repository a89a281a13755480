"""psk.txt: one pre-shared key a line, `NAME blanks KEY`; the first line with the name counts.

`#` in the first column begins a comment. The key is the rest of the line, blanks and all; one that
begins with `0x` is hexadecimal. The name `*` is every peer's.
"""

import re

from ike.conf.errors import ConfError
from wire import files
from wire.lean import TYPE_CHECKING, Final
from wire.record import Record
from wire.secret import Secret

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from ike.config import PreSharedKeys

_ENTRY: Final = re.compile(rb"(?P<name>[^ \t]+)[ \t]+(?P<key>.+)")
LONGEST: Final = 1023  # octets of a line; racoon reads no longer ones


class Entry(Record):
    """A line of psk.txt: its number from 1, the name, the key."""

    line: int
    name: str
    key: Secret


def parse(name: str, content: bytes) -> list[Entry]:
    """The entries of the psk.txt called `name`. Raises: ConfError, which never shows a key."""
    entries = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.startswith(b"#") or not line.strip():
            continue
        if len(line) > LONGEST:
            raise ConfError(f"{name}:{number}: the line is longer than {LONGEST} octets")
        match = _ENTRY.fullmatch(line)
        if match is None:
            raise ConfError(f"{name}:{number}: a line is a name, blanks, and a key")
        peer = match["name"].decode("utf-8", "backslashreplace")
        entries.append(Entry(number, peer, _key(match["key"], f"{name}:{number}")))
    return entries


def _key(text: bytes, place: str) -> Secret:
    if not text.startswith(b"0x"):
        return Secret(text)
    try:
        return Secret(bytes.fromhex(text[2:].decode("ascii")))
    except ValueError:
        raise ConfError(f"{place}: the key begins with 0x but is not hexadecimal") from None


def read(path: "Path") -> "PreSharedKeys":
    """The keys of a file that is root's (or ours) and closed to others. Raises: ConfError."""
    from ike.config import PreSharedKeys  # late: the commands that change the file know no policy

    try:
        content, status = files.read_with_status(path, link=False)
    except OSError as error:
        raise ConfError(f"cannot read the pre-shared keys in {path}: {error.strerror}") from None
    check_private(path, status)
    entries = parse(str(path), content)
    return PreSharedKeys(tuple((entry.name, entry.key) for entry in entries))


def check_private(path: "Path", status: "os.stat_result") -> None:
    """Refuse a file of secrets that others own or can open, as racoon does. Raises: ConfError."""
    if doubt := files.doubt(path, status):
        raise ConfError(doubt)

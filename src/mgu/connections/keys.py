"""Changes to psk.txt that leave all else in it as it was: comments, order, entries by hand."""

from pathlib import Path

from ike.conf import psk
from mgu.connections.connection import BadConnection
from mgu.files import PRIVATE, Write, write_whole
from wire import files
from wire.secret import Secret

_HEAD = (
    b"# Pre-shared keys of racoon: ADDRESS blanks KEY. Root only (mode 0600).\n"
    b"# The key of a connection is the one beside the peer's address.\n"
)


def set_key(path: Path, host: str, key: Secret, write: Write = write_whole) -> bool:
    """Make `key` the one entry of `host`; False when it is that already. Raises: BadConnection."""
    check_key(key)
    content = _content(path)
    entries = [entry for entry in psk.parse(str(path), content) if entry.name == host]
    line = host.encode() + b" " + key.reveal()
    lines = content.split(b"\n") if content else _HEAD.split(b"\n")
    if entries:
        lines[entries[0].line - 1] = line
        lines = _without(lines, [entry.line for entry in entries[1:]])
    else:
        lines[len(lines) - (lines[-1] == b"") :] = [line, b""]
    return _write(path, content, b"\n".join(lines), write)


def remove_key(path: Path, host: str) -> bool:
    """Remove every entry of `host`. Raises: BadConnection."""
    content = _content(path)
    entries = [entry for entry in psk.parse(str(path), content) if entry.name == host]
    if not entries:
        return False
    lines = _without(content.split(b"\n"), [entry.line for entry in entries])
    return _write(path, content, b"\n".join(lines), write_whole)


def has_key(path: Path, host: str) -> bool:
    """Whether psk.txt has a key for the peer `host`. Raises: BadConnection."""
    entries = psk.parse(str(path), _content(path))
    return next((bool(entry.key) for entry in entries if entry.name in (host, "*")), False)


def check_key(key: Secret) -> None:
    """Raises: BadConnection for a key that psk.txt cannot hold as it is."""
    octets = key.reveal()
    if not octets:
        raise BadConnection("a pre-shared key must not be empty")
    if octets[:1].isspace() or b"\n" in octets or b"\r" in octets:
        raise BadConnection("a pre-shared key must not begin with a blank or hold line ends")
    if b"\0" in octets:
        raise BadConnection(
            "psk.txt cannot hold this key as text: write it as 0x and hexadecimal digits"
        )
    if len(octets) > psk.LONGEST - 64:
        raise BadConnection(f"a pre-shared key has at most {psk.LONGEST - 64} octets")
    if not psk.key_of(octets):
        text = "a pre-shared key that begins with 0x must be hexadecimal, as racoon reads it"
        raise BadConnection(text)


def _content(path: Path) -> bytes:
    try:
        return files.read(path)
    except FileNotFoundError:
        return b""
    except PermissionError:
        raise
    except OSError as error:
        raise BadConnection(f"cannot read {path}: {error.strerror}") from None


def _without(lines: list[bytes], numbers: list[int]) -> list[bytes]:
    return [line for number, line in enumerate(lines, start=1) if number not in numbers]


def _write(path: Path, before: bytes, after: bytes, write: Write) -> bool:
    """Write when something changed, or when others could read it."""
    if before == after and path.stat().st_mode & 0o077 == 0:
        return False
    write(path, after, PRIVATE)
    return True

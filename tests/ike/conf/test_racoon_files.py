"""Files in the style of real gateways, firewalls, phones and base stations: each is read.

A comment in the file says what is named: `not honoured` or `differs` on the line itself; in a
psk.txt, on the line before. A file without comments like that is honoured whole.
"""

import re
from pathlib import Path

import pytest

from ike.conf import psk
from ike.conf.configuration import load
from lab.pki import site
from wire.secret import Secret
from wire.source import DIFFERS, PASSED_OVER, Notice, Notices, text_of

FILES = Path(__file__).with_name("files")
CONFIGURATIONS = sorted(path.name for path in FILES.glob("*.conf"))
KEYS = sorted(path.name for path in FILES.glob("*.psk.txt"))
_NAMED = re.compile(r'path\s+(pre_shared_key|certificate)\s+"/?([^"]+)"')


def expected(octets: bytes, *, before: bool = False) -> set[tuple[int, str]]:
    """Lines with what their comments say of them."""
    found = set()
    for number, line in enumerate(text_of(octets).split("\n"), 1):
        comment = line.partition("#")[2]
        if "not honoured" in comment:
            found.add((number + before, PASSED_OVER))
        if "differs" in comment:
            found.add((number + before, DIFFERS))
    return found


def named(notices: "Notices | tuple[Notice, ...]") -> set[tuple[int, str]]:
    return {(notice.place.line, notice.kind) for notice in notices}


def install(root: Path, octets: bytes) -> Path:
    """The file below `root`, with the keys and certificates where it has them."""
    file = root / "racoon.conf"
    file.write_bytes(octets)
    (root / "id.bin").write_bytes(b"\0id\n")
    certificates = root
    for kind, name in _NAMED.findall(text_of(octets)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "certificate":
            certificates = path
        else:
            path.write_bytes(b"192.0.2.9 secret-of-nine\n")
            path.chmod(0o600)
    certificates.mkdir(parents=True, exist_ok=True)
    own = site().client
    (certificates / "ca.pem").write_bytes(site().root.certificate_pem())
    (certificates / "gw.pem").write_bytes(own.certificate_pem())
    (certificates / "gw.key").write_bytes(own.key_pem())
    (certificates / "gw.key").chmod(0o600)
    return file


def test_there_are_thirty_files_and_more() -> None:
    others = list((FILES.parents[2] / "xfrm" / "files").glob("*.conf"))
    assert len(CONFIGURATIONS) + len(KEYS) + len(others) >= 30


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_is_read_and_what_is_not_honoured_is_named(
    tmp_path: Path, name: str
) -> None:
    octets = (FILES / name).read_bytes()
    made = load(install(tmp_path, octets), tmp_path)
    assert made.engine.remotes
    assert named(made.notices) == expected(octets)


@pytest.mark.parametrize("name", KEYS)
def test_the_keys_of_a_file_are_read_and_odd_lines_are_named(name: str) -> None:
    octets = (FILES / name).read_bytes()
    notices = Notices()
    found = {entry.name: entry.key for entry in psk.parse(name, octets, notices)}
    wanted = {"everybody.psk.txt": ("*", b"one-for-all")}
    who, key = wanted.get(name, ("192.0.2.9", b"secret-of-nine"))
    if name.startswith("windows"):
        key += b"\r"  # as for racoon
    assert found[who] == Secret(key)
    lines = {(1, DIFFERS)} if name.startswith("bom") else expected(octets, before=True)
    assert named(notices) == lines

"""Files of chrony and ntpd, in the style of campus networks, telephone systems and firewalls.

Each is read, and what has no effect is named. Two lines of each file say what is expected."""

import re
from pathlib import Path

import pytest

from ntp import conf
from wire.source import Notices

FILES = sorted((Path(__file__).parent / "files").glob("*.conf"))


def expected(octets: bytes, what: bytes) -> list[str]:
    found: bytes
    [found] = re.findall(rb"^# " + what + rb":(.*?)\r?$", octets, re.M)
    return found.decode().split()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_of_somebody_else_is_read_and_what_has_no_effect_is_named(path: Path) -> None:
    octets, notices = path.read_bytes(), Notices()
    found = conf.parse(octets, str(path), notices)
    assert [server.host for server in found.servers] == expected(octets, b"servers")
    lines = octets.decode("latin-1").splitlines()
    places = [notice.place for notice in notices]
    named = [lines[place.line - 1][place.column - 1 :].split()[0] for place in places]
    assert named == expected(octets, b"not honoured")

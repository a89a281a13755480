"""Files in the style of campus networks, phones and firewalls: each is read, and what has no effect
is named. The line `# not honoured:` of each file has the words that are."""

import re
from pathlib import Path

import pytest

from eapol.config import parse

FILES = sorted((Path(__file__).parent / "files").glob("*.conf"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_somebody_else_is_read_and_what_has_no_effect_is_named(path: Path) -> None:
    octets = path.read_bytes()
    config = parse(octets.decode("utf-8", "surrogateescape"), str(path))
    assert config.network is not None
    [expected] = re.findall(rb"^# not honoured:(.*?)\r?$", octets, re.M)
    lines = octets.decode("latin-1").splitlines()
    named = []
    for notice in config.notices:
        place = notice.place
        named.append(re.split(r"[={]", lines[place.line - 1][place.column - 1 :])[0])
    assert named == expected.decode().split()

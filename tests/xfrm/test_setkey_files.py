"""Files in the style of real hosts and gateways: each is read. See tests/ike/conf."""

from pathlib import Path

import pytest

from wire.source import DIFFERS, PASSED_OVER, Notices, text_of
from xfrm.setkey.parse import parse
from xfrm.setkey.words import Names

FILES = Path(__file__).with_name("files")
NAMES = Names(upper_protocol={"sctp": 132, "gre": 47}.get, port={"l2tp": 1701}.get)


@pytest.mark.parametrize("name", sorted(path.name for path in FILES.glob("*.conf")))
def test_a_file_is_read_and_what_is_not_honoured_is_named(name: str) -> None:
    text = text_of((FILES / name).read_bytes())
    notices = Notices()
    assert parse(text, NAMES, name=name, notices=notices)
    comments = [line.partition("#")[2] for line in text.split("\n")]
    expected = {
        (number, kind)
        for number, comment in enumerate(comments, 1)
        for words, kind in (("not honoured", PASSED_OVER), ("differs", DIFFERS))
        if words in comment
    }
    assert {(notice.place.line, notice.kind) for notice in notices} == expected

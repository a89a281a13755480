"""Options as a printed page has them."""

import pytest

from mgu.hyphens import hyphened
from mgu.main import main


@pytest.mark.parametrize(
    ("printed", "meant"),
    [
        ("–h", "-h"),
        ("—h", "-h"),
        ("−n", "-n"),
        ("–dst-address=10.0.0.2", "--dst-address=10.0.0.2"),
        ("––name=a", "--name=a"),
        ("–-name=a", "--name=a"),
        ("–now", "--now"),
        ("–help", "--help"),
        ("–ll", "-ll"),
        ("–lll", "-lll"),
        ("–DP", "-DP"),
        ("–DPN", "-DPN"),
        ("-h", "-h"),
        ("--name=–", "--name=–"),
        ("–", "–"),
        ("10.0.0.1–10.0.0.2", "10.0.0.1–10.0.0.2"),
        ("", ""),
    ],
)
def test_a_dash_that_begins_a_word_is_a_hyphen(printed: str, meant: str) -> None:
    assert hyphened([printed]) == [meant]


def test_a_password_that_begins_with_a_dash_stays_as_it_is() -> None:
    words = ["–i", "eth0", "password", "0", "–secret"]
    assert hyphened(words, until_a_word=True) == ["-i", "eth0", "password", "0", "–secret"]


def test_the_help_of_the_manual_is_found_as_it_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["localNTP", "–h"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: localNTP")

"""The pages name every option and command that there is."""

import re
from argparse import ArgumentParser
from pathlib import Path

import pytest

from mgu.commands.ipsec_options import parser as ipsec
from mgu.commands.racoonctl import USAGE
from mgu.daemons.iked import parser as iked

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("page", "made"), [("ipsec.md", ipsec()), ("iked.md", iked())])
def test_every_option_is_on_its_page(page: str, made: ArgumentParser) -> None:
    text = (DOCS / page).read_text()
    options = set(re.findall(r"(?<!\w)--?[a-zA-Z0-9][a-z-]*", made.format_usage()))
    assert len(options) > 10
    assert {option for option in options - {"-h", "--list"} if option not in text} == set()


def test_every_command_of_racoonctl_is_on_its_page() -> None:
    text = (DOCS / "racoonctl.md").read_text()
    commands = set(re.findall(r"^  ([a-z]+-?[a-z]+)\b", USAGE, re.MULTILINE))
    assert {command for command in commands if f"`{command}" not in text} == set()

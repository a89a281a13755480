"""docs/usage.md is what the commands say of themselves."""

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_usage_says_what_every_command_says() -> None:
    spec = importlib.util.spec_from_file_location("usage", DOCS / "usage.py")
    assert spec is not None
    assert spec.loader is not None
    usage = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(usage)
    written = (DOCS / "usage.md").read_text(encoding="utf-8")
    assert usage.page().split() == written.split()  # else: python docs/usage.py

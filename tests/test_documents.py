"""What the pages name is there: files of this repository, and tests."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TREES = (ROOT, ROOT / "tests", ROOT / "src")  # a page says `eapol/test_frame.py`, `ike/engine.py`

FILE = re.compile(r"(?<![\w./-])(?:[\w-]+/)+[\w-]+\.py\b")
TEST = re.compile(
    r"(?:(?P<file>[\w/.-]+\.py)::)?"
    r"(?<!def )\b(?P<name>test_\w+)(?P<cut>\.\.\.)?(?!\w|\.py|/)"
)


def found(name: str) -> Path | None:
    return next((tree / name for tree in TREES if (tree / name).is_file()), None)


def names_in(files: list[Path]) -> set[str]:
    texts = (file.read_text(encoding="utf-8") for file in files)
    return {name for text in texts for name in re.findall(r"\bdef (test_\w+)", text)}


ALL_TESTS = names_in(list(ROOT.glob("tests/**/*.py")))


def exists(file: str | None, name: str, *, cut: bool) -> bool:
    """Whether there is such a test: in `file` if one is named; `cut`: only its beginning is."""
    path = found(file) if file else None
    among = names_in([path]) if path else set() if file else ALL_TESTS
    return any(test.startswith(name) for test in among) if cut else name in among


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_and_test_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [name for name in FILE.findall(text) if found(name) is None]
    missing += [
        match[0]
        for match in TEST.finditer(text)
        if not exists(match["file"], match["name"], cut=match["cut"] is not None)
    ]
    assert missing == []


def test_the_drawing_of_imports_is_that_of_the_code() -> None:
    spec = importlib.util.spec_from_file_location("imports", ROOT / "docs/imports.py")
    assert spec is not None
    assert spec.loader is not None
    imports = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(imports)
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    assert imports.page(text) == text  # else: python docs/imports.py


def test_no_module_has_grown_past_one_idea() -> None:
    """400 lines, and 350 in `ike`."""
    lengths = {path: len(path.read_text().splitlines()) for path in ROOT.glob("src/**/*.py")}
    limits = {path: 350 if ROOT / "src/ike" in path.parents else 400 for path in lengths}
    assert [path for path, length in lengths.items() if length > limits[path]] == []

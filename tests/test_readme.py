"""What the README shows runs as written."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_library_example_runs_as_written_and_finds_the_five_seconds() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )
    assert ran.stderr == ""
    assert re.fullmatch(r"the clock is 5\.000 s slow, within \d+ ns\n", ran.stdout)


def test_every_page_that_the_readme_links_to_exists() -> None:
    text = README.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert links
    missing = [link for link in links if not (README.parent / link).exists()]
    assert missing == []

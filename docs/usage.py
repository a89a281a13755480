"""Writes docs/usage.md, what every command says of itself: `python docs/usage.py`."""

import contextlib
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mgu import main as mgu
from mgu.demo import __main__ as demo

PAGE = Path(__file__).with_name("usage.md")
HEAD = """\
# What every command says of itself

The output of `-h`, written here by `python docs/usage.py`. A test keeps it as it is.
"""


def commands() -> Iterator[tuple[str, Callable[[Sequence[str]], int], list[str]]]:
    """What is typed before `-h`, and the call that answers."""
    yield "mgu", mgu.main, []
    for name in mgu.COMMANDS | mgu.DAEMONS:
        yield f"mgu {name}", mgu.main, [name]
    yield "python -m mgu.demo", demo.main, []


def said(main: Callable[[Sequence[str]], int], words: list[str]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.suppress(SystemExit):
        main([*words, "-h"])
    return output.getvalue()


def page() -> str:
    blocks = (
        f"\n## `{name} -h`\n```\n{said(main, words)}```\n" for name, main, words in commands()
    )
    return HEAD + "".join(blocks)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)

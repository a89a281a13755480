"""Every message that a command or daemon can give, on one page, to be read with fresh eyes.

    python docs/messages.py [PACKAGE...] > messages.md

A message is a text of at least two words that is logged, raised, yielded or returned as a sentence,
written to a stream, or that argparse shows. Docstrings are not messages. A value that is filled in
stands in braces.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parents[1] / "src"
_CALLED: Final = frozenset(
    {"debug", "info", "notify", "warning", "error", "critical", "exception", "log", "warn", "print"}
    | {"write", "add_argument", "add_parser", "ArgumentParser", "add_argument_group"}
)
_NOT_FOR_PEOPLE: Final = ("wrap", "struct", "Struct", "compile", "getLogger", "TypeVar")


def text_of(node: ast.expr) -> str | None:
    """The text that an expression makes, values in braces; None if it makes none."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part) or "{" + _name(part) + "}" for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            texts = text_of(left), text_of(right)
            return "".join(t or "{...}" for t in texts) if any(texts) else None
        case _:
            return None


def _name(part: ast.expr) -> str:
    return ast.unparse(part.value if isinstance(part, ast.FormattedValue) else part)


def messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of each message."""
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    inner: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.expr) or id(node) in inner or id(node) in docstrings:
            continue
        text = text_of(node)
        if text is None:
            continue
        inner.update(id(child) for child in ast.walk(node) if child is not node)
        if _is_sentence(text):
            yield node.lineno, text


def _is_sentence(text: str) -> bool:
    """At least three words, two of them of letters alone: not a format, a path or an option."""
    words = text.split()
    return len(words) >= 3 and sum(word.strip(".,:;'()").isalpha() for word in words) >= 2


def main(packages: list[str]) -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE)
        if packages and name.parts[0] not in packages:
            continue
        found = list(messages(ast.parse(path.read_text())))
        if found:
            print(f"\n## {name}\n")
        for line, text in found:
            print(f"{line}: {' '.join(text.split())}\n")


if __name__ == "__main__":
    main(sys.argv[1:])

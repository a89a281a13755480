"""Draws the imports of `ike` into docs/design.md: `python docs/imports.py`.

One node for each folder, and for each module beside the folders; an arrow means "imports". An arrow
that follows from others is left out.
"""

import sys
from pathlib import Path

import grimp

PAGE = Path(__file__).with_name("design.md")
BEGIN, END = "<!-- imports of ike: python docs/imports.py -->\n", "<!-- end of imports -->\n"
LEFT_OUT = {"errors", "printable", "numbers", "values"}  # nearly everybody imports these


def _part(module: str) -> str:
    """The folder or module of `ike` that a module is in."""
    return module.split(".")[1] if "." in module else ""


def edges() -> set[tuple[str, str]]:
    """Which part of `ike` imports which."""
    graph = grimp.build_graph("ike")
    found = {
        (_part(importer), _part(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    return {
        (importer, imported)
        for importer, imported in found
        if importer != imported and importer and imported and imported not in LEFT_OUT
    }


def _reachable(start: str, arrows: set[tuple[str, str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        node = waiting.pop()
        for importer, imported in arrows:
            if importer == node and imported not in seen:
                seen.add(imported)
                waiting.append(imported)
    return seen


def reduced(arrows: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without those that follow from others."""
    return sorted(
        arrow for arrow in arrows if arrow[1] not in _reachable(arrow[0], arrows - {arrow})
    )


def drawing() -> str:
    lines = [f"    {importer} --> {imported}" for importer, imported in reduced(edges())]
    return "\n".join(["```mermaid", "graph TD", *lines, "```", ""])


def page(text: str) -> str:
    """The page with today's drawing."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + drawing() + END + after


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)

"""Mutants of a package: every small change that mutmut knows, and a random sample of them.

Differs from mutmut's own choice: decorated functions are changed too, as many of ours are. Left
out is what no fast test should have to tell apart: annotations, decorators and what stands for them
in the head of a class (`kw_only=True`), texts for people (string literals with a blank) and what is
written to the log.
"""

import ast
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import libcst as cst
import libcst.matchers as m
from mutmut.mutation.mutators import mutation_operators, operator_string

from mutants.judge import Mutant

_LOG: Final = m.Call(func=m.Attribute(value=m.Name("log") | m.Name("_log") | m.Name("logger")))
_JUMPS: Final = (ast.Continue, ast.Break)
_LEFT_OUT: Final = m.OneOf(m.Annotation(), m.Decorator(), m.Import(), m.ImportFrom(), _LOG)


def package_files(tree: Path, package: str) -> list[Path]:
    """The modules of `package`, the dotted name of a folder or of one module; mgu without its demo,
    which is a sample of its own."""
    place = tree / "src" / package.replace(".", "/")
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    demo = tree / "src/mgu/demo"
    return files if demo in (place, *place.parents) else [f for f in files if demo not in f.parents]


def sample(tree: Path, package: str, size: int, seed: int) -> list[Mutant]:
    """`size` mutants of `package`, or all there are: the same for the same seed and tree."""
    modules = {path: cst.parse_module(path.read_bytes()) for path in package_files(tree, package)}
    changes = [(path, old, new) for path in modules for old, new in _changes(modules[path])]
    random.Random(seed).shuffle(changes)
    chosen: list[Mutant] = []
    for path, old, new in changes:
        mutant = _mutant(path.relative_to(tree), modules[path], old, new)
        if mutant:
            chosen.append(mutant)
        if len(chosen) == size:
            break
    return chosen


def _changes(node: cst.CSTNode) -> Iterator[tuple[cst.CSTNode, cst.CSTNode]]:
    if m.matches(node, _LEFT_OUT):
        return
    for kind, change in mutation_operators:
        if isinstance(node, kind) and not (change is operator_string and _for_people(node)):
            for new in change(node):
                yield node, new
    passed_over = node.keywords if isinstance(node, cst.ClassDef) else ()  # as decorators are
    for child in node.children:
        if child not in passed_over:
            yield from _changes(child)


def _for_people(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.SimpleString) and " " in str(node.value)


def _mutant(path: Path, module: cst.Module, old: cst.CSTNode, new: cst.CSTNode) -> Mutant | None:
    """The mutant, or None if the change is none, or is not Python."""
    changed = module.deep_replace(old, new)
    assert isinstance(changed, cst.Module)
    before, source = module.code, changed.code
    try:
        if ast.dump(ast.parse(before)) == ast.dump(ast.parse(source)):
            return None
    except SyntaxError:
        return None
    was, now = before.splitlines(), source.splitlines()
    same = next(i for i in range(len(was)) if i >= len(now) or was[i] != now[i])
    now = now[same : len(now) - _alike(was[same + 1 :], now[same:])]
    first, last = _head(ast.parse(before), same + 1)
    shown = " ".join(line.strip() for line in now) or "(removed)"
    return Mutant(str(path), same + 1, first, last, was[same].strip(), shown, source)


def _alike(left: list[str], right: list[str]) -> int:
    """How many lines at the end of both are the same."""
    pairs = zip(reversed(left), reversed(right), strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))


def _head(tree: ast.Module, line: int) -> tuple[int, int]:
    """First and last line of the innermost statement at `line`, without the body it may have.

    A `continue` or `break` is its condition's: Python jumps on, and no test is seen to run it.
    """
    at = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt | ast.match_case) and not isinstance(node, _JUMPS)
    ]
    spans = [_span(node) for node in at]
    return max((span for span in spans if span[0] <= line <= span[1]), default=(line, line))


def _span(node: ast.stmt | ast.match_case) -> tuple[int, int]:
    if isinstance(node, ast.match_case):
        return node.pattern.lineno, max(node.pattern.lineno, node.body[0].lineno - 1)
    body = getattr(node, "body", None) or getattr(node, "cases", None)
    if not body:
        return node.lineno, node.end_lineno or node.lineno
    inner = body[0].pattern.lineno if isinstance(body[0], ast.match_case) else body[0].lineno
    return node.lineno, inner if isinstance(body[0], _JUMPS) else max(node.lineno, inner - 1)

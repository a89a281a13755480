"""racoon.conf with the files that it includes."""

from collections.abc import Iterator
from glob import has_magic
from pathlib import Path
from typing import Final

from ike.conf.errors import ConfError
from ike.conf.syntax import GRAMMAR, SECRETS
from wire import files
from wire.grammar import Statement
from wire.source import Notices, Place, Source

_DEEPEST: Final = 10  # includes within includes; a file that includes itself ends here


class Folders:
    """Where names in the file lead. Absolute ones hang below `root`.

    `path include`, `path certificate` and the like move the folder for what follows them.
    """

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self.include = home
        self.certificate = home

    def below(self, folder: Path, name: str) -> Path:
        """`name` as a path: absolute below the root, relative below `folder`."""
        if name.startswith("/"):
            return self.root / name.lstrip("/")
        return folder / name


def read(path: Path, folders: Folders, notices: Notices) -> Iterator[Statement]:
    """All statements in order, each `include` replaced by its files'. Raises: ConfError."""
    yield from _read(path, folders, notices, None, 0)


def _read(
    path: Path, folders: Folders, notices: Notices, place: Place | None, depth: int
) -> Iterator[Statement]:
    if depth > _DEEPEST:
        raise ConfError(f"includes are nested more than {_DEEPEST} deep", place)
    for statement in GRAMMAR.parse(_source(path, place), notices):
        if statement.name == "include":
            for included in _matches(statement, folders):
                yield from _read(included, folders, notices, statement.place, depth + 1)
            continue
        if statement.name == "path" and statement.value.text == "include":
            folders.include = folders.below(folders.include, statement.words[2].text)
        yield statement


def _source(path: Path, place: Place | None) -> Source:
    try:
        return Source.of(str(path), files.read(path), SECRETS)
    except OSError as error:
        raise ConfError(f"cannot read {path}: {error.strerror}", place) from None


def _matches(include: Statement, folders: Folders) -> list[Path]:
    pattern = folders.below(folders.include, include.value.text)
    if not has_magic(pattern.name):
        return [pattern]
    return sorted(pattern.parent.glob(pattern.name))

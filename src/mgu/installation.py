"""Several files written as one: all of them, or after an error none."""

import os
import sys
from pathlib import Path

from wire.files import PUBLIC, beside, read_with_status, sync_folder, write_whole
from wire.lean import Final, Self

RESTORED: Final = "nothing was changed"
"""The note of an exception after which nothing is left of the installation."""


class Installation:
    """A `with` block: what it wrote is taken back when the block ends with an exception, which gets
    the note RESTORED then.

    The way back is laid before a step is made: the old file stays under a hidden name beside the
    new one, so that it can be restored on a full disk. Against a power cut there is only
    the order: write last the file that names the others.
    """

    def __init__(self) -> None:
        self._done: list[tuple[Path, Path | None]] = []  # what was written, and the old one

    def write(self, path: Path, content: bytes, mode: int = PUBLIC) -> None:
        """As `write_whole`. A file that already is what is wanted stays untouched."""
        try:
            old, status = read_with_status(path)
        except FileNotFoundError:
            write_whole(path, content, mode)
            self._done.append((path, None))
            return
        if old == content and status.st_mode & 0o7777 == mode:
            return
        kept = beside(path)
        try:
            _keep(path, kept, old, status.st_mode & 0o7777)
            write_whole(path, content, mode)
        except BaseException:
            kept.unlink(missing_ok=True)
            raise
        self._done.append((path, kept))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            for _, kept in self._done:
                if kept is not None:
                    kept.unlink(missing_ok=True)
            return
        whole = True
        for path, kept in reversed(self._done):
            try:
                _take_back(path, kept)
            except OSError as failure:
                whole = False
                remedy = f"the old file is kept as {kept}" if kept else "remove it"
                print(
                    f"{path} could not be restored: {failure.strerror}; {remedy}", file=sys.stderr
                )
        if whole:
            error.add_note(RESTORED)


def _keep(path: Path, kept: Path, old: bytes, mode: int) -> None:
    """The old file under a second name, with owner and mode; a copy where there are no links."""
    try:
        os.link(path, kept)
    except OSError:
        write_whole(kept, old, mode)


def _take_back(path: Path, kept: Path | None) -> None:
    if kept is None:
        path.unlink(missing_ok=True)
    else:
        kept.replace(path)
    sync_folder(path.parent)

"""Several files written as one: all of them, or after an error none."""

from pathlib import Path

from mgu.files import PUBLIC, write_whole
from wire.lean import Self


class Installation:
    """A `with` block: what it wrote is taken back when the block ends with an exception.

    Against a power cut there is only the order: write last the file that names the others.
    """

    def __init__(self) -> None:
        self._before: list[tuple[Path, bytes | None, int]] = []

    def write(self, path: Path, content: bytes, mode: int = PUBLIC) -> None:
        """As `write_whole`. A file that already is what is wanted stays untouched."""
        old, old_mode = _state(path)
        if old == content and old_mode == mode:
            return
        self._before.append((path, old, old_mode))
        write_whole(path, content, mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            return
        for path, old, mode in reversed(self._before):
            if old is None:
                path.unlink(missing_ok=True)
            else:
                write_whole(path, old, mode)


def _state(path: Path) -> tuple[bytes | None, int]:
    """What a file holds and its mode; (None, 0) where there is none."""
    try:
        return path.read_bytes(), path.stat().st_mode & 0o7777
    except FileNotFoundError:
        return None, 0

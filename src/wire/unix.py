"""Paths of UNIX sockets, which the kernel keeps short."""

import contextlib
import os
from collections.abc import Iterator

from wire.lean import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

LONGEST: Final = 107
"""Octets of a path in a socket address: sun_path of unix(7), without its final zero."""


@contextlib.contextmanager
def short_name(path: "Path | str") -> Iterator[str]:
    """A name of `path` for bind() or connect(), good within the block; its folder must exist."""
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    parent, name = os.path.split(path)
    folder = os.open(parent or ".", os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{name}"
    finally:
        os.close(folder)

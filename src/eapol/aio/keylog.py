"""TLS secrets in the NSS key log format, for Wireshark: in a file that only its owner can read."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def key_log(path: Path | None) -> Iterator[Callable[[bytes], None] | None]:
    """What appends a line to `path`; None for no path. Raises: OSError."""
    if path is None:
        yield None
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "ab", buffering=0) as file:
        os.fchmod(file.fileno(), 0o600)

        def write(line: bytes) -> None:
            file.write(line + b"\n")

        yield write

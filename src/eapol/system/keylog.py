"""TLS secrets in the NSS key log format, for Wireshark: in a file that only its owner can read."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from wire.files import PrivateLog

_log = logging.getLogger("eapol")


@contextlib.contextmanager
def key_log(path: Path | None) -> Iterator[Callable[[bytes], None] | None]:
    """What appends a line to `path`, and warns where it cannot; None for no path.

    Raises: OSError.
    """
    if path is None:
        yield None
        return
    with contextlib.closing(PrivateLog(path, _log.warning)) as file:
        yield file.write

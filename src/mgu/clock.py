"""The gateway's date: the kernel's, or a simulated one where the kernel's must not be touched.

`MGU_CLOCK=FILE` simulates: FILE holds the offset of the gateway's date from this machine's, in
nanoseconds, and setting the date rewrites FILE. The demo and the tests use it.
"""

import os
import time

from wire.lean import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


def simulated() -> "Path | None":
    """The file of the simulated clock, or None when the date is the kernel's."""
    name = os.environ.get("MGU_CLOCK")
    if not name:
        return None
    from pathlib import Path  # late, as all imports here: localNTP starts in 20 ms

    return Path(name)


def now_ns() -> int:
    """The gateway's date in Unix nanoseconds."""
    file = simulated()
    if file is None:
        return time.time_ns()
    return time.time_ns() + _offset(file)


def now() -> "datetime":
    """The gateway's date, with its time zone (UTC)."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(now_ns() / 1e9, UTC)


def shift_ns() -> int:
    """By how much the gateway's date is ahead of the kernel's, in nanoseconds."""
    file = simulated()
    return 0 if file is None else _offset(file)


def step_simulated(file: "Path", by_ns: int) -> None:
    """Move the simulated date by `by_ns` nanoseconds."""
    from mgu.files import write_whole

    write_whole(file, b"%d\n" % (_offset(file) + by_ns))


def _offset(file: "Path") -> int:
    try:
        return int(file.read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0

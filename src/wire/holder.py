"""Whose a socket is, as /proc has it: for the sentence that names what is in the way."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def holder(inodes: Iterable[int]) -> Path | None:
    """The folder in /proc of a process that has one of these sockets open, or None."""
    links = {f"socket:[{inode}]" for inode in inodes}
    processes = Path("/proc").glob("[0-9]*") if links else ()
    return next((each for each in processes if not links.isdisjoint(_open_in(each))), None)


def _open_in(process: Path) -> set[str]:
    """What it has open. One that it closes meanwhile hides no other: this very look opens one."""
    found: set[str] = set()
    with suppress(OSError):  # it ended, or is not ours to look into
        for entry in os.listdir(process / "fd"):
            with suppress(OSError):
                found.add(os.readlink(process / "fd" / entry))
    return found

"""Who holds a UDP port: looked up in /proc, for the error message."""

import os
from pathlib import Path
from typing import Final

from wire.holder import holder

_STOPPED_BY: Final = {
    "charon": "systemctl stop strongswan",
    "charon-systemd": "systemctl stop strongswan",
    "pluto": "systemctl stop ipsec",
    "racoon": "systemctl stop racoon",  # ours has that name, too
    "iked": "systemctl stop racoon",
}


def holder_of_udp_port(port: int) -> str | None:
    """`NAME (process PID)` of a program with that local port in this network namespace, if any."""
    inodes = {
        inode
        for table in ("/proc/self/net/udp", "/proc/self/net/udp6")
        for inode in _inodes(Path(table), port)
    }
    process = holder(inodes)
    return None if process is None else f"{_name(process)} (process {process.name})"


def remedy(holder: str) -> str:
    """How the program is stopped that `holder_of_udp_port` found."""
    for word in holder.split():
        name = os.path.basename(word)
        if name in _STOPPED_BY:
            ours = "a keying daemon runs already; " if name in ("racoon", "iked") else ""
            return f"{ours}'{_STOPPED_BY[name]}' stops it"
    return "stop that program first"


def _name(process: Path) -> str:
    """What was started: for a script its command line says more than its interpreter's name."""
    try:
        name = (process / "comm").read_text().strip()
        words = (process / "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return "a program"
    if not name.startswith("python"):
        return name
    return " ".join(word for word in words[1:] if not word.startswith("-"))[:60] or name


def _inodes(table: Path, port: int) -> list[int]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    fields = [line.split() for line in lines]
    return [int(f[9]) for f in fields if len(f) > 9 and f[1].endswith(f":{port:04X}")]

"""Who holds a UDP port: looked up in /proc, for the error message."""

import os
from pathlib import Path


def holder_of_udp_port(port: int) -> str | None:
    """`NAME (process PID)` of a program with that local port in this network namespace, if any."""
    inodes = {
        inode
        for table in ("/proc/self/net/udp", "/proc/self/net/udp6")
        for inode in _inodes(Path(table), port)
    }
    if not inodes:
        return None
    links = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        if _holds(process, links):
            try:
                name = (process / "comm").read_text().strip()
            except OSError:
                continue
            return f"{name} (process {process.name})"
    return None


def _inodes(table: Path, port: int) -> list[str]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    fields = [line.split() for line in lines]
    return [f[9] for f in fields if len(f) > 9 and f[1].endswith(f":{port:04X}")]


def _holds(process: Path, links: set[str]) -> bool:
    try:
        return any(os.readlink(entry) in links for entry in (process / "fd").iterdir())
    except OSError:  # it ended, or is not ours to look into
        return False

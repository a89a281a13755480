"""A newer Debian below a folder, for peers that this one does not have; nothing is installed here.

Made once, by debootstrap out of its package (a minute, 300 MB), and kept in the user's cache.
"""

import os
import subprocess
from pathlib import Path

from lab import require

MIRROR = "http://deb.debian.org/debian"


def debian_13(*packages: str) -> Path:
    """Its root, with `packages`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mgu-lab"
    root = cache / "-".join(("debian-13", *packages))
    if not (root / "complete").exists():
        cache.mkdir(parents=True, exist_ok=True)
        _make(cache, root, packages)
        (root / "complete").touch()
    return root


def _make(cache: Path, root: Path, packages: tuple[str, ...]) -> None:
    tool = cache / "debootstrap"
    tool.mkdir(exist_ok=True)
    _run([require.program("apt-get"), "download", "debootstrap"], tool)
    (package,) = tool.glob("*.deb")
    _run(["dpkg", "-x", str(package), "."], tool)
    script = tool / "usr/sbin/debootstrap"
    include = f"--include={','.join(packages)}"
    argv = ["sh", str(script), "--variant=minbase", include, "trixie", str(root), MIRROR]
    _run(argv, tool, DEBOOTSTRAP_DIR=str(tool / "usr/share/debootstrap"))


def _run(argv: list[str], folder: Path, **more: str) -> None:
    environment = {**os.environ, **more}
    done = subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"

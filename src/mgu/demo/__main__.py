"""python -m mgu.demo: a branch office comes up, from a wrong date to a keyed tunnel.

Everything happens in network namespaces of its own; this machine's network, clock and files stay
as they are. Root is not needed.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Final, NoReturn

from mgu import exits
from mgu.arguments import Parser

_INSIDE: Final = "MGU_DEMO_INSIDE"
_NEW: Final = ("--net", "--mount")
_NEW_PROCESSES: Final = ("--pid", "--fork", "--kill-child", "--mount-proc")
_NEW_USER: Final = ("--user", "--map-root-user")


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(
        "python -m mgu.demo",
        description=__doc__,
        epilog="exit codes: 0 every step did what it must, 1 one did not, 64 usage",
    )
    parser.add_argument(
        "--peers",
        choices=("own", "real"),
        default="own",
        help="the other ends: this project's own servers, or chronyd, hostapd with FreeRADIUS and "
        "strongSwan (root only)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="directory for the capture and its keys (default: demo-output)",
    )
    options = parser.parse_args(argv)
    if options.peers == "real" and os.geteuid() != 0:
        print("demo: --peers real needs root: FreeRADIUS and strongSwan change users", flush=True)
        return exits.FAILED
    if not os.environ.get(_INSIDE):
        _enter_namespaces(["--peers", options.peers, "--output", str(options.output.absolute())])
    from mgu.demo.story import run

    _mount_tmpfs("/run")
    signal.signal(signal.SIGTERM, _on_term)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    return run(options.peers, options.output)


def _enter_namespaces(arguments: list[str]) -> NoReturn:
    """Run this program again, in namespaces of its own. What it starts ends with it."""
    unshare = shutil.which("unshare")
    if unshare is None:
        sys.exit("demo: there is no program unshare (package util-linux)")
    users = ((), _NEW_USER) if os.geteuid() == 0 else (_NEW_USER,)  # a container's root may not
    for user, processes in product(users, (_NEW_PROCESSES, ())):
        wanted = (*user, *_NEW, *processes)
        result = subprocess.run(
            [unshare, *wanted, "true"], capture_output=True, text=True, check=False
        )
        if result.returncode == 0:
            command = [unshare, *wanted, sys.executable, "-P", "-m", "mgu.demo", *arguments]
            os.execve(unshare, command, {**os.environ, _INSIDE: "1"})
    print(f"demo: this machine allows no namespaces: {result.stderr.strip()}", file=sys.stderr)
    sys.exit("run it as root, or allow user namespaces: sysctl kernel.unprivileged_userns_clone=1")


def _mount_tmpfs(path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", path.encode(), b"tmpfs", 0, b"mode=755") != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)


def _on_term(*_: object) -> NoReturn:
    sys.exit("demo: ended by a signal")


if __name__ == "__main__":
    sys.exit(main())

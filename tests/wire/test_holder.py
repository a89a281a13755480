"""Who has a socket open."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from wire.holder import holder


def inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


def test_a_socket_of_our_own_is_ours_though_the_look_itself_opens_a_file() -> None:
    with socket.socket() as first, socket.socket() as second:
        ours = Path(f"/proc/{os.getpid()}")
        assert holder([inode(first)]) == ours
        assert holder([1, inode(second)]) == ours
        kept = inode(first)
    assert holder([kept]) is None
    assert holder([]) is None


def test_a_socket_of_another_process_is_its() -> None:
    program = (
        "import os, socket, sys; made = socket.socket()\n"
        "print(os.fstat(made.fileno()).st_ino, flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert holder([int(child.stdout.readline())]) == Path(f"/proc/{child.pid}")
        child.stdin.close()

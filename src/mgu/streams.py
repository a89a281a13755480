"""What a script takes over and leaves: closed streams, readers that went away, a full disk."""

import os
import sys
from collections.abc import Callable

from mgu import exits


def put_in_order() -> None:
    """What a program takes over from whoever starts it.

    Streams may be closed: no file of ours must get the number of one. The umask may be 0: no folder
    of ours is writable by others.
    """
    os.umask(os.umask(0o022) | 0o022)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def told(command: Callable[[], int], name: str) -> int:
    """What `command` returns, once all that it printed was taken.

    Nobody reads any more (`mgu -h | head -1`): no message, and what a shell has for SIGPIPE.
    """
    try:
        code = _exit_code(command)
        sys.stdout.flush()
    except BrokenPipeError:
        _print_nowhere()
        return exits.NOBODY_READS
    except OSError as error:
        _print_nowhere()
        what = error.filename or "cannot write the output"
        print(f"{name}: {what}: {error.strerror}", file=sys.stderr)
        return exits.FAILED
    return code


def _exit_code(command: Callable[[], int]) -> int:
    """argparse leaves by SystemExit, after -h as after wrong usage."""
    try:
        return command()
    except SystemExit as left:
        if not isinstance(left.code, int | None):
            raise
        return left.code or exits.OK


def _print_nowhere() -> None:
    """The interpreter flushes at its end, too, and would complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)

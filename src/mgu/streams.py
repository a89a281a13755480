"""Standard streams of a command: closed streams, readers that are gone, Ctrl-C."""

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from mgu import exits
from wire.lean import Any, Final
from wire.shortage import is_shortage

PACKAGES: Final = {
    "OpenSSL": "pyOpenSSL",
    "cryptography": "cryptography",
    "Cryptodome": "pycryptodomex",
    "lark": "lark",
    "pyroute2": "pyroute2",
    "asyncio_dgram": "asyncio-dgram",
    "numpy": "numpy",
    "pyrad": "pyrad",
}
"""What a module that is imported late comes from, by its name."""


class OutputLost(SystemExit):
    """What was printed cannot be written. It is not an OSError: a command that expects those of its
    files and peers shall not take it for one."""

    def __init__(self, error: OSError) -> None:
        super().__init__(exits.FAILED)
        self.error = error


class _Output(io.TextIOWrapper):
    """A standard stream whose failure is an OutputLost; what comes after it goes nowhere."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise self._lost(error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise self._lost(error) from None

    def _lost(self, error: OSError) -> OutputLost:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)
        return OutputLost(error)


def write_octets(octets: bytes) -> None:
    """To standard output, as they are. Raises: OutputLost."""
    try:
        sys.stdout.buffer.write(octets)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise OutputLost(error) from None


def put_in_order() -> None:
    """What a program inherits from its parent.

    Streams may be closed: no file of ours must get the number of one. The umask may be 0: no folder
    of ours is writable by others.
    """
    os.umask(os.umask(0o022) | 0o022)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def told(command: Callable[[], int], name: str) -> int:
    """What `command` returns, once all that it printed was taken.

    Ctrl-C, and a reader that went away (`mgu -h | head -1`): no message, and what a shell has for
    the signal.
    """
    try:
        try:
            return _exit_code(command)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        package = PACKAGES[error.name]
        missing = f"the Python package {package} is not installed"
        return _failed(f"{name}: {missing}; 'pip install {package}' installs it")
    except OutputLost as lost:
        if isinstance(lost.error, BrokenPipeError):
            return exits.NOBODY_READS
        return _failed(f"{name}: cannot write the output: {lost.error.strerror}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _failed(f"{name}: {where}{error.strerror or error}")
    except Exception as error:
        if not is_shortage(error):
            raise
        return _failed(f"{name}: there is not enough memory")


def mark_output() -> None:
    """For commands. Not for daemons: a closed output or a full disk must not end them."""
    for each in ("stdout", "stderr"):
        setattr(sys, each, _output(getattr(sys, each)))


def _output(stream: Any) -> Any:
    """`stream` as an `_Output`; one that is not the process's own stays."""
    if type(stream) is not io.TextIOWrapper:
        return stream
    options: dict[str, Any] = {
        "encoding": stream.encoding,
        "errors": stream.errors,
        "line_buffering": stream.line_buffering,
        "write_through": stream.write_through,
    }
    return _Output(stream.detach(), **options)


def _exit_code(command: Callable[[], int]) -> int:
    """argparse leaves by SystemExit, after -h as after wrong usage."""
    try:
        return command()
    except OutputLost:
        raise
    except SystemExit as left:
        if not isinstance(left.code, int | None):
            raise
        return left.code or exits.OK


def _failed(text: str) -> int:
    with suppress(OutputLost):  # no place to report it
        print(text, file=sys.stderr)
    return exits.FAILED

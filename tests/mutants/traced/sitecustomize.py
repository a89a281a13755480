"""In every Python that a test starts while the tests are measured: which lines of ours it runs.

MUTANTS_TRACE is the folder that takes one file for each process: the test's name, then FILE:LINE.
It imports nothing that Python has not imported already: some tests look at what is imported.
"""

import atexit
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

_FOLDER = os.environ.get("MUTANTS_TRACE", "")
_TREE = os.environ.get("MUTANTS_TREE", "")
_seen: "set[tuple[str, int]]" = set()
_leave = os._exit


def _trace(frame: "FrameType", event: str, argument: object) -> object:
    settrace = getattr(sys.modules.get("threading"), "settrace", None)
    if settrace is not None:
        settrace(_trace)  # threads that start from now on, too
    if not frame.f_code.co_filename.startswith(_TREE):
        return None
    return _line(frame, event, argument)


def _line(frame: "FrameType", event: str, argument: object) -> object:
    _seen.add((frame.f_code.co_filename, frame.f_lineno))
    return _line


def _save() -> None:
    sys.settrace(None)
    if _seen:
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
        lines = [test, *(f"{name}:{line}" for name, line in _seen), "", ""]
        try:  # noqa: SIM105 - nothing is imported in here
            os.write(_file, "\n".join(lines).encode())
        except OSError:  # the disk is full: it tests just that
            pass
        _seen.clear()


def _exit(code: int) -> None:
    _save()
    _leave(code)


if _FOLDER:  # opened before the program gives up its privileges, or all that is writable
    _flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    _file = os.open(f"{_FOLDER}/{os.getpid()}", _flags, 0o600)
    os._exit = _exit  # type: ignore[assignment]
    atexit.register(_save)
    sys.settrace(_trace)  # type: ignore[arg-type]

"""What a test needs from the machine.

Missing as root, or with CI=true: the test fails, for a green run must mean that the peers were
met. Missing otherwise: the test is skipped, and listed with the reason at the end of the run.
"""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def strict() -> bool:
    """Whether what is missing is a failure."""
    return os.geteuid() == 0 or os.environ.get("CI") == "true"


def program(name: str, *folders: str) -> str:
    """The path of `name`, from PATH, /usr/sbin or `folders`."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *folders])
    found = shutil.which(name, path=path)
    if found is None:
        missing(f"the program {name} (tests/lab/install-peers installs it)")
    return found


def file(path: str) -> Path:
    """`path`, which a package should have brought."""
    if not Path(path).exists():
        missing(f"{path} (tests/lab/install-peers installs it)")
    return Path(path)


def root() -> None:
    """Namespaces of other users' networks need root."""
    if os.geteuid() != 0:
        missing("root, for network namespaces")


def missing(what: str) -> NoReturn:
    """Fail, or leave the test out, for want of `what`."""
    if strict():
        pytest.fail(f"needs {what}", pytrace=False)
    pytest.skip(f"needs {what}")

"""The user of the daemons: they start as root, open what they need, and become it.

It is made when the first service is enabled. Where it cannot be, daemons stay root, with the few
capabilities that they keep, and the command that enables a service says so.
"""

import os
import sys
from pathlib import Path

from mgu.paths import root
from wire.lean import Final
from wire.record import Record

NAME: Final = "mgu"
_MAKERS: Final = (
    ("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
     "--shell", "/usr/sbin/nologin", NAME),
    ("adduser", "-S", "-D", "-H", "-h", "/nonexistent", "-s", "/bin/false", NAME),  # busybox
)  # fmt: skip


class Account(Record):
    uid: int
    gid: int


def find() -> Account | None:
    """None where there is none, where it could not run us, and below a root other than `/`."""
    if root() != Path("/"):
        return None
    import pwd

    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        return None
    if entry.pw_uid == 0 or unreachable() is not None:
        return None
    return Account(entry.pw_uid, entry.pw_gid)


def make() -> str | None:
    """Make the user, if it is missing. Returns: why the daemons stay root, or None."""
    if root() != Path("/") or os.geteuid() != 0 or find() is not None:
        return None
    if (folder := unreachable()) is not None:
        return f"only root can read {folder}, where this program is"
    return None if create() else f"there is no user '{NAME}', and it cannot be created"


def create() -> bool:
    """Have whichever program there is make the user; whether it did."""
    import shutil  # late, as all that most calls do not need
    import subprocess

    for words in _MAKERS:
        if shutil.which(words[0]) is not None:
            subprocess.run(words, check=False, capture_output=True)
            if find() is not None:
                return True
    return False


def unreachable() -> Path | None:
    """The folder that keeps others than root from running this program, or None."""
    programs = (Path(sys.executable), Path(sys.executable).resolve(), Path(__file__))
    for folder in (folder for path in programs for folder in path.parents):
        if not folder.stat().st_mode & 0o001:
            return folder
    return None

"""systemd as the init of a process namespace, in a guest: units are started for real.

It begins nothing but what is asked for: the services that would find hardware are masked.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lab import require
from lab.process import Process

_SYSTEMD: Final = "/lib/systemd/systemd"
_PRIVATE: Final = Path("/run/systemd/private")
_MASKED: Final = """
    systemd-udevd systemd-udev-trigger systemd-hwdb-update systemd-tmpfiles-setup
    systemd-tmpfiles-setup-dev systemd-sysctl systemd-modules-load systemd-random-seed
    systemd-sysusers systemd-update-done systemd-update-utmp systemd-machine-id-commit
    systemd-binfmt systemd-pcrphase systemd-pcrphase-sysinit systemd-timesyncd systemd-resolved
    systemd-journal-catalog-update ldconfig
"""
_MOUNTS: Final = """
    tmp.mount dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount
    sys-kernel-config.mount sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount
"""


class Systemd:
    """The running one. Commands run where it is process 1."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return int(children.read_text().split()[0])

    def run(self, *argv: str, check: bool = True) -> str:
        """The output of a command; its failure is an AssertionError with that."""
        result = subprocess.run(
            ["nsenter", "-t", str(self.pid), "--pid", "--mount", "--root", "--", *argv],
            cwd="/",
            env={**os.environ, "SYSTEMD_IGNORE_CHROOT": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=90,
        )
        if check:
            assert result.returncode == 0, f"{' '.join(argv)}\n{result.stdout}"
        return result.stdout

    def show(self, unit: str, name: str) -> str:
        """A property of a unit, such as ActiveState."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).strip()


@contextmanager
def systemd() -> Iterator[Systemd]:
    """Runs while the block does."""
    program = str(require.file(_SYSTEMD))
    for name in (*(f"{name}.service" for name in _MASKED.split()), *_MOUNTS.split()):
        link = Path("/etc/systemd/system", name)
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    subprocess.run(["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"], check=True)
    own = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--cgroup"]
    options = ["--system", "--unit=sysinit.target", "--log-target=kmsg", "--show-status=no"]
    with Process(
        [*own, program, *options],
        name="systemd",
        env={"container": "other", "SYSTEMD_IGNORE_CHROOT": "1"},
    ) as process:
        limit = time.monotonic() + 30
        while not _PRIVATE.exists():
            assert process.running, process.text
            assert time.monotonic() < limit, "systemd did not come up"
            time.sleep(0.05)
        yield Systemd(process)

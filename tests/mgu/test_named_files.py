"""Files that others name: a device, a pipe or a folder is refused at once, with its name."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

MGU: Final = (sys.executable, "-P", "-m", "mgu.main")
COMMANDS: Final = (
    "localNTP -n 127.0.0.1 --keys FILE --dry-run",
    "localNTP --nts localhost --nts-ca FILE --dry-run",
    "setkey -f FILE",
    "setkey FILE",
    "net8021x -l FILE -c FILE -i gw -p FILE",
    "ipsec --create --name=n --dst-address=192.0.2.1 --dst-preshared-key=@FILE",
    "ipsec --install-certs --ca-cert-file=FILE --cert-file-public=FILE --cert-file-private=FILE",
    "iked -t -f FILE",
    "iked -F -f FILE",
    "supplicant -D wired -i lo -c FILE",
)
INSTALLED: Final = (
    ("etc/localntp.conf", "timed"),
    ("etc/localntp.conf", "localNTP -s"),
    ("etc/racoon.conf", "iked -t"),
    ("etc/wpa_supplicant.conf", "supplicant -D wired -i lo"),
    ("etc/wpa_supplicant.conf", "net8021x -a"),
    ("etc/sysconf/network-scripts/ifcfg-n", "ipsec --start --name=n"),
    ("run/mgu/localntp/status.json", "localNTP -s"),
    ("run/mgu/localntp/status.json", "mgu up --status"),
    ("run/mgu/racoon/problems", "ipsec"),
    ("var/lib/mgu/localntp/time", "mgu up floor"),
    ("var/lib/mgu/localntp/drift", "localNTP -s"),
)
HARMLESS: Final = ("mgu up", "localNTP -s", "ipsec")
"""Where the file is only looked at: nothing is wrong with the command."""


def run(root: Path, line: str) -> subprocess.CompletedProcess[str]:
    words = line.removeprefix("mgu ").split()
    return subprocess.run(
        ["prlimit", f"--as={400 << 20}", *MGU, *words],
        env={**os.environ, "MGU_ROOT": str(root), "MGU_CLOCK": str(root / "clock")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=20,
    )


def make(kind: str, path: Path) -> None:
    """Something that is no regular file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()


# A person's shell gives <(command) as a pipe: a command waits for its end, a daemon does not.
@pytest.mark.parametrize(
    ("kind", "line"),
    [(kind, line) for kind in ("device", "folder") for line in COMMANDS]
    + [("pipe", line) for line in COMMANDS if line.startswith(("iked", "supplicant"))],
)
def test_what_is_no_file_is_refused_at_once_with_its_name(
    kind: str, line: str, tmp_path: Path
) -> None:
    path = tmp_path / "named"
    make(kind, path)
    result = run(tmp_path, line.replace("FILE", str(path)))
    assert result.returncode not in (0, -9), result.stdout
    assert "Traceback" not in result.stdout
    assert str(path) in result.stdout


@pytest.mark.parametrize("kind", ["device", "folder", "pipe"])
@pytest.mark.parametrize(("file", "line"), INSTALLED)
def test_what_stands_in_the_place_of_our_file_is_named_or_passed_over(
    file: str, line: str, kind: str, tmp_path: Path
) -> None:
    make(kind, tmp_path / file)
    result = run(tmp_path, line)
    assert "Traceback" not in result.stdout
    if not line.startswith(HARMLESS):
        assert result.returncode not in (0, -9), result.stdout
        assert file.rpartition("-")[2] in result.stdout

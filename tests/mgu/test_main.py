"""`mgu` and the historic names; what happens when nobody reads the output."""

import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.process import until
from mgu import exits, main
from mgu.services.process import Process

AS = "import sys; sys.argv = sys.argv[1:]; from mgu.main import program; sys.exit(program())"


def called_as(
    name: str, *words: str, stdout: int | None = None
) -> subprocess.CompletedProcess[str]:
    """As the installed script of that name, its output buffered as everywhere."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", AS, f"/usr/local/bin/{name}", *words],
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        env=env,
        text=True,
        check=False,
        timeout=20,
    )


@pytest.mark.parametrize("name", [*main.COMMANDS, *main.DAEMONS, *main.HISTORIC])
def test_every_name_answers_to_help(name: str) -> None:
    result = called_as(name, "-h")
    assert result.returncode == 0, result.stderr
    assert result.stdout.lower().startswith("usage:")
    assert called_as("mgu", main.HISTORIC.get(name, name), "-h").stdout == result.stdout


@pytest.mark.parametrize("name", [*main.COMMANDS, *main.DAEMONS])
def test_every_help_says_what_the_exit_codes_mean(name: str) -> None:
    text = " ".join(called_as("mgu", name, "-h").stdout.lower().split())
    assert re.search(r"exit (codes?|status):? ?.*\b0 ", text), text


def test_an_unknown_command_is_a_usage_error() -> None:
    result = called_as("mgu", "up!")
    assert result.returncode == exits.USAGE
    assert "no command 'up!'" in result.stderr


PRINTING = ["localNTP -s", "ipsec --list", "mgu up --status"]
HELP = [f"{name} -h" for name in ("mgu", "ipsec", "racoonctl", "wpa_cli", "setkey", "net8021x")]


@pytest.mark.parametrize("line", PRINTING + HELP)
def test_a_reader_that_went_away_is_no_fault(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = called_as(*line.split(), stdout=writer)
    finally:
        os.close(writer)
    assert (result.returncode, result.stderr) == (exits.NOBODY_READS, "")


def test_a_command_that_gets_no_memory_says_so() -> None:
    code = (
        "import sys; from mgu.streams import told\n"
        "def greedy(): return len(bytearray(1 << 60))\n"
        "sys.exit(told(greedy, 'ipsec'))"
    )
    argv = [sys.executable, "-c", code]
    result = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert (result.returncode, result.stderr) == (1, "ipsec: there is not enough memory\n")


SILENT = """
import asyncio, contextlib, os, pathlib, socket, sys
folder = pathlib.Path(os.environ["MGU_ROOT"])
for name, kind in (("racoon/racoon.sock", 1), ("wpa_supplicant/eth0", 2)):
    path = folder / "var/run" / name
    path.parent.mkdir(parents=True)
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(str(path))
    if kind == 1:
        made.listen()
    globals()[name] = made
clock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
clock.bind(("127.0.0.1", 0))
print(clock.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Servers that take what comes and never answer; the port of the time server."""
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    monkeypatch.setenv("MGU_CLOCK", str(tmp_path / "clock"))
    argv = [sys.executable, "-c", SILENT]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, text=True, **pipes) as servers:  # type: ignore[call-overload]
        port = int(servers.stdout.readline())
        pretend_to_be_a_service(tmp_path, "wpa_supplicant", servers.pid)
        yield port
        servers.stdin.close()


def pretend_to_be_a_service(root: Path, name: str, pid: int) -> None:
    """As `mgu up` finds one that was started before, with its supervisor."""
    marker = root / f"var/lib/mgu/enabled/{name}"
    marker.parent.mkdir(parents=True)
    marker.touch()
    (root / "run/mgu").mkdir(parents=True)
    for file in (f"{name}.pid", f"{name}.supervisor.pid"):
        (root / "run/mgu" / file).write_text(f"{Process.of(pid)}\n")


WAITING = [
    ("localNTP", "-n", "127.0.0.1", "--timeout", "30", "--port", "PORT", "--dry-run"),
    ("racoonctl", "show-sa", "isakmp"),
    ("racoonctl", "establish-sa", "-w", "isakmp", "inet", "127.0.0.1", "127.0.0.2"),
    ("ipsec", "--stop", "--name", "node"),
    ("wpa_cli", "status"),
    ("setkey", "-c"),
    ("mgu", "up", "port", "--wait", "30"),
]


@pytest.mark.parametrize("words", WAITING, ids=" ".join)
def test_a_command_that_is_interrupted_says_nothing_and_ends_as_a_shell_expects(
    silent: int, words: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "etc/sysconf/network-scripts"
    folder.mkdir(parents=True)
    for number, name in enumerate(("node", "other"), 1):
        (folder / f"ifcfg-{name}").write_text(f"TYPE=IPSEC\nDST=192.0.2.{number}\nONBOOT=yes\n")
    argv = [word.replace("PORT", str(silent)) for word in words]
    # A shell's background jobs ignore the signal, and what they start does, too.
    heeded = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    code = AS.replace("import sys;", f"{heeded} print(flush=True);")
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code, *argv], **pipes) as command:  # type: ignore[call-overload]
        command.stdout.read(1)
        until(waits(command.pid))
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=20)
    assert (command.returncode, errors) == (exits.INTERRUPTED, b"")


def waits(pid: int) -> Callable[[], bool]:
    """Whether it is in one and the same system call for some looks: its work has begun."""
    seen = deque(["running"], maxlen=6)

    def look() -> bool:
        seen.append(Path(f"/proc/{pid}/syscall").read_text())
        return len(seen) == seen.maxlen and len(set(seen)) == 1 and "running" not in seen[0]

    return look


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("name", ["mgu", "localNTP"])
def test_closed_streams_are_no_fault(name: str, closed: str) -> None:
    argv = ["/bin/sh", "-c", f'"$@" {closed}', "sh", sys.executable, "-c", AS, name, "-h"]
    result = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert (result.returncode, "Traceback" in result.stderr) == (exits.OK, False)


def test_output_that_cannot_be_written_is_a_failure_that_is_told() -> None:
    with Path("/dev/full").open("wb") as full:
        result = called_as("ipsec", "-h", stdout=full.fileno())
    assert result.returncode == exits.FAILED
    assert result.stderr == "ipsec: cannot write the output: No space left on device\n"


def test_a_careless_umask_makes_no_folder_that_others_can_write_to(tmp_path: Path) -> None:
    create = ["ipsec", "--create", "--name=node", "--dst-address=192.0.2.1"]
    words = ["--src-address=192.0.2.2", "--dst-preshared-key=secret"]
    argv = ["/bin/sh", "-c", 'umask 0; exec "$@"', "sh", sys.executable, "-c", AS, *create, *words]
    env = {**os.environ, "MGU_ROOT": str(tmp_path)}
    result = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=20)
    assert result.returncode == 0, result.stderr
    made = list(tmp_path.rglob("*"))
    assert made
    assert [path for path in made if path.stat().st_mode & 0o022] == []

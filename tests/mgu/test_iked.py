"""`mgu iked` as it is started, over a data plane in memory; interop tests have real ones."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from ike.admin.framing import Command, Reply, Request
from ike.conf.configuration import load
from ike.values import Endpoint
from lab.process import Process, until
from mgu import exits
from mgu.admin_client import Connection
from mgu.commands import ipsec
from mgu.daemons.iked import listening, parser

READY = "INFO: IPsec by the memory data plane"
SOCKET = "var/run/racoon/racoon.sock"
TESTS = Path(__file__).parents[1]
DAEMON = """
import asyncio, sys
from ike.aio.sockets import Sockets
from lab.plane import Plane as InMemory
from mgu.daemons import iked
from mgu.keying.plane import Plane

class Quiet(InMemory):
    async def events(self):
        await asyncio.Event().wait()
        yield

async def in_memory(stack, listening):
    sockets = Sockets(listening)
    stack.callback(sockets.close)
    return Plane("memory", Quiet(), sockets)

sys.exit(iked.main(sys.argv[1:], in_memory))
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in {
        "MGU_ROOT": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("JOURNAL_STREAM", "MGU_EXPORT_KEYS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "etc").mkdir()
    return tmp_path


@pytest.fixture
def conf(root: Path) -> Path:
    """Two ports of this host's loopback that nobody has."""
    ports = []
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            free = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    path = root / "etc/racoon.conf"
    path.write_text(
        f"listen {{ isakmp 127.0.0.1 [{ports[0]}]; isakmp_natt 127.0.0.1 [{ports[1]}]; }}\n"
    )
    return path


def argv(*words: str) -> list[str]:
    return [sys.executable, "-c", DAEMON, *words]


@contextlib.contextmanager
def running(*words: str, into: Path | None = None) -> Iterator[Process]:
    """Serving, its log at standard error or `into` a file."""
    with Process(argv("-F", *words), name="iked") as daemon:
        until(lambda: READY in (into or daemon.output).read_text() or not daemon.running, 10)
        yield daemon


def ended(*words: str) -> tuple[int, str, str]:
    """Exit code, output and log of a daemon that does not stay."""
    done = subprocess.run(argv(*words), capture_output=True, text=True, check=False, timeout=20)
    return done.returncode, done.stdout, done.stderr


def ask(root: Path, command: Command) -> Reply:
    until((root / SOCKET).exists, 10)
    with Connection(root / SOCKET) as connection:
        return connection.ask(Request(command=command))


def test_it_serves_until_it_is_told_to_stop_and_leaves_nothing(root: Path, conf: Path) -> None:
    pidfile, sock = root / "run/iked.pid", root / SOCKET
    with running("--pidfile", str(pidfile)) as daemon:
        assert ask(root, Command.SHOW_SCHEDULE).errno == 0
        assert int(pidfile.read_text()) == daemon.pid
        assert stat.S_IMODE(sock.stat().st_mode) == 0o600
        assert daemon.stop() == exits.OK
        assert daemon.text.splitlines()[-1].endswith(f"racoon process {daemon.pid} shutdown")
    assert not pidfile.exists()
    assert not sock.exists()


def test_whoever_started_it_is_told_when_it_serves(
    root: Path, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(root / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(root / "notify"))
        with running() as daemon:
            assert manager.recv(100) == f"READY=1\nMAINPID={daemon.pid}".encode()
            assert ask(root, Command.SHOW_SCHEDULE).errno == 0


def test_a_hangup_has_the_files_read_again(root: Path, conf: Path) -> None:
    with running("-v", "-l", str(root / "log")) as daemon:
        assert ask(root, Command.SHOW_SCHEDULE).errno == 0
        daemon.signal(signal.SIGHUP)
        daemon.wait_line(f"INFO: configuration read again from {conf}")
        assert daemon.text == (root / "log").read_text()  # -v: to standard error, too


def test_a_log_file_is_written_in_place_of_standard_error(root: Path, conf: Path) -> None:
    (root / "log").touch()
    with running("-l", str(root / "log"), into=root / "log") as daemon:
        assert ask(root, Command.SHOW_SCHEDULE).errno == 0
        assert daemon.text == ""


def test_in_the_background_it_holds_its_pid_file_and_its_log_from_anywhere(
    root: Path, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    words = ("-l", "log", "--pidfile", "pid", "-f", "etc/racoon.conf")
    assert ended(*words) == (exits.OK, "", "")
    assert ask(root, Command.SHOW_SCHEDULE).errno == 0
    assert ended(*words)[0] == exits.FAILED
    os.kill(int((root / "pid").read_text()), signal.SIGTERM)
    until(lambda: not (root / "pid").exists(), 10)
    assert "shutdown" in (root / "log").read_text()


def test_the_admin_socket_is_as_the_configuration_has_it(root: Path, conf: Path) -> None:
    listen = conf.read_text().partition("}")[0]
    me = f'"{os.geteuid()}" "{os.getegid()}"'
    conf.write_text(f'{listen} adminsock "/run/admin.sock" {me} 0660; }}')
    with running():
        until((root / "run/admin.sock").exists, 10)
        assert stat.S_IMODE((root / "run/admin.sock").stat().st_mode) == 0o660
    conf.write_text(f"{listen} adminsock disabled; }}")
    with running("--export-keys", str(root / "keys")) as daemon:
        until((root / "keys/esp_sa").exists, 10)
        assert daemon.stop() == exits.OK
    assert not (root / SOCKET).exists()


def test_an_owner_that_there_is_not_is_named(root: Path, conf: Path) -> None:
    listen = conf.read_text().partition("}")[0]
    conf.write_text(f'{listen} adminsock "/run/admin.sock" "nobody-here" "root" 0660; }}')
    code, _, log = ended("-F")
    assert code == exits.FAILED
    assert "ERROR: adminsock: there is no user or group 'nobody-here'" in log


def test_a_check_of_the_configuration_starts_nothing(root: Path, conf: Path) -> None:
    conf.write_text('path script "/x";')
    code, output, log = ended("-t")
    assert (code, log) == (exits.OK, "")
    assert output.startswith(f"not honoured: {conf}:1:1: path script ")
    assert sorted(path.name for path in root.iterdir()) == ["etc"]
    conf.write_text("lissen { }")
    code, output, log = ended("-t")
    assert (code, output) == (exits.FAILED, "")
    assert log.startswith(f"racoon: {conf}:1:1: 'lissen' is not understood")


def test_what_is_in_the_way_is_named(root: Path, conf: Path) -> None:
    with running("--pidfile", str(root / "pid")) as first:
        assert ask(root, Command.SHOW_SCHEDULE).errno == 0
        code, _, log = ended("-F", "--pidfile", str(root / "pid"))
        assert code == exits.FAILED
        assert f"runs already as process {first.pid}; stop it first: kill {first.pid}" in log
        code, _, log = ended("-F")
        assert code == exits.FAILED
        assert "ERROR: " in log
        assert str(first.pid) in log  # who has the port
        conf.write_text("listen { isakmp 127.0.0.1 [0]; isakmp_natt 127.0.0.1 [0]; }")
        code, _, log = ended("-F")
        assert code == exits.FAILED
        assert "racoon.sock" in log


REFUSALS = """
import errno, sys
from mgu.daemons import iked
from xfrm.dataplane import XfrmError

codes = (errno.EPERM, errno.EACCES, errno.EINVAL, 0)
errors = [XfrmError("no plane", code=code) for code in codes]
errors.append(PermissionError(errno.EPERM, "not allowed"))
errors.append(OSError(errno.ENOSPC, "disk full", "/run/x"))
errors.append(OSError(errno.ENOSPC, "disk full"))
errors.append(KeyError("a fault"))
for error in errors:
    async def refuses(stack, listening):
        raise error
    print(iked.main(["-F"], refuses), flush=True)
"""


LEASE = """
import subprocess
def ip(words): subprocess.run(["ip", *words.split()], check=True)
def lease():
    ip("link add eth0 type veth peer name eth1")
    ip("addr add 10.9.9.1/24 dev eth0")
    ip("link set eth0 up")
ip("link set lo up")
"""


def test_a_connection_is_served_once_its_address_is_there(root: Path, conf: Path) -> None:
    """A lease that comes late; in a namespace that an ordinary user can make."""
    created = ("--create", "--name=n", "--dst-address=10.9.9.2", "--dst-preshared-key=k")
    assert ipsec.main(created) == 0
    conf.write_text("listen { isakmp 127.0.0.1 [1500]; isakmp_natt 127.0.0.1 [1501]; }\n")
    later = "    asyncio.get_running_loop().call_later(0.5, lease)\n    return Plane("
    program = LEASE + DAEMON.replace("    return Plane(", later)
    words = ["unshare", "-rn", sys.executable, "-c", program, "-F"]
    with Process(words, name="iked") as daemon:
        daemon.wait_line("ERROR: connection n: eth0 has no IPv4 address")
        daemon.wait_line(r"INFO: connection n: 10\.9\.9\.1/32\[any\] 10\.9\.9\.2/32\[any\] any")


def test_each_refusal_of_a_start_has_its_exit_code_and_words(root: Path, conf: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSALS], capture_output=True, text=True, check=False, timeout=20
    )
    assert done.stdout.split() == ["4", "4", "1", "1", "4", "1", "1", "1"], done.stderr
    lines = [line.partition("ERROR: ")[2] for line in done.stderr.splitlines() if "ERROR: " in line]
    assert lines[:7] == [
        *4 * ["no plane"],
        "not allowed: start it as root",
        "/run/x: disk full",
        "disk full",
    ]
    assert lines[7].startswith("internal error")
    assert "shutdown" not in done.stderr


HERE = ip_address("127.0.0.1")


@pytest.mark.parametrize(
    ("words", "versions"), [([], (4, 6)), (["-4"], (4,)), (["-6"], (6,)), (["-4", "-6"], (4,))]
)
def test_the_ports_and_families_of_the_command_line_are_those_listened_on(
    words: list[str], versions: tuple[int, ...], root: Path
) -> None:
    path = root / "etc/racoon.conf"
    path.write_text("")
    wanted = listening(parser().parse_args([*words, "-p", "501", "-P", "4501"]), load(path, root))
    assert (wanted.isakmp, wanted.natt, wanted.versions) == ((), (), versions)
    assert (wanted.isakmp_port, wanted.natt_port) == (501, 4501)
    path.write_text("listen { isakmp 127.0.0.1 [502]; isakmp_natt 127.0.0.1 [4502]; }")
    wanted = listening(parser().parse_args(words), load(path, root))
    assert (wanted.isakmp, wanted.natt) == ((Endpoint(HERE, 502),), (Endpoint(HERE, 4502),))
    assert (wanted.isakmp_port, wanted.natt_port) == (500, 4500)


SWITCHES = ["ipv4", "ipv6", "foreground", "verbose", "places", "backup", "test", "version"]
FILES = ("conf", "log", "pidfile", "export_keys")


def test_without_options_it_is_racoon_on_its_ports_in_the_background() -> None:
    switches, files = dict.fromkeys(SWITCHES, False), dict.fromkeys(FILES)
    numbers = {"debug": 0, "port": 500, "natt_port": 4500, "wait_date": 0.0}
    assert vars(parser().parse_args([])) == switches | files | numbers


def test_every_option_of_racoon_is_taken() -> None:
    words = "-4 -6 -F -v -L -B -t -V -dd -p 1 -P 65535 -f a -l b --pidfile c --export-keys d "
    words += "--wait-date 2.5"
    switches = dict.fromkeys(SWITCHES, True)
    files = dict(zip(FILES, map(Path, "abcd"), strict=True))
    numbers = {"debug": 2, "port": 1, "natt_port": 65535, "wait_date": 2.5}
    assert vars(parser().parse_args(words.split())) == switches | files | numbers


@pytest.mark.parametrize("port", ["0", "65536", "x", ""])
def test_what_is_no_port_is_wrong_usage(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parser().parse_args(["-p", port])
    assert exit_.value.code == exits.USAGE
    assert "is not a port" in capsys.readouterr().err

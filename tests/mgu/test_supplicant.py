"""`mgu supplicant` as it is started, on an interface that is still to come: nothing is sent."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eapol.aio.driver import Supervisor
from eapol.config import Config
from lab.process import Process, until
from mgu import exits
from mgu.daemons import supplicant
from mgu.daemons.supplicant import KEEP, parser
from mgu.demo.papers import issue
from mgu.wpa_ctrl import Client, NotServed, fields

PORT = "mgu-none0"
NETWORK = 'network={\n key_mgmt=IEEE8021X\n eap=TLS\n identity="me"\n ca_cert="/none/ca.pem"\n'
NETWORK += ' client_cert="/none/client.pem"\n private_key="/none/key.pem"\n}\n'


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    monkeypatch.delenv("MGU_EXPORT_KEYS", raising=False)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/wpa_supplicant.conf").write_text(f"ctrl_interface={tmp_path}/run\n{NETWORK}")
    return tmp_path


def argv(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "mgu.main", "supplicant", *words]


def ended(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(argv(*words), capture_output=True, text=True, check=False, timeout=20)
    return done.returncode, done.stdout, done.stderr


def asked(folder: Path, command: str) -> str:
    with Client(str(folder), PORT) as client:
        return client.request(command)


def serves(folder: Path) -> bool:
    try:
        return asked(folder, "PING") == "PONG\n"
    except (NotServed, OSError):
        return False


@contextlib.contextmanager
def running(root: Path, *words: str, folder: str = "run") -> Iterator[Process]:
    with Process(argv("-i", PORT, *words), name="supplicant") as daemon:
        until(lambda: serves(root / folder) or not daemon.running, 10)
        yield daemon


def test_it_waits_for_its_interface_and_says_so(root: Path) -> None:
    with running(root, "-P", str(root / "pid")) as daemon:
        status = fields(asked(root / "run", "STATUS-VERBOSE"))
        assert status["wpa_state"] == "DISCONNECTED"
        assert PORT in daemon.text
        assert int((root / "pid").read_text()) == daemon.pid
        assert daemon.stop() == exits.OK
    assert not (root / "run" / PORT).exists()


def test_who_asks_it_to_end_ends_it(root: Path) -> None:
    with running(root, "--no-logoff") as daemon:
        assert asked(root / "run", "TERMINATE") == "OK\n"
        until(lambda: not daemon.running, 10)
        assert daemon.exit_code == exits.OK


def test_the_control_socket_is_where_the_command_line_says(root: Path) -> None:
    with running(root, "-C", str(root / "mine"), folder="mine"):
        assert serves(root / "mine")
        assert not (root / "run").exists()


def test_without_a_folder_for_it_there_is_no_control_socket(root: Path) -> None:
    (root / "etc/wpa_supplicant.conf").write_text(NETWORK)
    with Process(argv("-i", PORT), name="supplicant") as daemon:
        daemon.wait_line(f"WARNING: {PORT}: ")
        assert daemon.stop() == exits.OK
    assert sorted(path.name for path in root.iterdir()) == ["etc"]


def test_a_hangup_has_the_configuration_read_again(root: Path) -> None:
    papers = issue(root / "papers").client
    conf = root / "etc/wpa_supplicant.conf"
    conf.write_text(conf.read_text().replace("/none/", f"{papers}/"))
    with running(root) as daemon:
        daemon.signal(signal.SIGHUP)
        daemon.wait_line(f"INFO: {PORT}: the configuration was read again")
        conf.write_text("nonsense {")
        daemon.signal(signal.SIGHUP)
        daemon.wait_line(r"ERROR: .*wpa_supplicant\.conf.*; what was read before stays in use")
        assert serves(root / "run")


def test_a_log_file_is_written_in_place_of_standard_error(root: Path) -> None:
    with running(root, "-f", str(root / "log"), "-q") as daemon:
        assert daemon.text == ""
        assert (root / "log").exists()
        assert "INFO" not in (root / "log").read_text()
    with running(root, "-f", str(root / "log")):
        until(lambda: PORT in (root / "log").read_text(), 10)


def test_whoever_started_it_is_told_when_it_serves(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(root / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(root / "notify"))
        with running(root) as daemon:
            told = manager.recv(100).decode()
            while not told.startswith("READY=1"):
                assert re.fullmatch(f"STATUS=port {PORT} unauthorized(: .*)?", told)
                told = manager.recv(100).decode()
            assert told == f"READY=1\nMAINPID={daemon.pid}"


def test_in_the_background_it_is_found_by_its_pid_file(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    words = ("-i", PORT, "-B", "-P", "pid", "-f", "log", "-c", "etc/wpa_supplicant.conf")
    assert ended(*words) == (exits.OK, "", "")
    assert serves(root / "run")
    os.kill(int((root / "pid").read_text()), signal.SIGTERM)
    until(lambda: not serves(root / "run"), 10)
    assert PORT in (root / "log").read_text()


def test_tls_secrets_are_written_where_asked_with_a_warning(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(root, "--key-log", str(root / "secrets")) as daemon:
        daemon.wait_line(
            f"WARNING: the TLS secrets are written to {root}/secrets: for laboratories only"
        )
        assert (root / "secrets").stat().st_mode & 0o777 == 0o600
    (root / "keys").mkdir()
    monkeypatch.setenv("MGU_EXPORT_KEYS", str(root / "keys"))
    with running(root):
        assert (root / "keys/tls.keys").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "wpa_supplicant.conf: cannot be read (No such file or directory); net8021x writes"),
        ("nonsense {", "conf:1:"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_named(
    root: Path, text: str | None, said: str
) -> None:
    conf = root / "etc/wpa_supplicant.conf"
    if text is None:
        conf.unlink()
    else:
        conf.write_text(text)
    code, output, log = ended("-i", PORT)
    assert (code, output) == (exits.FAILED, "")
    assert str(conf) in log
    assert said in log


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "-i is missing: which interface?"),
        (["-i", PORT, "-D", "nl80211"], "-D nl80211: this supplicant is for wired ports"),
    ],
)
def test_what_is_missing_or_cannot_be_is_wrong_usage(words: list[str], said: str) -> None:
    code, _, log = ended(*words)
    assert code == exits.USAGE
    assert said in log


def test_it_tells_its_version() -> None:
    code, output, _ = ended("-v")
    assert code == exits.OK
    assert output.startswith("mgu supplicant ")


def test_without_options_it_is_a_wired_port_in_the_foreground() -> None:
    assert vars(parser().parse_args([])) == {
        **dict.fromkeys(("interface", "config", "control", "pidfile", "log", "key_log")),
        **dict.fromkeys(("background", "syslog", "quiet", "stamps", "no_logoff", "version"), False),
        "driver": "wired",
        "debug": 0,
        "wait_date": 0.0,
    }


def test_every_option_of_wpa_supplicant_is_taken() -> None:
    words = (
        "-i a -c b -D d -C e -B -P f -f g -s -dd -q -t --no-logoff --key-log h -v --wait-date 2.5"
    )
    assert vars(parser().parse_args(words.split())) == {
        **dict.fromkeys(("background", "syslog", "quiet", "stamps", "no_logoff", "version"), True),
        "wait_date": 2.5,
        "interface": "a",
        "config": Path("b"),
        "driver": "d",
        "control": "e",
        "pidfile": Path("f"),
        "log": Path("g"),
        "debug": 2,
        "key_log": Path("h"),
    }


class Waiting(Supervisor):
    def __init__(self, group: str | None, waits: bool) -> None:
        self.config = Config(ctrl_interface_group=group)
        self._waits = waits

    @property
    def waits_for_interface(self) -> bool:
        return self._waits


@pytest.mark.parametrize(
    ("group", "waits", "answers", "more"),
    [
        (None, False, False, set()),
        ("0", False, False, set()),
        ("0", False, True, {"CAP_DAC_OVERRIDE"}),
        (None, True, False, {"CAP_NET_ADMIN"}),
        ("0", True, True, {"CAP_DAC_OVERRIDE", "CAP_NET_ADMIN"}),
    ],
)
def test_it_keeps_the_capabilities_that_it_will_need_and_no_others(
    group: str | None, waits: bool, answers: bool, more: set[str]
) -> None:
    assert supplicant._kept(Waiting(group, waits), answers) == KEEP | more

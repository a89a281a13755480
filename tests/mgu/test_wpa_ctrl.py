"""The client of the control socket, against a supplicant that is late, silent, strange or gone."""

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import require
from mgu import exits, wpa_monitor
from mgu.commands import wpa_cli
from mgu.wpa_ctrl import Client, NotServed, fields, interfaces

Printed = pytest.CaptureFixture[str]


class Supplicant:
    """Answers each request by the table; `told` are the requests. Bare names are not answered."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.told: list[str] = []
        self.answers: dict[str, list[bytes]] = {
            "ATTACH": [b"OK\n"], "DETACH": [b"OK\n"], "PING": [b"PONG\n"],
        }  # fmt: skip
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            octets, sender = self.socket.recvfrom(4096)
            if octets == b"end":
                return
            self.told.append(octets.decode())
            for answer in self.answers.get(octets.decode(), []):
                self.socket.sendto(answer, sender)

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", self.socket.getsockname())
        self._thread.join()
        self.socket.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    return tmp_path / "var/run/wpa_supplicant"


@pytest.fixture
def supplicant(folder: Path) -> Iterator[Supplicant]:
    made = Supplicant(folder / "eth0")
    yield made
    made.close()


def test_events_before_a_reply_are_passed_over_and_octets_that_are_no_text_survive(
    supplicant: Supplicant, folder: Path
) -> None:
    supplicant.answers["STATUS"] = [b"<3>CTRL-EVENT-EAP-STARTED", b"ssid=caf\xe9\n"]
    with Client(folder, "eth0") as client:
        assert fields(client.request("STATUS")) == {"ssid": "caf\udce9"}
        assert client.event(0) is None


def test_silence_is_told_with_what_was_asked(supplicant: Supplicant, folder: Path) -> None:
    with (
        Client(folder, "eth0") as client,
        pytest.raises(NotServed) as lost,
    ):
        client.request("SET eapol 1", within=0.05)
    assert str(lost.value) == ("the supplicant of eth0 does not answer (no reply to SET in 0.05 s)")


def queued(client: Client) -> bool:
    """Whether the supplicant's queue takes one more."""
    return bool(select.select([], [client], [], 0)[1])


def test_a_supplicant_that_was_stopped_is_not_waited_for(folder: Path) -> None:
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stopped:
        stopped.bind(str(folder / "eth0"))
        with Client(folder, "eth0") as client:
            while queued(client):
                with pytest.raises(NotServed, match="no reply to STATUS in 0 s"):
                    client.request("STATUS", within=0)
            with pytest.raises(NotServed, match="has not read an earlier request"):
                client.request("STATUS")
    with pytest.raises(NotServed, match=r"no supplicant serves eth0 \(.*: Connection refused\)"):
        Client(folder, "eth0")
    with pytest.raises(NotServed, match=r"no supplicant serves eth1 \(.*: No such file or dir"):
        Client(folder, "eth1")


def test_a_clients_socket_is_its_own_and_goes_with_it(
    supplicant: Supplicant, folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    first = Client(folder, "eth0", str(own))
    with Client(folder, "eth0", str(own)):
        assert len(list(own.iterdir())) == 2
        assert {path.stat().st_mode & 0o777 for path in own.iterdir()} == {0o777}
    first.close()
    first.close()
    assert list(own.iterdir()) == []
    with pytest.raises(NotServed):
        Client(folder, "eth1", str(own))
    assert list(own.iterdir()) == []


def test_interfaces_are_the_sockets_of_the_folder(supplicant: Supplicant, folder: Path) -> None:
    (folder / "afile").touch()
    (folder / "nowhere").symlink_to("gone")
    other = Supplicant(folder / "eth-1")
    assert interfaces(folder) == ["eth-1", "eth0"]
    other.close()
    assert interfaces(folder / "missing") == []
    assert interfaces(folder / "afile") == []


AS_NOBODY = """
import locale, os, sys
from mgu.commands import wpa_cli
os.setuid(65534)
sys.exit(wpa_cli.main(["-i", "eth0", "-p", sys.argv[1], "status"]))
"""


def test_who_may_not_ask_is_told_with_exit_code_4(folder: Path, tmp_path: Path) -> None:
    require.root()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        folder.mkdir(parents=True)
        server.bind(str(folder / "eth0"))
        (folder / "eth0").chmod(0o600)
        for path in (folder, *folder.parents):
            if path.stat().st_mode & 0o5 != 0o5:
                path.chmod(0o755)
        argv = [sys.executable, "-c", AS_NOBODY, str(folder)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == exits.NO_PERMISSION
    assert done.stderr == f"wpa_cli: {folder}/eth0: no permission; run this as root\n"


def test_a_folder_that_cannot_take_our_socket_is_named(
    supplicant: Supplicant, folder: Path, capsys: Printed
) -> None:
    assert wpa_cli.main(["-s", "/nowhere", "status"]) == exits.FAILED
    assert "No such file or directory" in capsys.readouterr().err


def test_a_reply_that_is_no_table_is_one_word_in_json(
    supplicant: Supplicant, capsys: Printed
) -> None:
    assert wpa_cli.main(["--json", "ping"]) == exits.OK
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"schema_version": 1, "interface": "eth0", "reply": "PONG"}


def test_a_reply_is_shown_with_one_end_of_line(supplicant: Supplicant, capsys: Printed) -> None:
    supplicant.answers |= {"A": [b"no end"], "B": [b"end\n"], "C": [b""]}
    for word in "abc":
        assert wpa_cli.main(["-i", "eth0", word]) == exits.OK
    assert capsys.readouterr().out == "no end\nend\n"


class Typed:
    """What is typed at the interactive mode, each line at its time."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        reader, self._writer = os.pipe()
        self._stdin = os.fdopen(reader)
        monkeypatch.setattr(sys, "stdin", self._stdin)
        self._folder = folder

    def write(self, octets: bytes) -> None:
        os.write(self._writer, octets)

    def end(self) -> None:
        os.close(self._writer)

    def run(self, ping: int = 5) -> int:
        try:
            return wpa_monitor.interactive(str(self._folder), "eth0", "/tmp", ping)
        finally:
            self._stdin.close()


@pytest.fixture
def typed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    return Typed(folder, monkeypatch)


def test_what_is_typed_is_sent_word_by_word(
    supplicant: Supplicant, typed: Typed, capsys: Printed
) -> None:
    supplicant.answers |= {"NOTE it's": [b"OK\n"], "LEVEL": [b"no end"]}
    typed.write(b"\n  \nhelp\nnote 'open\nlevel\nPing\nq\nnever")
    assert typed.run() == exits.OK
    assert supplicant.told == ["ATTACH", "LEVEL", "PING", "DETACH"]
    shown = capsys.readouterr().out
    assert shown.startswith("Interactive mode: 'help' lists the commands, 'quit' ends.\n\n  status")
    assert shown.endswith("'note 'open': No closing quotation\nno end\nPONG\n")
    assert "> " not in shown  # nobody sits there


def test_the_last_line_needs_no_end_and_octets_that_are_no_text_are_sent_as_they_are(
    supplicant: Supplicant, typed: Typed
) -> None:
    supplicant.told.clear()
    typed.write(b"ping\nping")
    typed.end()
    assert typed.run() == exits.OK
    assert supplicant.told == ["ATTACH", "PING", "PING", "DETACH"]


def test_typed_octets_that_are_no_text_stay_as_they_are() -> None:
    reader, writer = os.pipe()
    lines = wpa_monitor._Lines(reader)
    os.write(writer, b"note caf\xe9\nrest")
    lines.read()
    assert list(lines.waiting) == ["note caf\udce9"]
    os.close(writer)
    lines.read()
    assert list(lines.waiting) == ["note caf\udce9", "rest", "quit"]
    os.close(reader)


def test_a_supplicant_that_is_not_there_is_looked_for_again(
    folder: Path, typed: Typed, capsys: Printed
) -> None:
    made: list[Supplicant] = []
    timer = threading.Timer(0.2, lambda: made.append(Supplicant(folder / "eth0")))
    timer.start()
    typed.write(b"quit\n")
    assert typed.run() == exits.OK
    timer.join()
    made[0].close()
    said = capsys.readouterr().err
    assert said.startswith("no supplicant serves eth0 (")
    assert said.endswith("; start the service wpa_supplicant; trying again\n")


SCRIPT = """#!/bin/sh
echo "$1 $2 $WPA_CTRL_DIR $WPA_ID $WPA_ID_STR" >> "$(dirname "$0")/ran"
exit 1
"""


def act(supplicant: Supplicant, folder: Path, tmp_path: Path, status: bytes, *events: bytes) -> str:
    script = tmp_path / "script"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    supplicant.answers |= {"STATUS": [status, *events, b"<3>CTRL-EVENT-TERMINATING"]}
    arguments = (str(folder), "eth0", "/tmp", 5, str(script))
    assert wpa_monitor.act(*arguments, background=False) == exits.OK
    ran = tmp_path / "ran"
    return ran.read_text() if ran.exists() else ""


def test_a_script_is_run_for_what_happens_and_for_a_port_that_is_open(
    supplicant: Supplicant, folder: Path, tmp_path: Path
) -> None:
    opened = b"<3>CTRL-EVENT-CONNECTED - Connection to 01:80 completed [id=7 id_str=office]"
    ran = act(
        supplicant, folder, tmp_path, b"wpa_state=COMPLETED\nid=3\n",
        b"<3>CTRL-EVENT-DISCONNECTED bssid=01:80", b"<3>CTRL-EVENT-EAP-STARTED", opened,
    )  # fmt: skip
    assert ran.splitlines() == [
        f"eth0 CONNECTED {folder} 3 ",
        f"eth0 DISCONNECTED {folder} 3 ",
        f"eth0 CONNECTED {folder} 7 office",
    ]
    assert supplicant.told == ["ATTACH", "STATUS"]


def test_a_port_that_is_not_open_runs_no_script(
    supplicant: Supplicant, folder: Path, tmp_path: Path
) -> None:
    assert act(supplicant, folder, tmp_path, b"wpa_state=ASSOCIATED\nid=3\n") == ""


def test_a_script_that_cannot_be_run_is_named_and_the_next_event_awaited(
    supplicant: Supplicant, folder: Path, capsys: Printed
) -> None:
    supplicant.answers["STATUS"] = [b"wpa_state=COMPLETED\nid=0\n", b"CTRL-EVENT-TERMINATING"]
    arguments = (str(folder), "eth0", "/tmp", 5, "/nowhere/script")
    assert wpa_monitor.act(*arguments, background=False) == exits.OK
    assert capsys.readouterr().err == "wpa_cli: /nowhere/script: No such file or directory\n"


def test_who_sits_at_a_terminal_is_prompted(
    supplicant: Supplicant, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        os.write(ours, b"ping\nquit\n")
        assert wpa_monitor.interactive(str(folder), "eth0", "/tmp", 5) == exits.OK
    os.close(ours)
    assert capsys.readouterr().out.endswith("\n> PONG\n> ")

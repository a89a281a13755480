"""The `ipsec` command while a keying daemon answers: what it is asked, and what is said of it."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ike.admin.framing import HEADER, Command, Reply
from mgu import services
from mgu.commands.ipsec import main
from mgu.connections import folder

CREATE = ("--create", "--name=n", "--src-address=10.0.0.1", "--dst-address=10.0.0.2")
KEY = "--dst-preshared-key=theirs"
Printed = pytest.CaptureFixture[str]


class Daemon:
    """Answers at the admin socket; counts how often it was told to read its files again."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self.reloads = 0
        self.errno, self.body = 0, b""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                with client:
                    if header := client.recv(100):
                        assert HEADER.unpack_from(header)[1] & 0x7FFF == Command.RELOAD_CONFIG
                        self.reloads += 1
                        command = Command.RELOAD_CONFIG
                        reply = Reply(command=command, errno=self.errno, body=self.body)
                        client.sendall(bytes(reply))

    def close(self) -> None:
        """As one that was killed: its socket stays on the disk."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def daemon(root: Path) -> Iterator[Daemon]:
    made = Daemon(root / "var/run/racoon/racoon.sock")
    yield made
    made.close()


def listed(capsys: Printed) -> list[list[str]]:
    capsys.readouterr()
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    return [line.split(maxsplit=4) for line in lines[1:]]


def test_a_start_has_the_daemon_read_its_files_and_says_what_is_protected(
    daemon: Daemon, capsys: Printed
) -> None:
    assert main([*CREATE, KEY, "--start"]) == 0
    assert daemon.reloads == 1
    assert capsys.readouterr().out == (
        "The connection n is active: traffic between 10.0.0.1 and 10.0.0.2 is protected,\n"
        "or held back until the peer agrees on keys. 'racoonctl -l show-sa isakmp' shows it.\n"
    )
    assert main([*CREATE, "--dst-network=10.2.0.0/16", "--start"]) == 0
    assert "between 10.0.0.1 and 10.2.0.0/16 is protected" in capsys.readouterr().out
    assert listed(capsys) == [["n", "tunnel", "10.0.0.1", "10.0.0.2", "10.2.0.0/16  active"]]


def test_what_the_daemon_refuses_and_warns_of_is_passed_on(daemon: Daemon, capsys: Printed) -> None:
    daemon.body = b"the first\nthe second"
    assert main([*CREATE, KEY, "--start"]) == 0
    warnings = "ipsec: warning: the first\nipsec: warning: the second\n"
    assert capsys.readouterr().err == warnings
    daemon.errno, daemon.body = 22, b"racoon.conf:1:1: no"
    assert main(["--start", "--name=n"]) == 1
    assert capsys.readouterr().err == (
        "ipsec: racoon did not apply the change: racoon.conf:1:1: no\n"
    )


def test_a_connection_that_the_daemon_does_not_serve_has_failed(
    daemon: Daemon, capsys: Printed
) -> None:
    main([*CREATE, KEY])
    folder.write_problems({"m": "another", "n": "eth0 has no address"})
    capsys.readouterr()
    assert main(["--start", "--name=n"]) == 1
    assert capsys.readouterr().err == (
        "ipsec: racoon cannot activate the connection n: eth0 has no address\n"
    )
    assert listed(capsys) == [["n", "transport", "10.0.0.1", "10.0.0.2", "host   failed"]]


def test_a_new_connection_waits_for_the_next_boot_and_a_changed_one_does_not(
    daemon: Daemon, capsys: Printed
) -> None:
    assert main([*CREATE, KEY]) == 0
    assert daemon.reloads == 0
    assert capsys.readouterr().out == (
        "The connection n is configured; it is activated at the next boot,\n"
        "or now with 'ipsec --start --name=n'.\n"
    )
    assert [row[-1].split()[-2:] for row in listed(capsys)] == [["at", "boot"]]
    assert main([*CREATE, "--ip-proto=udp", "--src-port=7", "--dst-port=8"]) == 0
    assert daemon.reloads == 1
    (row,) = listed(capsys)
    assert row[-1] == "host protocol udp from port 7 to port 8  at boot"


def test_a_stop_leaves_the_others_with_the_daemon(daemon: Daemon, capsys: Printed) -> None:
    main([*CREATE, KEY, "--start"])
    main([
        "--create", "--name=m", "--src-address=10.0.0.1", "--dst-address=10.0.0.3", KEY,
        "--dst-network=10.3.0.0/16", "--src-network=10.1.0.0/16", "--start",
    ])  # fmt: skip
    capsys.readouterr()
    before = daemon.reloads
    assert main(["--stop", "--name=n"]) == 0
    assert daemon.reloads == before + 1
    assert capsys.readouterr().out == ("The connection n is inactive until the next boot.\n")
    assert [row[-1] for row in listed(capsys)] == [
        "10.3.0.0/16 from 10.1.0.0/16  active",
        "host                          at boot",
    ]
    assert main(["--stop", "--name=m"]) == 0
    assert daemon.reloads == before + 1  # nothing is left to serve: it is stopped, not told


def test_the_last_one_that_is_removed_takes_the_service_from_the_boot(
    daemon: Daemon, capsys: Printed
) -> None:
    main([*CREATE, KEY])
    main(["--create", "--name=m", "--src-address=10.0.0.1", "--dst-address=10.0.0.3", KEY])
    assert services.enabled("racoon")
    assert main(["--remove", "--name=n"]) == 0
    assert services.enabled("racoon")
    assert main(["--remove", "--name=m"]) == 0
    assert not services.enabled("racoon")
    assert capsys.readouterr().out.endswith("The connection m is removed.\n")


def test_what_a_killed_daemon_protected_is_said_to_stay_blocked(
    daemon: Daemon, capsys: Printed
) -> None:
    main([*CREATE, KEY, "--start"])
    main(["--create", "--name=m", "--src-address=10.0.0.1", "--dst-address=10.0.0.3", KEY])
    daemon.close()
    capsys.readouterr()
    assert main(["--stop", "--name=m"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "racoon was killed and does not run: the traffic that it protected stays blocked",
        "until 'mgu up tunnel' starts it.",
    ]
    assert [row[-1].split()[-1] for row in listed(capsys)] == ["boot", "boot"]

"""eapol-test as it is called, against a RADIUS server of ours on the loopback interface."""

import contextlib
import json
import multiprocessing
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.pki import site
from lab.radius_server import RadiusServer
from lab.radius_station import radius_server
from mgu.commands.eapol_test import main
from mgu.eapoltest import load
from mgu.eapoltest.options import parser
from mgu.eapoltest.setup import made
from mgu.eapoltest.tally import Tally
from radius.events import Received

Printed = pytest.CaptureFixture[str]


class Served:
    """One core on one socket, in a thread."""

    def __init__(self, core: RadiusServer) -> None:
        self.core = core
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            octets, (_, port) = self._socket.recvfrom(4096)
            if octets == b"end":
                return
            for reply in self.core.handle(Received(port=port, octets=octets), 0.0):
                self._socket.sendto(reply.octets, ("127.0.0.1", port))

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()


@pytest.fixture
def server() -> Iterator[Served]:
    served = Served(radius_server())
    yield served
    served.close()


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    pki = site()
    for name, octets in {
        "ca.pem": pki.root.certificate_pem(),
        "client.pem": pki.client.certificate_pem(with_chain=True),
        "key.pem": pki.client.key_pem(),
    }.items():
        (tmp_path / name).write_bytes(octets)
    (tmp_path / "key.pem").chmod(0o600)
    path = tmp_path / "station.conf"
    path.write_text(
        f'network={{\n key_mgmt=IEEE8021X\n eap=TLS\n identity="me"\n ca_cert="{tmp_path}/ca.pem"\n'
        f' client_cert="{tmp_path}/client.pem"\n private_key="{tmp_path}/key.pem"\n}}\n'
    )
    return path


def call(server: Served, conf: Path, *words: str) -> int:
    return main(["-c", str(conf), "-p", str(server.port), "-t", "5", *words])


def test_an_authentication_is_shown_and_all_that_was_asked_for_is_written(
    server: Served, conf: Path, tmp_path: Path, capsys: Printed
) -> None:
    names = {"--junit": "j", "--capture": "c", "--keys": "k", "-o": "o"}
    files = [word for option, name in names.items() for word in (option, str(tmp_path / name))]
    assert call(server, conf, "-r", "1", *files) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" (EAP-TLS, ")[0] for line in lines[:2]] == ["SUCCESS", "SUCCESS"]
    assert lines[-2:] == ["MPPE keys OK: 2  mismatch: 0", "SUCCESS"]
    assert b'tests="2" failures="0"' in (tmp_path / "j").read_bytes()
    assert f"eapol-test 127.0.0.1:{server.port}/UDP".encode() in (tmp_path / "j").read_bytes()
    assert b"CLIENT" in (tmp_path / "k").read_bytes()
    assert (tmp_path / "o").read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
    sent = (tmp_path / "c").read_bytes()
    assert all(octets in sent for octets in server.core.requests)
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in "jcko"}
    assert modes == {"j": 0o644, "c": 0o600, "k": 0o600, "o": 0o644}


def test_the_result_for_programs_is_one_object_and_nothing_else(
    server: Served, conf: Path, capsys: Printed
) -> None:
    assert call(server, conf, "--json") == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert (document["success"], document["exit_code"]) == (True, 0)
    assert document["servers"] == [f"127.0.0.1:{server.port}/UDP"]
    assert printed.err == ""


def test_a_rejection_is_the_exit_code_and_does_not_end_the_run(
    server: Served, conf: Path, capsys: Printed
) -> None:
    server.core.refuse = frozenset({b"me"})
    assert call(server, conf, "-r", "2") == 253
    printed = capsys.readouterr().out
    assert printed.count("FAILURE (") == 3
    assert printed.endswith("MPPE keys OK: 0  mismatch: 0\nFAILURE\n")


def test_silence_ends_the_run_and_the_capture_is_written_all_the_same(
    server: Served, conf: Path, tmp_path: Path, capsys: Printed
) -> None:
    server.core.silent = True
    capture = tmp_path / "c"
    assert call(server, conf, "-r", "2", "-t", "0.2", "--capture", str(capture)) == 254
    assert capsys.readouterr().out.count("FAILURE (") == 1
    assert server.core.requests[0] in capture.read_bytes()


def test_whether_a_server_is_up_is_asked_without_a_configuration(
    server: Served, capsys: Printed
) -> None:
    port = str(server.port)
    assert main(["--status-server", "-p", port]) == 0
    assert capsys.readouterr().out.startswith(f"127.0.0.1:{port}/UDP: up, ")
    server.core.silent = True
    assert main(["--status-server", "-p", port, "-t", "0.2"]) == 254
    assert capsys.readouterr().out.startswith(f"no answer from 127.0.0.1:{port}/UDP within 0.2 s")


def test_a_load_is_counted_over_its_processes(
    server: Served, conf: Path, tmp_path: Path, capsys: Printed
) -> None:
    words = ("--load", "3", "--processes", "2", "--for", "0.3", "--json")
    assert call(server, conf, *words) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["success"] is True
    assert document["servers"] == [f"127.0.0.1:{server.port}/UDP"]
    load = document["load"]
    assert (load["processes"], load["failed"]) == (2, 0)
    assert load["accepted"] >= 2
    server.core.refuse = frozenset({b"me"})
    assert call(server, conf, "--load", "1", "--for", "0.2", "--rate", "20") == 253
    said = capsys.readouterr().out
    assert said.startswith("0 accepted, ")
    assert "times: the server sent Access-Reject" in said


@pytest.mark.parametrize("option", ["--capture", "--junit", "-o"])
def test_what_is_of_one_authentication_is_not_of_a_load(
    server: Served, conf: Path, tmp_path: Path, option: str, capsys: Printed
) -> None:
    assert call(server, conf, "--load", "1", option, str(tmp_path / "x")) == 255
    assert "not of --load" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--capture", "--junit", "-o", "--keys"])
def test_a_folder_that_is_missing_is_said_before_anybody_is_asked(
    server: Served, conf: Path, option: str, capsys: Printed
) -> None:
    assert call(server, conf, option, "/nowhere/x") == 255
    assert capsys.readouterr().err.startswith("eapol-test: /nowhere/x: its directory ")
    assert server.core.requests == []


def test_a_report_that_cannot_be_written_is_named(
    server: Served, conf: Path, tmp_path: Path, capsys: Printed
) -> None:
    (tmp_path / "j").mkdir()
    assert call(server, conf, "--junit", str(tmp_path / "j")) == 255
    assert str(tmp_path / "j") in capsys.readouterr().err


def test_files_that_cannot_be_used_are_named(server: Served, conf: Path, capsys: Printed) -> None:
    (conf.parent / "key.pem").unlink()
    assert call(server, conf) == 255
    assert str(conf.parent / "key.pem") in capsys.readouterr().err
    assert call(server, conf, "--load", "1") == 255


def test_it_tells_its_version(capsys: Printed) -> None:
    assert main(["-v"]) == 0
    assert capsys.readouterr().out.startswith("eapol-test of mgusec ")


def test_a_process_of_a_load_tells_each_thing_once(server: Served, conf: Path) -> None:
    options = parser().parse_args(["-c", str(conf), "-p", str(server.port), "-t", "5"])
    ours, theirs = multiprocessing.Pipe(duplex=False)
    before = signal.getsignal(signal.SIGINT)
    try:
        load._process(theirs, options, made(options), load.Share(stations=2, rate=10, seconds=0.6))
    finally:
        signal.signal(signal.SIGINT, before)
    told = []
    with contextlib.suppress(EOFError):
        while True:
            told.append(ours.recv())
    tally = Tally()
    for each in told:
        tally.add(each)
    asked = sum(octets[0] == 1 and b"me" in octets for octets in server.core.requests)
    assert len(told) >= 2
    assert tally.failed == 0
    assert len(tally.milliseconds) - 2 <= tally.resumed < len(tally.milliseconds)
    assert 5 <= len(tally.milliseconds) <= 7  # ten a second
    assert asked >= len(tally.milliseconds)
    assert all(0 < each < 5000 for each in tally.milliseconds)

"""racoonctl's side of the admin socket: what is said when nobody, or nothing, answers."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ike.admin.framing import Command, Reply, Request
from lab import require
from mgu import exits
from mgu.admin_client import PATIENCE, Connection, Refused, reason

ASK = Request(command=Command.SHOW_SCHEDULE)


def reply(body: bytes = b"", errno: int = 0) -> Reply:
    return Reply(command=Command.SHOW_SCHEDULE, errno=errno, body=body)


def test_the_reason_is_the_daemons_own_words_or_those_of_the_number() -> None:
    assert reason(reply(b"no such remote", 2)) == "no such remote"
    assert reason(reply(b"", 2)) == "No such file or directory"
    assert reason(reply(b"caf\xe9", 2)) == "caf\ufffd"


def test_a_daemon_that_does_not_run_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        Connection(tmp_path / "racoon.sock")
    assert str(refused.value) == (
        f"cannot connect to racoon admin socket {tmp_path}/racoon.sock: No such file or directory "
        "(is racoon running?)"
    )
    assert refused.value.code == exits.FAILED


def test_a_name_that_is_too_long_for_a_socket_is_said_to_be_that(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="AF_UNIX path too long"):
        Connection(tmp_path / ("x" * 150))


def test_who_is_not_root_is_told_so_with_exit_code_4(tmp_path: Path) -> None:
    require.root()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
        server.listen()
        (tmp_path / "sock").chmod(0o600)
        program = (
            "import sys; from mgu.admin_client import Connection, Refused\n"
            "import os; os.chdir(sys.argv[1]); os.setuid(65534)\n"
            "try: Connection('sock')\n"
            "except Refused as error: print(error.code, error)\n"
        )
        argv = [sys.executable, "-c", program, str(tmp_path)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == (
        "4 cannot connect to racoon admin socket sock: Permission denied (only root may ask)\n"
    )


Serve = Callable[[Callable[[socket.socket], None]], Path]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A daemon for one client."""
    threads = []
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "sock"))
    server.listen()

    def begin(answer: Callable[[socket.socket], None]) -> Path:
        def run() -> None:
            client, _ = server.accept()
            with client:
                client.recv(100)
                answer(client)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return tmp_path / "sock"

    yield begin
    for thread in threads:
        thread.join()
    server.close()


def test_a_daemon_that_hangs_up_is_told_as_that(serve: Serve) -> None:
    with (
        Connection(serve(lambda _: None)) as connection,
        pytest.raises(Refused, match=r"^racoon closed the connection without an answer$"),
    ):
        connection.ask(ASK)


def test_a_daemon_that_was_stopped_is_waited_for_30_s(serve: Serve) -> None:
    assert PATIENCE == 30.0
    done = threading.Event()

    def hold(_: socket.socket) -> None:
        done.wait(20)

    with Connection(serve(hold), patience=0.05) as connection:
        with pytest.raises(Refused, match=r"^racoon does not answer within 0\.05 s$"):
            connection.ask(ASK)
        done.set()


def test_what_comes_in_pieces_is_one_answer_and_is_dumped_if_asked(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    octets = bytes(reply(b"answer"))

    def answer(client: socket.socket) -> None:
        for octet in octets:
            client.sendall(bytes([octet]))

    with Connection(serve(answer), dump=True) as connection:
        assert connection.ask(ASK).body == b"answer"
        assert connection.receive() is None
    assert capsys.readouterr().out == octets.hex(" ", 4) + "\n"
    with Connection(serve(answer)) as connection:
        assert connection.ask(ASK).body == b"answer"
    assert capsys.readouterr().out == ""


def test_events_may_take_their_time(serve: Serve) -> None:
    asked = threading.Event()

    def answer(client: socket.socket) -> None:
        client.sendall(bytes(reply()))
        asked.wait(20)
        client.sendall(bytes(reply(b"event")))

    with Connection(serve(answer), patience=0.05) as connection:
        connection.ask(ASK)
        timer = threading.Timer(0.15, asked.set)  # longer than the patience for an answer
        timer.start()
        event = connection.receive()
        assert event is not None
        assert event.body == b"event"
        timer.join()

"""Daemons: signals, background, pid files, privileges, log lines."""

import logging
import os
import re
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from mgu import daemon, logs, privileges
from mgu.services.process import Process


def python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def test_sigterm_ends_a_daemon_in_order() -> None:
    result = python("""
        import os, signal
        from mgu import daemon
        async def main(stop):
            os.kill(os.getpid(), signal.SIGTERM)
            await stop.wait()
            return 7
        raise SystemExit(daemon.run(main))
    """)
    assert (result.returncode, result.stderr) == (7, "")


def test_a_hangup_ends_no_daemon() -> None:
    result = python("""
        import asyncio, os, signal
        from mgu import daemon
        async def main(stop):
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.01)
            return 7
        raise SystemExit(daemon.run(main))
    """)
    assert (result.returncode, result.stderr) == (7, "")


def test_a_second_sigterm_ends_a_daemon_that_does_not_listen() -> None:
    result = python("""
        import asyncio, os, signal
        from mgu import daemon
        async def main(stop):
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.sleep(0.01)
            await asyncio.sleep(60)
        raise SystemExit(daemon.run(main))
    """)
    assert (result.returncode, result.stderr) == (1, "")


FAULT = """
    import asyncio
    from mgu import daemon, logs
    logs.setup("racoon")
    async def main(stop):
        {how}
        await stop.wait()
        return 0
    raise SystemExit(daemon.run(main))
"""


def test_an_unexpected_exception_is_in_the_log_with_what_was_being_done() -> None:
    how = "error = KeyError('x'); error.add_note('while reading'); raise error"
    result = python(FAULT.format(how=how))
    first, *traceback = result.stderr.splitlines()
    assert result.returncode == 1
    assert first.endswith(": ERROR: internal error while reading: KeyError: 'x'")
    assert traceback[0] == "Traceback (most recent call last):"


def test_a_group_of_exceptions_is_told_one_by_one() -> None:
    how = "raise ExceptionGroup('tasks', [KeyError('x'), ExceptionGroup('', [ValueError('y')])])"
    result = python(FAULT.format(how=how))
    told = re.findall(r"ERROR: internal error: (.*)", result.stderr)
    assert told == ["KeyError: 'x'", "ValueError: y"]


def test_a_daemon_that_gets_no_memory_says_so_without_a_traceback() -> None:
    result = python(FAULT.format(how="raise MemoryError"))
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.endswith("ERROR: there is not enough memory: the daemon cannot continue and ends")


def test_a_fault_in_a_callback_is_in_the_log_and_the_daemon_goes_on() -> None:
    how = (
        "loop = asyncio.get_running_loop(); loop.call_soon(lambda: 1 / 0); loop.call_soon(stop.set)"
    )
    result = python(FAULT.format(how=how))
    assert result.returncode == 0
    assert "ERROR: internal error in the background (Exception in call" in result.stderr
    assert "ZeroDivisionError: division by zero" in result.stderr


def test_what_a_daemon_has_words_for_is_its_own_to_tell() -> None:
    result = python("""
        from mgu import daemon
        async def main(stop):
            raise PermissionError
        try:
            daemon.run(main, (OSError,))
        except PermissionError:
            raise SystemExit(4)
    """)
    assert (result.returncode, result.stderr) == (4, "")


BACKGROUND = """
    import pathlib, signal, sys
    from mgu import daemon
    signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}})
    daemon.detach(pathlib.Path(sys.argv[1]))
    {then}
    daemon.ready()
    signal.sigwait({{signal.SIGTERM}})
"""


def test_the_starter_returns_when_the_daemon_in_the_background_is_ready(tmp_path: Path) -> None:
    pid_file = tmp_path / "run/example.pid"
    result = python(BACKGROUND.format(then=""), str(pid_file))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    process = Process.of(int(pid_file.read_text()))
    assert process is not None
    with pytest.raises(daemon.AlreadyRunning, match=f"process {process.pid}"):
        daemon.pidfile(pid_file).__enter__()
    process.stop()
    assert not process.alive


def test_the_starter_fails_as_the_daemon_did(tmp_path: Path) -> None:
    result = python(BACKGROUND.format(then="sys.exit(4)"), str(tmp_path / "pid"))
    assert result.returncode == 4
    assert not (tmp_path / "pid").exists()


def test_a_pid_file_left_by_a_dead_daemon_is_in_nobodys_way(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    file.write_text("1\n")
    with daemon.pidfile(file):
        assert file.read_text() != "1\n"
    assert not file.exists()


def test_a_second_supplicant_names_the_first(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with daemon.pidfile(file):
        words = ["-m", "mgu.main", "supplicant", "-i", "lo", "-P", str(file)]
        argv = [sys.executable, *words]
        result = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert result.returncode == 1
    assert result.stderr.startswith(f"mgu supplicant: {file}: ")
    assert f"runs already as process {os.getpid()}; stop it first: kill" in result.stderr


def test_a_pid_file_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    result = python(
        """
        import sys
        from pathlib import Path
        from mgu import daemon
        with daemon.pidfile(Path(sys.argv[1])):
            print("serving")
        """,
        str(tmp_path),  # a folder
    )
    assert (result.returncode, result.stdout) == (0, "serving\n")
    assert result.stderr == f"{tmp_path}: the pid file cannot be written: Is a directory\n"


def test_a_service_manager_that_sleeps_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        for _ in range(2000):
            daemon.notify("WATCHDOG=1")
        assert manager.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize("form", ["path", "abstract"])
def test_readiness_reaches_the_service_manager(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = str(tmp_path / "notify") if form == "path" else f"@{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0"))
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        daemon.ready()
        assert manager.recv(100).startswith(b"READY=1\n")


def test_a_service_manager_that_went_away_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    daemon.notify("WATCHDOG=1")
    assert not (tmp_path / "gone").exists()


def test_only_the_capabilities_named_stay_even_for_what_is_executed() -> None:
    result = python("""
        import subprocess
        from mgu import privileges
        before = privileges.held()
        privileges.drop(frozenset({"CAP_NET_RAW"}))
        kept = before & 1 << privileges.NUMBERS["CAP_NET_RAW"]
        assert privileges.held() == kept, hex(privileges.held())
        status = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True)
        fields = dict(line.split(":", 1) for line in status.stdout.splitlines())
        assert int(fields["CapPrm"], 16) & ~kept == 0, fields["CapPrm"]
        assert fields["NoNewPrivs"].strip() == "1"
    """)
    assert (result.returncode, result.stderr) == (0, "")


def test_privileges_are_not_dropped_where_another_thread_would_keep_them() -> None:
    result = python("""
        import threading
        from mgu import privileges
        before, end = privileges.held(), threading.Event()
        other = threading.Thread(target=end.wait)
        other.start()
        try:
            privileges.drop(frozenset())
        except privileges.OtherThreads as error:
            assert str(error).endswith("and 2 run"), error
        else:
            raise AssertionError("dropped")
        assert privileges.held() == before
        end.set()
        other.join()
    """)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_numbers_are_those_of_the_kernel() -> None:
    """linux/capability.h"""
    known = {"CHOWN": 0, "DAC_OVERRIDE": 1, "DAC_READ_SEARCH": 2, "SETPCAP": 8, "NET_ADMIN": 12,
             "NET_RAW": 13, "SYS_ADMIN": 21, "SYS_TIME": 25, "SETFCAP": 31, "MAC_OVERRIDE": 32,
             "BPF": 39, "CHECKPOINT_RESTORE": 40}  # fmt: skip
    assert {name: privileges.NUMBERS[f"CAP_{name}"] for name in known} == known
    assert len(privileges.NUMBERS) == 41


def test_what_is_dropped_leaves_the_bounding_set_and_the_ambient_one_too() -> None:
    result = python("""
        from mgu import privileges
        privileges.drop(frozenset({"CAP_NET_ADMIN", "CAP_CHECKPOINT_RESTORE"}))
        lines = open("/proc/self/status").read().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        for name in ("CapBnd", "CapAmb", "CapInh", "CapPrm", "CapEff"):
            print(name, hex(int(fields[name], 16)))
        print(privileges.holds("CAP_NET_ADMIN"), privileges.holds("CAP_SYS_ADMIN"))
    """)
    assert result.stderr == ""
    before = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    wanted = 1 << 12 | 1 << 40
    held = int(before["CapPrm"], 16) & wanted
    bound = int(before["CapBnd"], 16)
    if int(before["CapPrm"], 16) & 1 << 8:  # CAP_SETPCAP
        bound &= wanted
    assert result.stdout.splitlines() == [
        f"CapBnd {bound:#x}", "CapAmb 0x0", "CapInh 0x0", f"CapPrm {held:#x}", f"CapEff {held:#x}",
        f"{bool(held & 1 << 12)} False",
    ]  # fmt: skip


def test_nobody_looks_into_a_daemon_and_no_core_is_left() -> None:
    result = python("""
        import ctypes, resource
        from mgu import privileges
        privileges.forbid_core_dumps()
        print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3))
    """)
    assert (result.stdout, result.stderr) == ("(0, 0) 0\n", "")


def test_an_unknown_capability_is_refused() -> None:
    with pytest.raises(KeyError):
        privileges.drop(frozenset({"CAP_NET_ADMINN"}))


@pytest.fixture
def restored_logging() -> Iterator[None]:
    yield
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler.formatter, logs._Text):
            root.removeHandler(handler)
            handler.close()
    for name in logs.LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        logger.filters.clear()
    logging.raiseExceptions = True


@pytest.mark.usefixtures("restored_logging")
def test_log_lines_have_racoons_form(tmp_path: Path) -> None:
    file = tmp_path / "log"
    logs.setup("racoon", file=file, stderr=False)
    log = logging.getLogger("ike")
    log.info("ISAKMP-SA established")
    log.log(logs.NOTIFY, "the packet is retransmitted")
    log.debug("unheard")
    form = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d: (.*)"
    lines = [re.fullmatch(form, line) for line in file.read_text().splitlines()]
    texts = [line[1] for line in lines if line]
    assert texts == ["INFO: ISAKMP-SA established", "NOTIFY: the packet is retransmitted"]


@pytest.mark.usefixtures("restored_logging")
def test_log_lines_are_dated_by_the_gateways_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MGU_CLOCK", str(tmp_path / "clock"))
    (tmp_path / "clock").write_text(str(-30 * 365 * 86400 * 10**9))
    logs.setup("racoon", file=tmp_path / "log", stderr=False)
    logging.getLogger("ike").info("from the past")
    assert (tmp_path / "log").read_text().startswith(("199", "200"))


@pytest.mark.usefixtures("restored_logging")
def test_syslog_lines_carry_the_program_and_no_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    (tmp_path / "dev").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslogd:
        syslogd.bind(str(tmp_path / "dev/log"))
        logs.setup("racoon", syslog=True, stderr=False)
        logging.getLogger("ike").info("ISAKMP-SA established")
        assert syslogd.recv(200) == b"<30>racoon: INFO: ISAKMP-SA established"


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_reader_of_the_log_that_sleeps_costs_lines_and_no_time(kind: str) -> None:
    script = """
        import logging, sys
        from mgu import logs
        logs.setup("racoon")
        for number in range(1000):
            logging.getLogger("other").error("line %d %s", number, "x" * 5000)
        print("done")
    """
    if kind == "pipe":
        reader, writer = os.pipe()
    else:
        reader, writer = (each.detach() for each in socket.socketpair())
    try:
        argv = [sys.executable, "-c", textwrap.dedent(script)]
        result = subprocess.run(
            argv, stdout=subprocess.PIPE, stderr=writer, text=True, check=False, timeout=20
        )
        assert (result.returncode, result.stdout) == (0, "done\n")
        assert b"ERROR: line 0 xxx" in os.read(reader, 4096)
    finally:
        os.close(reader)
        os.close(writer)


def test_a_pipe_that_nobody_reads_is_no_log_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    script = """
        import logging, sys
        from pathlib import Path
        from mgu import logs
        logs.setup("racoon", file=Path(sys.argv[1]), stderr=False)
        logging.getLogger("ike").info("goes on")
    """
    result = python(script, str(tmp_path / "pipe"))
    assert result.returncode == 0
    warning, line = result.stderr.splitlines()
    assert warning.endswith("pipe cannot be written: No such device or address")
    assert line.endswith("INFO: goes on")


@pytest.mark.usefixtures("restored_logging")
def test_a_log_that_was_moved_away_is_used_until_there_can_be_another(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    logs.setup("racoon", file=folder / "racoon.log", stderr=False)
    log = logging.getLogger("ike")
    folder.rename(tmp_path / "old")  # and the place of the new one is missing
    log.info("one")
    assert (tmp_path / "old/racoon.log").read_text().endswith("INFO: one\n")
    folder.mkdir()
    log.info("two")
    assert (folder / "racoon.log").read_text().endswith("INFO: two\n")
    assert "two" not in (tmp_path / "old/racoon.log").read_text()


@pytest.mark.usefixtures("restored_logging")
def test_a_log_file_that_cannot_be_opened_is_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log/racoon.log"
    logs.setup("racoon", file=file, stderr=False)
    told = f"WARNING: the log file {file} cannot be written: No such file or directory"
    assert told in capsys.readouterr().err
    file.parent.mkdir()
    logging.getLogger("ike").info("later")
    assert file.read_text().endswith("INFO: later\n")


def test_a_full_disk_and_a_name_that_is_no_text_are_survived_in_silence(tmp_path: Path) -> None:
    """In a child: pytest would capture a text that it cannot pass on."""
    script = """
        import logging, sys
        from pathlib import Path
        from mgu import logs
        logs.setup("racoon", file=Path("/dev/full"), stderr=False)
        logging.getLogger("ike").error("nobody will read this")
        logs.setup("racoon", file=Path(sys.argv[1]), stderr=False)
        logging.getLogger("ike").error("cannot read %s", "caf\\udce9")
    """
    result = python(script, str(tmp_path / "log"))
    assert (result.returncode, result.stderr) == (0, "")
    assert r"cannot read caf\udce9" in (tmp_path / "log").read_text()

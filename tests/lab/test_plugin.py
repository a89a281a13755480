"""The lab's hooks, by running pytest on small test files."""

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def pytest_on(tmp_path: Path, source: str, *options: str, **env: str) -> str:
    """The output of pytest on a test file of its own, with the lab's hooks."""
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\npythonpath = {TESTS}\nasyncio_mode = auto\n"
        "asyncio_default_fixture_loop_scope = function\nmarkers =\n    interop: x\n    kernel: x\n"
    )
    conftest = (TESTS / "conftest.py").read_text(encoding="utf-8")
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_it.py").write_text(textwrap.dedent(source))
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra", *options, "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    print(result.stdout, result.stderr)
    return result.stdout


def test_the_log_of_a_peer_is_shown_with_the_test_that_fails(tmp_path: Path) -> None:
    output = pytest_on(
        tmp_path,
        """
        import pytest
        from lab.process import Process

        @pytest.fixture
        def peer():
            with Process(["sh", "-c", "echo my last words; sleep 100"], name="hostapd") as peer:
                peer.wait_line("words")
                yield peer

        def test_that_fails(peer):
            assert False

        def test_that_fails_later():
            assert False
        """,
    )
    assert "2 failed" in output
    assert output.count("hostapd (pid ") == 1
    assert output.count("my last words") == 1


def test_a_missing_peer_fails_in_ci_and_is_listed_otherwise(tmp_path: Path) -> None:
    source = """
        from lab import require

        def test_with_a_peer():
            require.program("no-such-peer")
    """
    assert "1 failed" in pytest_on(tmp_path, source, CI="true")
    if os.geteuid() == 0:
        return  # root is strict whatever CI says; the test below shows the list
    output = pytest_on(tmp_path, source, CI="")
    assert "1 test: needs the program no-such-peer" in output


def test_what_was_left_out_is_listed_with_the_reason(tmp_path: Path) -> None:
    output = pytest_on(
        tmp_path,
        """
        import pytest

        @pytest.mark.parametrize("n", range(3))
        def test_it(n):
            pytest.skip("needs root, for network namespaces")
        """,
    )
    assert "left out" in output
    assert "3 tests: needs root, for network namespaces" in output


@pytest.mark.long
@pytest.mark.interop
def test_kernel_tests_run_in_one_guest_and_report_each_for_itself(tmp_path: Path) -> None:
    output = pytest_on(
        tmp_path,
        """
        import os, subprocess, pytest
        pytestmark = pytest.mark.kernel

        def test_first():
            assert os.environ["UML"] == "1"
            subprocess.run(["hostname", "first-was-here"], check=True)

        @pytest.mark.parametrize("name", ["with space", "a/b[c]"])
        def test_same_guest(name):
            assert os.uname().nodename == "first-was-here"

        def test_failing():
            print("some output")
            assert "its own" == "traceback"
        """,
        "-n2",
        "--dist=loadgroup",
    )
    assert "1 failed, 3 passed" in output
    assert "assert 'its own' == 'traceback'" in output
    assert "some output" in output


@pytest.mark.interop
def test_a_guest_that_dies_fails_the_tests_it_did_not_run(tmp_path: Path) -> None:
    output = pytest_on(
        tmp_path,
        """
        import ctypes, pytest
        pytestmark = pytest.mark.kernel

        def test_before():
            pass

        def test_deadly():
            ctypes.CDLL(None).reboot(0x4321FEDC)  # power off at once

        def test_after():
            pass
        """,
    )
    assert "2 failed, 1 passed" in output
    assert "the guest failed" in output


def test_what_a_run_of_root_left_is_not_in_an_ordinary_users_way(tmp_path: Path) -> None:
    left = Path(tempfile.gettempdir()) / "mgu-4194305-of-root.log"  # no process has that number
    left.touch()
    subprocess.run(["chattr", "+i", str(left)], check=False)  # who is root meets it, too
    try:
        output = pytest_on(tmp_path, "def test_it(): pass")
    finally:
        subprocess.run(["chattr", "-i", str(left)], check=False)
        left.unlink()
    assert "1 passed" in output


def test_sockets_can_be_made_where_the_folder_for_temporary_files_has_a_long_name(
    tmp_path: Path,
) -> None:
    folder = tmp_path / ("x" * 90)
    folder.mkdir()
    output = pytest_on(
        tmp_path,
        """
        import socket

        def test_it(tmp_path):
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(tmp_path / "racoon.sock"))
        """,
        TMPDIR=str(folder),
    )
    assert "1 passed" in output

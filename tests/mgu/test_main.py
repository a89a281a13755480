"""`mgu` and the historic names; what happens when nobody reads the output."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mgu import exits, main

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


def test_an_unknown_command_is_a_usage_error() -> None:
    result = called_as("mgu", "up!")
    assert result.returncode == exits.USAGE
    assert "no command 'up!'" in result.stderr


@pytest.mark.parametrize("name", ["mgu", "ipsec", "racoonctl", "wpa_cli", "setkey", "net8021x"])
def test_a_reader_that_went_away_is_no_fault(name: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = called_as(name, "-h", stdout=writer)
    finally:
        os.close(writer)
    assert (result.returncode, result.stderr) == (exits.NOBODY_READS, "")


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

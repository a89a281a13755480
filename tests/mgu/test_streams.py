"""How a command ends that cannot print, is interrupted, or meets what it has no words for."""

import io
import os
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from mgu import exits
from mgu.streams import PACKAGES, OutputLost, _Output, told, write_octets


def raising(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), exits.INTERRUPTED, ""),
        (MemoryError(), exits.FAILED, "ipsec: there is not enough memory\n"),
        (
            ImportError("x.so: failed to map segment from shared object"),
            exits.FAILED,
            "ipsec: there is not enough memory\n",
        ),
        (
            ModuleNotFoundError("No module named 'OpenSSL'", name="OpenSSL"),
            exits.FAILED,
            "ipsec: the Python package pyOpenSSL is not installed;"
            " 'pip install pyOpenSSL' installs it\n",
        ),
        (OSError(28, "No space left", "/etc/x"), exits.FAILED, "ipsec: /etc/x: No space left\n"),
        (OSError(28, "No space left"), exits.FAILED, "ipsec: No space left\n"),
        (OSError("odd"), exits.FAILED, "ipsec: odd\n"),
        (OutputLost(BrokenPipeError(32, "Broken pipe")), exits.NOBODY_READS, ""),
        (
            OutputLost(OSError(28, "No space left")),
            exits.FAILED,
            "ipsec: cannot write the output: No space left\n",
        ),
        (SystemExit(None), exits.OK, ""),
        (SystemExit(64), 64, ""),
    ],
)
def test_each_end_has_its_code_and_one_line(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(raising(error), "ipsec") == code
    assert capsys.readouterr().err == said


def test_what_a_command_returns_is_its_code() -> None:
    assert told(lambda: 3, "ipsec") == 3


@pytest.mark.parametrize("error", [ImportError("no module x"), SystemExit("a text"), KeyError("x")])
def test_a_fault_of_the_program_is_none_of_these(error: BaseException) -> None:
    with pytest.raises(type(error)):
        told(raising(error), "ipsec")


def test_an_output_that_fails_is_lost_once_and_then_goes_nowhere(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with _Output(open(full, "wb", buffering=0), write_through=True) as output:
        with pytest.raises(OutputLost) as lost:
            output.write("x")
        assert lost.value.code == exits.FAILED
        assert lost.value.error.strerror == "No space left on device"
        assert output.write("x") == 1
        assert os.readlink(f"/proc/self/fd/{full}") == "/dev/null"


def test_what_waits_in_an_outputs_buffer_is_lost_at_the_flush() -> None:
    with _Output(open("/dev/full", "wb"), encoding="utf-8") as output:
        output.write("x")
        with pytest.raises(OutputLost):
            output.flush()


def test_octets_are_written_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(taken, encoding="ascii"))
    write_octets(b"caf\xe9\n")
    assert taken.getvalue() == b"caf\xe9\n"


def test_octets_that_are_not_taken_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def flush(self) -> None:
            raise OSError(28, "No space left")

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Full()))
    with pytest.raises(OutputLost):
        write_octets(b"x")


def test_every_package_that_mgusec_depends_on_is_named_where_it_is_missing() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras.get("radius", []), *extras.get("fast", [])]
    names = {re.split(r"[ <>=;\[]", each)[0].lower() for each in needed}
    assert {name.lower() for name in PACKAGES.values()} == names

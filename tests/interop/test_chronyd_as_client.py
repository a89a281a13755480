"""Our server, asked by others: chronyd -Q and ntpdig; its date is far from this machine's."""

import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab import require
from lab.netns import Veth
from lab.process import Process

pytestmark = pytest.mark.interop

SERVER = "10.77.0.2"
AHEAD = timedelta(days=400)


@pytest.fixture
def served(wire: Veth) -> Iterator[Veth]:
    date = (datetime.now(UTC) + AHEAD).strftime("%Y-%m-%dT%H:%M:%S")
    argv = [sys.executable, "-m", "ntp.aio.server", "-b", SERVER, "--date", date]
    with Process(argv, namespace=wire.right[0], name="server") as server:
        server.wait_line("serving")
        yield wire


def test_chronyd_takes_the_time_of_our_server(served: Veth, tmp_path: Path) -> None:
    lines = (f"server {SERVER} iburst maxsamples 1", f"pidfile {tmp_path}/pid")
    chronyd = require.program("chronyd")
    result = served.left[0].run(chronyd, "-Q", "-t", "15", *lines, timeout=30)
    wrong = re.search(r"System clock wrong by ([-+0-9.]+) seconds", result.stdout + result.stderr)
    assert wrong is not None
    assert abs(timedelta(seconds=float(wrong[1])) - AHEAD) < timedelta(minutes=1)


def test_ntpdig_takes_the_time_of_our_server(served: Veth) -> None:
    result = served.left[0].run(require.program("ntpdig"), SERVER, env=dict(os.environ))
    offset = re.search(r"\(\+0000\)? ?([-+0-9.]+) \+/-", result.stdout)
    assert offset is not None, result.stdout
    assert abs(timedelta(seconds=float(offset[1])) - AHEAD) < timedelta(minutes=1)

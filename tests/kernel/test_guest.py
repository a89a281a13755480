"""The guest of User-Mode Linux has what the kernel tests need."""

import subprocess
import time

import pytest

from lab.netns import Veth, lose

pytestmark = pytest.mark.kernel


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


def test_its_kernel_has_esp() -> None:
    key = "0x00112233445566778899aabbccddeeff"
    sa = "src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x100"
    ip("xfrm", "state", "add", *sa.split(), *f"mode transport enc cbc(aes) {key}".split())
    assert "proto esp spi 0x00000100" in ip("xfrm", "state")
    ip("xfrm", "state", "delete", *sa.split())


def test_its_clock_is_its_own() -> None:
    before = time.time()
    time.clock_settime(time.CLOCK_REALTIME, 86400.0)
    assert time.time() < 90000
    time.clock_settime(time.CLOCK_REALTIME, before)


def test_it_has_hosts_and_lossy_cables(wire: Veth) -> None:
    lose(wire, 100)
    assert wire.left[0].run("ping", "-c1", "-W1", "10.77.0.2", check=False).returncode == 1
    lose(wire, 0)
    assert wire.left[0].run("ping", "-c1", "-W1", "10.77.0.2").returncode == 0

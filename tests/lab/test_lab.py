"""The lab itself: cables, peers, clean ends. `test_plugin.py` has its hooks."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from lab import require, uml
from lab.netns import Namespace, Veth, lose, sweep
from lab.process import Ended, Process, until

pytestmark = pytest.mark.interop


def received(wire: Veth, count: int) -> int:
    """How many of `count` echo requests come back."""
    require.program("ping")
    result = wire.left[0].run(
        "ping", "-q", "-i0.01", f"-c{count}", "-W1", "10.77.0.2", check=False, timeout=60
    )
    return int(result.stdout.partition(" received")[0].rpartition(" ")[2])


def carrier(namespace: Namespace, ifname: str) -> bool:
    links = namespace.netlink("get_links", namespace.index(ifname))
    return bool(links[0].get("carrier"))


def test_a_cable_carries_until_it_is_cut_and_after_it_is_mended(wire: Veth) -> None:
    assert received(wire, 2) == 2
    wire.right[0].add_route("default", "10.77.0.1")
    wire.cut()
    assert not carrier(*wire.left)
    wire.restore()
    assert carrier(*wire.left)
    assert received(wire, 2) == 2
    assert "default via 10.77.0.1" in wire.right[0].run("ip", "route").stdout


def test_a_lossy_cable_loses_about_what_was_asked(wire: Veth) -> None:
    require.program("nft")
    assert received(wire, 2) == 2  # both know each other's Ethernet address now
    lose(wire, 30)
    assert 10 < received(wire, 100) < 90
    lose(wire, 0)
    assert received(wire, 5) == 5


def test_a_bridge_passes_nothing_between_isolated_ports(wire: Veth) -> None:
    switch = Namespace("switch")
    with switch, Namespace("a") as a, Namespace("b") as b:
        for host, port, address in ((a, "p1", "10.78.0.1/24"), (b, "p2", "10.78.0.2/24")):
            Veth((host, "eth0"), (switch, port))
            host.add_address("eth0", address)
        switch.add_bridge("br0", ["p1", "p2"])

        def reached() -> bool:
            return not a.run("ping", "-c1", "-W1", "10.78.0.2", check=False).returncode

        assert reached()
        for port in ("p1", "p2"):
            switch.isolate_port(port, isolated=True)
        assert not reached()
        switch.isolate_port("p1", isolated=False)
        assert reached()


def test_a_socket_stays_where_it_was_made(wire: Veth) -> None:
    with wire.left[0].entered():
        result = subprocess.run(["ip", "-br", "addr"], capture_output=True, text=True, check=True)
    assert "10.77.0.1/24" in result.stdout
    result = subprocess.run(["ip", "-br", "addr"], capture_output=True, text=True, check=True)
    assert "10.77.0.1/24" not in result.stdout


def test_deleting_a_host_ends_what_runs_in_it() -> None:
    host = Namespace("host")
    child = host.popen(["sh", "-c", "sleep 100 & wait"])
    host.delete()
    host.delete()
    assert child.wait(5) == -signal.SIGKILL
    assert not host.path.exists()


def test_what_a_killed_run_left_behind_is_swept() -> None:
    script = """
        import os, signal
        import subprocess
        from mgu.demo.netns import Namespace
        child = Namespace("orphan").popen(["sleep", "1000"], output=subprocess.DEVNULL)
        print(child.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, check=False
    )
    orphan = Path(f"/proc/{int(result.stdout)}/cmdline")
    assert orphan.exists()
    assert any(name.endswith("-orphan") for name in sweep())
    assert not orphan.exists() or orphan.read_bytes() == b""  # gone, or waiting to be reaped


async def test_a_peer_is_awaited_line_by_line() -> None:
    with Process(["sh", "-c", "echo up 1; echo up 2; sleep 100"]) as peer:
        assert (await peer.line(r"up (\d)"))[1] == "1"
        assert (await peer.line(r"up (\d)"))[1] == "2"
        with pytest.raises(Ended, match="in time"):
            await peer.line("up", within=0.05)
    assert peer.exit_code == -signal.SIGTERM


def test_a_peer_that_ends_early_is_a_failure_with_its_output() -> None:
    with (
        Process(["sh", "-c", "echo no such device; exit 3"]) as peer,
        pytest.raises(Ended, match=r"(?s)ended with 3.*no such device"),
    ):
        peer.wait_line("listening")


def test_a_peer_can_have_directories_of_its_own() -> None:
    with Process(["sh", "-c", "ls -A /run; echo done"], private=["/run"]) as peer:
        peer.wait_line("done")
        assert peer.text == "done\n"
    assert os.listdir("/run")


def test_a_guest_ends_with_the_run_that_booted_it() -> None:
    lack = uml.unavailable()
    if lack is not None:
        require.missing(lack)
    script = "from lab import uml; uml.run(['sleep', '1000'])"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", script], env=env) as run:
        mark = f"mgu-{run.pid}-uml."
        until(lambda: any(booted(path) for path in Path(tempfile.gettempdir()).glob(f"{mark}*")))
        assert guests(mark)
        run.kill()
    until(lambda: not guests(mark))


def booted(guest: Path) -> bool:
    boot = guest / "boot"
    return boot.exists() and "booted" in boot.read_text()


def guests(mark: str) -> list[str]:
    """The host's processes of a guest, by what stands in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_text().split("\0")
            found += [word for word in words if word.startswith(f"umid={mark}")]
    return found

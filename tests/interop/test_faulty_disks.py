"""Every command where the disk is full, cannot be written to, /run is missing, or memory is short.

No traceback; what was configured stays whole; and when the fault is over the command does its work.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from lab.disk import Disk, private_mounts
from lab.netns import Namespace
from mgu.demo.papers import IDENTITY, Papers, issue

pytestmark = pytest.mark.interop

MGU: Final = (sys.executable, "-P", "-m", "mgu.main")
INSTALL: Final = ("-l", "client.pem", "-c", "ca.pem", "-i", IDENTITY, "-p", "key.pem")
COMMANDS: Final = (
    "localNTP -a -n 127.0.0.9 --timeout 0.1",
    "localNTP -n 127.0.0.9 --timeout 0.1",
    "localNTP -s",
    "localNTP -d",
    f"net8021x {' '.join(INSTALL)} -a",
    "net8021x -d",
    "ipsec",
    "ipsec --create --name=other --dst-address=192.0.2.2 --dst-preshared-key=other",
    "ipsec --create --name=node --dst-address=192.0.2.3",
    "ipsec --start --name=node",
    "ipsec --stop --name=node",
    "ipsec --remove --name=node",
    "racoonctl show-sa isakmp",
    "wpa_cli status",
    "setkey -D",
    "mgu up floor",
    "mgu up tunnel",
    "mgu up --status",
    "mgu down",
)
CREATED: Final = ("ipsec --create --name=node --dst-address=192.0.2.1 --dst-preshared-key=node",)


class Gateway:
    """One in a namespace, with /etc, /var and /run as small disks of their own."""

    def __init__(self, host: Namespace, root: Path, papers: Papers) -> None:
        self.host, self.root, self.papers = host, root, papers
        self.disks = {name: Disk(root / name, "128k") for name in ("etc", "var", "run")}
        (root / "var/run").symlink_to("../run")

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "MGU_ROOT": str(self.root),
            "MGU_CLOCK": str(self.root / "clock"),
            "MGU_DATAPLANE": "userspace",
        }

    @staticmethod
    def argv(line: str) -> list[str]:
        words = line.split()
        return [*MGU, *(words[1:] if words[0] == "mgu" else words)]

    def run(self, line: str, *before: str) -> subprocess.CompletedProcess[str]:
        with self.host.entered():
            return subprocess.run(
                [*before, *self.argv(line)],
                env=self.env,
                cwd=self.papers.client,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=60,
            )

    def interrupted(self, line: str, number: signal.Signals, after: float) -> None:
        """Run a command that gets the signal after so many seconds; a stopped one goes on then."""
        with self.host.entered():
            running = subprocess.Popen(
                self.argv(line),
                env=self.env,
                cwd=self.papers.client,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(after)
        running.send_signal(number)
        if number == signal.SIGSTOP:
            assert self.run("ipsec").returncode == 0  # who only looks waits for nobody
            running.send_signal(signal.SIGCONT)
        running.wait(60)

    def configured(self) -> dict[str, bytes]:
        """What is in /etc and /var, but for logs and the test's own."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for name in ("etc", "var/lib")
            for path in sorted((self.root / name).rglob("*"))
            if path.is_file() and path.name not in (".ballast", "time")
        }


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return issue(tmp_path_factory.mktemp("papers"))


@pytest.fixture
def gateway(
    tmp_path: Path, make_host: Callable[[str], Namespace], papers: Papers
) -> Iterator[Gateway]:
    host = make_host("gateway")
    for words in (
        "link add eth0 type veth peer name far0",
        "addr add 192.0.2.9/24 dev eth0",
        "link set eth0 up",
    ):
        host.run("ip", *words.split())
    with private_mounts():
        made = Gateway(host, tmp_path, papers)
        for line in (
            "localNTP -a -n 127.0.0.9 --timeout 0.1",
            f"net8021x {' '.join(INSTALL)}",
            *CREATED,
        ):
            made.run(line)
        made.run("mgu down")
        yield made
        made.run("mgu down")


def full(gateway: Gateway) -> None:
    for disk in gateway.disks.values():
        disk.fill()


def empty_again(gateway: Gateway) -> None:
    for disk in gateway.disks.values():
        disk.free()


def read_only(gateway: Gateway) -> None:
    for name in ("var", "run"):
        gateway.disks[name].read_only()


def writable(gateway: Gateway) -> None:
    for name in ("var", "run"):
        gateway.disks[name].read_only(False)


def no_run(gateway: Gateway) -> None:
    subprocess.run(["umount", str(gateway.root / "run")], check=True)
    (gateway.root / "run").rmdir()


def run_is_back(gateway: Gateway) -> None:
    gateway.disks["run"] = Disk(gateway.root / "run", "128k")


FAULTS: Final = {
    "full": (full, empty_again),
    "read-only": (read_only, writable),
    "no /run": (no_run, run_is_back),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_on_a_faulty_disk_a_command_says_what_is_wrong_and_leaves_all_as_it_was(
    gateway: Gateway, fault: str
) -> None:
    begins, ends = FAULTS[fault]
    before = gateway.configured()
    faults = []
    begins(gateway)
    for line in COMMANDS:
        result = gateway.run(line)
        print(f"{fault}: {line}: {result.returncode}\n{result.stdout}")
        if "Traceback" in result.stdout or result.returncode not in (0, 1, 2, 3, 4):
            faults.append(f"{line}: {result.returncode}: {result.stdout}")
        if fault == "full" and result.returncode == 0 and "[Errno" in result.stdout:
            faults.append(f"{line}: {result.stdout}")
        after = gateway.configured()
        hidden = {name for name in after.keys() - before.keys() if "/." in name}
        if hidden:
            faults.append(f"{line} left {hidden}")
        if result.returncode != 0 and after != before:
            names = {name for name in after | before if after.get(name) != before.get(name)}
            faults.append(f"{line} failed and changed {names}: {result.stdout}")
        before = after
    assert faults == []
    ends(gateway)
    for line in (*CREATED, "ipsec --start --name=node", "mgu up tunnel", "ipsec", "mgu down"):
        result = gateway.run(line)
        assert result.returncode == 0, f"{line}: {result.stdout}"


def test_a_command_that_is_killed_leaves_what_the_next_one_can_use(gateway: Gateway) -> None:
    """The last file written names the others: there is no connection without its key."""
    line = "ipsec --create --name=n{0} --dst-address=192.0.2.1{0} --dst-preshared-key=n{0}"
    for number in range(8):
        gateway.run(line.format(number), "timeout", "-s", "KILL", f"{0.05 + number * 0.02:.2f}")
        assert gateway.run("ipsec").returncode == 0
        keys = (gateway.root / "etc/racoon/psk.txt").read_text()
        for conf in (gateway.root / "etc/sysconf/network-scripts").glob("ifcfg-n[0-9]"):
            assert f"192.0.2.1{conf.name[-1]} n{conf.name[-1]}" in " ".join(keys.split())
    for number in range(8):
        result = gateway.run(line.format(number))
        assert result.returncode == 0, result.stdout
    assert gateway.run("iked -t").stdout == ""


CHANGES: Final = {
    "localNTP -a -n 127.0.0.8 --timeout 0.1": "localNTP -a -n 127.0.0.9 --timeout 0.1",
    f"net8021x {' '.join(INSTALL)} -a": "net8021x -d",
    COMMANDS[7]: "ipsec --remove --name=other",
    "ipsec --remove --name=node": CREATED[0],
    "ipsec --start --name=node": "ipsec --stop --name=node",
    "ipsec --stop --name=node": "ipsec --start --name=node",
    "mgu up tunnel": "mgu down tunnel",
    "mgu down tunnel": "mgu up tunnel",
}
"""Commands that change something, and what takes each back."""


def whole_files(found: dict[str, bytes]) -> dict[str, bytes]:
    """Without the hidden halves that SIGKILL leaves of files that were being written."""
    return {name: content for name, content in found.items() if "/." not in name}


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_command_that_is_killed_or_stopped_anywhere_and_repeated_ends_as_if_it_had_not_been(
    gateway: Gateway, number: signal.Signals
) -> None:
    chance = random.Random(7)
    gateway.run("ipsec --start --name=node")
    for line, back in CHANGES.items():
        gateway.run(back)
        whole = gateway.run(line)
        told, wanted = whole.returncode, gateway.configured()
        for _ in range(4):
            gateway.run(back)
            gateway.interrupted(line, number, chance.uniform(0.02, 0.4))
            again = gateway.run(line)
            assert "Traceback" not in again.stdout
            is_done = "--remove" in line and "there is no connection" in again.stdout
            assert again.returncode == told or is_done, f"{line}: {again.stdout}"
            assert whole_files(gateway.configured()) == wanted, line


@pytest.mark.parametrize("mebioctets", [20, 28, 40])
def test_with_too_little_memory_a_command_says_so(gateway: Gateway, mebioctets: int) -> None:
    before = gateway.configured()
    for line in COMMANDS:
        result = gateway.run(line, "prlimit", f"--as={mebioctets << 20}")
        assert "Traceback" not in result.stdout, f"{line}: {result.stdout}"
        if result.returncode != 0 and "--remove" not in line:  # what is removed is not put back
            assert gateway.configured() == before, line
        before = gateway.configured()

"""From the first packet to its answer through new SAs: our daemon beside strongSwan 5.9.8.

A policy without SAs; echo requests every 5 ms; the time until the first answer, on a real kernel in
User-Mode Linux (everything there takes longer than on the machine itself). The other end is
strongSwan each time: Main Mode with a pre-shared key, group 2, Quick Mode, transport mode. racoon
0.9.1 needs about 1010 ms in the same place: it looks once a second whether phase 1 is done.
"""

import os
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from lab import uml
from lab.keying import Keying, until
from lab.netns import Namespace, Veth
from lab.peers.strongswan import StrongSwan, Tunnel, strongswan

ROUNDS = 15
SECRET = "known to both ends"
HERE, THERE = "10.77.0.1", "10.77.0.2"
_ECHO = struct.pack("!BBHHH", 8, 0, 0xF7FE, 1, 0)  # echo request, its checksum, identifier 1


def first_answer(host: Namespace) -> float:
    """Seconds until an echo request is answered."""
    with host.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as probe:
        probe.connect((THERE, 0))
        probe.settimeout(0.005)
        begun = time.monotonic()
        while time.monotonic() - begun < 10:
            probe.send(_ECHO)
            try:
                probe.recv(200)
            except TimeoutError:
                continue
            return time.monotonic() - begun
    raise AssertionError("no answer within 10 s")


def has_sas(host: Namespace) -> bool:
    return bool(host.run("ip", "xfrm", "state").stdout)


def rounds(host: Namespace, peer: StrongSwan) -> list[float]:
    first_answer(host)  # loads the kernel's ciphers
    taken = []
    for _ in range(ROUNDS):
        peer.terminate()
        until(lambda: peer.sas() == "" and not has_sas(host) and not has_sas(peer.namespace))
        taken.append(first_answer(host))
    return sorted(taken)


def shown(name: str, taken: list[float]) -> str:
    low, middle, high = (1000 * value for value in (taken[0], median(taken), taken[-1]))
    return f"{name}: first packet answered after {middle:.0f} ms ({low:.0f} to {high:.0f})"


def measure(folder: Path) -> None:
    """Both, one after the other; in the guest."""
    with Namespace("left") as left, Namespace("right") as right:
        Veth((left, "eth0"), (right, "eth0"))
        left.add_address("eth0", f"{HERE}/24")
        right.add_address("eth0", f"{THERE}/24")
        (folder / "peer").mkdir()
        (folder / "other").mkdir()
        theirs = Tunnel(local=THERE, remote=HERE, secret=SECRET)
        with strongswan(right, folder / "peer", theirs) as peer:
            ours = Keying(left, folder / "ours", {"MGU_DATAPLANE": "kernel"})
            ours.ipsec("--create", "--name=n", f"--dst-address={THERE}",
                       f"--dst-preshared-key={SECRET}")  # fmt: skip
            with ours.iked():
                print(shown("ours", rounds(left, peer)))
            trap = Tunnel(local=HERE, remote=THERE, secret=SECRET, trap=True)
            with strongswan(left, folder / "other", trap):
                print(shown("strongSwan", rounds(left, peer)))


def test_first_packet() -> None:
    assert uml.unavailable() is None
    env = {"PYTHONPATH": f"{os.getcwd()}/tests", "PYTHONDONTWRITEBYTECODE": "1"}
    result = uml.run([sys.executable, __file__], env=env)
    print(f"\n{result.output}", end="")
    assert result.code == 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        measure(Path(scratch))

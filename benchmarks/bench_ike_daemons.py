"""CPU of the whole keying daemon for a tunnel: ours beside strongSwan 5.9.8.

Two ends of the same kind in namespaces, user-space ESP at both: Main Mode with a pre-shared key
(group 2), Quick Mode, tunnel mode in UDP, then the delete. The time that the two daemons ran,
divided by the number of tunnels; what the commands that ask for them cost is not in it. Most of
ours is not the engine (0.6 ms an end, `bench_ike.py`): it is the admin socket and system
calls.
"""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from lab.keying import Keying, until
from lab.netns import Namespace, Veth
from lab.peers.strongswan import Tunnel, strongswan
from lab.process import Process

TUNNELS = 20
SECRET = "known to both ends"
HERE, THERE = "10.77.0.1", "10.77.0.2"
NEAR, FAR = "10.1.0.0/24", "10.2.0.0/24"


def cpu(*processes: Process) -> float:
    """Seconds that these have run, all threads, by the scheduler's own clock (not by ticks)."""
    threads = [path for p in processes for path in Path(f"/proc/{p.pid}/task").glob("*/schedstat")]
    return sum(int(path.read_text().split()[0]) for path in threads) / 1e9


def per_tunnel(once: Callable[[], None], *processes: Process) -> float:
    once()  # whatever is loaded late
    before = cpu(*processes)
    for _ in range(TUNNELS):
        once()
    return 1000 * (cpu(*processes) - before) / TUNNELS


def strongswans(near: Namespace, far: Namespace, folder: Path) -> float:
    """Milliseconds of CPU for a tunnel, both ends."""
    here = Tunnel(
        local=HERE, remote=THERE, secret=SECRET, local_network=NEAR, remote_network=FAR,
        encapsulate=True,
    )  # fmt: skip
    there = replace(here, local=THERE, remote=HERE, local_network=FAR, remote_network=NEAR)
    with ExitStack() as running:
        ends = []
        for name, namespace, tunnel in (("near", near, here), ("far", far, there)):
            (folder / name).mkdir()
            end = strongswan(namespace, folder / name, tunnel, userspace=True)
            ends.append(running.enter_context(end))

        def once() -> None:
            ends[0].initiate()
            ends[0].terminate()
            until(lambda: ends[1].sas() == "")

        return per_tunnel(once, *(end.process for end in ends))


def ours(near: Namespace, far: Namespace, folder: Path) -> float:
    """Milliseconds of CPU for a tunnel, both ends."""
    ends = []
    for name, namespace, networks in (("near", near, (NEAR, FAR)), ("far", far, (FAR, NEAR))):
        peer = THERE if name == "near" else HERE
        end = Keying(namespace, folder / f"our-{name}", {"MGU_DATAPLANE": "userspace"})
        end.ipsec("--create", "--name=t", f"--dst-address={peer}",
                  f"--dst-preshared-key={SECRET}", f"--src-network={networks[0]}",
                  f"--dst-network={networks[1]}")  # fmt: skip
        end.edit(f"etc/racoon/remote-{peer}.conf", "nat_traversal on", "nat_traversal force")
        ends.append(end)
    with ends[1].iked() as responder, ends[0].iked() as initiator:

        def once() -> None:
            ends[0].racoonctl("establish-sa", "-w", "esp", "inet", NEAR, FAR, "any")
            ends[0].racoonctl("vpn-disconnect", THERE)
            until(lambda: ends[1].tunnels() == 0)

        return per_tunnel(once, initiator, responder)


@pytest.mark.timeout(600)
def test_cpu_for_a_tunnel() -> None:
    with (
        Namespace("near") as near,
        Namespace("far") as far,
        tempfile.TemporaryDirectory() as folder,
    ):
        Veth((near, "eth0"), (far, "eth0"))
        for host, address, inner in ((near, HERE, "10.1.0.1"), (far, THERE, "10.2.0.1")):
            host.add_address("eth0", f"{address}/24")
            host.add_address("lo", f"{inner}/24")
        theirs = strongswans(near, far, Path(folder))
        mine = ours(near, far, Path(folder))
    print(f"\nstrongSwan: {theirs:.1f} ms of CPU for a tunnel, both ends")
    print(f"ours:       {mine:.1f} ms ({mine / theirs:.2f} times)")

"""TCP through an IPsec tunnel between two hosts: our data path, strongSwan's, and OpenVPN's.

One iperf3 stream between two network namespaces on one cable, both ends on this machine. All use
AES-128-CBC with HMAC-SHA1. Rounds are interleaved; the table has medians, and the processor time of
both ends per gigabit (lower is better), which a busy machine changes least.
"""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from lab import require
from lab.esp_values import LEFT, LEFT_NET, RIGHT, RIGHT_NET, sa, tunnel_policies
from lab.netns import Namespace, Veth
from lab.peers.strongswan import Tunnel, strongswan
from lab.process import Process

ROUNDS = 5
SECONDS = 2
LEFT_INNER, RIGHT_INNER = "10.1.0.1", "10.2.0.1"
MakeHost = Callable[[str], Namespace]


@dataclass
class Plane:
    """One data plane that is up: `client` reaches `server` through it at `address`."""

    client: Namespace
    server: Namespace
    address: str
    processes: tuple[Process, ...] = ()
    mbits: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of processor, per gigabit

    def cpu(self) -> float:
        """Processor seconds of the daemons so far."""
        return sum(_cpu(process.pid) for process in self.processes)

    def run(self) -> None:
        iperf3 = require.program("iperf3")
        with Process([iperf3, "-s", "-1", "--forceflush"], namespace=self.server) as server:
            server.wait_line("Server listening")
            before = self.cpu()
            words = [iperf3, "-c", self.address, "-t", str(SECONDS), "-J"]
            result = json.loads(self.client.run(*words).stdout)["end"]["sum_received"]
            used = self.cpu() - before
        self.mbits.append(result["bits_per_second"] / 1e6)
        self.seconds.append(used / (result["bytes"] * 8 / 1e9))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _hosts(make_host: MakeHost, name: str) -> tuple[Namespace, Namespace]:
    left, right = make_host(f"{name}-l"), make_host(f"{name}-r")
    Veth((left, "eth0"), (right, "eth0"))
    for host, address, inner in ((left, LEFT, LEFT_INNER), (right, RIGHT, RIGHT_INNER)):
        host.add_address("eth0", f"{address}/24")
        host.add_address("lo", f"{inner}/24")
    return left, right


def bare(make_host: MakeHost, _: ExitStack, __: Path) -> Plane:
    left, right = _hosts(make_host, "bare")
    return Plane(left, right, RIGHT)


def _ours(kind: str) -> Callable[[MakeHost, ExitStack, Path], Plane]:
    def up(make_host: MakeHost, stack: ExitStack, _: Path) -> Plane:
        left, right = _hosts(make_host, kind)
        processes = []
        for host, end in ((left, "left"), (right, "right")):
            command = [sys.executable, __file__, end, kind]
            environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
            process = Process(command, namespace=host, name=f"{kind}-{end}", env=environment)
            processes.append(stack.enter_context(process))
            process.wait_line("ready")
        return Plane(left, right, RIGHT_INNER, tuple(processes))

    return up


def libipsec(make_host: MakeHost, stack: ExitStack, folder: Path) -> Plane:
    """strongSwan with kernel-libipsec: IKEv1, ESP in UDP, several threads."""
    left, right = _hosts(make_host, "swan")
    peers = []
    for host, own, peer, net, peer_net in (
        (left, LEFT, RIGHT, LEFT_NET, RIGHT_NET),
        (right, RIGHT, LEFT, RIGHT_NET, LEFT_NET),
    ):
        files = folder / f"swan-{own}"
        files.mkdir()
        tunnel = Tunnel(
            local=own, remote=peer, local_network=net, remote_network=peer_net,
            ike="aes128-sha1-modp2048",
        )  # fmt: skip
        peers.append(stack.enter_context(strongswan(host, files, tunnel, userspace=True)))
    peers[0].initiate()
    return Plane(left, right, RIGHT_INNER, tuple(peer.process for peer in peers))


def openvpn(make_host: MakeHost, stack: ExitStack, folder: Path) -> Plane:
    """OpenVPN with a static key."""
    left, right = _hosts(make_host, "ovpn")
    program = require.program("openvpn")
    digits = secrets.token_hex(256)
    lines = "\n".join(digits[at : at + 32] for at in range(0, len(digits), 32))
    key = folder / "static.key"
    begin, end = "-----BEGIN OpenVPN Static key V1-----", "-----END OpenVPN Static key V1-----"
    key.write_text(f"{begin}\n{lines}\n{end}\n")
    key.chmod(0o600)
    processes = []
    for host, own, peer, inner, far in (
        (right, RIGHT, LEFT, "10.8.0.2", "10.8.0.1"),
        (left, LEFT, RIGHT, "10.8.0.1", "10.8.0.2"),
    ):
        words = f"""--dev tun --proto udp --local {own} --remote {peer} --ifconfig {inner} {far}
            --secret {key} --cipher AES-128-CBC
            --auth SHA1 --verb 3"""
        command = [program, *words.split()]
        processes.append(stack.enter_context(Process(command, namespace=host, name="openvpn")))
    for process in processes:
        process.wait_line("Initialization Sequence Completed", within=30)
    return Plane(left, right, "10.8.0.2", tuple(processes))


PLANES: dict[str, Callable[[MakeHost, ExitStack, Path], Plane]] = {
    "no IPsec": bare,
    "ours, ESP": _ours("esp-plain"),
    "ours, ESP, with numpy": _ours("esp-fast"),
    "ours, ESP in UDP": _ours("udp-plain"),
    "ours, ESP in UDP, with numpy": _ours("udp-fast"),
    "strongSwan kernel-libipsec": libipsec,
    "OpenVPN, static key": openvpn,
}


def test_tcp_through_the_tunnel(tmp_path: Path) -> None:
    require.root()
    with ExitStack() as stack:

        def make_host(name: str) -> Namespace:
            return stack.enter_context(Namespace(name))

        planes = {name: up(make_host, stack, tmp_path) for name, up in PLANES.items()}
        for _ in range(ROUNDS):
            for plane in planes.values():
                plane.run()
    reference = planes["strongSwan kernel-libipsec"]
    print(f"\n  {'':<30}{'Mbit/s':>9}{'ratio':>8}{'CPU s/Gbit':>13}{'ratio':>8}")
    for name, plane in planes.items():
        rate, cost = median(plane.mbits), median(plane.seconds)
        print(
            f"  {name:<30}{rate:>9.0f}{rate / median(reference.mbits):>8.2f}"
            f"{cost:>13.2f}{cost / median(reference.seconds):>8.2f}"
        )
    assert median(planes["ours, ESP in UDP, with numpy"].mbits) > 0


# What runs in a process of its own, in its host's namespace


async def serve(end: str, kind: str) -> None:
    from lab.datapath import opened
    from xfrm.model import Encapsulation
    from xfrm.tun.datapath import Settings

    here, there = (LEFT, LEFT_NET), (RIGHT, RIGHT_NET)
    if end == "right":
        here, there = there, here
    encapsulation = Encapsulation() if kind.startswith("udp") else None
    async with opened(None, here[0], Settings(offload=kind.endswith("fast"))) as path:
        for policy in tunnel_policies(here, there):
            await path.add_policy(policy)
        for src, dst, spi in ((LEFT, RIGHT, 0x1001), (RIGHT, LEFT, 0x1002)):
            await path.add_sa(sa(src, dst, spi, encapsulation=encapsulation))
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))

"""Two of our own ends, with the userspace data path, in namespaces."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from lab import require
from lab.keying import Keying, until
from lab.netns import Veth
from lab.process import Process

pytestmark = pytest.mark.interop

SECRET: Final = "--dst-preshared-key=shared by both"
KEPT: Final = 1 << 12 | 1 << 2  # CAP_NET_ADMIN, CAP_DAC_READ_SEARCH


@pytest.fixture
def ends(wire: Veth, tmp_path: Path) -> tuple[Keying, Keying]:
    """The left one protects 10.1.0.0/24 behind it, the right one 10.2.0.0/24."""
    (left, _), (right, _) = wire.left, wire.right
    left.add_address("lo", "10.1.0.1/24")
    right.add_address("lo", "10.2.0.1/24")
    near = Keying(left, tmp_path / "left", {"MGU_DATAPLANE": "userspace"})
    far = Keying(right, tmp_path / "right", {"MGU_DATAPLANE": "userspace"})
    near.ipsec("--create", "--name=t", "--dst-address=10.77.0.2", SECRET,
               "--src-network=10.1.0.0/24", "--dst-network=10.2.0.0/24")  # fmt: skip
    far.ipsec("--create", "--name=t", "--dst-address=10.77.0.1", SECRET,
              "--src-network=10.2.0.0/24", "--dst-network=10.1.0.0/24")  # fmt: skip
    return near, far


def ping(end: Keying, count: int = 3) -> bool:
    return end.ping("10.2.0.1", count, source="10.1.0.1")


def test_the_first_packet_brings_the_tunnel_up_and_is_not_lost(
    ends: tuple[Keying, Keying],
) -> None:
    near, far = ends
    with far.iked() as responder, near.iked() as initiator:
        begun = time.monotonic()
        assert ping(near, 1)
        print(f"first packet answered after {1000 * (time.monotonic() - begun):.0f} ms")
        initiator.wait_line(r"INFO: ISAKMP-SA established 10\.77\.0\.1\[500\]-10\.77\.0\.2\[500\]")
        initiator.wait_line(r"INFO: IPsec-SA established: ESP/Tunnel 10\.77\.0\.2\[0\]->10\.77")
        initiator.wait_line(r"INFO: IPsec-SA established: ESP/Tunnel 10\.77\.0\.1\[0\]->10\.77")
        responder.wait_line(r"INFO: IPsec-SA established: ESP/Tunnel ")
        assert (near.tunnels(), far.tunnels()) == (1, 1)


def test_both_ends_show_the_same_sas(ends: tuple[Keying, Keying]) -> None:
    near, far = ends
    with far.iked(), near.iked():
        assert ping(near)
        shown = [re.findall(r"spi=(\d+)", end.racoonctl("show-sa", "esp")) for end in ends]
        assert sorted(shown[0]) == sorted(shown[1])
        keys = [re.findall(r"\t[EA]: .*", end.racoonctl("show-sa", "esp")) for end in ends]
        assert sorted(keys[0]) == sorted(keys[1])
        rows = [end.racoonctl("-l", "show-sa", "isakmp").splitlines()[1].split() for end in ends]
        assert rows[0][1] == rows[1][1]
        assert [row[3] for row in rows] == ["I", "R"]


def test_stopping_leaves_nothing_and_tells_the_other_end(ends: tuple[Keying, Keying]) -> None:
    near, far = ends
    with far.iked():
        with near.iked() as daemon:
            assert ping(near)
            assert daemon.stop() == 0
            assert "racoon process" in daemon.text
        until(lambda: far.tunnels() == 0)
        left = near.namespace.run("ip", "xfrm", "policy").stdout
        links = near.namespace.run("ip", "-o", "link").stdout
        assert left == ""
        assert " mgu0: " not in links
        assert not (near.root / "var/run/racoon/racoon.sock").exists()


def test_a_daemon_that_was_killed_comes_back_and_the_tunnel_with_it(
    ends: tuple[Keying, Keying],
) -> None:
    near, far = ends
    with far.iked():
        with near.iked() as daemon:
            assert ping(near)
            daemon.signal(signal.SIGKILL)
            until(lambda: not daemon.running)
        with near.iked():
            assert ping(near)
            until(lambda: far.tunnels() == 1)  # INITIAL-CONTACT swept the old one away


def test_a_reload_takes_new_connections_and_keeps_what_is_established(
    ends: tuple[Keying, Keying],
) -> None:
    near, far = ends
    with far.iked(), near.iked() as daemon:
        assert ping(near)
        before = near.racoonctl("show-sa", "esp").count("spi=")
        near.ipsec("--create", "--name=more", "--dst-address=10.77.0.2",
                   "--dst-network=10.3.0.0/24")  # fmt: skip
        near.ipsec("--start", "--name=more")
        daemon.wait_line(r"INFO: connection more: 10\.77\.0\.1/32\[any\] 10\.3\.0\.0/24\[any\] any")
        assert near.racoonctl("show-sa", "esp").count("spi=") == before
        daemon.signal(signal.SIGHUP)
        daemon.wait_line("INFO: configuration read again")
        near.ipsec("--stop", "--name=t")
        until(lambda: far.tunnels() == 0)
        assert near.ipsec().splitlines()[1].split()[-1] == "active"


def test_a_reload_of_a_broken_file_is_refused_and_changes_nothing(
    ends: tuple[Keying, Keying],
) -> None:
    near, far = ends
    with far.iked(), near.iked() as daemon:
        near.edit("etc/racoon.conf", "log info;", "log infos;")
        refused = near.run("racoonctl", "reload-config", check=False)
        assert refused.returncode == 1
        daemon.wait_line(r"ERROR: .*racoon\.conf:6:5: 'infos' is not understood here; did you mean")
        assert ping(near)


def test_a_wrong_key_is_named_and_after_its_change_the_tunnel_comes_up(
    ends: tuple[Keying, Keying],
) -> None:
    near, far = ends
    with far.iked() as responder, near.iked():
        near.ipsec("--create", "--name=t", "--dst-address=10.77.0.2", "--dst-preshared-key=wrong",
                   "--src-network=10.1.0.0/24", "--dst-network=10.2.0.0/24")  # fmt: skip
        assert not ping(near, 1)
        responder.wait_line("ERROR: .*pre-shared key")
        near.ipsec("--create", "--name=t", "--dst-address=10.77.0.2", SECRET,
                   "--src-network=10.1.0.0/24", "--dst-network=10.2.0.0/24")  # fmt: skip
        near.racoonctl("flush-sa", "isakmp")
        words = ("isakmp", "inet", "10.77.0.1", "10.77.0.2")
        assert "Phase 1 established" in near.racoonctl("establish-sa", "-w", *words)


def test_it_may_change_the_network_and_read_files_and_no_more(ends: tuple[Keying, Keying]) -> None:
    near, _ = ends
    with near.iked() as daemon:
        status = Path(f"/proc/{daemon.pid}/status").read_text()
        for name in ("CapPrm", "CapEff", "CapBnd"):
            found = re.search(rf"^{name}:\s+(\w+)$", status, re.MULTILINE)
            assert found is not None
            assert int(found[1], 16) == KEPT, name
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)


def test_a_port_in_use_is_refused_with_the_holders_name(ends: tuple[Keying, Keying]) -> None:
    near, _ = ends
    with near.iked() as first:
        conf = str(near.root / "etc/racoon.conf")
        second = near.run("iked", "-F", "-f", conf, check=False)
        assert second.returncode == 1
        assert f"(process {first.pid})" in second.stderr
        assert "mgu.main iked" in second.stderr


def test_racoons_own_check_of_the_configuration(ends: tuple[Keying, Keying]) -> None:
    near, _ = ends
    conf = near.root / "etc/racoon.conf"
    assert near.run("iked", "-t", "-f", str(conf)).stdout == ""
    near.edit("etc/racoon.conf", "log info;", "log info")
    broken = near.run("iked", "-t", "-f", str(conf), check=False)
    assert broken.returncode == 1
    assert "there is no ';' before" in broken.stderr


def test_in_the_background_its_starter_returns_when_it_serves(
    ends: tuple[Keying, Keying],
) -> None:
    near, _ = ends
    pidfile = near.root / "racoon.pid"
    conf, log = str(near.root / "etc/racoon.conf"), str(near.root / "log")
    near.run("iked", "-f", conf, "-l", log, "--pidfile", str(pidfile))
    try:
        assert near.racoonctl("show-sa", "isakmp").startswith("Destination ")
        assert "INFO: connection t:" in Path(log).read_text()
    finally:
        pid = int(pidfile.read_text())
        subprocess.run(["kill", str(pid)], check=True)
        until(lambda: not pidfile.exists())


def test_the_exported_keys_decrypt_a_capture(ends: tuple[Keying, Keying], tmp_path: Path) -> None:
    near, far = ends
    capture, keys = tmp_path / "wire.pcap", tmp_path / "keys"
    tcpdump = [require.program("tcpdump"), "-U", "-i", "eth0", "-w", str(capture), "ip"]
    with far.iked(), Process(tcpdump, namespace=near.namespace) as tap:
        tap.wait_line("listening on")
        with near.iked("--export-keys", str(keys)):
            assert ping(near)
        until(lambda: capture.stat().st_size > 2000)
    assert (keys / "esp_sa").stat().st_mode & 0o777 == 0o600
    fields = ("-T", "fields", "-e", "isakmp.typepayload", "-e", "icmp.type")
    shown = {tuple(line.split("\t")) for line in decrypted(capture, keys, *fields).splitlines()}
    assert {icmp for _, icmp in shown} >= {"0", "8"}  # echo requests and replies
    assert any(payloads.startswith("5,8") for payloads, _ in shown)  # Main Mode: ID, HASH
    assert any(payloads.startswith("8,1,") for payloads, _ in shown)  # Quick Mode: HASH, SA


def decrypted(capture: Path, keys: Path, *more: str) -> str:
    """What tshark makes of a capture with the keys that the daemon wrote."""
    options = ["-o", "esp.enable_encryption_decode:TRUE"]
    for table in ("ikev1_decryption_table", "esp_sa"):
        for line in (keys / table).read_text().splitlines():
            options += ["-o", f"uat:{table}:{line}"]
    done = subprocess.run(
        [require.program("tshark"), "-r", str(capture), *options, *more],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_transport_mode_works_without_the_kernel_too(wire: Veth, tmp_path: Path) -> None:
    (left, _), (right, _) = wire.left, wire.right
    near = Keying(left, tmp_path / "near", {"MGU_DATAPLANE": "userspace"})
    far = Keying(right, tmp_path / "far", {"MGU_DATAPLANE": "userspace"})
    near.ipsec("--create", "--name=t", "--dst-address=10.77.0.2", SECRET)
    far.ipsec("--create", "--name=t", "--dst-address=10.77.0.1", SECRET)
    with far.iked(), near.iked() as daemon:
        assert near.ping("10.77.0.2")
        daemon.wait_line(r"INFO: IPsec-SA established: ESP/Transport 10\.77\.0\.1\[0\]->10\.77")
        assert min(near.octets()) >= 3 * 64


def test_a_connection_waits_for_the_address_of_eth0_and_follows_it(
    wire: Veth, tmp_path: Path
) -> None:
    (left, _), (right, _) = wire.left, wire.right
    left.run("ip", "address", "flush", "dev", "eth0")
    near = Keying(left, tmp_path / "near", {"MGU_DATAPLANE": "userspace"})
    far = Keying(right, tmp_path / "far", {"MGU_DATAPLANE": "userspace"})
    near.ipsec("--create", "--name=t", "--dst-address=10.77.0.2", SECRET)
    far.ipsec("--create", "--name=t", "--dst-address=10.77.0.1", SECRET)
    far.ipsec("--create", "--name=u", "--dst-address=10.77.0.9", SECRET)
    with far.iked(), near.iked() as daemon:
        daemon.wait_line("ERROR: connection t: eth0 has no IPv4 address")
        left.add_address("eth0", "10.77.0.1/24")
        daemon.wait_line(r"INFO: connection t: 10\.77\.0\.1/32")
        assert near.ping("10.77.0.2")
        left.run("ip", "address", "flush", "dev", "eth0")
        left.add_address("eth0", "10.77.0.9/24")
        daemon.wait_line(r"INFO: connection t: 10\.77\.0\.9/32")
        assert near.ping("10.77.0.2")
        assert "10.77.0.1" not in near.racoonctl("show-sa", "ipsec")


@contextmanager
def syslog_of(end: Keying) -> Iterator[socket.socket]:
    """The socket that a syslog daemon would read."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        (end.root / "dev").mkdir()
        listening.bind(str(end.root / "dev/log"))
        yield listening


def test_the_manuals_lines_reach_syslog(ends: tuple[Keying, Keying]) -> None:
    near, far = ends
    established = re.compile(
        r"<30>racoon: INFO: ISAKMP-SA established "
        r"10\.77\.0\.1\[500\]-10\.77\.0\.2\[500\] spi:[0-9a-f]{16}:[0-9a-f]{16}"
    )
    lines: list[str] = []

    def read() -> None:
        while not (lines and established.fullmatch(lines[-1])):
            lines.append(syslog.recv(4096).decode())

    with syslog_of(near) as syslog:
        syslog.settimeout(30)
        reading = threading.Thread(target=read)
        reading.start()
        with far.iked(), near.iked():
            assert ping(near)
            reading.join(30)
    assert established.fullmatch(lines[-1])


def test_a_syslog_daemon_that_hangs_costs_lines_and_no_tunnel(
    ends: tuple[Keying, Keying],
) -> None:
    near, far = ends
    with syslog_of(near), far.iked(), near.iked():  # nobody reads
        assert ping(near)


def test_a_flood_of_nonsense_keeps_no_tunnel_from_coming_up(ends: tuple[Keying, Keying]) -> None:
    near, far = ends
    stop = threading.Event()
    junk = [os.urandom(28 + length) for length in range(0, 400, 7)]

    def flood() -> None:
        with far.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stop.is_set():
                for octets in junk:
                    sender.sendto(octets, ("10.77.0.1", 500))
                    sender.sendto(bytes(4) + octets, ("10.77.0.1", 4500))
                    sender.sendto(octets, ("10.77.0.1", 4500))

    with far.iked(), near.iked() as daemon:
        flooding = threading.Thread(target=flood)
        flooding.start()
        try:
            until(lambda: ping(near, 1), within=30)
        finally:
            stop.set()
            flooding.join()
        until(lambda: near.tunnels() >= 1)
        assert ping(near)
        assert len(daemon.text.splitlines()) < 500  # it does not fill the disk with complaints

"""A keying daemon on a real kernel that is killed and started again, under traffic."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from lab import require
from lab.keying import Keying, until
from lab.netns import Namespace, Veth
from lab.process import Process

pytestmark = pytest.mark.kernel

SECRET: Final = "--dst-preshared-key=known to both ends"
FOREIGN: Final = ("src", "10.9.9.1", "dst", "10.9.9.2", "proto", "esp", "spi", "0x1234")
KEYS: Final = ("enc", "cbc(aes)", "0x" + "11" * 16, "auth", "hmac(sha1)", "0x" + "22" * 20)


@pytest.fixture
def ends(wire: Veth, tmp_path: Path) -> tuple[Keying, Keying]:
    """The left one protects 10.1.0.0/24 behind it, the right one 10.2.0.0/24 and 10.3.0.0/24."""
    (left, _), (right, _) = wire.left, wire.right
    left.add_address("lo", "10.1.0.1/24")
    for network in ("10.2.0", "10.3.0"):
        right.add_address("lo", f"{network}.1/24")
        left.add_route(f"{network}.0/24", "10.77.0.2")
    right.add_route("10.1.0.0/24", "10.77.0.1")
    near = Keying(left, tmp_path / "left", {"MGU_DATAPLANE": "kernel"})
    far = Keying(right, tmp_path / "right", {"MGU_DATAPLANE": "kernel"})
    create(near, "t", "10.77.0.2", "10.1.0.0/24", "10.2.0.0/24")
    create(far, "t", "10.77.0.1", "10.2.0.0/24", "10.1.0.0/24")
    return near, far


def create(end: Keying, name: str, peer: str, here: str, there: str) -> None:
    end.ipsec("--create", f"--name={name}", f"--dst-address={peer}", SECRET,
              f"--src-network={here}", f"--dst-network={there}")  # fmt: skip


@contextmanager
def watched(host: Namespace) -> Iterator[Process]:
    """What leaves `host` by eth0: a line for each packet."""
    words = [require.program("tcpdump"), "-l", "-n", "-Q", "out", "-i", "eth0", "esp or icmp"]
    with Process(words, namespace=host, name="tcpdump") as tap:
        tap.wait_line("listening on eth0")
        yield tap


@contextmanager
def pinging(end: Keying) -> Iterator[Process]:
    words = ["ping", "-i", "0.05", "-I", "10.1.0.1", "10.2.0.1"]
    with Process(words, namespace=end.namespace, name="ping") as traffic:
        traffic.wait_line("bytes from 10.2.0.1")
        yield traffic


def comes_up(end: Keying, to: str = "10.2.0.1") -> None:
    """The kernel holds no packets: the first ones are lost, and the tunnel comes up meanwhile."""
    until(lambda: end.ping(to, source="10.1.0.1"), 3)


def states(end: Keying) -> list[str]:
    """Each SA and larval SA, as `ip` shows it."""
    shown = end.namespace.run("ip", "xfrm", "state").stdout
    return [text for text in re.split(r"^(?=src )", shown, flags=re.MULTILINE) if text]


def policies_of(host: Namespace) -> str:
    """As `ip` shows them, without those of sockets."""
    return host.run("ip", "xfrm", "policy", "list", "nosock").stdout


def kill(daemon: Process) -> None:
    daemon.signal(signal.SIGKILL)
    until(lambda: not daemon.running)


def test_nothing_leaves_in_clear_over_a_kill_and_the_next_start_has_traffic_again(
    ends: tuple[Keying, Keying],
) -> None:
    near, far = ends
    host = near.namespace
    host.run("ip", "xfrm", "state", "add", *FOREIGN, "reqid", "7", *KEYS)
    block = ("src", "10.9.0.0/16", "dst", "10.9.9.2/32", "dir", "out", "action", "block")
    host.run("ip", "xfrm", "policy", "add", *block)
    with far.iked(), watched(host) as outgoing, watched(far.namespace) as answers:
        with near.iked() as daemon:
            comes_up(near)
            with pinging(near):
                before = {text.split("\n")[1] for text in states(near)}
                policies = policies_of(host)
                kill(daemon)
                assert policies_of(host) == policies
                with near.iked() as again:
                    again.wait_line(
                        r"WARNING: an earlier daemon was killed: its policies \(1\) "
                        r"are kept, its SAs \(2\) are deleted, as they cannot be renewed"
                    )
                    comes_up(near)
                    assert near.tunnels() == 1
                    assert policies_of(host) == policies
                    after = {text.split("\n")[1] for text in states(near)}
                    assert len(before & after) == 1  # the foreign one
                    assert len(after) == 3
                    for tap in (outgoing, answers):
                        until(lambda tap=tap: "ESP(" in tap.text)  # type: ignore[misc]
                        assert "ICMP" not in tap.text
                until(lambda: "ICMP echo request" in outgoing.text)  # stopped in order
        assert [text.split()[3] for text in states(near)] == ["10.9.9.2"]


@pytest.mark.long
def test_a_connection_that_was_stopped_while_no_daemon_ran_goes_and_others_keep_theirs(
    ends: tuple[Keying, Keying],
) -> None:
    near, _ = ends
    create(near, "u", "10.77.0.2", "10.1.0.0/24", "10.3.0.0/24")
    with near.iked() as daemon:
        reqids = re.findall(r"reqid (\d+)", policies_of(near.namespace))
        assert {int(reqid) for reqid in reqids} == {0x4D470000, 0x4D470001}
        kill(daemon)
    near.ipsec("--remove", "--name=t")
    with near.iked():
        shown = policies_of(near.namespace)
        assert "10.2.0.0/24" not in shown
        assert set(re.findall(r"reqid (\d+)", shown)) == {str(0x4D470001)}
    assert policies_of(near.namespace) == ""


@pytest.mark.long
def test_two_tunnels_to_one_peer_never_use_each_others_sas(ends: tuple[Keying, Keying]) -> None:
    near, far = ends
    create(near, "u", "10.77.0.2", "10.1.0.0/24", "10.3.0.0/24")
    create(far, "u", "10.77.0.1", "10.3.0.0/24", "10.1.0.0/24")
    with far.iked(), near.iked():
        comes_up(near)
        comes_up(near, "10.3.0.1")
        assert near.ping("10.3.0.1", source="10.1.0.1", count=20)
        out = [text for text in states(near) if text.startswith("src 10.77.0.1 ")]
        used = {re.findall(r"reqid (\d+)", text)[0]: spi_packets(near, text) for text in out}
        assert sorted(used) == [str(0x4D470000), str(0x4D470001)]
        assert used[str(0x4D470000)] < 10 < used[str(0x4D470001)]


def spi_packets(end: Keying, state: str) -> int:
    """What the SA of this state has carried."""
    spi = re.findall(r"spi (0x[0-9a-f]+)", state)[0]
    ids = ("src", "10.77.0.1", "dst", "10.77.0.2", "proto", "esp", "spi", spi)
    shown = end.namespace.run("ip", "-s", "xfrm", "state", "get", *ids).stdout
    return int(re.findall(r"(\d+)\(packets\)", shown)[-1])


@pytest.mark.long
def test_what_tells_our_sas_apart_changes_no_route_and_no_mark_of_a_packet(
    ends: tuple[Keying, Keying],
) -> None:
    """With an output mark, even of mask 0, Linux would route the tunnel by the mark inside."""
    near, far = ends
    with far.iked(), near.iked():
        comes_up(near)
        shown = near.namespace.run("ip", "-s", "xfrm", "state").stdout
        numbers = re.findall(r"\bseq 0x(\d+)", shown)  # decimal, whatever is before it
        assert sum(int(number) >> 16 == 0x4D47 for number in numbers) == 2
        rule = ("fwmark", "5", "to", "10.77.0.2", "priority", "100")
        near.namespace.run("ip", "rule", "add", *rule, "unreachable")
        ping = ("ping", "-m", "5", "-c", "3", "-i", "0.1", "-W", "2", "-I", "10.1.0.1", "10.2.0.1")
        assert ", 0% packet loss" in near.namespace.run(*ping).stdout
        near.namespace.run("ip", "rule", "delete", "priority", "100")


@pytest.mark.long
def test_after_a_failed_negotiation_a_mended_key_is_tried_by_the_next_packet(
    ends: tuple[Keying, Keying],
) -> None:
    near, far = ends
    near.edit("etc/racoon/psk.txt", "known to both ends", "another")
    with far.iked(), near.iked() as daemon:
        assert not near.ping("10.2.0.1", 1, source="10.1.0.1")
        daemon.wait_line("ERROR: .*pre-shared key")
        until(lambda: not larval(near), 3)
        near.edit("etc/racoon/psk.txt", "another", "known to both ends")
        daemon.signal(signal.SIGHUP)
        daemon.wait_line("configuration read again")
        near.ping("10.2.0.1", 1, source="10.1.0.1")
        until(lambda: near.tunnels() == 1, 5)


def larval(end: Keying) -> list[str]:
    """What ACQUIREs left."""
    return [text for text in states(end) if "spi 0x00000000" in text]


@pytest.mark.long
def test_what_nobody_answered_before_the_start_or_the_stop_is_in_nobodys_way(
    ends: tuple[Keying, Keying],
) -> None:
    near, far = ends
    with near.iked() as daemon:
        assert not near.ping("10.2.0.1", 1, source="10.1.0.1")  # there is no peer
        assert larval(near)
        kill(daemon)
    assert larval(near)
    with far.iked(), near.iked():
        comes_up(near)
    with near.iked():
        assert not near.ping("10.2.0.1", 1, source="10.1.0.1")
        assert larval(near)
    assert not states(near)

"""The userspace data path's daemon is killed under traffic, and started again.

Its TUN device dies with it, and the routes into it. What protects must not.
"""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from lab import require
from lab.keying import Keying, until
from lab.netns import CommandFailed, Namespace, Veth
from lab.process import Process
from xfrm.tun.guard import TABLE
from xfrm.tun.outer import MARK

pytestmark = pytest.mark.interop

SECRET: Final = "--dst-preshared-key=shared by both"
STARTS: Final = 3


@pytest.fixture
def ends(wire: Veth, tmp_path: Path) -> tuple[Keying, Keying]:
    """The left one protects 10.1.0.0/24 behind it, the right one 10.2.0.0/24 and 10.3.0.0/24; in
    clear there is a way, too.
    """
    (left, _), (right, _) = wire.left, wire.right
    left.add_address("lo", "10.1.0.1/24")
    right.add_route("10.1.0.0/24", "10.77.0.1")
    for number in (2, 3):
        right.add_address("lo", f"10.{number}.0.1/24")
        left.add_route(f"10.{number}.0.0/24", "10.77.0.2")
    near = Keying(left, tmp_path / "left", {"MGU_DATAPLANE": "userspace"})
    far = Keying(right, tmp_path / "right", {"MGU_DATAPLANE": "userspace"})
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
    """500 packets a second."""
    words = ["ping", "-i", "0.002", "-I", "10.1.0.1", "10.2.0.1"]
    with Process(words, namespace=end.namespace, name="ping") as traffic:
        traffic.wait_line("bytes from 10.2.0.1")
        yield traffic


def in_clear(sender: Keying, to: str) -> None:
    """Three packets past the data path of their sender."""
    options = ("-m", str(MARK), "-c", "3", "-i", "0.05", "-W", "1", "-I", "10.2.0.1")
    sender.namespace.run("ping", *options, to, check=False)


def kill(daemon: Process) -> None:
    daemon.signal(signal.SIGKILL)
    until(lambda: not daemon.running)


def works(end: Keying) -> bool:
    return end.ping("10.2.0.1", source="10.1.0.1")


def ways(end: Keying) -> str:
    return end.namespace.run("ip", "route", "show", "table", "4500", check=False).stdout


def refusals(end: Keying) -> str:
    try:
        return end.namespace.run(require.program("nft"), "list", "table", "inet", TABLE).stdout
    except CommandFailed:
        return ""


@pytest.mark.long
def test_nothing_leaves_or_comes_in_clear_over_kills_and_each_start_has_traffic_again(
    ends: tuple[Keying, Keying],
) -> None:
    near, far = ends
    with far.iked(), watched(near.namespace) as outgoing:
        with near.iked() as daemon:
            assert works(near)
            traffic = pinging(near)
            with traffic:
                kill(daemon)
                for _ in range(STARTS):
                    in_clear(far, "10.1.0.1")
                    assert re.search(r"packets [1-9]\d* bytes \d+ drop", refusals(near))
                    with near.iked() as again:
                        again.wait_line("an earlier daemon was killed: its policies")
                        until(lambda: works(near), 5)
                        in_clear(far, "10.1.0.1")
                        kill(again)
                with near.iked():
                    until(lambda: works(near), 5)
                    until(lambda: "ESP(" in outgoing.text)
                    assert "ICMP" not in outgoing.text
        assert ways(near) + refusals(near) == ""
        works(near)  # the control: stopped in order, it lets everything pass again
        until(lambda: "ICMP echo request" in outgoing.text)


def test_what_was_stopped_while_no_daemon_ran_is_open_after_the_next_start_and_nothing_before(
    ends: tuple[Keying, Keying],
) -> None:
    near, _ = ends
    create(near, "u", "10.77.0.2", "10.1.0.0/24", "10.3.0.0/24")
    with near.iked() as daemon:
        kill(daemon)
    near.ipsec("--remove", "--name=u")
    for network in ("10.2.0.0", "10.3.0.0"):
        assert f"unreachable {network}/24" in ways(near)
        assert network in refusals(near)
    with near.iked():
        assert "10.2.0.0/24 dev mgu0" in ways(near)
        assert "10.3.0.0" not in ways(near) + refusals(near)
        assert near.ping("10.3.0.1", source="10.1.0.1")
    assert ways(near) + refusals(near) == ""


def test_a_connection_that_is_stopped_while_no_daemon_runs_lets_its_traffic_pass(
    ends: tuple[Keying, Keying],
) -> None:
    near, _ = ends
    create(near, "u", "10.77.0.2", "10.1.0.0/24", "10.3.0.0/24")
    with near.iked() as daemon:
        kill(daemon)
    assert not near.ping("10.2.0.1", source="10.1.0.1")
    assert "until 'mgu up tunnel'" in near.ipsec("--stop", "--name=u")
    assert not near.ping("10.3.0.1", source="10.1.0.1")
    assert "mgu up" not in near.ipsec("--stop", "--name=t")
    assert ways(near) + refusals(near) == ""
    assert near.ping("10.2.0.1", source="10.1.0.1")


@pytest.mark.long
def test_taking_the_tunnel_down_opens_what_a_killed_daemon_has_left_blocked(
    ends: tuple[Keying, Keying],
) -> None:
    near, _ = ends
    with near.iked() as daemon:
        near.run("down", "tunnel")  # it is no service's, and is none of its business
        assert daemon.running
        kill(daemon)
    assert not near.ping("10.2.0.1", source="10.1.0.1")
    near.run("down", "tunnel")
    assert ways(near) + refusals(near) == ""
    assert near.ping("10.2.0.1", source="10.1.0.1")


def test_nothing_leaves_in_clear_while_a_connection_changes(ends: tuple[Keying, Keying]) -> None:
    near, far = ends
    conf = "etc/sysconf/network-scripts/ifcfg-t"
    with far.iked(), near.iked() as daemon, watched(near.namespace) as outgoing:
        assert works(near)
        with pinging(near):
            for old, new in (("10.77.0.2", "10.77.0.9"), ("10.77.0.9", "10.77.0.2")) * STARTS:
                near.edit(conf, f"DST={old}", f"DST={new}")
                near.racoonctl("reload-config")
                daemon.wait_line("INFO: configuration read again")
            until(lambda: works(near), 5)
        assert "ESP(" in outgoing.text
        assert "ICMP" not in outgoing.text


def test_without_the_memory_of_its_policies_what_was_routed_stays_blocked_until_an_orderly_stop(
    ends: tuple[Keying, Keying],
) -> None:
    near, _ = ends
    create(near, "u", "10.77.0.2", "10.1.0.0/24", "10.3.0.0/24")
    with near.iked() as daemon:
        kill(daemon)
    near.ipsec("--remove", "--name=u")
    near.namespace.run(require.program("nft"), "flush", "ruleset")
    with near.iked() as daemon:
        assert "WARNING: 10.2.0.0/24, 10.3.0.0/24: protected by an earlier process" in daemon.text
        assert "unreachable 10.3.0.0/24" in ways(near)
        assert "10.2.0.0/24 dev mgu0" in ways(near)
    assert ways(near) == ""


def test_the_policy_of_a_peer_outlives_a_kill_and_is_the_next_daemons_to_remove(
    ends: tuple[Keying, Keying],
) -> None:
    near, far = ends
    near.ipsec("--stop", "--name=t")
    remote = "etc/racoon/remote-10.77.0.2.conf"
    near.edit(remote, "nat_traversal on;", "nat_traversal on; generate_policy on;")
    with (near.root / "etc/racoon.conf").open("a") as conf:
        conf.write(
            "sainfo address 10.1.0.0/24 any address 10.2.0.0/24 any {\n"
            "  encryption_algorithm aes 128; authentication_algorithm hmac_sha1;\n"
            "  compression_algorithm deflate;\n}\n"
        )
    with far.iked():
        with near.iked() as daemon:
            until(lambda: far.ping("10.1.0.1", source="10.2.0.1"), 5)
            kill(daemon)
        in_clear(far, "10.1.0.1")
        assert "unreachable 10.2.0.0/24" in ways(near)
        assert re.search(r"packets [1-9]\d* bytes \d+ drop", refusals(near))
        with near.iked() as again:
            again.wait_line(r"its policies \(1\) are kept")
            assert "10.2.0.0/24 dev mgu0" in ways(near)
            far.racoonctl("vpn-disconnect", "10.77.0.1")
            until(lambda: far.ping("10.1.0.1", source="10.2.0.1"), 5)
            assert near.tunnels() == 1
    assert ways(near) + refusals(near) == ""


def test_a_rule_of_another_version_goes_when_ours_is_there(ends: tuple[Keying, Keying]) -> None:
    near, _ = ends
    rule = ("rule", "add", "not", "fwmark", "0x4d4755", "priority", "450", "table", "4500")
    near.namespace.run("ip", *rule)
    with near.iked():
        shown = near.namespace.run("ip", "rule", "list", "priority", "450").stdout
        assert len(shown.splitlines()) == 1
        assert "/0x" in shown
    assert near.namespace.run("ip", "rule", "list", "priority", "450").stdout == ""

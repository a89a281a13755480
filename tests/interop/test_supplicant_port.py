"""`mgu supplicant` on an interface: its frames, its rivals, its privileges, its end."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eapol import eap
from eapol.aio.driver import Supervisor
from eapol.config import Config, text
from eapol.eap import EapType
from eapol.frame import ETHERTYPE, PAE_GROUP_ADDRESS, Frame, PacketType
from lab.gateway import debians, network, short_folder, supplicant
from lab.netns import Namespace, Veth
from lab.pki import site
from lab.process import Process
from lab.switch import switch
from mgu.wpa_ctrl import Client

pytestmark = pytest.mark.interop

ANSWER = bytes(Frame(PacketType.EAP_PACKET, bytes(eap.response(7, EapType.IDENTITY, b"gw-0001"))))
VLAN_0 = bytes.fromhex("81000000")


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_both_of_our_ends_open_the_port(wire: Veth, tmp_path: Path, version: str) -> None:
    wanted = network(tmp_path, site())
    with (
        switch(wire.right[0], tmp_path, site(), "--tls-max", version) as port,
        supplicant(wire.left[0], wanted) as gateway,
    ):
        assert gateway.authorized()["eap_tls_version"] == version
        port.wait_line(f"^authorized b'gw-0001' .*{version}")


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_debians_wpa_supplicant_opens_the_port_of_our_switch(
    wire: Veth, tmp_path: Path, version: str
) -> None:
    wanted = network(tmp_path, site(depth=4))
    phase1 = f"tls_disable_tlsv1_3={int(version == 'TLSv1.2')}"
    with (
        switch(wire.right[0], tmp_path, site(depth=4), "--fragment", "500") as port,
        debians(wire.left[0], wanted, phase1) as gateway,
    ):
        assert gateway.authorized(within=20.0)["eap_tls_version"] == version
        port.wait_line("^authorized b'gw-0001'")
        assert gateway.ask("REAUTHENTICATE") == "OK\n"
        port.wait_line("resumed=True")


def test_the_example_of_the_documentation_opens_the_port(wire: Veth, tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "supplicant.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    (tmp_path / "wpa_supplicant.conf").write_text(
        text(Config(networks=(network(tmp_path, site()),)))
    )
    moved = f"import os; os.chdir({str(tmp_path)!r})\n{example}"
    with switch(wire.right[0], tmp_path, site()) as port:
        argv = [sys.executable, "-W", "error", "-c", moved]
        with Process(argv, namespace=wire.left[0], name="example") as program:
            program.wait_line("^open, with 64 octets of MSK")
            port.wait_line("^unauthorized")


def asked(wire: Veth, destination: bytes, tag: bytes = b"") -> bytes:
    """What the gateway sends when the switch asks for its identity in such a frame."""
    namespace, interface = wire.right
    with namespace.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((interface, ETHERTYPE))
        link.settimeout(5.0)
        own = link.getsockname()[4]
        request = bytes(Frame(PacketType.EAP_PACKET, bytes(eap.request(7, EapType.IDENTITY))))
        head = destination + own + tag + ETHERTYPE.to_bytes(2, "big")
        link.send((head + request).ljust(60, b"\0"))
        while True:
            received = link.recv(2000)
            assert received[:6] == PAE_GROUP_ADDRESS
            if Frame.parse(received[14:]).packet_type != PacketType.START:
                return received[14 : 14 + len(ANSWER)]


def test_requests_to_the_group_to_us_and_to_all_are_answered_tagged_with_vlan_0_or_not(
    wire: Veth, tmp_path: Path
) -> None:
    with supplicant(wire.left[0], network(tmp_path, site())) as gateway:
        own = bytes.fromhex(gateway.status()["address"].replace(":", ""))
        for destination in (PAE_GROUP_ADDRESS, own, b"\xff" * 6):
            for tag in (b"", VLAN_0):
                assert asked(wire, destination, tag)[1:] == ANSWER[1:], (destination, tag)


def test_a_broken_renewal_is_reported_and_what_was_read_before_stays_in_use(
    wire: Veth, tmp_path: Path
) -> None:
    wanted = network(tmp_path, site())
    with (
        switch(wire.right[0], tmp_path, site()) as port,
        supplicant(wire.left[0], wanted) as gateway,
    ):
        gateway.authorized()
        Path(wanted.client_cert or "").write_text("half a cert")
        assert gateway.ask("REAUTHENTICATE") == "OK\n"
        port.wait_line("resumed=True")
        gateway.process.wait_line("holds no X.509 certificate .* the file read before stays in use")
        gateway.authorized()
        (gateway.folder / "conf").write_text("network={\n")
        assert gateway.ask("RECONFIGURE") == "FAIL\n"
        assert gateway.status()["suppPortStatus"] == "Authorized"


def test_a_hangup_has_the_configuration_read_again(wire: Veth, tmp_path: Path) -> None:
    with (
        switch(wire.right[0], tmp_path, site()) as port,
        supplicant(wire.left[0], network(tmp_path, site())) as gateway,
    ):
        gateway.authorized()
        conf = gateway.folder / "conf"
        good = conf.read_text()
        conf.write_text("network={\n")
        os.kill(gateway.process.pid, signal.SIGHUP)
        gateway.process.wait_line("block is never closed.* what was read before stays in use")
        gateway.authorized()
        conf.write_text(good.replace("gw-0001", "gw-0002"))
        os.kill(gateway.process.pid, signal.SIGHUP)
        port.wait_line("^authorized b'gw-0002'")
        gateway.authorized()


def test_a_flood_of_requests_and_noise_leaves_it_at_work(wire: Veth, tmp_path: Path) -> None:
    namespace, interface = wire.right
    with (
        switch(namespace, tmp_path, site()),
        supplicant(wire.left[0], network(tmp_path, site()), "-q") as gateway,
    ):
        gateway.authorized()
        with namespace.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as link:
            link.bind((interface, ETHERTYPE))
            to_all = (interface, ETHERTYPE, 0, 0, PAE_GROUP_ADDRESS)
            for number in range(20_000):
                asked = bytes(eap.request(number & 0xFF, EapType.IDENTITY))
                octets = bytes(Frame(PacketType.EAP_PACKET, asked))
                link.sendto(octets if number % 2 else os.urandom(40), to_all)
        assert gateway.ask("PING") == "PONG\n"
        assert gateway.ask("REASSOCIATE") == "OK\n"
        gateway.authorized(within=40.0)


def run(namespace: Namespace, *words: str) -> subprocess.CompletedProcess[str]:
    return namespace.run(sys.executable, "-m", "mgu.main", "supplicant", *words, check=False)


def test_another_supplicant_on_the_interface_is_named(wire: Veth, tmp_path: Path) -> None:
    wanted = network(tmp_path, site())
    with debians(wire.left[0], wanted) as rival:
        result = run(wire.left[0], "-i", "eth0", "-c", str(rival.folder / "conf"))
        assert result.returncode == 1
        assert "eth0: wpa_supplicant (process " in result.stderr
        assert "kill " in result.stderr


def test_each_refusal_is_immediate_and_one_sentence(wire: Veth, tmp_path: Path) -> None:
    wanted = network(tmp_path, site())
    conf = tmp_path / "conf"
    conf.write_text(text(Config(networks=(wanted,))))
    begun = time.monotonic()
    result = run(wire.left[0], "-i", "eth0", "-c", str(tmp_path / "absent"))
    assert result.returncode == 1
    assert f"{tmp_path / 'absent'}: cannot be read" in result.stderr
    result = run(wire.left[0], "-i", "eth0", "-c", str(conf), "--key-log", "/proc/no/file")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert ": /proc/no" in result.stderr
    assert "Errno" not in result.stderr
    assert run(wire.left[0], "-i", "eth0", "-D", "nl80211").returncode == 64
    assert time.monotonic() - begun < 12.0


def test_an_interface_that_is_missing_is_waited_for_and_brought_up(
    wire: Veth, tmp_path: Path
) -> None:
    left, right = wire.left[0], wire.right[0]
    left.run("ip", "link", "delete", "eth0")
    with supplicant(left, network(tmp_path, site())) as gateway:
        shown = gateway.until(wpa_state="DISCONNECTED")
        assert shown["last_failure"] == (
            "eth0: there is no such interface; there are: none; waiting for eth0"
        )
        assert shown["address"] == "00:00:00:00:00:00"
        Veth((left, "late0"), (right, "eth0"))
        left.run("ip", "link", "set", "late0", "down")
        left.run("ip", "link", "set", "late0", "name", "eth0")
        with switch(right, tmp_path, site()):
            shown = gateway.authorized()
            assert shown["address"] != "00:00:00:00:00:00"
            assert "last_failure" not in shown


def test_a_link_that_was_down_for_a_moment_is_authenticated_again(
    wire: Veth, tmp_path: Path
) -> None:
    left = wire.left[0]
    with (
        switch(wire.right[0], tmp_path, site()),
        supplicant(left, network(tmp_path, site())) as gateway,
    ):
        gateway.authorized()
        left.run("ip", "-batch", "-", stdin="link set eth0 down\nlink set eth0 up\n")
        gateway.process.wait_line("CTRL-EVENT-DISCONNECTED")
        gateway.authorized()


def test_files_that_are_missing_or_broken_are_waited_for_and_named_in_the_status(
    wire: Veth, tmp_path: Path
) -> None:
    wanted = network(tmp_path, site())
    key = Path(wanted.private_key or "")
    good = key.read_bytes()
    key.unlink()
    with (
        switch(wire.right[0], tmp_path, site()),
        supplicant(wire.left[0], wanted) as gateway,
    ):
        shown = gateway.until(wpa_state="DISCONNECTED")
        assert shown["last_failure"].startswith(
            f"{key}: cannot be read (No such file or directory); private_key names it;"
        )
        assert shown["last_failure"].endswith("; waiting for the file to change")
        key.write_text("half a key")
        key.chmod(0o600)
        gateway.process.wait_line("holds no private key that can be read .*; waiting for the file")
        begun = time.monotonic()
        key.write_bytes(good)
        assert "last_failure" not in gateway.authorized()
        assert time.monotonic() - begun < 3.0


@pytest.mark.parametrize("kind", ["fifo", "device", "endless"])
def test_a_file_that_is_none_stalls_nothing(wire: Veth, tmp_path: Path, kind: str) -> None:
    wanted = network(tmp_path, site())
    with (
        switch(wire.right[0], tmp_path, site()),
        supplicant(wire.left[0], wanted) as gateway,
    ):
        gateway.authorized()
        bad = tmp_path / "bad"
        if kind == "fifo":
            os.mkfifo(bad)
        else:
            bad.symlink_to("/dev/zero" if kind == "endless" else "/dev/tty")
        begun = time.monotonic()
        for command in (f'SET_NETWORK 0 ca_cert "{bad}"', "REASSOCIATE"):
            answer = gateway.ask(command)
        assert answer == "FAIL\n"
        assert time.monotonic() - begun < 1.0
        gateway.process.wait_line(f"control interface: REASSOCIATE: {bad}: cannot be read")
        gateway.authorized()


def test_a_renewed_key_of_another_user_is_read_after_the_privilege_drop(
    wire: Veth, tmp_path: Path
) -> None:
    wanted = network(tmp_path, site())
    key = Path(wanted.private_key or "")
    os.chown(key, 12345, 12345)
    key.chmod(0o600)
    with (
        switch(wire.right[0], tmp_path, site()),
        supplicant(wire.left[0], wanted) as gateway,
    ):
        gateway.authorized()
        key.write_bytes(key.read_bytes() + b"\n")
        gateway.ask("REAUTHENTICATE")
        gateway.process.wait_line("certificate files changed and were read again")
        gateway.authorized()


def test_the_right_date_ends_held_at_once(wire: Veth, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    twenty_years = 20 * 365 * 86_400 * 10**9
    clock.write_text(f"-{twenty_years}")
    with (
        switch(wire.right[0], tmp_path, site()),
        supplicant(
            wire.left[0], network(tmp_path, site()), env={"MGU_CLOCK": str(clock)}
        ) as gateway,
    ):
        shown = gateway.held()
        assert "not yet valid" in shown["last_failure"]
        assert "is not valid before" in shown["certificate_fault"]
        assert "localNTP -a -n ADDRESS" in shown["certificate_fault"]
        clock.write_text("0")
        gateway.process.wait_line("the date was set; it is .*; trying again")
        shown = gateway.until(Supplicant_PAE_state="CONNECTING")
        assert "certificate_fault" not in shown


def test_a_client_that_asks_without_end_delays_no_frame(wire: Veth, tmp_path: Path) -> None:
    with (
        switch(wire.right[0], tmp_path, site(), "--reauth", "0.2") as port,
        supplicant(wire.left[0], network(tmp_path, site()), "-q") as gateway,
    ):
        gateway.authorized()
        begun = port.text.count("\nauthorized ")
        before = memory(gateway.process.pid)
        end = time.monotonic() + 4.0
        with Client(gateway.folder, "eth0") as flood, Client(gateway.folder, "eth0") as deaf:
            assert deaf.request("ATTACH") == "OK\n"
            refused = 0
            while time.monotonic() < end:
                refused += flood.request("SET EAPOL::heldPeriod 60") == "FAIL\n"
        assert port.text.count("\nauthorized ") - begun >= 10
        assert memory(gateway.process.pid) - before < 4096  # kB
        gateway.authorized()


def memory(pid: int) -> int:
    """kB in memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def test_without_root_the_exit_code_says_so(wire: Veth, tmp_path: Path) -> None:
    wanted = network(tmp_path, site())
    conf = tmp_path / "conf"
    conf.write_text(text(Config(networks=(wanted,))))
    drop = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    command = [sys.executable, "-m", "mgu.main", "supplicant", "-i", "eth0", "-c", str(conf)]
    result = wire.left[0].run(*drop, *command, check=False)
    assert (result.returncode, "needs root" in result.stderr) == (4, True)


def test_only_two_capabilities_are_left_and_secrets_are_for_root(
    wire: Veth, tmp_path: Path
) -> None:
    log = tmp_path / "keys.log"
    with (
        switch(wire.right[0], tmp_path, site()),
        supplicant(wire.left[0], network(tmp_path, site()), "--key-log", str(log)) as gateway,
    ):
        gateway.authorized()
        status = Path(f"/proc/{gateway.process.pid}/status").read_text()
        assert "CapEff:\t0000000000002004\n" in status  # CAP_NET_RAW, CAP_DAC_READ_SEARCH
        assert "CapBnd:\t0000000000002004\n" in status
        assert "NoNewPrivs:\t1\n" in status
        mounts = Path(f"/proc/{gateway.process.pid}/mounts").read_text().splitlines()
        writable = {line.split()[1] for line in mounts if "rw" in line.split()[3].split(",")}
        assert writable == {str(gateway.folder), str(tmp_path)}
        assert log.stat().st_mode & 0o777 == 0o600
        assert b"CLIENT_TRAFFIC_SECRET_0 " in log.read_bytes()


def test_an_interface_that_was_taken_away_and_came_back_is_authenticated_again(
    wire: Veth, tmp_path: Path
) -> None:
    left, right = wire.left[0], wire.right[0]
    with supplicant(left, network(tmp_path, site())) as gateway:
        with switch(right, tmp_path, site()):
            gateway.authorized()
        left.run("ip", "link", "delete", "eth0")
        gateway.until(wpa_state="DISCONNECTED")
        Veth((left, "eth0"), (right, "eth0"))
        with switch(right, tmp_path, site()):
            gateway.authorized()


def test_it_goes_to_the_background_when_its_sockets_serve_and_ends_on_terminate(
    wire: Veth, tmp_path: Path
) -> None:
    with short_folder() as folder, switch(wire.right[0], tmp_path, site()) as port:
        conf, pidfile, log = tmp_path / "conf", tmp_path / "pid", tmp_path / "log"
        wanted = network(tmp_path, site())
        conf.write_text(text(Config(networks=(wanted,))))
        words = ["-B", "-P", str(pidfile), "-f", str(log), "-C", str(folder)]
        assert run(wire.left[0], "-i", "eth0", "-c", str(conf), *words).returncode == 0
        pid = int(pidfile.read_text())
        assert Path(f"/proc/{pid}").exists()
        port.wait_line("^authorized")
        with Client(folder, "eth0") as client:
            assert client.request("TERMINATE") == "OK\n"
        port.wait_line("^unauthorized")
        limit = time.monotonic() + 5.0
        while pidfile.exists():
            assert time.monotonic() < limit
            time.sleep(0.01)
        assert not (folder / "eth0").exists()
        assert "CTRL-EVENT-TERMINATING" in log.read_text()


def test_no_logoff_leaves_the_port_open_at_the_switch(wire: Veth, tmp_path: Path) -> None:
    with switch(wire.right[0], tmp_path, site()) as port:
        with supplicant(wire.left[0], network(tmp_path, site()), "--no-logoff") as gateway:
            gateway.authorized()
            gateway.process.signal(signal.SIGTERM)
            while gateway.process.running:
                time.sleep(0.01)
        assert "unauthorized" not in port.text


async def test_a_program_waits_for_its_port_and_has_its_keys(wire: Veth, tmp_path: Path) -> None:
    config = Config(networks=(network(tmp_path, site()),), eapol_version=2)
    with switch(wire.right[0], tmp_path, site()) as port:
        with wire.left[0].entered():
            supervisor = Supervisor("eth0", lambda: config, date=lambda: datetime.now(UTC))
        async with supervisor, asyncio.timeout(10.0):
            keys = await supervisor.authorized()
            assert keys.msk is not None
            assert len(keys.msk) == 64
            await supervisor.end()
        port.wait_line("^unauthorized")

"""The control interface beside the real one: Debian's wpa_cli and wpa_supplicant, and ours.

What the two supplicants say is compared at the same port of the same switch.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eapol.settings import Network
from lab import require
from lab.gateway import Supplicant, debians, network, short_folder, supplicant, wait
from lab.netns import Veth
from lab.peers.freeradius import Settings, freeradius
from lab.peers.hostapd import Hostapd, hostapd
from lab.pki import KeyKind, site, write
from lab.process import Process
from mgu.wpa_ctrl import fields

pytestmark = pytest.mark.interop


@contextmanager
def switch(wire: Veth, folder: Path, max_version: str = "1.2") -> Iterator[Hostapd]:
    made = site(KeyKind.RSA_2048)
    settings = Settings(server=made.server, ca=made.root, max_version=max_version)
    with freeradius(wire.right[0], settings), hostapd(wire.right[0], folder) as port:
        yield port


def usual(folder: Path) -> Network:
    return network(folder, site(KeyKind.RSA_2048))


def real(running: Supplicant, *words: str) -> str:
    """What Debian's wpa_cli prints."""
    program = require.program("wpa_cli")
    argv = [program, "-p", str(running.folder), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True).stdout


def ours(running: Supplicant, *words: str) -> str:
    """What our wpa_cli prints."""
    argv = [sys.executable, "-m", "mgu.main", "wpa_cli", "-p", str(running.folder), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True).stdout


QUESTIONS = (
    "PING",
    "LIST_NETWORKS",
    "IFNAME",
    "INTERFACES",
    "DRIVER_FLAGS",
    "SIGNAL_POLL",
    "STA-FIRST",
    "BSS RANGE=ALL MASK=0x2",
    "BLACKLIST",
    "SCAN_RESULTS",
    "PMKSA",
    "LIST_CREDS",
    "LEVEL 1",
    "NOTE hello",
    "RELOG",
    "LOG_LEVEL NONSENSE",
    "GET_NETWORK 0 identity",
    "GET_NETWORK 0 key_mgmt",
    "GET_NETWORK 0 eap",
    "GET_NETWORK 0 private_key_passwd",
    "GET_NETWORK 0 anonymous_identity",
    "GET_NETWORK 1 identity",
    "GET_NETWORK 0 nonsense",
    'SET_NETWORK 0 anonymous_identity "x"',
    "GET_NETWORK 0 anonymous_identity",
    "SET_NETWORK 0 nonsense 1",
    "SET EAPOL::heldPeriod 60",
    "SET EAPOL::nonsense 1",
    "SAVE_CONFIG",
    "nonsense",
)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_both_supplicants_answer_alike(wire: Veth, tmp_path: Path, version: str) -> None:
    """STATUS, STATUS-VERBOSE and MIB: the same names in the same order, the same values."""
    wanted = usual(tmp_path)
    theirs_runs = debians(wire.left[0], wanted, f"tls_disable_tlsv1_3={int(version == '1.2')}")
    said: list[dict[str, str]] = []
    for runs in (theirs_runs, supplicant(wire.left[0], wanted)):
        with switch(wire, tmp_path, version) as port, runs as running:
            port.authorized()
            running.authorized()
            answers: dict[str, str] = {}
            for question in ("STATUS", "STATUS-VERBOSE", "MIB"):
                values = fields(running.ask(question))
                answers |= {**values, f"names in {question}": " ".join(values)}
            for question in QUESTIONS:  # SET_NETWORK has wpa_supplicant forget the TLS session
                answers[question] = running.ask(question)
            said.append(answers)
    theirs, own = said
    different = {
        name: (theirs[name], own.get(name)) for name in theirs if theirs[name] != own.get(name)
    }
    allowed = {
        "eap_session_id",  # random
        "dot1xSuppLastEapolFrameSource",  # hostapd was started twice
    }
    if version == "1.3":  # 2.10 does not know the protected success of RFC 9190, 2.1.1
        allowed |= {"methodState", "decision"}
    assert different.keys() <= allowed, different


def test_debians_wpa_cli_prints_the_manuals_lines(wire: Veth, tmp_path: Path) -> None:
    with switch(wire, tmp_path) as port, supplicant(wire.left[0], usual(tmp_path)) as gateway:
        port.authorized()
        gateway.authorized()
        lines = real(gateway, "status").splitlines()
        manual = [
            "Selected interface 'eth0'",
            "bssid=01:80:c2:00:00:03",
            "freq=0",
            "ssid=",
            "id=0",
            "mode=station",
            "pairwise_cipher=NONE",
            "group_cipher=NONE",
            "key_mgmt=IEEE 802.1X (no WPA)",
            "wpa_state=COMPLETED",
            "ip_address=10.77.0.1",
            "Supplicant PAE state=AUTHENTICATED",
            "suppPortStatus=Authorized",
            "EAP state=SUCCESS",
            "selectedMethod=13 (EAP-TLS)",
        ]
        assert [line for line in lines if line in manual] == manual
        assert any(line.startswith("EAP TLS cipher=ECDHE-RSA-") for line in lines)
        for words in (("-i", "eth0", "status", "verbose"), ("-i", "eth0", "mib"), ("ping",)):
            assert real(gateway, *words) == ours(gateway, *words)


def test_debians_wpa_cli_controls_our_supplicant(wire: Veth, tmp_path: Path) -> None:
    with switch(wire, tmp_path) as port, supplicant(wire.left[0], usual(tmp_path)) as gateway:
        port.authorized()
        gateway.authorized()
        assert real(gateway, "-i", "eth0", "reauthenticate") == "OK\n"
        gateway.process.wait_line("CTRL-EVENT-EAP-STARTED")
        gateway.process.wait_line("CTRL-EVENT-EAP-SUCCESS")
        assert real(gateway, "-i", "eth0", "disconnect") == "OK\n"
        gateway.until(wpa_state="DISCONNECTED")
        assert real(gateway, "-i", "eth0", "reconnect") == "OK\n"
        gateway.authorized()
        assert real(gateway, "-i", "eth0", "set", "EAPOL::heldPeriod", "5") == "OK\n"
        assert gateway.status()["heldPeriod"] == "5"
        assert real(gateway, "-i", "eth0", "reconfigure") == "OK\n"
        gateway.authorized()
        assert real(gateway, "-i", "eth0", "terminate") == "OK\n"
        wait_for_end(gateway)


def wait_for_end(running: Supplicant) -> None:
    limit = time.monotonic() + 5
    while running.process.running:
        assert time.monotonic() < limit
        time.sleep(0.01)
    assert running.process.exit_code == 0


def test_debians_wpa_cli_shows_our_events_in_its_interactive_mode(
    wire: Veth, tmp_path: Path
) -> None:
    with switch(wire, tmp_path) as port, supplicant(wire.left[0], usual(tmp_path)) as gateway:
        port.authorized()
        gateway.authorized()
        argv = [require.program("wpa_cli"), "-p", str(gateway.folder), "-i", "eth0"]
        shown = tmp_path / "shown"
        with shown.open("wb") as output:
            cli = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=output)
            assert cli.stdin is not None
            try:
                wait(lambda: "Interactive mode" in shown.read_text(), gateway.process)
                cli.stdin.write(b"reauthenticate\n")
                cli.stdin.flush()
                wait(lambda: "CTRL-EVENT-EAP-SUCCESS" in shown.read_text(), gateway.process)
                cli.stdin.write(b"quit\n")
                cli.stdin.close()
                assert cli.wait(5) == 0
            finally:
                cli.kill()
                cli.wait()
        text = shown.read_text()
        assert "<3>CTRL-EVENT-EAP-STARTED EAP authentication started" in text
        assert (
            "<3>CTRL-EVENT-EAP-PEER-CERT depth=1 subject='/O=Branch Office Lab/CN=Test Root'"
            in text
        )


def test_debians_wpa_cli_runs_its_script_on_our_events(wire: Veth, tmp_path: Path) -> None:
    script, said = tmp_path / "script", tmp_path / "said"
    script.write_text(f'#!/bin/sh\necho "$1 $2 id=$WPA_ID" >> {said}\n')
    script.chmod(0o755)
    with supplicant(wire.left[0], usual(tmp_path)) as gateway:
        words = ["-p", str(gateway.folder), "-i", "eth0", "-a", str(script)]
        with (
            Process([require.program("wpa_cli"), *words], name="wpa_cli") as cli,
            switch(wire, tmp_path) as port,
        ):
            gateway.ask("REASSOCIATE")
            port.authorized()
            wait(lambda: said.exists() and "CONNECTED id=0" in said.read_text(), cli)
            gateway.ask("LOGOFF")
            wait(lambda: "eth0 DISCONNECTED" in said.read_text(), cli)
            gateway.ask("TERMINATE")
            wait(lambda: not gateway.process.running, cli)
    assert said.read_text().splitlines() == ["eth0 CONNECTED id=0", "eth0 DISCONNECTED id=0"]


def test_our_wpa_cli_asks_debians_wpa_supplicant(wire: Veth, tmp_path: Path) -> None:
    with switch(wire, tmp_path) as port, debians(wire.left[0], usual(tmp_path)) as running:
        port.authorized()
        running.authorized()
        for words in (("status",), ("-i", "eth0", "status", "verbose"), ("mib",), ("ping",)):
            assert ours(running, *words) == real(running, *words)
        assert ours(running, "-i", "eth0", "reauthenticate") == "OK\n"


# What net8021x writes


def net8021x(root: Path, folder: Path) -> None:
    made = site(KeyKind.RSA_2048, depth=4)
    files = write(folder, "gw", made.client, made.root, passphrase=b"open sesame")
    words = ("-l", files.certificate, "-c", files.ca, "-p", files.key, "-i", "test@test.se", "-a")
    subprocess.run(
        [sys.executable, "-m", "mgu.main", "net8021x", *map(str, words)],
        env={**os.environ, "MGU_ROOT": str(root), "NET8021X_PASSPHRASE": "open sesame"},
        check=True,
    )


@pytest.mark.parametrize("whose", ["ours", "Debian's"])
def test_what_net8021x_writes_opens_the_port(wire: Veth, tmp_path: Path, whose: str) -> None:
    """With our supplicant, and with Debian's."""
    with short_folder() as root, switch(wire, tmp_path) as port:
        (root / "var/run").mkdir(parents=True)  # Debian's makes no more than the last folder
        net8021x(root, tmp_path)
        program = require.program("wpa_supplicant")
        argv = [program, "-D", "wired", "-c", str(root / "etc/wpa_supplicant.conf")]
        if whose == "ours":
            argv = [sys.executable, "-m", "mgu.main", "supplicant"]
        argv += ["-i", "eth0"]
        environment = {"MGU_ROOT": str(root)}
        with Process(argv, namespace=wire.left[0], env=environment) as process:
            port.authorized()
            running = Supplicant(process, root / "var/run/wpa_supplicant")
            assert running.authorized()["EAP TLS cipher"].startswith("ECDHE-RSA-AES")


def test_a_member_of_the_group_may_ask_with_debians_wpa_cli_and_nobody_else(
    wire: Veth, tmp_path: Path
) -> None:
    """Though the supplicant gave up most of what makes root almighty."""
    with supplicant(wire.left[0], usual(tmp_path), group="netdev") as gateway:
        ping = [require.program("wpa_cli"), "-p", str(gateway.folder), "-i", "eth0", "ping"]
        asked = {}
        for group in ("netdev", "nogroup"):
            user = ["setpriv", "--reuid", "nobody", "--regid", group, "--clear-groups", "--"]
            done = subprocess.run([*user, *ping], capture_output=True, text=True, check=False)
            asked[group] = (done.returncode, done.stdout)
        assert asked["netdev"] == (0, "PONG\n")
        assert asked["nogroup"][0] != 0
        user = ["setpriv", "--reuid", "nobody", "--regid", "netdev", "--clear-groups", "--"]
        for vandalism in (["touch", "link"], ["rm", "eth0"], ["mv", "eth0", "eth1"]):
            spoilt = subprocess.run([*user, *vandalism], cwd=gateway.folder, check=False)
            assert spoilt.returncode != 0


def test_net8021x_with_now_opens_the_port_and_closes_it(wire: Veth, tmp_path: Path) -> None:
    """The manual's command, without the reboot."""
    made = site(KeyKind.RSA_2048)
    files = write(tmp_path, "gw", made.client, made.root)
    words = ["-l", files.certificate, "-c", files.ca, "-p", files.key, "-i", "test@test.se"]
    command = [sys.executable, "-m", "mgu.main", "net8021x"]
    with short_folder() as root, switch(wire, tmp_path) as port:
        environment = {**os.environ, "MGU_ROOT": str(root)}
        run = wire.left[0].run
        done = run(*command, *map(str, words), "-a", "--now", env=environment)
        assert "is enabled and runs" in done.stdout
        port.authorized()
        again = run(*command, *map(str, words), "-a", "--now", env=environment)
        assert again.stdout == done.stdout
        port.authorized()  # by the same supplicant, which read its file again
        run(*command, "-d", "--now", env=environment)
        port.unauthorized()

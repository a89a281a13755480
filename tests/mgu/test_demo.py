"""The demo's own parts, and the demo itself: with our peers and with Debian's."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from struct import unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import require
from lab.process import until
from mgu.demo import ping, wireshark
from mgu.demo.capture import Captured
from mgu.demo.office import FIREWALL, GATEWAY, NODE
from mgu.demo.port import PortControl
from wire.pcapng import Direction

DEMO = (sys.executable, "-m", "mgu.demo")


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=60))
def test_an_echo_request_has_a_right_checksum_and_its_answer_is_known(
    identifier: int, sequence: int, data: bytes
) -> None:
    request = ping.echo_request(identifier, sequence, data)
    padded = request + bytes(len(request) % 2)
    total = sum(unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF  # RFC 1071: a right sum is all ones
    header = b"\x45" + bytes(7) + b"\x40" + bytes(11)
    reply = header + b"\0" + request[1:]
    assert ping.answer(reply, identifier, sequence) == (len(request), 64)
    assert ping.answer(header + request, identifier, sequence) is None


@given(st.binary(max_size=80))
def test_arbitrary_datagrams_are_no_answer(datagram: bytes) -> None:
    found = ping.answer(datagram, 0x1234, 1)
    assert found is None or found[0] >= 8


class Recorded:
    """Frames as a capture has them."""

    def __init__(self, *frames: Captured) -> None:
        self.frames = list(frames)

    def write(self, folder: Path, tls_keys: bytes) -> list[Path]:
        raise NotImplementedError


def frame(src: str, dst: str, protocol: int, payload: bytes = bytes(20), link: int = 0) -> Captured:
    addresses = b"".join(bytes(map(int, address.split("."))) for address in (src, dst))
    packet = b"\x45" + bytes(8) + bytes([protocol]) + bytes(2) + addresses + payload
    return Captured(link, 0, bytes(12) + b"\x08\x00" + packet, Direction.INBOUND)


def test_clear_traffic_of_the_tunnel_is_told_from_esp() -> None:
    udp_esp = bytes.fromhex("1194 1194 0020 0000") + b"\0\0\1\0" + bytes(20)
    udp_ike = bytes.fromhex("1194 1194 0020 0000") + bytes(24)
    capture = Recorded(
        frame(NODE, GATEWAY, 1),
        frame(NODE, GATEWAY, 1, link=4),  # behind the firewall it is in clear, and may be
        frame(FIREWALL, GATEWAY, 50),
        frame(FIREWALL, GATEWAY, 17, udp_esp),
        frame(FIREWALL, GATEWAY, 17, udp_ike),
        frame(FIREWALL, GATEWAY, 1),
    )
    assert wireshark.count(capture) == (1, 2)


def test_the_port_follows_its_authenticators_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    turns: list[bool] = []
    turned = threading.Semaphore(0)

    def turn(authorized: bool) -> None:
        turns.append(authorized)
        turned.release()

    control = PortControl(log, "authorized ", "unauthorized", turn).start()
    with log.open("a") as file:
        for line in ("ready", "authorized b'x'", "unauthorized", "authorized b'x'"):
            print(line, file=file, flush=True)
    assert all(turned.acquire(timeout=5) for _ in range(3))
    control.stop()
    assert turns == [True, False, True]


def run_demo(*options: str, output: Path, prefix: Sequence[str] = ()) -> str:
    result = subprocess.run(
        [*prefix, *DEMO, *options, "--output", str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=90,
    )
    print(result.stdout)
    assert result.returncode == 0
    took = re.search(r"All steps did what they must, in (\d+\.\d) s", result.stdout)
    assert took is not None
    assert float(took[1]) < 30
    return result.stdout


@pytest.mark.interop
def test_the_demo_boots_twice_and_its_captures_decrypt(tmp_path: Path) -> None:
    output = run_demo(output=tmp_path)
    assert output.count("suppPortStatus=Authorized") == 1
    assert output.count("3 packets transmitted, 3 received") == 4
    tshark = require.program("tshark")
    fields = ("_ws.malformed", "tls.handshake.type", "isakmp.enc.decrypted", "esp.sequence")
    options = [word for field in (*fields, "icmp.type") for word in ("-e", field)]
    result = subprocess.run(
        [tshark, "-r", tmp_path / "switch-gateway.pcapng", "-T", "fields", *options],
        env={**os.environ, "WIRESHARK_CONFIG_DIR": str(tmp_path / "wireshark")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert not any(malformed for malformed, *_ in rows)
    certificates = [row for row in rows if "11" in row[1].split(",")]  # encrypted in TLS 1.3
    assert certificates
    assert sum(bool(row[3] and row[4]) for row in rows) >= 24  # ICMP inside ESP
    assert (tmp_path / "wireshark/esp_sa").stat().st_mode & 0o777 == 0o600


@pytest.mark.long
@pytest.mark.interop
def test_the_demo_makes_a_user_namespace_where_it_has_no_privilege(tmp_path: Path) -> None:
    without = ("setpriv", "--bounding-set", "-sys_admin,-net_admin,-net_raw,-sys_time", "--")
    run_demo(output=tmp_path, prefix=without)


@pytest.mark.interop
def test_the_demo_meets_chronyd_hostapd_freeradius_and_strongswan(tmp_path: Path) -> None:
    for name in ("chronyd", "hostapd", "freeradius", "swanctl"):
        require.program(name)
    output = run_demo("--peers", "real", output=tmp_path)
    assert "esp-udp mode=tunnel" in output


@pytest.mark.interop
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_demo_leaves_no_process_behind(tmp_path: Path, number: int) -> None:
    mark = f"MGU_DEMO_TEST={tmp_path.name}-{number}"
    name, _, value = mark.partition("=")
    with subprocess.Popen(
        [*DEMO, "--output", str(tmp_path)],
        env={**os.environ, name: value, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if b"Open port" in line:
                break
        os.killpg(demo.pid, number)
        demo.stdout.read()  # until the last process that could write has ended
        assert demo.wait(20) != 0
    until(lambda: processes_with(mark) == [], within=10)


def processes_with(mark: str) -> list[int]:
    """The processes that have `mark` in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found

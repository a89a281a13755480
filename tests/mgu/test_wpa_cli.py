"""Our `wpa_cli`, against our control socket with a supplicant behind it that is none."""

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from eapol.aio.control import Control
from eapol.errors import EapolError
from eapol.events import Logoff, Reauthenticate, SetTimer, TimerName
from eapol.notices import Connected, Disconnected, EapSuccess, Terminating
from lab.gateway import short_folder
from lab.port import Port
from mgu import exits
from mgu.commands import wpa_cli
from mgu.wpa_ctrl import Client, wire_form


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    return tmp_path / "var/run/wpa_supplicant"


@pytest.fixture
async def port(folder: Path) -> AsyncIterator[Port]:
    served = Port()
    async with Control(folder / "eth0", served):
        yield served


async def run(*words: str) -> int:
    return await asyncio.to_thread(wpa_cli.main, words)


MANUAL = """\
Selected interface 'eth0'
bssid=01:80:c2:00:00:03
freq=0
ssid=
id=0
mode=station
pairwise_cipher=NONE
group_cipher=NONE
key_mgmt=IEEE 802.1X (no WPA)
wpa_state=COMPLETED
address=02:00:00:00:00:01
Supplicant PAE state=AUTHENTICATED
suppPortStatus=Authorized
EAP state=SUCCESS
selectedMethod=13 (EAP-TLS)
EAP TLS cipher=ECDHE-RSA-AES256-GCM-SHA384
"""


@pytest.mark.parametrize("word", ["status", "-status", "STATUS"])
async def test_status_shows_the_manuals_lines_in_the_manuals_order(
    word: str, port: Port, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(word) == exits.OK
    shown = capsys.readouterr().out.splitlines()
    manual = MANUAL.splitlines()
    assert [line for line in shown if line in manual] == manual


async def test_a_named_interface_is_not_announced(
    port: Port, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("-i", "eth0", "status", "verbose") == exits.OK
    shown = capsys.readouterr().out
    assert shown.startswith("bssid=")
    assert "Supplicant Backend state=IDLE\n" in shown


async def test_json_is_one_object(port: Port, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("--json", "status") == exits.OK
    shown = json.loads(capsys.readouterr().out)
    assert shown["schema_version"] == 1
    assert shown["interface"] == "eth0"
    assert shown["suppPortStatus"] == "Authorized"


async def test_commands_reach_the_supplicant(port: Port) -> None:
    assert await run("logoff") == exits.OK
    assert await run("reauthenticate") == exits.OK
    assert await run("set", "EAPOL::heldPeriod", "7") == exits.OK
    assert await run("passphrase", "0", "open", "sesame") == exits.OK
    assert port.requests == [
        Logoff(),
        Reauthenticate(),
        SetTimer(name=TimerName.HELD_PERIOD, value=7),
    ]
    assert [secret.reveal() for secret in port.secrets] == [b"open sesame"]


async def test_a_refusal_is_shown_and_is_exit_1(
    port: Port, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("frobnicate") == exits.FAILED
    assert await run("-i", "eth0", "save_config") == exits.FAILED
    assert capsys.readouterr().out == "Selected interface 'eth0'\nUNKNOWN COMMAND\nFAIL\n"


def test_without_a_supplicant_it_says_what_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wpa_cli.main(["status"]) == exits.FAILED
    assert wpa_cli.main(["-i", "eth7", "status"]) == exits.FAILED
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"wpa_cli: no supplicant runs ({folder} holds no control socket)")
    assert second.startswith(f"wpa_cli: no supplicant serves eth7 ({folder}/eth7: No such file")
    assert "start the service wpa_supplicant" in second


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("status", "STATUS"),
        ("status verbose", "STATUS-VERBOSE"),
        ("interface", "INTERFACES"),
        ("blacklist", "BSSID_IGNORE"),
        ("level 4", "LEVEL 4"),
        ('set_network 0 identity "a b"', 'SET_NETWORK 0 identity "a b"'),
        ("passphrase 0 x y", "CTRL-RSP-PASSPHRASE-0:x y"),
        ("raw GET_NETWORK 0 eap", "GET_NETWORK 0 eap"),
    ],
)
def test_what_is_typed_becomes_what_is_sent(typed: str, sent: str) -> None:
    assert wire_form(typed.split(" ")) == sent


def test_wrong_usage_is_exit_64(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        wpa_cli.main(["--nonsense", "status"])
    assert ended.value.code == exits.USAGE
    assert "'wpa_cli -h' shows more" in capsys.readouterr().err


class Started:
    """`wpa_cli` as a process, with its terminal in our hands."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, *words: str) -> "Started":
        pipe = subprocess.PIPE
        argv = (sys.executable, "-m", "mgu.main", "wpa_cli", "-G", "1", *words)
        return cls(await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe))

    async def line(self, wanted: str) -> None:
        """Read on until a line says `wanted`."""
        assert self._process.stdout is not None
        async with asyncio.timeout(10):
            while line := await self._process.stdout.readline():
                if wanted in line.decode():
                    return
        raise AssertionError(f"it ended without saying {wanted!r}")

    def type(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def end(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(10):
            await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode


async def test_the_interactive_mode_answers_and_shows_events(port: Port) -> None:
    cli = await Started.start()
    await cli.line("Selected interface 'eth0'")
    cli.type("ping\nlist_networks")
    await cli.line("PONG")
    await cli.line("[CURRENT]")
    port.tell(EapSuccess())
    await cli.line("<3>CTRL-EVENT-EAP-SUCCESS EAP authentication completed successfully")
    cli.type("quit")
    assert await cli.end() == exits.OK


async def test_the_interactive_mode_ends_with_its_input(port: Port) -> None:
    cli = await Started.start()
    assert await cli.end() == exits.OK


async def test_the_interactive_mode_finds_a_supplicant_that_was_restarted(folder: Path) -> None:
    async with Control(folder / "eth0", Port()):
        cli = await Started.start("-i", "eth0")
        cli.type("ping")
        await cli.line("PONG")
    async with Control(folder / "eth0", Port()):
        cli.type("ping")  # to the socket that is gone
        cli.type("logoff")
        await cli.line("OK")
        cli.type("quit")
        assert await cli.end() == exits.OK


def _until(holds: Callable[[], bool], within: float = 10.0) -> None:
    limit = time.monotonic() + within
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


async def test_a_script_runs_on_events_and_for_a_port_that_is_open_already(
    port: Port, tmp_path: Path
) -> None:
    script, said = tmp_path / "script", tmp_path / "said"
    script.write_text(f'#!/bin/sh\necho "$1 $2 $WPA_ID $WPA_ID_STR $WPA_CTRL_DIR" >> {said}\n')
    script.chmod(0o755)
    cli = await Started.start("-i", "eth0", "-a", str(script))
    await asyncio.to_thread(_until, said.exists)
    port.tell(Disconnected())
    port.tell(Connected(id_str="office"))
    port.tell(Terminating())
    assert await cli.end() == exits.OK
    folder = tmp_path / "var/run/wpa_supplicant"
    assert said.read_text().splitlines() == [
        f"eth0 CONNECTED 0  {folder}",
        f"eth0 DISCONNECTED 0  {folder}",
        f"eth0 CONNECTED 0 office {folder}",
    ]


def test_one_question_imports_nothing_heavy(folder: Path) -> None:
    program = (
        "import sys; from mgu.commands import wpa_cli; wpa_cli.main(['status'])\n"
        "heavy = {'asyncio', 'cryptography', 'OpenSSL', 'pyroute2', 'subprocess', 'json'}\n"
        "heavy |= {'dataclasses', 'pathlib', 'typing'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


async def test_a_refusal_is_shown_with_its_reason(
    port: Port, capsys: pytest.CaptureFixture[str]
) -> None:
    port.fault = EapolError("/etc/wpa_supplicant.conf:7: ca_cert is empty; name a file")
    assert await run("-i", "eth0", "reconfigure") == exits.FAILED
    shown = capsys.readouterr()
    assert shown.out == "FAIL\n"
    assert shown.err == "wpa_cli: /etc/wpa_supplicant.conf:7: ca_cert is empty; name a file\n"
    port.fault = None
    assert await run("-i", "eth0", "remove_network", "0") == exits.FAILED
    assert capsys.readouterr() == ("FAIL\n", "")


def test_the_supplicant_may_answer_whatever_the_umask_of_who_asks() -> None:
    before = os.umask(0o077)
    try:
        with short_folder() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as served:
            served.bind(str(folder / "eth0"))
            with Client(folder, "eth0", str(folder)):
                (own,) = folder.glob("wpa_ctrl_*")
                assert stat.S_IMODE(own.stat().st_mode) == 0o777
            assert list(folder.glob("wpa_ctrl_*")) == []
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)

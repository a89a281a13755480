"""localNTP as it is typed: what it prints, what it writes, how it ends."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from lab.ntp_adversary import FORGERIES, USELESS, Attack, bent, kiss, shifted
from lab.ntp_sockets import served
from ntp.auth import Algorithm, Key
from ntp.messages import Address
from ntp.packet import Header
from ntp.server import Datagram, Server, Settings
from ntp.timestamp import SECOND
from wire.secret import Secret

YEAR = 31_556_952 * SECOND
HERE = "127.0.0.1"


class Gateway:
    """A gateway below a root of its own, its clock simulated and at 1970."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = root / "clock"
        self.clock.write_text(f"{-time.time_ns()}\n")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "MGU_ROOT": str(self.root), "MGU_CLOCK": str(self.clock)}
        argv = [sys.executable, "-m", "mgu.main", "localNTP", *arguments]
        result = subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert "Traceback" not in result.stderr
        return result

    def asks(self, port: int, *more: str) -> subprocess.CompletedProcess[str]:
        return self.run("-n", HERE, "--port", str(port), "--timeout", "0.3", *more)

    @property
    def wrong_by(self) -> int:
        """ns"""
        return abs(int(self.clock.read_text()))


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


def honest_answer(octets: bytes, source: Address) -> bytes:
    server = Server(Settings(date=time.time_ns(), at=time.monotonic()))
    (reply,) = server.handle(Datagram(octets=octets, source=source), time.monotonic())
    return reply.octets


def lying(attack: Attack, host: str = HERE, port: int = 0) -> AbstractContextManager[int]:
    def answer(octets: bytes, source: Address) -> bytes:
        return attack(Header.parse(octets), Header.parse(honest_answer(octets, source)))

    return served(answer, host, port)


def test_a_clock_at_1970_is_set_by_one_server_and_the_date_is_not_saved(gateway: Gateway) -> None:
    with served(honest_answer) as port:
        result = gateway.asks(port)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("offset +")
    assert "stepped" in result.stdout
    assert gateway.wrong_by < SECOND // 10
    assert not (gateway.root / "var/lib/mgu/localntp/time").exists()
    mark = json.loads((gateway.root / "run/mgu/localntp/synchronized").read_text())
    assert (mark["level"], mark["by"]) == ("unconfirmed", [f"{HERE} port {port}"])


def test_what_a_majority_says_is_saved(gateway: Gateway) -> None:
    with served(honest_answer) as port, served(honest_answer, "127.0.0.2", port):
        result = gateway.asks(port, "-n", "127.0.0.2")
    assert result.returncode == 0, result.stderr
    saved = int((gateway.root / "var/lib/mgu/localntp/time").read_text())
    assert abs(saved - time.time_ns()) < 10 * SECOND


def saved_in(gateway: Gateway, content: str) -> None:
    file = gateway.root / "var/lib/mgu/localntp/time"
    file.parent.mkdir(parents=True)
    file.write_text(content)


def test_a_saved_date_that_was_a_lie_is_put_right_by_a_majority(gateway: Gateway) -> None:
    saved_in(gateway, f"{time.time_ns() + 34 * YEAR}\n")
    with served(honest_answer) as port:
        alone = gateway.asks(port)
        assert alone.returncode == 3
        assert "before the floor" in alone.stderr
        with served(honest_answer, "127.0.0.2", port):
            together = gateway.asks(port, "-n", "127.0.0.2")
    assert together.returncode == 0, together.stderr
    assert gateway.wrong_by < SECOND // 10
    saved = int((gateway.root / "var/lib/mgu/localntp/time").read_text())
    assert abs(saved - time.time_ns()) < 10 * SECOND


@pytest.mark.parametrize("content", ["99999999999999999999", "yesterday", "\0" * 20])
def test_a_damaged_saved_date_is_named_and_gone_on_without(gateway: Gateway, content: str) -> None:
    saved_in(gateway, content)
    with served(honest_answer) as port:
        result = gateway.asks(port)
    assert result.returncode == 0
    assert "localntp/time holds no date and is ignored" in result.stderr
    assert gateway.wrong_by < SECOND // 10


def test_a_disk_that_cannot_be_written_is_named_and_the_clock_is_set_all_the_same(
    gateway: Gateway,
) -> None:
    (gateway.root / "var").write_text("no folder can be made here")
    with served(honest_answer) as port, served(honest_answer, "127.0.0.2", port):
        result = gateway.asks(port, "-n", "127.0.0.2")
    assert result.returncode == 0
    assert "stepped" in result.stdout
    assert "localNTP: warning: " in result.stderr
    assert "var/lib/mgu/localntp/time" in result.stderr


def test_one_server_under_two_names_confirms_nothing(gateway: Gateway) -> None:
    with served(honest_answer) as port:
        result = gateway.asks(port, "-n", "localhost", "--dry-run", "--json")
    document = json.loads(result.stdout)
    assert document["verdict"] == "unconfirmed"
    assert document["trust"]["by"] == [f"{HERE} port {port}"]


def test_a_date_that_was_right_is_moved_by_maxchange_at_most(gateway: Gateway) -> None:
    with served(honest_answer) as port:
        first = gateway.asks(port, "--maxchange", "60")  # it was not right yet
        gateway.clock.write_text(f"{-3600 * SECOND}\n")
        refused = gateway.asks(port, "--maxchange", "60")
        taken = gateway.asks(port, "--maxchange", "4000")
    assert (first.returncode, refused.returncode, taken.returncode) == (0, 3, 0)
    assert "more than maxchange, 60 s; if that is true, give a larger --maxchange" in refused.stderr


def test_minsources_and_maxdistance_are_taken_and_installed(gateway: Gateway) -> None:
    windows = bent(root_dispersion=9 << 16)
    with lying(windows) as port:
        assert gateway.asks(port, "--dry-run").returncode == 1
        assert gateway.asks(port, "--dry-run", "--maxdistance", "12").returncode == 0
        limits = ("--maxdistance", "12", "--minsources", "2", "--maxchange", "3600")
        assert gateway.asks(port, "-a", *limits).returncode == 2
        gateway.run("-d")
    configuration = (gateway.root / "etc/localntp.conf").read_text()
    assert configuration.endswith("minsources 2\nmaxdistance 12.0\nmaxchange 3600.0\n")


def test_a_dry_run_prints_the_offset_and_changes_nothing(gateway: Gateway) -> None:
    before = sorted(gateway.root.rglob("*"))
    with served(honest_answer) as port:
        result = gateway.asks(port, "--dry-run", "-a")
    assert result.returncode == 0
    assert result.stdout.startswith("offset +")
    assert sorted(gateway.root.rglob("*")) == before
    assert gateway.wrong_by > YEAR


def test_json_is_one_object_with_a_schema_version(gateway: Gateway) -> None:
    with served(honest_answer) as port:
        result = gateway.asks(port, "--json", "--dry-run")
    document: dict[str, Any] = json.loads(result.stdout)
    assert document["schema_version"] == 1
    assert document["verdict"] == "unconfirmed"
    assert document["servers"][0]["survivor"] is True


@pytest.mark.parametrize(
    "name", ["another origin", "origin one bit off", "mode 3", "version 5", "cut to 47 octets"]
)
def test_forgeries_end_as_no_answer(gateway: Gateway, name: str) -> None:
    with lying(FORGERIES[name]) as port:
        result = gateway.asks(port)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert gateway.wrong_by > SECOND  # at the floor


@pytest.mark.parametrize("name", ["stratum 16", "leap indicator 3", "transmit stamp zero"])
def test_useless_answers_end_as_no_answer(gateway: Gateway, name: str) -> None:
    with lying(USELESS[name]) as port:
        result = gateway.asks(port, "--json")
    assert result.returncode == 1
    assert json.loads(result.stdout)["verdict"] == "no answer"


@pytest.mark.parametrize(
    "attack", [kiss(b"DENY"), kiss(b"RATE"), kiss(b"\xff\0\n\0"), shifted(-20 * YEAR)]
)
def test_a_kiss_code_or_a_date_before_the_floor_is_refused(
    gateway: Gateway, attack: Attack
) -> None:
    with lying(attack) as port:
        result = gateway.asks(port)
    assert result.returncode == 3
    assert result.stderr.count("\n") == 1


def test_two_servers_that_disagree_are_refused(gateway: Gateway) -> None:
    with lying(bent()) as port, lying(shifted(SECOND), "127.0.0.2", port):
        result = gateway.asks(port, "-n", "127.0.0.2")
    assert result.returncode == 2


def test_a_missing_mac_is_refused(gateway: Gateway, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("1 SHA1 HEX:0102030405060708090a0b0c0d0e0f1011121314\n")
    keys.chmod(0o600)
    with served(honest_bare) as port:
        result = gateway.asks(port, "--keys", str(keys))
    assert result.returncode == 3


def test_a_line_of_the_key_file_for_somebody_else_is_named_and_stops_nobody(
    gateway: Gateway, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    line = "1 SHA1 HEX:0102030405060708090a0b0c0d0e0f1011121314\n"
    keys.write_bytes(b"! B\xfcro\n" + line.encode() + b"10 SHA256 HEX:0011\n")
    keys.chmod(0o600)
    with served(honest_keyed) as port:
        result = gateway.asks(port, "--keys", str(keys), "--dry-run")
    assert result.returncode == 0, result.stderr
    assert f"warning: {keys}:3:4: key 10 " in result.stderr


def honest_keyed(octets: bytes, source: Address) -> bytes:
    key = Key(1, Algorithm.SHA1, Secret(bytes(range(1, 21))))
    return key.sign(honest_answer(octets[:48], source))


def honest_bare(octets: bytes, source: Address) -> bytes:
    return honest_answer(octets[:48], source)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("-x",),
        ("-a", "-d"),
        ("-n", HERE, "--timeout", "-1"),
        ("-n", HERE, "--key", "1"),
        ("--dry", "-n", HERE),
        ("-n", HERE, "--port", "0"),
        ("-n", HERE, "--port", "99999"),
        ("-n", "a b"),
        ("-n", ""),
        ("--nts", "a;b"),
        ("--wait", "nan"),
        ("-n", HERE, "--minsources", "0"),
        ("-n", HERE, "--maxdistance", "17"),
        ("-n", HERE, "--maxchange", "nan"),
        ("--pool", ""),
        ("--wait", "inf"),
        ("--wait", "-1"),
    ],
)
def test_wrong_usage_ends_with_64(gateway: Gateway, arguments: tuple[str, ...]) -> None:
    assert gateway.run(*arguments).returncode == 64


def test_a_broken_key_file_is_named_with_its_line_and_without_the_key(
    gateway: Gateway, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# ours\n1 AES128CMAC deadbeef\n")
    keys.chmod(0o600)
    result = gateway.run("-n", HERE, "--keys", str(keys))
    assert result.returncode == 64
    assert f"{keys}:2:14: key 1 is not read" in result.stderr
    assert "deadbeef" not in result.stderr


@pytest.mark.parametrize(
    ("option", "content"),
    [("--keys", ""), ("--keys", "# none yet\n"), ("--nts-ca", ""), ("--nts-ca", "a certificate")],
)
def test_a_file_without_keys_or_certificates_never_means_to_ask_without(
    gateway: Gateway, tmp_path: Path, option: str, content: str
) -> None:
    file = tmp_path / "file"
    file.write_text(content)
    file.chmod(0o600)
    result = gateway.run("-n", HERE, "--timeout", "0.3", option, str(file))
    assert (result.returncode, result.stderr.count("\n")) == (64, 1)
    assert f"localNTP: {file} holds no " in result.stderr
    missing = gateway.run("-n", HERE, "--timeout", "0.3", option, str(tmp_path / "absent"))
    assert missing.returncode == 1
    assert f"localNTP: {tmp_path / 'absent'}: No such file" in missing.stderr


def test_our_server_serves_clients_with_its_keys_and_limits_their_rate(
    gateway: Gateway, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("1 AES128CMAC 000102030405060708090a0b0c0d0e0f\n")
    keys.chmod(0o600)
    port = free_port()
    where = ["-b", HERE, "-p", str(port)]
    argv = [sys.executable, "-m", "ntp.aio.server", *where, "--keys", str(keys), "--rate", "60"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith(b"serving")
        keyed = gateway.asks(port, "--keys", str(keys), "--json", "--dry-run")
        codes = {gateway.asks(port, "--dry-run").returncode for _ in range(8)}
        server.terminate()
    assert json.loads(keyed.stdout)["authenticated"] is True
    assert codes == {0, 3}


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unbound:
        unbound.bind((HERE, 0))
        return int(unbound.getsockname()[1])


def test_a_key_file_that_others_can_read_is_warned_of(gateway: Gateway, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("1 SHA1 HEX:0102030405060708090a0b0c0d0e0f1011121314\n")
    keys.chmod(0o644)
    result = gateway.run("-n", HERE, "--timeout", "0.3", "--keys", str(keys))
    assert f"localNTP: warning: {keys}: other users can read" in result.stderr


def test_a_key_for_md5_must_be_asked_for(gateway: Gateway, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("1 MD5 secret\n")
    keys.chmod(0o600)
    result = gateway.run("-n", HERE, "--keys", str(keys))
    assert result.returncode == 64
    assert "--allow-md5" in result.stderr


def test_help_tells_the_exit_codes(gateway: Gateway) -> None:
    result = gateway.run("-h")
    assert result.returncode == 0
    assert "exit codes" in result.stdout


def test_activation_writes_the_file_and_starts_the_service(gateway: Gateway) -> None:
    with served(honest_answer) as port:
        activated = gateway.asks(port, "-a")
        state = gateway.run("-s", "--json")
        stopped = gateway.run("-d")
    assert activated.returncode == 0, activated.stderr
    configuration = (gateway.root / "etc/localntp.conf").read_text()
    assert f"server {HERE} port {port}" in configuration
    document = json.loads(state.stdout)
    assert (document["enabled"], document["running"]) == (True, True)
    assert stopped.returncode == 0
    assert not json.loads(gateway.run("-s", "--json").stdout)["running"]


def test_who_waits_for_the_date_goes_on_once_it_is_right(gateway: Gateway) -> None:
    with served(honest_answer) as port:
        assert gateway.asks(port).returncode == 0
    waited = gateway.run("--wait", "0")
    assert (waited.returncode, waited.stdout, waited.stderr) == (0, "", "")


def test_who_waits_in_vain_is_told_in_time(gateway: Gateway) -> None:
    waited = gateway.run("--wait", "infinity")
    assert waited.returncode == 1
    assert waited.stderr == "localNTP: no time server is configured; run: localNTP -a -n ADDRESS\n"
    (gateway.root / "etc").mkdir()
    (gateway.root / "etc/localntp.conf").write_text(f"server {HERE}\n")
    waited = gateway.run("--wait", "0.2")
    assert waited.returncode == 1
    assert "the date is not right after 0.2 s; 'localNTP -s' says why" in waited.stderr


def test_activation_without_an_answer_says_that_the_service_goes_on(gateway: Gateway) -> None:
    with lying(USELESS["stratum 16"]) as port:
        result = gateway.asks(port, "-a")
        running = json.loads(gateway.run("-s", "--json").stdout)["running"]
        gateway.run("-d")
    assert result.returncode == 1
    assert "keeps trying" in result.stderr
    assert running is True


def test_the_configured_servers_are_asked_when_none_is_given(gateway: Gateway) -> None:
    (gateway.root / "etc").mkdir()
    with served(honest_answer) as port:
        (gateway.root / "etc/localntp.conf").write_text(f"server {HERE} port {port}\n")
        result = gateway.run("--dry-run")
    assert result.returncode == 0, result.stderr


def test_an_installed_key_file_that_others_can_read_is_refused(gateway: Gateway) -> None:
    (gateway.root / "etc").mkdir()
    keys = gateway.root / "etc/localntp.keys"
    keys.write_text("1 SHA1 secret\n")
    keys.chmod(0o644)
    text = f"server {HERE} key 1\nkeys /etc/localntp.keys\n"
    (gateway.root / "etc/localntp.conf").write_text(text)
    result = gateway.run("--dry-run")
    assert result.returncode == 64
    assert f"chmod 600 {keys}" in result.stderr
    keys.unlink()
    assert gateway.run("-s").returncode == 0  # it shows no key, and anybody may ask for it


def test_activation_installs_the_key_file_for_its_owner_only(
    gateway: Gateway, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("7 SHA1 HEX:0102030405060708090a0b0c0d0e0f1011121314\n")
    keys.chmod(0o600)
    with served(honest_bare) as port:
        gateway.asks(port, "-a", "--keys", str(keys))
        gateway.run("-d")
    installed = gateway.root / "etc/localntp.keys"
    assert installed.read_bytes() == keys.read_bytes()
    assert installed.stat().st_mode & 0o777 == 0o600
    configuration = (gateway.root / "etc/localntp.conf").read_text()
    assert f"server {HERE} port {port} key 7\nkeys /etc/localntp.keys\n" in configuration


def test_a_result_that_cannot_be_written_is_a_failure_that_is_told(gateway: Gateway) -> None:
    environment = {**os.environ, "MGU_ROOT": str(gateway.root), "PYTHONUNBUFFERED": ""}
    argv = [sys.executable, "-m", "mgu.main", "localNTP", "-s"]
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            argv, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 1
    assert result.stderr == "localNTP: cannot write the output: No space left on device\n"


def test_the_command_imports_nothing_that_is_slow_to_import(gateway: Gateway) -> None:
    code = (
        "import sys; from mgu.commands.localntp import main; main(sys.argv[1:]); "
        "heavy = {'asyncio', 'OpenSSL', 'cryptography', 'pyroute2'}; "
        "heavy |= {'dataclasses', 'pathlib', 'typing'}; "
        "sys.exit(sorted(heavy & set(sys.modules)) or 0)"
    )
    with served(honest_answer) as port:
        argv = [sys.executable, "-c", code, "-n", HERE, "--port", str(port), "--dry-run"]
        result = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr

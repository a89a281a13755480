"""The client against chronyd: all of one machine's clock, so that the true offset is zero."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from os import environ, urandom
from pathlib import Path
from subprocess import CompletedProcess
from time import time_ns
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from lab.netns import Veth
from lab.ntp_stamps import stamps_on
from lab.peers.chronyd import chronyd, nts
from lab.pki import Validity, site
from ntp.client import Client
from ntp.messages import Outcome
from ntp.onwire import OnWire
from ntp.peer import Peer
from ntp.sample import Sample
from ntp.system.oneshot import run
from ntp.trust import Floor
from ntp.turn import Policy

pytestmark = pytest.mark.interop

SERVER = "10.77.0.2"
MILLISECOND = 1_000_000  # ns
KEYS = """\
1 AES128 HEX:00112233445566778899AABBCCDDEEFF
2 SHA1 HEX:0102030405060708090A0B0C0D0E0F1011121314
3 MD5 ASCII:secret
"""


@pytest.fixture(autouse=True)
def _stamps() -> Iterator[None]:
    with stamps_on():
        yield


@pytest.fixture
def served(wire: Veth, tmp_path: Path) -> Iterator[Veth]:
    with chronyd(tmp_path / "chronyd", namespace=wire.right[0]):
        yield wire


def local_ntp(wire: Veth, *arguments: str, **environment: str) -> CompletedProcess[str]:
    return wire.left[0].run(
        sys.executable,
        "-m",
        "mgu.main",
        "localNTP",
        *arguments,
        check=False,
        env={**environ, **environment},
    )


def measure(wire: Veth, samples: int = 1) -> Outcome:
    on_wire = OnWire(urandom, pivot=time_ns())
    asked = [Peer(name=SERVER, on_wire=on_wire)]
    client = Client(asked, floor=Floor(released=0), policy=Policy(samples=samples, spacing=0.05))
    return wire.left[0].call(run, client)


def sample_of(outcome: Outcome) -> Sample:
    sample = outcome.servers[0].sample
    assert sample is not None, outcome.why
    return sample


def test_localntp_shows_the_offset_from_chronyd(served: Veth) -> None:
    result = local_ntp(served, "-n", SERVER, "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    assert document["schema_version"] == 1
    assert abs(document["offset_ns"]) <= document["error_ns"] < MILLISECOND
    assert document["servers"][0]["kernel_stamps"] is True


def test_the_dry_run_prints_the_manuals_line(served: Veth) -> None:
    result = local_ntp(served, "-n", SERVER, "--dry-run")
    assert result.stdout.startswith(("offset +0.0", "offset -0.0"))


def test_chronyd_is_asked_over_ipv6(served: Veth) -> None:
    served.left[0].add_address("eth0", "fd00:77::1/64")
    served.right[0].add_address("eth0", "fd00:77::2/64")
    result = local_ntp(served, "-n", "fd00:77::2", "--dry-run", "--json")
    assert result.returncode == 0, result.stderr


def test_chronyd_answers_interleaved_and_the_error_shrinks(served: Veth) -> None:
    sample = sample_of(measure(served, samples=6))
    assert sample.interleaved
    assert sample.by_kernel
    assert abs(sample.offset) < 50_000  # ns; a loaded machine, and still far below basic mode


@pytest.mark.parametrize(("key", "more"), [("1", ()), ("2", ()), ("3", ("--allow-md5",))])
def test_chronyd_and_we_share_a_key(
    wire: Veth, tmp_path: Path, key: str, more: tuple[str, ...]
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEYS)
    keys.chmod(0o600)
    with chronyd(tmp_path / "d", namespace=wire.right[0], lines=[f"keyfile {keys}"]):
        arguments = ("-n", SERVER, "--dry-run", "--json", "--keys", str(keys), "--key", key, *more)
        result = local_ntp(wire, *arguments)
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["authenticated"] is True
    assert document["verdict"] == "agreed"


def test_a_server_without_our_key_is_refused(served: Veth, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEYS)
    keys.chmod(0o600)
    arguments = ("-n", SERVER, "--dry-run", "--keys", str(keys), "--timeout", "1.5")
    result = local_ntp(served, *arguments)
    assert result.returncode in (1, 3)
    assert "Traceback" not in result.stderr


class Nts:
    """chronyd with NTS; the gateway's clock is simulated, and far off."""

    def __init__(self, folder: Path, valid: Validity | None = None) -> None:
        self.lines, self.ca = nts(folder, SERVER, valid)
        self.root = folder / "root"
        self.root.mkdir()
        self.clock = folder / "clock"
        self.clock.write_text(f"{-time_ns()}\n")  # it is 1970

    @property
    def shift(self) -> int:
        """What the gateway's clock is off by, ns."""
        return int(self.clock.read_text())

    def local_ntp(self, wire: Veth, *more: str) -> CompletedProcess[str]:
        return local_ntp(
            wire,
            "--nts",
            SERVER,
            "--nts-ca",
            str(self.ca),
            "--json",
            *more,
            MGU_ROOT=str(self.root),
            MGU_CLOCK=str(self.clock),
        )


def test_nts_sets_a_clock_at_1970_and_checks_the_certificate_at_the_candidate_date(
    wire: Veth, tmp_path: Path
) -> None:
    secured = Nts(tmp_path)
    with chronyd(tmp_path / "d", namespace=wire.right[0], lines=secured.lines):
        result = secured.local_ntp(wire)
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["authenticated"] is True
    assert document["action"] == "stepped"
    assert abs(secured.shift) < 100 * MILLISECOND


@pytest.mark.parametrize("valid", [Validity.expired, Validity.not_yet])
def test_nts_refuses_a_certificate_that_is_not_valid_at_the_agreed_date(
    wire: Veth, tmp_path: Path, valid: Any
) -> None:
    secured = Nts(tmp_path, valid(datetime.now(UTC)))
    with chronyd(tmp_path / "d", namespace=wire.right[0], lines=secured.lines):
        result = secured.local_ntp(wire)
    assert result.returncode == 3
    assert "certificate" in result.stderr
    assert (
        abs(secured.shift) > 3600 * 1000 * MILLISECOND
    )  # at the floor, and not at the server's date


def test_nts_refuses_an_authority_that_nobody_trusts(wire: Veth, tmp_path: Path) -> None:
    secured = Nts(tmp_path)
    stranger = site(name="Another Root").root.certificate
    secured.ca.write_bytes(stranger.public_bytes(Encoding.PEM))
    with chronyd(tmp_path / "d", namespace=wire.right[0], lines=secured.lines):
        result = secured.local_ntp(wire)
    assert result.returncode == 3

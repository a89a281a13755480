"""The files that keys are exported to: root's alone, and never somebody else's file."""

import os
import stat
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from ike.commands import ExportKeys
from ike.numbers.doi import EspTransform, Integrity
from ike.numbers.isakmp import ProtocolId
from ike.values import Direction, IpsecSa, Mode, SaLifetime, Selector
from mgu.keying.keys import KeyFiles
from wire.secret import Secret

NAMES = ("ikev1_decryption_table", "esp_sa")


def keys() -> ExportKeys:
    return ExportKeys(
        initiator_cookie=bytes(range(8)),
        encryption_key=Secret(b"\x11\x22"),
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_and_the_files_of_exported_keys_are_roots_alone(tmp_path: Path) -> None:
    folder = tmp_path / "below" / "keys"
    files = KeyFiles(folder)
    files.write(keys())
    files.close()
    assert mode(folder) == 0o700
    assert [mode(folder / name) for name in NAMES] == [0o600, 0o600]
    assert (folder / NAMES[0]).read_text() == "0001020304050607,1122\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_keys_that_others_could_read_is_closed_to_them(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("before\n")
    (tmp_path / name).chmod(0o666)
    KeyFiles(tmp_path).close()
    assert mode(tmp_path / name) == 0o600
    assert (tmp_path / name).read_text() == "before\n"


def link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def second_name(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def pipe(path: Path, victim: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, victim: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("plant", [link, second_name, pipe, folder])
def test_keys_are_not_written_through_what_somebody_else_put_there(
    tmp_path: Path, name: str, plant: object
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    victim.chmod(0o640)
    where = tmp_path / "keys"
    where.mkdir()
    assert callable(plant)
    plant(where / name, victim)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r"symbolic link|pipe|not written|directory") as refused:
        KeyFiles(where)
    assert refused.value.filename == str(where / name)
    assert (victim.read_text(), mode(victim)) == ("mine", 0o640)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_keys_are_not_written_to_another_users_file(tmp_path: Path) -> None:
    (tmp_path / NAMES[1]).write_text("")
    os.chown(tmp_path / NAMES[1], 65534, -1)
    with pytest.raises(FileExistsError, match="belongs to the user 65534"):
        KeyFiles(tmp_path)


SA = IpsecSa(
    direction=Direction.OUT,
    source=ip_address("10.77.0.1"),
    destination=ip_address("10.77.0.2"),
    spi=0x2000,
    protocol=ProtocolId.ESP,
    mode=Mode.TUNNEL,
    reqid=0,
    encryption=EspTransform.AES,
    encryption_key=Secret(bytes(range(16))),
    integrity=Integrity.HMAC_SHA1,
    integrity_key=Secret(bytes(range(20))),
    lifetime=SaLifetime(),
    selector=Selector(local=ip_network("10.1.0.0/24"), remote=ip_network("10.2.0.0/24")),
)
SHA1 = '"HMAC-SHA-1-96 [RFC2404]","0x000102030405060708090a0b0c0d0e0f10111213"'
AES = '"AES-CBC [RFC3602]","0x000102030405060708090a0b0c0d0e0f"'


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, f'"IPv4","10.77.0.1","10.77.0.2","0x00002000",{AES},{SHA1}'),
        (
            {"encryption": EspTransform.NULL, "encryption_key": Secret(b"")},
            f'"IPv4","10.77.0.1","10.77.0.2","0x00002000","NULL","0x",{SHA1}',
        ),
        (
            {"integrity": Integrity.NONE, "integrity_key": Secret(b"")},
            f'"IPv4","10.77.0.1","10.77.0.2","0x00002000",{AES},"NULL",""',
        ),
        (
            {"source": ip_address("fd00::1"), "destination": ip_address("fd00::2")},
            f'"IPv6","fd00::1","fd00::2","0x00002000",{AES},{SHA1}',
        ),
    ],
    ids=["aes-sha1", "null", "no-integrity", "ipv6"],
)
def test_the_keys_of_an_sa_are_a_line_of_wiresharks_table(
    tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    files = KeyFiles(tmp_path)
    files.write(replace(SA, **changes))
    files.close()
    assert (tmp_path / "esp_sa").read_text() == f"{line}\n"
    assert (tmp_path / "ikev1_decryption_table").read_text() == ""

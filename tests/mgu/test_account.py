"""The user of the daemons, and what they keep."""

import subprocess
import sys
from pathlib import Path

import pytest

from lab import require
from mgu import account
from mgu.services.power import power_of
from mgu.services.table import SERVICES

AS_USER = """
import os, resource, sys
from pathlib import Path
from mgu import account, privileges
account.find = lambda: account.Account(4242, 4343)
folder = Path(sys.argv[1])
privileges.become_user([folder / "own"])
privileges.forbid_core_dumps()
privileges.drop(frozenset({"CAP_DAC_READ_SEARCH"}))
print(os.getresuid(), os.getresgid(), os.getgroups())
print((folder / "secret").read_text())
for path in ("secret", "new"):
    try:
        (folder / path).write_text("changed")
    except PermissionError:
        print(f"cannot write {path}")
(folder / "own/state").write_text("mine")
print(resource.getrlimit(resource.RLIMIT_CORE))
os.setuid(0)
"""


def test_a_daemon_that_became_its_user_reads_roots_files_and_writes_its_own_only(
    tmp_path: Path,
) -> None:
    require.root()
    (tmp_path / "secret").write_text("key")
    (tmp_path / "secret").chmod(0o600)
    argv = [sys.executable, "-c", AS_USER, str(tmp_path)]
    result = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert result.stdout.splitlines() == [
        "(4242, 4242, 4242) (4343, 4343, 4343) []",
        "key",
        "cannot write secret",
        "cannot write new",
        "(0, 0)",
    ]
    assert result.stderr.endswith("PermissionError: [Errno 1] Operation not permitted\n")
    assert (tmp_path / "own").stat().st_uid == 4242


CONFINED = """
import os, sys
from pathlib import Path
from mgu import privileges
folder = Path(sys.argv[1])
os.chdir(folder)
opened = (folder / "log").open("a")
privileges.confine([folder / "own"])
privileges.drop(frozenset({"CAP_DAC_OVERRIDE"}))
(folder / "own/state").write_text("mine")
print("goes on", file=opened, flush=True)
for name in (folder / "new", Path("relative"), Path("/etc/mgu-test"), Path("/var/tmp/mgu-test")):
    try:
        name.write_text("theirs")
    except OSError as error:
        print(error.strerror)
"""


def test_a_confined_daemon_writes_to_its_folders_and_to_nothing_else(tmp_path: Path) -> None:
    require.root()
    (tmp_path / "own").mkdir()
    argv = [sys.executable, "-c", CONFINED, str(tmp_path)]
    result = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert result.stderr == ""
    assert result.stdout.splitlines() == ["Read-only file system"] * 4
    assert (tmp_path / "own/state").read_text() == "mine"
    assert (tmp_path / "log").read_text() == "goes on\n"
    assert not (tmp_path / "new").exists()


def test_below_another_root_nobody_is_looked_up_or_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    assert account.find() is None
    assert account.make() is None


@pytest.mark.parametrize("each", SERVICES, ids=lambda each: each.name)
def test_a_unit_may_write_where_its_daemon_does_and_nowhere_else(each: object) -> None:
    (service,) = [one for one in SERVICES if one is each]
    lines = power_of(service.capabilities, service.folders).splitlines()
    assert {"ProtectSystem=strict", "NoNewPrivileges=yes", "LimitCORE=0"} <= set(lines)
    written = [
        prefix + name
        for prefix, option in (("/run/", "RuntimeDirectory="), ("/var/lib/", "StateDirectory="))
        for line in lines
        if line.startswith(option)
        for name in line.removeprefix(option).split()
    ]
    assert written == list(service.folders)
    assert not [line for line in lines if line.startswith("ReadWritePaths")]


def test_what_is_allowed_again_stands_behind_what_is_forbidden() -> None:
    lines = power_of(frozenset({"CAP_SYS_TIME", "CAP_CHOWN"}), ()).splitlines()
    calls = [line.removeprefix("SystemCallFilter=") for line in lines if "CallFilter=" in line]
    assert calls == ["@system-service", "~@privileged @resources", "capset", "@chown", "@clock"]


def test_the_user_is_made_by_whichever_program_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither makes one here."""
    for name in ("useradd", "adduser"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/said\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))  # nobody is found there
    assert not account.create()
    assert (tmp_path / "said").read_text().splitlines() == [
        "useradd --system --user-group --no-create-home --home-dir /nonexistent "
        "--shell /usr/sbin/nologin mgu",
        "adduser -S -D -H -h /nonexistent -s /bin/false mgu",
    ]


def test_a_program_that_only_root_can_reach_is_no_program_for_a_user() -> None:
    closed = [
        folder
        for path in (Path(sys.executable), Path(sys.executable).resolve(), Path(account.__file__))
        for folder in path.parents
        if not folder.stat().st_mode & 0o001
    ]
    assert account.unreachable() == (closed[0] if closed else None)


def test_a_unit_has_the_devices_and_addresses_that_its_daemon_uses() -> None:
    def lines(*capabilities: str) -> set[str]:
        return set(power_of(frozenset(capabilities), ()).splitlines())

    plain, port, tunnel = lines(), lines("CAP_CHOWN"), lines("CAP_NET_BIND_SERVICE")
    families = "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"
    assert {families, "PrivateTmp=yes", "PrivateDevices=yes", "ProtectClock=yes"} <= plain
    assert {f"{families} AF_PACKET", "SystemCallFilter=@chown", "ProtectClock=yes"} <= port
    assert {"DevicePolicy=closed", "DeviceAllow=/dev/net/tun rw", "PrivateTmp=yes"} <= tunnel
    assert "PrivateDevices=yes" not in tunnel
    assert "PrivateTmp=yes" not in lines("CAP_DAC_OVERRIDE")  # wpa_cli is answered in /tmp
    clock = lines("CAP_SYS_TIME")
    assert "SystemCallFilter=@clock" in clock
    assert "ProtectClock=yes" not in clock

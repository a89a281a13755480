"""Files that others name end soon; files of ours are whole, or none."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from wire.files import LARGEST, PRIVATE, doubt, read, write_whole
from wire.unix import short_name


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "etc" / "psk.txt"
    write_whole(target, b"old")
    write_whole(target, b"new", PRIVATE)
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == PRIVATE
    assert [entry.name for entry in target.parent.iterdir()] == ["psk.txt"]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "name"
    target.mkdir()
    (target / "content").touch()
    with pytest.raises(OSError):
        write_whole(target, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["name"]


def test_an_error_names_the_file_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file/below") as refusal:
        write_whole(tmp_path / "file/below", b"")
    assert refusal.value.filename == str(tmp_path / "file/below")


def test_a_disk_that_fills_up_is_told_with_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "psk.txt"
    target.write_text("old")
    script = """
import resource, sys
from pathlib import Path
from wire.files import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    write_whole(Path(sys.argv[1]), bytes(100))
except OSError as error:
    print(error.filename)
"""
    argv = [sys.executable, "-B", "-c", script, str(target)]
    child = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
    assert child.stdout == f"{target}\n"
    assert target.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["psk.txt"]


# What others name


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("/dev/zero", "it is a device"),
        ("fifo", "it is a pipe"),
        ("folder", "it is a directory"),
        ("socket", "it is a socket"),
        ("large", f"limit of {LARGEST} octets"),
        ("sparse", f"limit of {LARGEST} octets"),
        ("none", "No such file"),
        ("x" * 300, "name too long"),
    ],
)
def test_what_is_no_file_of_reasonable_size_is_refused_at_once_by_name(
    tmp_path: Path, name: str, found: str
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener, short_name(tmp_path / "socket") as place:
        listener.bind(place)
    (tmp_path / "large").write_bytes(bytes(LARGEST + 1))
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 40)
    with pytest.raises(OSError, match=found) as refusal:
        read(tmp_path / name)
    assert refusal.value.filename == str(tmp_path / name)


def test_a_name_with_a_zero_octet_is_an_error_of_the_file() -> None:
    with pytest.raises(OSError, match="zero octet"):
        read("ca\0.pem")


def test_a_file_of_the_largest_size_and_one_that_hides_its_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "full").write_bytes(bytes(LARGEST))
    assert len(read(tmp_path / "full")) == LARGEST
    assert b"Name:" in read("/proc/self/status")


def test_a_link_is_followed_unless_it_is_asked_not_to(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"k")
    (tmp_path / "link").symlink_to("key")
    assert read(tmp_path / "link") == b"k"
    with pytest.raises(OSError, match="symbolic link"):
        read(tmp_path / "link", link=False)


def test_a_person_may_give_a_pipe_and_it_is_read_to_its_end_and_no_further_than_the_limit() -> None:
    def given(octets: bytes, largest: int = LARGEST) -> bytes:
        reader, writer = os.pipe()
        try:
            os.write(writer, octets)
        finally:
            os.close(writer)
        try:
            return read(f"/proc/self/fd/{reader}", largest, pipe=True)
        finally:
            os.close(reader)

    assert given(b"secret") == b"secret"
    with pytest.raises(OSError, match="limit of 3 octets"):
        given(b"long", 3)


def test_a_pipe_without_a_writer_is_empty_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert read(tmp_path / "fifo", pipe=True) == b""


def test_who_owns_a_file_of_secrets_and_who_can_open_it_is_said_with_the_remedy(
    tmp_path: Path,
) -> None:
    file = tmp_path / "psk.txt"
    file.touch(PRIVATE)
    status = file.stat()
    assert doubt(file, status) is None
    file.chmod(0o640)
    assert (
        doubt(file, file.stat()) == f"{file} is open to other users: 'chmod 600 {file}' closes it"
    )
    foreign = os.stat_result((0o600, *status[1:4], 4711, *status[5:]))
    assert "chown root" in (doubt(file, foreign) or "")


# A full disk, in a mount namespace of its own


def on_a_full_disk(script: str) -> str:
    """What `script` prints; it finds a folder `disk` with `disk/old`, and no free octet."""
    head = """
import os, sys
from contextlib import suppress
from pathlib import Path
disk = Path(sys.argv[1])
disk.mkdir(exist_ok=True)
(disk / "old").write_bytes(b"old" * 1000)
(disk / "old").chmod(0o640)
(disk / "log").touch()
def fill():
    with suppress(OSError), open(disk / "filler", "ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
"""
    with tempfile.TemporaryDirectory(prefix=f"mgu-{os.getpid()}-") as folder:
        mount = f'mount -t tmpfs -o size=64k none "{folder}" && exec "$0" "$@"'
        argv = ["unshare", "-rm", "sh", "-c", mount, sys.executable, "-B", "-c", head + script]
        child = subprocess.run(
            [*argv, folder], capture_output=True, text=True, timeout=30, check=False
        )
    assert child.returncode == 0, child.stderr
    return child.stdout


def test_on_a_full_disk_the_old_file_stays_and_the_error_names_it() -> None:
    said = on_a_full_disk("""
from wire.files import write_whole
fill()
try:
    write_whole(disk / "old", bytes(9000))
except OSError as error:
    print(Path(error.filename).name, error.strerror)
print((disk / "old").read_bytes() == b"old" * 1000, sorted(os.listdir(disk)))
""")
    names = "['filler', 'log', 'old']"
    assert said == f"old No space left on device\nTrue {names}\n"


def test_on_a_full_disk_several_files_written_as_one_are_all_taken_back() -> None:
    said = on_a_full_disk("""
from mgu.installation import Installation
(disk / "last").write_bytes(b"last")
try:
    with Installation() as installation:
        installation.write(disk / "old", b"new" * 1000)
        installation.write(disk / "first", b"first")
        fill()
        installation.write(disk / "last", bytes(9000))
except OSError as error:
    print(Path(error.filename).name)
print((disk / "old").read_bytes() == b"old" * 1000, oct((disk / "old").stat().st_mode & 0o777))
print((disk / "last").read_bytes(), sorted(os.listdir(disk)))
""")
    assert said == "last\nTrue 0o640\nb'last' ['filler', 'last', 'log', 'old']\n"


def test_an_installation_that_ends_well_leaves_nothing_beside_its_files() -> None:
    said = on_a_full_disk("""
from mgu.installation import Installation
with Installation() as installation:
    installation.write(disk / "old", b"new", 0o600)
    installation.write(disk / "old", b"newer", 0o600)
print((disk / "old").read_bytes(), oct((disk / "old").stat().st_mode & 0o777), os.listdir(disk))
""")
    assert said.startswith("b'newer' 0o600 [")
    assert "." not in said


def test_on_a_full_disk_secrets_are_written_by_whole_lines_and_the_lack_is_told_once() -> None:
    said = on_a_full_disk("""
from wire.files import PrivateLog
log = PrivateLog(disk / "log", lambda text: print(text.rpartition(":")[2].strip()))
log.write(b"a" * 4000)
fill()
log.write(b"b" * 4000)
log.write(b"c" * 4000)
(disk / "filler").unlink()
log.write(b"d" * 10)
print((disk / "log").read_bytes() == b"a" * 4000 + b"\\n" + b"d" * 10 + b"\\n")
""")
    assert said == "No space left on device\nTrue\n"


def test_a_pid_file_on_a_full_disk_is_named_and_ends_nothing() -> None:
    said = on_a_full_disk("""
from mgu.daemon import pidfile
import sys
sys.stderr = sys.stdout
fill()
with pidfile(disk / "run.pid"):
    print("ran")
print(sorted(os.listdir(disk)))
""")
    name, ran, left = said.splitlines()
    assert name.endswith("/run.pid: the pid file cannot be written: No space left on device")
    assert (ran, left) == ("ran", "['filler', 'log', 'old']")


def test_links_that_lead_back_to_themselves_are_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links lead back to themselves"):
        read(tmp_path / "a")

"""setkey and a real kernel: what a file says is what ip shows, and what setkey -D prints."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.netns import Namespace, Veth
from mgu.commands.setkey import main

pytestmark = pytest.mark.kernel

SAS = """
add 10.77.0.1 10.77.0.2 esp 0x1000 -E aes-cbc 0x000102030405060708090a0b0c0d0e0f
    -A hmac-sha1 0x000102030405060708090a0b0c0d0e0f10111213;
add 10.77.0.2 10.77.0.1 esp 0x1001 -E aes-cbc 0x000102030405060708090a0b0c0d0e0f
    -A hmac-sha1 0x000102030405060708090a0b0c0d0e0f10111213;
"""
LEFT = """
spdadd 10.77.0.1 10.77.0.2 any -P out ipsec esp/transport//require;
spdadd 10.77.0.2 10.77.0.1 any -P in ipsec esp/transport//require;
"""
RIGHT = LEFT.replace("out", "X").replace("in ", "out ").replace("X", "in")


@dataclass(frozen=True)
class Done:
    stdout: str
    stderr: str


class Setkey:
    """The command in this process, which has it loaded already, on a host of its own."""

    def __init__(self, capture: pytest.CaptureFixture[str], file: Path) -> None:
        self._capture = capture
        self.file = file

    def __call__(self, host: Namespace, *options: str, file: str = "", code: int = 0) -> Done:
        """`file` is what is read with -f."""
        self.file.write_text(file)
        reading = ["-f", str(self.file)] if file else []
        with host.entered():
            ended = main([*options, *reading])
        said = self._capture.readouterr()
        assert ended == code, said.err
        return Done(said.out, said.err)


@pytest.fixture
def setkey(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Setkey:
    return Setkey(capsys, tmp_path / "sas.conf")


def test_two_files_protect_a_ping(wire: Veth, setkey: Setkey) -> None:
    left, right = wire.left[0], wire.right[0]
    setkey(left, file=SAS + LEFT)
    setkey(right, file=SAS + RIGHT)
    left.run("ping", "-c", "4", "-i", "0.05", "-W", "2", "10.77.0.2")
    for host in (left, right):
        shown = setkey(host, "-D").stdout
        assert shown.count("current: 256(bytes)\thard: 0(bytes)") == 2
        assert shown.count("allocated: 4\thard: 0") == 2
        assert shown.count("state=mature \n") == 2
    # The manual's form, with the date and the numbers of today
    date = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}"
    entry = re.compile(
        r"10\.77\.0\.1 10\.77\.0\.2 \n"
        r"\tesp mode=transport spi=4096\(0x00001000\) reqid=0\(0x00000000\)\n"
        r"\tE: aes-cbc  00010203 04050607 08090a0b 0c0d0e0f\n"
        r"\tA: hmac-sha1  00010203 04050607 08090a0b 0c0d0e0f 10111213\n"
        r"\tseq=0x00000000 replay=0 flags=0x00000000 state=mature \n"
        rf"\tcreated: {date}\tcurrent: {date}\n"
        r"\tdiff: \d+\(s\)\thard: 0\(s\)\tsoft: 0\(s\)\n"
        rf"\tlast: {date}\thard: 0\(s\)\tsoft: 0\(s\)\n"
        r"\tcurrent: 256\(bytes\)\thard: 0\(bytes\)\tsoft: 0\(bytes\)\n"
        r"\tallocated: 4\thard: 0\tsoft: 0\n"
        r"\tsadb_seq=\d+ pid=\d+ refcnt=0\n"
    )
    assert entry.search(setkey(left, "-D").stdout)


EVERY_KIND = """
add 10.99.0.1 10.99.0.9 esp 0x10001 -m tunnel -u 7 -r 8 -lh 100 -ls 80
    -E 3des-cbc 0x112233445566778899aabbccddeeff001122334455667788
    -A hmac-md5 "authentication!!";
add 10.99.0.1 10.99.0.9 ah 0x10002
    -A hmac-sha256 0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f;
add 10.99.0.1 10.99.0.9 esp-udp 0x10003 -m tunnel -E aes-cbc 0x00112233445566778899aabbccddeeff
    -A hmac-sha1 "12345678901234567890";
add 10.99.0.1 10.99.0.9 ipcomp 0x1004 -C deflate;
add 10.99.0.1 10.99.0.9 esp 0x10005 -A hmac-sha1 "12345678901234567890";
add fd00::1 fd00::2 esp 0x10006 -E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213;
"""


def test_sas_of_every_kind_are_shown_by_ip_and_by_setkey(wire: Veth, setkey: Setkey) -> None:
    host = wire.left[0]
    setkey(host, file=EVERY_KIND)
    shown = setkey(host, "-D").stdout
    states = host.run("ip", "xfrm", "state").stdout
    for spi, ip_says, setkey_says in (
        (0x10001, "reqid 7 mode tunnel", "esp mode=tunnel spi=65537(0x00010001) reqid=7"),
        (0x10001, "cbc(des3_ede)", "E: 3des-cbc  11223344 55667788 99aabbcc ddeeff00 11223344"),
        (0x10001, "hmac(md5)", "A: hmac-md5  61757468 656e7469 63617469 6f6e2121"),
        (0x10002, "hmac(sha256)", "ah mode=transport spi=65538"),
        (0x10003, "espinudp sport 4500 dport 4500", "10.99.0.1[4500] 10.99.0.9[4500] \n\tesp-udp"),
        (0x1004, "comp deflate", "ipcomp mode=transport spi=4100(0x00001004)"),
        (0x10005, "ecb(cipher_null)", "spi=65541(0x00010005) reqid=0(0x00000000)\n\tA: hmac-sha1"),
        (0x10006, "rfc4106(gcm(aes))", "E: aes-gcm-16  00010203 04050607"),
    ):
        assert setkey_says in shown
        entry = next(part for part in states.split("\nsrc ") if f"spi 0x{spi:08x}" in part)
        assert ip_says in entry
    assert "hard: 100(s)\tsoft: 80(s)" in shown
    assert "replay=8" in shown
    assert re.search(r"auth-trunc hmac\(sha256\) 0x[0-9a-f]+ 128", states)


def test_get_update_delete_and_deleteall(wire: Veth, setkey: Setkey) -> None:
    host = wire.left[0]
    setkey(host, file=EVERY_KIND)
    got = setkey(host, file="get 10.99.0.1 10.99.0.9 ah 0x10002;").stdout
    assert got.count("sadb_seq") == 1
    assert "ah mode=transport spi=65538" in got
    setkey(host, file="delete 10.99.0.1 10.99.0.9 ah 0x10002;")
    failed = setkey(host, file="flush ipcomp;\nget 10.99.0.1 10.99.0.9 ah 0x10002;", code=1)
    assert f"setkey: {setkey.file},2: column 1: " in failed.stderr
    assert "No such process" in failed.stderr
    setkey(host, file="deleteall 10.99.0.1 10.99.0.9 esp;")
    left = setkey(host, "-D").stdout
    assert left.count("sadb_seq") == 1
    assert "fd00::1 fd00::2 \n" in left
    setkey(host, "-F")
    assert setkey(host, "-D").stdout == "No SAD entries.\n"


def test_getspi_reserves_and_update_completes(wire: Veth, setkey: Setkey) -> None:
    host = wire.left[0]
    shown = setkey(host, file="getspi 10.99.0.1 10.99.0.9 esp;").stdout
    assert "state=larval" in shown
    found = re.search(r"spi=(\d+)", shown)
    assert found is not None
    update = f"update 10.99.0.1 10.99.0.9 esp {found[1]} -E null;"
    setkey(host, file=update)
    assert "state=mature" in setkey(host, "-D").stdout


def test_an_sa_that_is_there_already_is_named_with_its_line(wire: Veth, setkey: Setkey) -> None:
    host = wire.left[0]
    setkey(host, file=EVERY_KIND)
    failed = setkey(host, file=EVERY_KIND, code=1)
    assert f"setkey: {setkey.file},2: column 1: cannot add esp SA 0x00010001" in failed.stderr
    assert "File exists" in failed.stderr
    assert failed.stderr.count("\n") == 6


def test_an_interrupted_mind_changes_nothing(wire: Veth, setkey: Setkey) -> None:
    """A mistake in the last line: the lines before are not carried out."""
    host = wire.left[0]
    failed = setkey(host, file=SAS + "spdadd nonsense;\n", code=1)
    assert f"setkey: {setkey.file},6: column 16: " in failed.stderr
    assert setkey(host, "-D").stdout == "No SAD entries.\n"

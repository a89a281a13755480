"""Made key files, read by chronyd, by ntpd (ntpsec) and by us: the same keys, or it is written why.

A key counts as read the same where the server answers a request that is signed with ours, and we
verify its answer. The differences stand in docs/conformance/files-of-others.md.
"""

import re
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab import odd_keys
from lab.netns import Veth
from lab.peers.chronyd import chronyd
from lab.process import Process
from ntp import keys
from ntp.auth import Key
from ntp.errors import NtpError
from ntp.packet import Header, Packet
from wire.source import Notices

pytestmark = pytest.mark.interop

SERVER = "10.77.0.2"
NOT_CHRONYDS = {
    "a word behind the key": re.compile(r"2 SHA1 (two words|secret #|secret 192)"),
    "lower case": re.compile(r"2 (sha1|md5|aes128) "),
    "names of ntpd's": re.compile(r"2 (M|AES|AES-128|AES128CMAC|SHA-1) "),
    "hexadecimal without HEX:, which is text to chronyd": re.compile(r"2 (SHA1|MD5) [0-9a-f]{32}"),
    "hexadecimal without HEX:, too": re.compile(r"2 MD5 [0-9A-F]{32}"),
}
"""Lines that chronyd refuses or reads differently, and ntpd does not."""

NOT_OURS = {
    "digests that we do not have": re.compile(r"2 (SHA256|SHA512|AES256) "),
    "numbers that are none": re.compile(r"(0|-2|4294967296) SHA1"),
    "the name of an algorithm and no key, which chronyd takes for a key": re.compile(
        r"2 SHA1(,|$)"
    ),
}
"""Lines that chronyd reads and we do not."""

ALL = "unrestrict default kod limited"  # or it answers fifteen requests
NTPD_REFUSES = r"unknown auth type {0},|(key|type|digit) for key {0}$|key {0} > 65535"
NOT_NTPDS = {
    "HEX: and ASCII: are chrony's": re.compile(r"2( MD5| SHA1)? (HEX|ASCII):"),
    "AES128 is chrony's": re.compile(r"2 aes128 ", re.IGNORECASE),
    "without a word for MD5": re.compile(r"2 secret$"),
    "# within a key": re.compile(r"2 SHA1 with#"),
    "a long key that is text": re.compile(r"2 SHA1 (longer|nothex)"),
    "above 65535": re.compile(r"(4294967295|70000) SHA1"),
}
"""Lines that ntpd refuses or reads differently, and chronyd does not."""


def is_one(name: str, different: dict[str, re.Pattern[str]]) -> bool:
    return any(pattern.match(name) for pattern in different.values())


def has(wire: Veth, key: Key) -> bool:
    """Whether the server has this very key."""

    def ask() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(0.25)  # seconds, on a cable of no length
            udp.connect((SERVER, 123))
            udp.send(key.sign(bytes(Header(3, transmit=0x1234_5678_9ABC_DEF0))))
            try:
                octets = udp.recv(512)
                key.verify(Packet.parse(octets), octets)
            except (TimeoutError, NtpError):
                return False
            return True

    return wire.left[0].call(ask)


def of_ours(octets: bytes) -> dict[int, Key]:
    return keys.parse(octets, "keys", Notices())


def numbers(octets: bytes) -> set[bytes]:
    """What begins the lines that are no comments."""
    words = [line.split()[0] for line in octets.splitlines() if line.split()]
    return {word for word in words if word[:1] not in (b"#", b"!", b";", b"%")}


@pytest.mark.long
def test_chronyd_and_we_read_the_same_keys(wire: Veth, tmp_path: Path) -> None:
    made = list(odd_keys.files())
    assert len(made) >= 100
    folder, wrong = tmp_path / "chronyd", []
    (folder / "run").mkdir(parents=True, mode=0o700)
    (folder / "keys").write_bytes(b"")
    control = f"{folder}/run/chronyd.sock"
    lines = [f"keyfile {folder}/keys", f"bindcmdaddress {control}", "cmdport 323"]
    with chronyd(folder, namespace=wire.right[0], lines=lines) as process:
        for name, octets in made:
            (folder / "keys").write_bytes(octets)
            before = len(process.output.read_text())
            done = wire.right[0].run("chronyc", "-h", control, "rekey", check=False)
            assert "200 OK" in done.stdout, done
            said = process.output.read_text()[before:]
            complaints = re.findall(r"Could not|Invalid", said)
            ours = of_ours(octets)
            not_chronyds = is_one(name, NOT_CHRONYDS)
            if {n: has(wire, key) for n, key in ours.items()} != {
                n: n == 1 or not not_chronyds for n in ours
            }:
                wrong.append((name, "read by us, not by chronyd", said))
            more = not complaints and len(ours) < len(numbers(octets))
            if more != is_one(name, NOT_OURS):
                wrong.append((name, "read by chronyd, not by us", said))
    assert wrong == [], "\n".join(map(str, wrong))


@pytest.mark.long
def test_ntpd_and_we_read_the_same_keys(wire: Veth, tmp_path: Path) -> None:
    """ntpsec conflicts with chrony, so its package is unpacked into a folder of the test's."""
    program = ntpd(tmp_path)
    made: dict[int, tuple[str, str]] = {}
    for number, line in enumerate(odd_keys.LINES, 100):
        made[number] = line, re.sub(r"^2\b", str(number), line)
    octets = "".join(f"{line}\n" for _, line in made.values()).encode()
    (tmp_path / "keys").write_bytes(octets)
    trusted = " ".join(map(str, made))
    (tmp_path / "ntp.conf").write_text(
        f"keys {tmp_path}/keys\ntrustedkey {trusted}\ndisable ntp\n{ALL}\n"
    )
    ours, wrong = of_ours(octets), []
    bare = ("setpriv", "--bounding-set=-sys_time")  # it cannot set this machine's clock
    argv = [*bare, program, "-n", "-c", str(tmp_path / "ntp.conf")]
    with ExitStack() as stack:
        process = stack.enter_context(Process(argv, namespace=wire.right[0], name="ntpd"))
        process.wait_line("Listen normally on . eth0 10")
        said = process.output.read_text()
        for number, (line, _) in made.items():
            key, refused = ours.get(number), re.search(NTPD_REFUSES.format(number), said, re.M)
            if key is None:
                known = is_one(line, NOT_OURS) or is_one(line, NOT_NTPDS)
                if not refused and line.startswith("2 ") and not known:
                    wrong.append((line, "read by ntpd, not by us"))
            elif has(wire, key) == is_one(line, NOT_NTPDS):
                wrong.append((line, "not as by ntpd"))
    assert wrong == [], "\n".join(map(str, wrong))


def ntpd(folder: Path) -> str:
    for words in (["apt-get", "download", "ntpsec"], ["sh", "-c", "dpkg -x ntpsec_*.deb tree"]):
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return str(folder / "tree/usr/sbin/ntpd")

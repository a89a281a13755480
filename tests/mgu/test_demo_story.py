"""What the demo tells and checks, in an office of paper: its real runs are in test_demo.py."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from mgu.demo import story
from mgu.demo.capture import Captured
from mgu.demo.host import DemoFailed
from mgu.demo.papers import Papers
from mgu.demo.story import Story
from wire.pcapng import Direction

SA = "esp mode=tunnel E: aes-cbc A: hmac-sha1 state=mature current: 84(bytes)\n"
STATUS = "Supplicant PAE state=AUTHENTICATED\nsuppPortStatus=Authorized\n"


class Host:
    """Says what the test has it say; writes down what it was told to run."""

    def __init__(self, office: "Office", label: str, root: Path) -> None:
        self._office = office
        self.label = label
        self.root = root / label
        (self.root / "var/log").mkdir(parents=True)
        (self.root / "run/wpa_supplicant").mkdir(parents=True)

    @property
    def logs(self) -> list[Path]:
        return sorted((self.root / "var/log").glob("*.log"))

    def shown(self, *words: str, cwd: Path | None = None) -> str:
        assert cwd == (Path("client") if words[0] == "net8021x" else None)
        said = "ipsec" if words[0] == "ipsec" else " ".join(words)
        self._office.told.append(f"{self.label}# {said}")
        if words[0] == "ipsec":
            self._office.ipsec = words
        elif words[:2] == ("mgu", "up"):
            self._office.open = True
            if words == ("mgu", "up"):
                self._serve(self.root / "run/wpa_supplicant/eth0")
        elif words == ("mgu", "down"):
            self._office.open = False
        return self._office.answers.get(said, "")

    def _serve(self, control: Path) -> None:
        """The supplicant, for one question."""
        control.parent.mkdir(exist_ok=True)
        control.unlink(missing_ok=True)
        supplicant = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        supplicant.bind(str(control))
        supplicant.settimeout(0.5)

        def answer() -> None:
            with supplicant, contextlib.suppress(TimeoutError):
                _, sender = supplicant.recvfrom(100)
                supplicant.sendto(self._office.port.encode(), sender)

        thread = threading.Thread(target=answer)
        thread.start()
        self._office.threads.append(thread)

    def quiet(self, *words: str) -> bool:
        assert words == ("ping", "-c1", "-W0.3", "192.168.1.200")
        self._office.told.append(f"({self.label} pings: {self._office.open})")
        return self._office.open


class Office:
    def __init__(self, root: Path) -> None:
        self.told: list[str] = []
        self.ipsec: tuple[str, ...] = ()
        self.answers = shown(2 * SA)
        self.port = STATUS
        self.threads: list[threading.Thread] = []
        self.open = False
        self.off = 0.05  # seconds that the gateway's clock is wrong once it is set
        self.gateway, self.node = Host(self, "gateway", root), Host(self, "node", root)
        self.hosts = [self.gateway, self.node]
        (root / "gateway/var/log/racoon.log").write_text("INFO: ISAKMP-SA established\nelse\n")

    def date(self) -> float:
        return time.time() + self.off

    def forget_date(self) -> None:
        left = sorted(path.name for path in self.gateway.root.joinpath("run").iterdir())
        self.told.append(f"(it is 1970, /run has {left})")


class Peers:
    description = "peers of paper"

    def __init__(self, office: Office) -> None:
        self._office = office

    def start_time_server(self, office: Office) -> None:
        office.told.append("(time server)")

    def start_switch(self, office: Office, papers: Papers) -> None:
        office.told.append(f"(switch, {papers.server})")

    def start_firewall(self, office: Office, key: str) -> None:
        office.told.append(f"(firewall, {len(key)})")
        self.key = key

    def first_from_remote(self, office: Office) -> None:
        office.told.append("(remote begins)")

    def close(self) -> None: ...


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    for thread in made.threads:
        thread.join()


def telling(office: Office) -> Story:
    papers = Papers(Path("client"), Path("server"))
    return Story(office, Peers(office), papers)  # type: ignore[arg-type]


SAS = ["gateway# racoonctl -ll show-sa isakmp", "gateway# racoonctl show-sa ipsec"]


def test_the_story_is_that_of_the_manual(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    told = telling(office)
    told.tell()
    assert office.told == [
        "(it is 1970, /run has ['wpa_supplicant'])",
        "(time server)",
        "(switch, server)",
        "gateway# localNTP -s",
        "gateway# localNTP -a -n 192.168.1.10",
        "(gateway pings: False)",
        "gateway# net8021x -l ./client.pem -c ./ca.pem -i test@test.se -p ./key.pem -a",
        "gateway# mgu up port",
        "gateway# wpa_cli status",
        "(gateway pings: True)",
        "(firewall, 16)",
        "gateway# ipsec",
        "(remote begins)",
        "node# ping -c3 -W3 192.168.1.100",
        "gateway# ping -c3 -W3 192.168.2.10",
        *SAS,
        "gateway# mgu down",
        "(gateway pings: False)",
        "(it is 1970, /run has [])",
        "gateway# mgu up",
        "(gateway pings: True)",
        "gateway# ping -c3 -W3 192.168.2.10",
        "node# ping -c3 -W3 192.168.1.100",
        *SAS,
    ]
    *words, ours, theirs, start = office.ipsec
    assert " ".join(words) == (
        "ipsec --create --name=office --dst-address=192.168.1.200 --dst-network=192.168.2.0/24"
    )
    assert start == "--start"
    assert theirs == f"--dst-preshared-key={told.peers.key}"  # type: ignore[attr-defined]
    assert re.fullmatch(r"--src-preshared-key=[\w-]{16}", ours)
    assert ours.partition("=")[2] != told.peers.key  # type: ignore[attr-defined]
    printed = capsys.readouterr().out
    titles = re.findall(r"^=== (.*) =+$", printed, re.MULTILINE)
    assert titles == [
        "The branch office",
        "Right time (manual, 5.1)",
        "Open port (manual, 5.3 and 5.4)",
        "Keyed tunnel (manual, 6.1)",
        "Reboot: everything again, from the files alone",
    ]
    assert {len(line) for line in printed.splitlines() if line.startswith("===")} == {95}
    assert "Other ends: peers of paper." in printed
    assert "is right now, within 50." in printed
    assert "INFO: ISAKMP-SA established\n" in printed
    assert "\nelse\n" not in printed


def shown(sas: str) -> dict[str, str]:
    return {"wpa_cli status": STATUS, "racoonctl show-sa ipsec": sas}


class Stuck(Office):
    """Its port never closes."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, True if name == "open" else value)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"off": 0.11}, r"the gateway's date is 0\.1\d\d s off"),
        ({"off": -0.2}, r"the gateway's date is 0\.[12]\d\d s off"),
        ({"answers": {}}, "wpa_cli status does not say Supplicant PAE state=AUTHENTICATED"),
        (
            {"answers": {"wpa_cli status": "Supplicant PAE state=AUTHENTICATED"}},
            "wpa_cli status does not say suppPortStatus=Authorized",
        ),
        ({"answers": shown(SA)}, "there are no IPsec SAs in both directions"),
        ({"answers": shown(2 * SA.replace("aes-cbc", "3des-cbc"))}, "not the manual's algorithms"),
        ({"answers": shown(2 * SA.replace("sha1", "md5"))}, "not the manual's algorithms"),
        ({"answers": shown(SA + SA.replace("84", "0"))}, "an IPsec SA has carried nothing"),
        ({"port": "suppPortStatus=Unauthorized\n"}, "the port did not stay authorized"),
        ({"__class__": Stuck, "open": True}, "the switch passes traffic of a port that is not"),
    ],
)
def test_a_step_that_did_not_do_what_it_must_ends_the_story(
    changed: dict[str, Any], reason: str, office: Office
) -> None:
    for name, value in changed.items():
        setattr(office, name, value)
    with pytest.raises(DemoFailed, match=reason):
        telling(office).tell()


class Frames:
    def __init__(self, *frames: Captured) -> None:
        self.frames = list(frames)

    def write(self, folder: Path, tls_keys: bytes) -> list[Path]:
        assert tls_keys == b""
        return [folder / "a.pcapng", folder / "b.pcapng"]


def packet(protocol: int, dst: str) -> Captured:
    """From the gateway."""
    ends = ip_address("192.168.1.100").packed + ip_address(dst).packed
    octets = bytes(12) + b"\x08\x00\x45" + bytes(8) + bytes([protocol, 0, 0]) + ends
    return Captured(0, 0, octets, Direction.INBOUND)


ESP, CLEAR = packet(50, "192.168.1.200"), packet(1, "192.168.2.10")


def written(office: Office, output: Path, *frames: Captured) -> None:
    keys = output.parent / "keys"
    keys.mkdir()
    with story._written_at_the_end(output, office, Frames(*frames), keys):  # type: ignore[arg-type]
        pass


def test_what_was_captured_is_told_and_every_log_is_kept(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(office, tmp_path / "out", ESP, ESP)
    printed = capsys.readouterr().out
    assert f"Captures, keys and logs are in {tmp_path}/out." in printed
    assert f"2 frames of 2 links:\n\n    {tmp_path}/out/a.pcapng\n    {tmp_path}/out/b" in printed
    assert "2 packets of ESP, and 0 of the tunnel's traffic in clear" in printed
    command = f"WIRESHARK_CONFIG_DIR={tmp_path}/out/wireshark wireshark {tmp_path}/out/a.pcapng"
    assert command in printed
    kept = tmp_path / "out/logs/gateway-racoon.log"
    assert kept.read_text() == (office.gateway.root / "var/log/racoon.log").read_text()


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "there is no ESP on the wire"),
        ([ESP, CLEAR], "1 packets of the tunnel's traffic went over the wire in clear"),
    ],
)
def test_a_tunnel_that_was_none_fails(
    frames: list[Captured], reason: str, office: Office, tmp_path: Path
) -> None:
    with pytest.raises(DemoFailed, match=reason):
        written(office, tmp_path / "out", *frames)


def test_after_a_failure_the_logs_ends_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "racoon.log"
    log.write_bytes(b"\n".join(b"line %d \xff" % number for number in range(40)))
    story._explain(DemoFailed("it broke", [log]))
    shown = capsys.readouterr().err.splitlines()
    assert shown[1] == "--- racoon.log, the last lines"
    assert shown[2:32] == [f"line {number} \ufffd" for number in range(10, 40)]
    assert shown[33:] == ["demo: FAILED: it broke"]

"""What the demo leaves for Wireshark: the capture, and a configuration folder with the keys."""

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Protocol

from mgu.demo.capture import Captured
from mgu.demo.office import FIREWALL, GATEWAY, NODE
from mgu.files import PRIVATE, write_whole

PROFILE: Final = "wireshark"

_PREFERENCES: Final = """\
esp.enable_encryption_decode: TRUE
esp.enable_authentication_check: TRUE
"""
_ETHERTYPE_IPV4: Final = b"\x08\x00"
_ESP: Final = 50
_UDP: Final = 17
_NATT_PORT: Final = (4500).to_bytes(2, "big")
_KEEPALIVE: Final = 9  # octets of UDP header and NAT-keepalive
_INSIDE_LINK: Final = 4  # the number of the link behind the firewall, which is in clear


class Frames(Protocol):
    @property
    def frames(self) -> Sequence[Captured]: ...

    def write(self, folder: Path, tls_keys: bytes) -> list[Path]: ...


def write(output: Path, capture: Frames, keys: Path) -> list[Path]:
    """Write the captures and the keys, which the daemons left in the folder `keys`.

    Returns: the captures.
    """
    profile = output / PROFILE
    tls = b"".join(path.read_bytes() for path in sorted(keys.glob("*tls*")))
    write_whole(profile / "preferences", _PREFERENCES.encode())
    for table in ("ikev1_decryption_table", "esp_sa"):
        lines = b"".join(sorted(set(_lines(keys, table))))
        write_whole(profile / table, lines, PRIVATE)
    return capture.write(output, tls)


def _lines(keys: Path, table: str) -> list[bytes]:
    return [line for path in keys.rglob(table) for line in path.read_bytes().splitlines(True)]


def count(capture: Frames) -> tuple[int, int]:
    """Packets between gateway and node in clear, and packets of ESP, outside the head office."""
    clear = sealed = 0
    for frame in capture.frames:
        packet = frame.octets[14:]
        if frame.link == _INSIDE_LINK or frame.octets[12:14] != _ETHERTYPE_IPV4:
            continue
        ends = {packet[12:16], packet[16:20]}
        clear += ends == {ip_address(GATEWAY).packed, ip_address(NODE).packed}
        sealed += ends == {ip_address(GATEWAY).packed, ip_address(FIREWALL).packed} and _esp(packet)
    return clear, sealed


def _esp(packet: bytes) -> bool:
    """Whether an IPv4 packet is ESP, bare or in UDP (RFC 3948, 2.2)."""
    if packet[9] == _ESP:
        return True
    udp = packet[(packet[0] & 15) * 4 :]
    natt = packet[9] == _UDP and _NATT_PORT in (udp[:2], udp[2:4])
    return natt and len(udp) > _KEEPALIVE and udp[8:12] != bytes(4)

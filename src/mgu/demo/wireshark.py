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
    ends = {ip_address(GATEWAY).packed, ip_address(NODE).packed}
    clear = sealed = 0
    for frame in capture.frames:
        packet = frame.octets[14:]
        if frame.link == _INSIDE_LINK or frame.octets[12:14] != _ETHERTYPE_IPV4:
            continue
        clear += {packet[12:16], packet[16:20]} == ends
        peers = {packet[12:16], packet[16:20]} == {
            ip_address(GATEWAY).packed,
            ip_address(FIREWALL).packed,
        }
        sealed += peers and packet[9] == _ESP
    return clear, sealed

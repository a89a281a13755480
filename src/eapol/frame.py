"""EAPOL frames, without their Ethernet header (IEEE Std 802.1X-2004, 7.5)."""

import struct
from dataclasses import dataclass
from typing import Final, Self

from eapol.errors import MalformedFrame
from wire.cursor import Cursor, DecodeError
from wire.open_enum import OpenEnum

_HEADER: Final = struct.Struct("!BBH")  # protocol version, packet type, length of body in octets

ETHERTYPE: Final = 0x888E
PAE_GROUP_ADDRESS: Final = bytes.fromhex("0180c2000003")
VERSION: Final = 2


class PacketType(OpenEnum):
    """7.5.4; KEY is not used on wired ports, ENCAPSULATED_ASF_ALERT is for management."""

    EAP_PACKET = 0
    START = 1
    LOGOFF = 2
    KEY = 3
    ENCAPSULATED_ASF_ALERT = 4
    MKA = 5


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. Any version is taken: 7.5.3 has later versions understood as far as known."""

    packet_type: PacketType
    body: bytes = b""
    version: int = VERSION

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """What follows the body is Ethernet padding. Raises: MalformedFrame."""
        cursor = Cursor(octets)
        try:
            version, packet_type, length = cursor.unpack(_HEADER)
            return cls(PacketType(packet_type), cursor.take(length), version)
        except DecodeError as error:
            raise MalformedFrame.wrap(error) from None

    def __bytes__(self) -> bytes:
        return _HEADER.pack(self.version, self.packet_type, len(self.body)) + self.body

"""Vendor IDs: how peers announce what they support besides the RFCs (RFC 2408, 3.16)."""

from enum import Enum
from typing import Final


class Vendor(Enum):
    """What we know, by the name that racoon's log gives it."""

    RFC_3947 = "RFC 3947"
    NATT_03 = "draft-ietf-ipsec-nat-t-ike-03"
    NATT_02_N = "draft-ietf-ipsec-nat-t-ike-02\n"
    NATT_02 = "draft-ietf-ipsec-nat-t-ike-02"
    DPD = "DPD"
    FRAGMENTATION = "FRAGMENTATION"
    XAUTH = "draft-ietf-ipsra-isakmp-xauth-06.txt"
    UNITY = "CISCO-UNITY"


_OCTETS: Final[dict[Vendor, bytes]] = {
    Vendor.RFC_3947: bytes.fromhex("4a131c81070358455c5728f20e95452f"),
    Vendor.NATT_03: bytes.fromhex("7d9419a65310ca6f2c179d9215529d56"),
    Vendor.NATT_02_N: bytes.fromhex("90cb80913ebb696e086381b5ec427b1f"),
    Vendor.NATT_02: bytes.fromhex("cd60464335df21f87cfdb2fc68b6a448"),
    Vendor.DPD: bytes.fromhex("afcad71368a1f1c96b8696fc77570100"),
    Vendor.FRAGMENTATION: bytes.fromhex("4048b7d56ebce88525e7de7f00d6c2d380000000"),
    Vendor.XAUTH: bytes.fromhex("09002689dfd6b712"),
    Vendor.UNITY: bytes.fromhex("12f5f28c457168a9702d9fe274cc0100"),
}

# The last octets of these are versions or capabilities, which differ among peers.
_SIGNIFICANT: Final[dict[Vendor, int]] = {
    Vendor.DPD: 14,
    Vendor.FRAGMENTATION: 16,
    Vendor.UNITY: 14,
}

NAT_TRAVERSAL: Final = (Vendor.RFC_3947, Vendor.NATT_03, Vendor.NATT_02_N, Vendor.NATT_02)
"""NAT traversal in the order of preference."""


def octets(vendor: Vendor) -> bytes:
    return _OCTETS[vendor]


def known(body: bytes) -> Vendor | None:
    """What a Vendor ID payload says, or None."""
    for vendor, value in _OCTETS.items():
        size = _SIGNIFICANT.get(vendor, len(value))
        if body[:size] == value[:size] and (vendor in _SIGNIFICANT or len(body) == size):
            return vendor
    return None

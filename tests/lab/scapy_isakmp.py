"""Messages as scapy builds them: an oracle for the layout."""

from typing import Any


def scapy_message() -> bytes:
    """Main Mode's first message: AES-128, SHA-1, pre-shared key, group 14, 8 hours; a vendor."""
    from scapy.layers import isakmp as layers

    s: Any = layers
    transform = s.ISAKMP_payload_Transform(
        transform_count=1,
        transforms=[
            ("Encryption", "AES-CBC"),
            ("KeyLength", 128),
            ("Hash", "SHA"),
            ("Authentication", "PSK"),
            ("GroupDesc", "2048MODPgr"),
            ("LifeType", "Seconds"),
            ("LifeDuration", 28800),
        ],
    )
    proposal = s.ISAKMP_payload_Proposal(proposal=1, proto=1, trans_nb=1, trans=transform)
    packet = (
        s.ISAKMP(init_cookie=b"initcook", exch_type=2)
        / s.ISAKMP_payload_SA(prop=proposal)
        / s.ISAKMP_payload_VendorID(VendorID=bytes(range(16)))
    )
    return bytes(packet)

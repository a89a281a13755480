"""SAs and policies in a few words, for messages."""

from xfrm.model import Direction, Policy, SaId, SecurityAssociation


def sa_name(sa: SecurityAssociation | SaId) -> str:
    """Such as "esp SA 0x00001000 to 10.0.0.2"."""
    protocol = sa.protocol.name.lower()
    return f"{protocol} SA 0x{sa.spi:08x} to {sa.dst}"


def policy_name(policy: Policy) -> str:
    """Such as "the out policy 10.0.0.0/24 -> 10.1.0.0/24"."""
    direction = Direction(policy.direction).name.lower()
    return f"the {direction} policy {policy.selector.src} -> {policy.selector.dst}"

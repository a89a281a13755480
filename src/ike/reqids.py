"""Which policies and SAs are ours is shown by their reqids (Linux, xfrm.h).

Each policy has one of its own, so that no packet leaves by the SA of another (RFC 4301, 4.4.1.1:
an SPD entry names its SAs). Others may have any number outside.
"""

from wire.lean import Final

CONNECTIONS: Final = range(0x4D47_0000, 0x4D47_8000)
"""Policies that the configuration asks for."""
GENERATED: Final = range(0x4D47_8000, 0x4D48_0000)
"""Policies that a peer proposed (`generate_policy`)."""

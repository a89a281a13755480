"""The identity that a peer's certificate must name, as racoon.conf has it: `peers_identifier`.

Without it whoever has a certificate of the same CA could pose as any peer.
"""

import re
from ipaddress import ip_address

from mgu.connections.connection import BadConnection
from wire.lean import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from wire.grammar import Statement

SETTINGS: Final = ("peers_identifier", "verify_identifier")

_NAME: Final = re.compile(r"([\w.+-]+@)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII | re.IGNORECASE)


def identifier(identity: str) -> str:
    """The value of `peers_identifier` for an address, a DN, a host name or a mail address.

    Raises: BadConnection for what no certificate names.
    """
    try:
        return f"address {ip_address(identity)}"
    except ValueError:
        pass
    if not identity.isascii() or not identity.isprintable() or '"' in identity:
        raise BadConnection(
            f"the identity '{identity}' has characters that racoon.conf cannot hold"
        )
    if "=" in identity:
        from ike.crypto.names import written_name  # late: its imports cost more than all of this

        try:
            written_name(identity)
        except ValueError as error:
            raise BadConnection(f"'{identity}' is not a distinguished name: {error}") from None
        return f'asn1dn "{identity}"'
    if not _NAME.fullmatch(identity):
        raise BadConnection(
            f"'{identity}' is not an identity: give an address, a host name, or a DN such as"
            " 'O=Branch, CN=gw'"
        )
    return f'{"user_fqdn" if "@" in identity else "fqdn"} "{identity}"'


def is_pinned(remote: "Statement") -> bool:
    """Whether a `remote` accepts only the peers that it names."""
    named = any(s.name == "peers_identifier" and len(s.values) > 1 for s in remote.block)
    checked = [s.value.text for s in remote.block if s.name == "verify_identifier"]
    return named and checked[-1:] == ["on"]


def without_pins(text: str) -> list[str]:
    """The lines of a file but for those that pin an identity."""
    return [line for line in text.splitlines() if not line.lstrip().startswith(SETTINGS)]

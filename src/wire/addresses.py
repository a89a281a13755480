"""Addresses of SAs and policies, which know no interfaces (RFC 4301, 4.4.1.1).

An IPv6 address with a scope, such as fe80::1%eth0, would lose it on the way to the kernel or to a
peer, and mean another host: it is refused where it is typed.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address


class Scoped(ValueError):
    """It is an address, but one of an interface."""


def unscoped(text: str) -> IPv4Address | IPv6Address:
    """Raises: ValueError; Scoped, a sentence, where there is an interface behind a percent sign."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        bare, _, scope = text.partition("%")
        raise Scoped(
            f"'{text}': IPsec has no addresses of one interface; give another address of the host, "
            f"or {bare} without %{scope} where that is meant"
        )
    return address

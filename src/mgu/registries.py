"""What names stand for on this host: /etc/protocols, /etc/services, addresses of hosts."""

from contextlib import suppress

from wire.lean import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address


def protocol_number(name: str) -> int | None:
    import socket

    try:
        return socket.getprotobyname(name)
    except (OSError, ValueError):  # ValueError: a name that no file can hold
        return None


def service_port(name: str) -> int | None:
    import socket

    try:
        return socket.getservbyname(name)
    except (OSError, ValueError):
        return None


def host_addresses(name: str, *, numeric: bool = False) -> "list[IPv4Address | IPv6Address]":
    """The addresses of a host; `numeric`: without a look-up, of such as 10.1."""
    import socket
    from ipaddress import ip_address

    with suppress(OSError, UnicodeError, ValueError):
        flags = socket.AI_NUMERICHOST if numeric else 0
        found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM, flags=flags)
        return list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))
    return []

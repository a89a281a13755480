"""Numbers of names that this host knows: /etc/protocols and /etc/services."""


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

"""The NTS key exchange over TLS -- RFC 8915, 4."""

from ntp.messages import ExchangeKeys, KeysAgreed, KeysRefused


def exchange_keys(command: ExchangeKeys, ca: str) -> KeysAgreed | KeysRefused:  # noqa: ARG001
    """Blocking; failures are events."""
    return KeysRefused(server=command.server, why="NTS is not there yet", untrusted=True)

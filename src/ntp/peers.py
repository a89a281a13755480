"""From a configuration to peers that a client core can ask."""

from collections.abc import Sequence

from ntp.conf import ServerLine
from ntp.errors import ConfigurationError
from ntp.onwire import Entropy, OnWire
from ntp.peer import Peer
from wire.lean import TYPE_CHECKING

if TYPE_CHECKING:
    from ntp.auth import KeyAuthentication, Keys


def peers(
    servers: Sequence[ServerLine],
    keys: "Keys",
    *,
    entropy: Entropy,
    pivot: int,
    timeout: float = 5.0,
    allow_md5: bool = False,
) -> list[Peer]:
    """One peer a server; one that is named twice is asked once.

    Args: `pivot`, Unix ns (ntp.timestamp); `timeout`, s. Raises: ConfigurationError.
    """
    made: dict[tuple[str, int], Peer] = {}
    for server in servers:
        authentication = None
        if server.key is not None:
            authentication = _with_key(server, server.key, keys, allow_md5)
        on_wire = OnWire(entropy, pivot=pivot, authentication=authentication, timeout=timeout)
        made[server.host, server.port] = Peer(
            name=_name(server),
            on_wire=on_wire,
            lookup=server.host,
            port=server.port,
            nts=server.nts,
            nts_port=server.nts_port,
            pool=server.pool,
        )
    return list(made.values())


def _name(server: ServerLine) -> str:
    """Unique among the peers; the host alone as long as the port is the usual one."""
    return server.host if server.port == 123 else f"{server.host} port {server.port}"


def _with_key(
    server: ServerLine, number: int, keys: "Keys", allow_md5: bool
) -> "KeyAuthentication":
    from ntp.auth import Algorithm, KeyAuthentication  # late: most gateways ask without a key

    key = keys.get(number)
    if key is None:
        raise ConfigurationError(f"server {server.host}: the key file has no key {number}")
    if key.algorithm is Algorithm.MD5 and not allow_md5:
        raise ConfigurationError(
            f"server {server.host}: key {number} is for MD5, which is broken; "
            "use AES128CMAC, or allow it: --allow-md5, in the file a line 'allow-md5'"
        )
    return KeyAuthentication(key)

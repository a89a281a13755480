"""A switch with its authentication server: hostapd, with FreeRADIUS or its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.netns import Veth
from lab.peers.freeradius import Settings, freeradius
from lab.peers.hostapd import Hostapd, OwnServer, hostapd


@contextmanager
def switch(
    wire: Veth, folder: Path, settings: Settings | OwnServer, reauth: int = 0
) -> Iterator[Hostapd]:
    """hostapd at the right end of the wire, with the server that `settings` are for."""
    namespace = wire.right[0]
    if isinstance(settings, OwnServer):
        with hostapd(namespace, folder, own_server=settings, reauth=reauth) as made:
            yield made
        return
    with freeradius(namespace, settings), hostapd(namespace, folder, reauth=reauth) as made:
        yield made

"""The other ends by Debian's programs: chronyd, hostapd with FreeRADIUS, strongSwan."""

from mgu.demo.host import DemoFailed
from mgu.demo.office import Office
from mgu.demo.papers import Papers


class RealPeers:
    description = "Debian's: chronyd, hostapd with FreeRADIUS, strongSwan"

    def start_time_server(self, office: Office) -> None:
        raise DemoFailed("PEERS=real is not there yet")

    def start_switch(self, office: Office, papers: Papers) -> None:
        raise DemoFailed("PEERS=real is not there yet")

    def start_firewall(self, office: Office, key: str) -> None:
        raise DemoFailed("PEERS=real is not there yet")

    def close(self) -> None:
        """Nothing yet."""

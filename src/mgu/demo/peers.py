"""The other ends of the demo: what each set of peers must be able to do."""

from typing import Protocol

from mgu.demo.office import Office
from mgu.demo.papers import Papers


class Peers(Protocol):
    """The servers of the branch office. Each call returns when the server serves.

    Raises: DemoFailed.
    """

    @property
    def description(self) -> str: ...

    def start_time_server(self, office: Office) -> None: ...

    def start_switch(self, office: Office, papers: Papers) -> None:
        """Authenticate on port1, and open and close it as the authentication goes."""

    def start_firewall(self, office: Office, key: str) -> None:
        """A tunnel between the head office's network and the gateway; waits for traffic."""

    def first_from_remote(self, office: Office) -> None:
        """Whatever the remote side needs beside the first packet to begin."""

    def close(self) -> None:
        """Whatever deleting the hosts does not end."""

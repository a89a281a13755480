"""Which of several networks is tried, and when the next one's turn comes."""

from collections.abc import Sequence

from eapol.settings import Network


class Turns:
    """In the order of preference; one that fails gives way to the next at once.

    After the last one the port is held (heldPeriod), as with one network; the last one is tried
    again then, and if that fails, too, the first one's turn comes at once.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self.networks = tuple(network for network in networks if not network.disabled)
        self._held = False

    def after_failure(self, of: Network) -> Network | None:
        """The next one; None if `of` continues, because there is no other or a pause is due."""
        if of not in self.networks or len(self.networks) == 1:
            return None
        at = self.networks.index(of) + 1
        if at < len(self.networks):
            return self.networks[at]
        self._held = not self._held
        return None if self._held else self.networks[0]

    def after_success(self) -> None:
        self._held = False

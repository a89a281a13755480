"""What the keying daemon needs of the data plane.

The kernel and the userspace data path are joined to it by the application (`mgu.keying`).
"""

from collections.abc import AsyncIterator
from typing import Protocol

from ike.commands import AllocateSpi
from ike.events import Acquire, PolicyAdded, PolicyRemoved, SaExpired, SaGone
from ike.numbers.isakmp import ProtocolId
from ike.values import IpsecSa, PolicyEntry, SaId

BackendEvent = Acquire | PolicyAdded | PolicyRemoved | SaExpired | SaGone


class BackendError(Exception):
    """The data plane refused; the text says what, why and what to do."""


class Backend(Protocol):
    """Every call raises BackendError when it is refused."""

    async def allocate_spi(self, wanted: AllocateSpi) -> int:
        """Reserve an SPI for packets to us."""

    async def install(self, sa: IpsecSa) -> None:
        """Inbound: give keys to the reserved SPI. Outbound: a new SA."""

    async def delete(self, sa: SaId) -> None:
        """Remove an SA or a reservation; one that is gone is no error."""

    async def policies(self) -> list[PolicyEntry]:
        """Every policy that calls for SAs, as seen from here."""

    async def add_policy(self, policy: PolicyEntry) -> None: ...

    async def remove_policy(self, policy: PolicyEntry) -> None: ...

    async def ask_again(self, policy: PolicyEntry) -> None:
        """Have the policy's next packet raise an Acquire, though one is unanswered."""

    async def dump(self, protocol: ProtocolId) -> bytes:
        """All SAs (of a protocol, or ANY) as PF_KEY messages, as racoonctl wants them."""

    def events(self) -> AsyncIterator[BackendEvent]:
        """Events from now on; one reader."""

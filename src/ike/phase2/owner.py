"""What a Quick Mode asks of its peer: which of its policies it is for, who gets the SAs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ike.commands import EventKind
from ike.numbers.isakmp import ProtocolId
from ike.sa.bundle import SaBundle
from ike.values import Address, Mode, PolicyEntry, SaId, Selector

if TYPE_CHECKING:
    from ike.phase2.negotiation import Negotiation


class Entry(Protocol):
    """An SPD entry (RFC 4301, 4.4.1): what a Quick Mode makes SAs for."""

    @property
    def policy(self) -> PolicyEntry: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a peer proposes in one set of proposals, as seen from here."""

    selector: Selector
    local: Address
    remote: Address
    protections: tuple[tuple[ProtocolId, Mode], ...]


class NegotiationOwner(Protocol):
    """The peer with which is negotiated: it says for which of its entries, and gets the SAs."""

    def entries_for(self, wanted: "Wanted") -> Sequence[Entry]:
        """The peer's entries for what it proposes, the best first.

        Raises: InvalidIdInformation.
        """

    def phase2_chosen(self, negotiation: "Negotiation", entry: Entry) -> None:
        """A responder has chosen the entry. Raises: PeerError, if it cannot be."""

    def phase2_may_log(self) -> bool:
        """Whether a line may be written about what the peer proposes."""

    def phase2_installed(self, negotiation: "Negotiation", sa: SaId) -> None:
        """The data plane has an SA of a set that is not complete yet."""

    def phase2_established(self, negotiation: "Negotiation", bundle: SaBundle) -> None: ...

    def phase2_failed(self, negotiation: "Negotiation", kind: EventKind) -> None: ...

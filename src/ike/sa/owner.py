"""What an ISAKMP SA asks of its owner: its peer, or `ike.admission` until the peer is known."""

from typing import TYPE_CHECKING, Protocol

from ike.commands import EventKind
from ike.isakmp.message import Message
from ike.isakmp.payloads import Delete, Notification
from ike.sa.protected import Receiver, SecuredExchange
from ike.values import Endpoint

if TYPE_CHECKING:
    from ike.sa.isakmp_sa import IsakmpSa


class HandshakeOwner(Protocol):
    """Who began a phase 1, or let the peer begin it."""

    def phase1_authenticated(self, sa: "IsakmpSa") -> "IsakmpOwner":
        """Whose it is from now on, by the identity that was proved."""

    def phase1_refused(self, sa: "IsakmpSa") -> None:
        """The peer that began it, or an attacker, says that it is refused."""

    def phase1_forgotten(self, sa: "IsakmpSa") -> bool:
        """The peer says that it does not know a negotiation of ours: whether another was begun."""

    def phase1_may_log(self) -> bool:
        """Whether a line may be logged about a message that may be forged."""

    def phase1_closed(self, sa: "IsakmpSa", kind: EventKind) -> None: ...


class IsakmpOwner(HandshakeOwner, Protocol):
    """The peer that an ISAKMP SA belongs to."""

    def phase1_established(self, sa: "IsakmpSa") -> None: ...

    def phase1_soft_limit(self, sa: "IsakmpSa") -> float:
        """Seconds from the establishment to the time to renew it."""

    def phase1_aging(self, sa: "IsakmpSa") -> None:
        """That time has come."""

    def phase1_may_move(self, sa: "IsakmpSa", local: Endpoint, remote: Endpoint) -> bool:
        """Whether an authenticated message from another place moves the SA there."""

    def phase1_moved(self, sa: "IsakmpSa") -> None:
        """It has: a NAT has a new mapping."""

    def phase1_is_last(self, sa: "IsakmpSa") -> bool:
        """Whether no other is established with this peer. Its delete would take the IPsec SAs down
        at the peer, and only there; its lifetime ends at both ends, delete or not.
        """

    def quick_mode(self, sa: "IsakmpSa", message: Message, exchange: SecuredExchange) -> Receiver:
        """The peer opens a Quick Mode exchange. Raises: PeerError, before anything happened."""

    def notified(self, sa: "IsakmpSa", notification: Notification) -> None:
        """An authenticated notification that is not about the ISAKMP SA itself."""

    def deleted(self, sa: "IsakmpSa", delete: Delete) -> None: ...

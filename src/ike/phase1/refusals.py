"""Messages that refuse our phase 1. In the clear, they may be forged.

They count in answer to retransmissions, too. An attacker who sees our cookies could stop us this
way, but has other means as well; and the user gets a quick answer.
"""

from typing import Final

from ike.context import Context
from ike.numbers.isakmp import NotifyType
from ike.values import Address

MAX_REFUSALS: Final = 3
"""This many error notifications in the clear end a phase 1 that we began."""

_SAME_KEY = "Is the pre-shared key the same at both ends?"
_HINTS: Final = {
    NotifyType.PAYLOAD_MALFORMED: _SAME_KEY,
    NotifyType.AUTHENTICATION_FAILED: _SAME_KEY,
    NotifyType.INVALID_HASH_INFORMATION: _SAME_KEY,
    NotifyType.NO_PROPOSAL_CHOSEN: "Compare its proposals with those configured here.",
}
_UNREADABLE: Final = (
    f"the peer answers our identity with octets that cannot be decrypted. {_SAME_KEY}"
)


_PROTECTED: Final = (
    "The keys are the same at both ends, so the peer does not accept our identity or certificate: "
    "compare my_identifier and certificate_type with what it expects."
)


class Refusals:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._count = 0
        self._hint = ""

    def heard(self, kind: NotifyType | None, peer: Address) -> bool:
        """Count a notification, or None for a message that cannot be read: enough of them?"""
        if kind is None:
            # The first one may be an honest message that overtook the end of phase 1.
            self._remember(_UNREADABLE, peer, log=self._count == 1)
        else:
            hint = _HINTS.get(kind, "")
            text = f"notification {kind} received. {hint}".rstrip()
            self._remember(text, peer, log=self._count == 0)
        self._count += kind is None or kind.is_error
        return self._count >= MAX_REFUSALS

    def proved(self, kind: NotifyType, peer: Address) -> None:
        """A notification under the keys of this exchange: from the peer, as far as it is known."""
        self._remember(f"notification {kind} received, encrypted. {_PROTECTED}", peer, log=True)

    def _remember(self, text: str, peer: Address, *, log: bool) -> None:
        self._hint = text
        if log:
            self._context.error(text, peer)
            self._hint = ""

    def conclude(self, peer: Address) -> None:
        """The negotiation has failed: say what was kept back."""
        if self._hint and self._count < MAX_REFUSALS:
            self._context.error(self._hint, peer)

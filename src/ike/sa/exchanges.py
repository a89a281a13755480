"""The phase 2 exchanges under one ISAKMP SA, by their message IDs."""

from functools import partial
from typing import Final

from ike.context import Context
from ike.crypto.channel import Channel
from ike.isakmp.message import Message
from ike.phase1.facts import Phase1
from ike.phase1.handshake import Handshake
from ike.sa.protected import MessageIds, SecuredExchange
from ike.sa.sender import Sender
from ike.timers import Timer

LINGER: Final = 60.0
"""Seconds for which a finished exchange still answers repeated messages."""
MAX_LINGERING: Final = 256
"""Of one ISAKMP SA: a peer that opens one after the other keeps the latest only."""


class Exchanges:
    """`ids` are all that were used, by either side."""

    def __init__(
        self,
        context: Context,
        handshake: Handshake,
        facts: Phase1,
        sender: Sender,
        ids: MessageIds,
    ) -> None:
        self.ids = ids
        self._context = context
        self._handshake = handshake
        self._facts = facts
        self._sender = sender
        self._kept: dict[int, SecuredExchange] = {}
        self._over: dict[int, Timer] = {}  # those of them that are finished

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, message_id: int) -> SecuredExchange | None:
        return self._kept.get(message_id)

    def fresh(self) -> SecuredExchange:
        """One of ours, with a message ID that was not used."""
        message_id = self._context.random_number()
        while message_id in self.ids:
            message_id = self._context.random_number()
        self.ids.add(message_id)
        return self.under(message_id)

    def under(self, message_id: int) -> SecuredExchange:
        """One of the peer's, which is not kept yet: its first message may be wrong."""
        keys = self._facts.keys
        assert keys is not None
        channel = Channel(keys, keys.phase2_iv(self._handshake.last_block, message_id))
        exchange = SecuredExchange(
            self._context, self._facts.cookies, message_id, channel, self._sender.send
        )
        exchange.shows = self._shows
        return exchange

    def keep(self, exchange: SecuredExchange) -> None:
        """Messages of it are expected from now on."""
        self.ids.add(exchange.message_id)
        self._kept[exchange.message_id] = exchange

    def over(self, exchange: SecuredExchange) -> None:
        """It is finished: for a while it answers repeated messages."""
        exchange.close()
        exchange.receiver = None
        message_id = exchange.message_id
        forget = partial(self._forget, message_id)
        self._over[message_id] = self._context.later("exchange forgotten", LINGER, forget)
        if len(self._over) > MAX_LINGERING:
            self._forget(next(iter(self._over)))

    def _forget(self, message_id: int) -> None:
        self._kept.pop(message_id, None)
        self._over.pop(message_id).cancel()

    def close(self) -> None:
        for exchange in self._kept.values():
            exchange.close()
        for timer in self._over.values():
            timer.cancel()
        self._kept.clear()
        self._over.clear()

    def _shows(self, what: str, message: Message) -> None:
        self._context.shows(what, message, self._facts.peer)

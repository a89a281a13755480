"""Exchanges as tables in the notation of RFC 2409: one row for each message.

A row says who sends the message, which payloads it holds and how many of each, and whether it is
encrypted. Payloads that RFC 2408 lets a sender add to any message are free in every row; so are
types that are not known here, which RFC 2408, 5.4 leaves to the receiver: they are skipped.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from ike.errors import InvalidFlags, InvalidPayloadType, OutOfTurn, PayloadMalformed
from ike.isakmp.message import Message, Payload
from ike.numbers.isakmp import PayloadType as P
from ike.values import Role

Facts = TypeVar("Facts")

ANYWHERE: Final = frozenset({P.VENDOR, P.NOTIFY, P.CERT_REQUEST, P.DELETE})


@dataclass(frozen=True, slots=True)
class Count:
    """How often a payload type must and may stand in a message."""

    type: P
    least: int
    most: int


def one(kind: P) -> Count:
    return Count(kind, 1, 1)


def optional(kind: P, most: int = 1) -> Count:
    return Count(kind, 0, most)


@dataclass(frozen=True, slots=True)
class Turn:
    sender: Role
    counts: tuple[Count, ...]
    encrypted: bool | None  # None: taken either way, and sent encrypted
    first: P | None
    by_type: MappingProxyType[P, Count] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_type", MappingProxyType({c.type: c for c in self.counts}))

    def check(self, sender: Role, message: Message) -> None:
        """Whether `message`, from `sender`, can stand in this row.

        Raises: OutOfTurn, InvalidFlags, InvalidPayloadType, PayloadMalformed.
        """
        if sender is not self.sender:
            raise OutOfTurn(
                f"an unexpected message of the {sender.value}: it is the other side's turn"
            )
        if self.encrypted is not None and message.encrypted is not self.encrypted:
            raise InvalidFlags("encrypted" if message.encrypted else "not encrypted")
        got = Counter(payload.type for payload in message.payloads)
        for count in self.counts:
            if got[count.type] < count.least:
                raise PayloadMalformed(f"no {count.type} payload")
            if got[count.type] > count.most:
                raise PayloadMalformed(f"{got[count.type]} {count.type} payloads")
        for kind in got:
            if kind not in self.by_type and kind not in ANYWHERE and kind.known:
                raise InvalidPayloadType(f"unexpected {kind} payload")
        if self.first is not None and message.payloads[0].type != self.first:
            raise PayloadMalformed(f"{message.payloads[0].type} comes before {self.first}")


@dataclass(frozen=True, slots=True)
class Step(Generic[Facts]):
    """A row with what its sender puts in and its receiver takes out, by the facts so far.

    `build` may raise LocalError, `take` PeerError and LocalError.
    """

    turn: Turn
    build: Callable[[Facts], list[Payload]]
    take: Callable[[Facts, Message], None]


def initiator(*counts: Count, encrypted: bool | None = False, first: P | None = None) -> Turn:
    """A row sent by the initiator."""
    return Turn(Role.INITIATOR, counts, encrypted, first)


def responder(*counts: Count, encrypted: bool | None = False, first: P | None = None) -> Turn:
    """A row sent by the responder."""
    return Turn(Role.RESPONDER, counts, encrypted, first)

"""What an exchange's table is made of: a row, what its sender puts in, what is taken out."""

from collections.abc import Callable
from dataclasses import dataclass

from ike.exchanges.phase1 import Phase1
from ike.exchanges.table import Turn
from ike.isakmp.message import Message, Payload


@dataclass(frozen=True, slots=True)
class Step:
    """`build` may raise LocalError, `take` PeerError and LocalError."""

    turn: Turn
    build: Callable[[Phase1], list[Payload]]
    take: Callable[[Phase1, Message], None]

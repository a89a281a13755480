"""The keying daemon's core (RFC 2407, 2408, 2409): datagrams and requests in, commands out."""

from collections.abc import Callable

from ike.commands import Command
from ike.events import Event
from ike.policy import Config
from ike.sa import IpsecView, IsakmpView, TimerView


class Engine:
    """`handle(event, now)` and `deadline`; `now` is monotonic seconds.

    `entropy(n)` gives n random octets.
    """

    def __init__(self, config: Config, *, entropy: Callable[[int], bytes]) -> None:
        self._config = config
        self._entropy = entropy

    @property
    def deadline(self) -> float | None:
        return None

    def handle(self, event: Event, now: float) -> list[Command]:
        raise NotImplementedError

    def isakmp_sas(self) -> list[IsakmpView]:
        raise NotImplementedError

    def ipsec_sas(self) -> list[IpsecView]:
        raise NotImplementedError

    def schedule(self) -> list[TimerView]:
        raise NotImplementedError

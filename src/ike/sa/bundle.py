"""An established set of IPsec SAs: one pair for each protection of a policy."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ike.commands import DeleteSa
from ike.context import Context
from ike.crypto.keys import Cookies
from ike.doi.proposals import Lifetime, Phase2Suite
from ike.isakmp.message import Payload
from ike.isakmp.payloads import Delete, Identification
from ike.numbers.isakmp import PayloadType
from ike.timers import Timer
from ike.values import Address, Endpoint, IpsecSa, IpsecView, PolicyEntry, Role, SaId, SaLifetime

SOFT = 0.8
"""The soft limit of an SA, in parts of its hard one."""
RESPONDER_WAITS = 0.1
"""How much longer, in parts of the lifetime, a responder leaves the renewal to the initiator: the
lifetime as it was used up so far, as octets may be counted and not seconds.
"""


class ChildOwner(Protocol):
    def child_aging(self, child: "Child") -> None:
        """A soft limit passed, or nearly: a new set should replace this one."""

    def child_expired(self, child: "Child") -> None:
        """The hard limit passed."""


@dataclass(frozen=True, slots=True)
class Pair:
    suite: Phase2Suite
    inbound: IpsecSa
    outbound: IpsecSa


@dataclass(eq=False, slots=True, kw_only=True)
class Child:
    """`home` is the peer's address under which its ISAKMP SA is filed, `peer_id` who it proved to
    be. `local`, `peer` and `cookies` are those of the ISAKMP SA when it made this.
    """

    context: Context
    owner: ChildOwner
    policy: PolicyEntry
    role: Role
    cookies: Cookies
    home: Address
    peer_id: Identification | None
    local: Endpoint
    peer: Endpoint
    message_id: int
    pairs: tuple[Pair, ...]
    phase1_group: int
    created: float = 0.0
    aging: bool = False
    sends: bool = True
    """Whether its outbound SAs are still there."""
    _timers: list[Timer] = field(default_factory=list)

    def start(self) -> None:
        """From now on the lifetime counts."""
        self.created = self.context.now
        lifetime = self.pairs[0].inbound.lifetime
        if lifetime.hard_seconds is not None:
            self._later("phase 2 expires", lifetime.hard_seconds, self._expire)
        if lifetime.soft_seconds is not None:
            self._later("phase 2 rekey", lifetime.soft_seconds, self.soften)

    def soften(self) -> None:
        """The soft limit passed: whoever was the initiator renews first."""
        if self.aging:
            return
        self.aging = True
        if self.role is Role.INITIATOR:
            self.owner.child_aging(self)
            return
        wait = (self.context.now - self.created) / SOFT * RESPONDER_WAITS
        self._later("phase 2 rekey", wait, lambda: self.owner.child_aging(self))

    def _expire(self) -> None:
        self.owner.child_expired(self)

    def _later(self, name: str, delay: float, action: Callable[[], None]) -> None:
        self._timers.append(self.context.later(name, delay, action))

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def within_life(self, seconds: float) -> float:
        """So many seconds, but at most a third of what is left of its life."""
        hard = self.pairs[0].inbound.lifetime.hard_seconds
        if hard is None:
            return seconds
        return min(seconds, (self.created + hard - self.context.now) / 3)

    def stop_sending(self) -> None:
        """Take the outbound SAs out of the data plane."""
        if self.sends:
            self.sends = False
            for pair in self.pairs:
                self.context.emit(DeleteSa(sa=pair.outbound.id, direction=pair.outbound.direction))

    def remove(self) -> None:
        """Take all out of the data plane, outbound first: nothing is sent into the void."""
        self.stop()
        self.stop_sending()
        for pair in self.pairs:
            self.context.emit(DeleteSa(sa=pair.inbound.id, direction=pair.inbound.direction))

    def deletes(self) -> list[Payload]:
        """What to tell the peer when it is gone: the SPIs by which the peer knew us."""
        return [
            Payload(
                PayloadType.DELETE,
                bytes(Delete(pair.inbound.protocol, (pair.inbound.spi.to_bytes(4),))),
            )
            for pair in self.pairs
        ]

    def ids(self) -> list[SaId]:
        return [sa.id for pair in self.pairs for sa in (pair.inbound, pair.outbound)]

    def view(self) -> IpsecView:
        pair = self.pairs[0]
        suite, sa = pair.suite, pair.inbound
        return IpsecView(
            initiator_cookie=self.cookies.initiator,
            responder_cookie=self.cookies.responder,
            local=self.local,
            remote=self.peer,
            role=self.role,
            established=True,
            message_id=self.message_id,
            protocol=sa.protocol,
            mode=sa.mode,
            selector=self.policy.selector,
            spi_in=sa.spi,
            spi_out=pair.outbound.spi,
            created=self.created,
            encryption=str(sa.encryption) if sa.encryption is not None else "",
            integrity=str(sa.integrity),
            pfs_group=int(suite.group),
            effective_group=int(suite.group) or self.phase1_group,
            lifetime_seconds=sa.lifetime.hard_seconds or 0,
            lifetime_kilobytes=sa.lifetime.hard_kilobytes or 0,
            reqid=sa.reqid,
        )


def limited(hard: Lifetime) -> SaLifetime:
    """The limits that the data plane watches, too."""
    return SaLifetime(
        soft_seconds=_soft(hard.seconds),
        hard_seconds=hard.seconds,
        soft_kilobytes=_soft(hard.kilobytes),
        hard_kilobytes=hard.kilobytes,
    )


def _soft(hard: int | None) -> int | None:
    return None if hard is None else max(1, int(hard * SOFT))

"""An established set of IPsec SAs: an inbound and an outbound one for each protection of a policy.

A bundle (RFC 2401, 4.3) is what one Quick Mode makes. It is renewed and removed as one.
"""

from dataclasses import dataclass, field

from ike.commands import DeleteSa
from ike.context import Context
from ike.crypto.keys import Cookies
from ike.doi.proposals import Lifetime, Phase2Suite
from ike.isakmp.message import Payload
from ike.isakmp.payloads import Delete
from ike.numbers.isakmp import PayloadType
from ike.timers import Timer
from ike.values import Endpoint, IpsecSa, IpsecView, PolicyEntry, Role, SaId, SaLifetime

SOFT = 0.8
"""The soft limit that the data plane is given, in parts of the hard one."""


@dataclass(frozen=True, slots=True)
class Pair:
    suite: Phase2Suite
    inbound: IpsecSa
    outbound: IpsecSa


@dataclass(eq=False, slots=True, kw_only=True)
class SaBundle:
    """`local`, `remote` and `cookies` are those of the ISAKMP SA when it made this. `created` is
    monotonic seconds.
    """

    context: Context
    policy: PolicyEntry
    role: Role
    cookies: Cookies
    local: Endpoint
    remote: Endpoint
    message_id: int
    pairs: tuple[Pair, ...]
    phase1_group: int
    created: float
    aging: bool = False
    """Whether its soft limit is passed, or another bundle has replaced it."""
    sends: bool = True
    """Whether its outbound SAs are still there."""
    timers: list[Timer] = field(default_factory=list)

    @property
    def lifetime(self) -> SaLifetime:
        return self.pairs[0].inbound.lifetime

    def within_life(self, seconds: float) -> float:
        """So many seconds, but at most a third of what is left of its life."""
        hard = self.lifetime.hard_seconds
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
        """Take all out of the data plane, outbound first: nothing is sent that the peer cannot
        receive.
        """
        for timer in self.timers:
            timer.cancel()
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
            remote=self.remote,
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

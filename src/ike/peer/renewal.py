"""Which end renews an SA, and when.

| SA        | its initiator | its responder           | nobody, when                            |
| --------- | ------------- | ----------------------- | --------------------------------------- |
| ISAKMP SA | at 0.8        | at 0.9 of its life      | it serves no bundle (but for `rekey     |
|           |               |                         | force`), a younger one is there or      |
|           |               |                         | coming, `rekey off`                     |
| SA bundle | at 0.8        | 0.1 later, if it has to | a younger one is there, its policy is   |
|           |               |                         | gone                                    |

Both: no end renews when the remote is passive, or is no longer configured. Each moment is up to
a tenth of the life earlier, at random, so that SAs that began together do not end together.

Make before break: a new bundle is complete before the old one goes, and only the side that made the
new one takes the old one down, after a grace, so that packets on their way still find their SA.
When both sides renew at once, the exchange with the lower nonce yields (as RFC 7296, 2.8.1 has it).
"""

from typing import TYPE_CHECKING, Final

from ike.config import Remote, Switch
from ike.context import Context
from ike.sa.bundle import SOFT, SaBundle
from ike.sa.isakmp_sa import IsakmpSa
from ike.values import Role

if TYPE_CHECKING:
    from ike.peer.connection import Connection

ISAKMP_SOFT: Final = {Role.INITIATOR: 0.8, Role.RESPONDER: 0.9}
"""When to renew an ISAKMP SA, in parts of its life: not both sides at once."""
JITTER: Final = 0.1
"""By how much earlier at most, in parts of that time."""
RESPONDER_WAITS: Final = 0.1
"""How much longer, in parts of the life, a responder leaves the renewal to the initiator: the life
as it was used up so far, as octets may be counted and not seconds.
"""
REPLACED_GRACE: Final = 10.0
"""Seconds for which a replaced bundle still sends."""
IN_FLIGHT: Final = 5.0
"""Seconds for which it still receives after that, and after the peer was told."""
OUTDONE: Final = 1.0
"""Seconds for which an exchange of the peer may still be completed that should have yielded."""
RETRY: Final = 10.0
"""Seconds until a failed renewal is tried again, as long as the old SAs live."""
ASK_AGAIN: Final = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Seconds until a packet without SAs may ask again, the longer the more wishes came to nothing: a
mended configuration is tried soon, and a peer that refuses is not asked for each packet.
"""


def _jitter(context: Context) -> float:
    return 1.0 - JITTER * int.from_bytes(context.entropy(2)) / 0x10000


def isakmp_soft_limit(context: Context, sa: IsakmpSa) -> float:
    """Seconds from its establishment to its renewal."""
    return sa.lifetime * ISAKMP_SOFT[sa.facts.role] * _jitter(context)


def isakmp_sa_is_due(sa: IsakmpSa, remote: Remote, others: list[IsakmpSa], *, serves: bool) -> bool:
    """Whether to renew an ISAKMP SA at its soft limit; `others` are there or coming."""
    if remote.rekey is Switch.OFF:
        return False
    younger = any(other is not sa and other.begun > sa.begun for other in others)
    return not younger and (serves or remote.rekey is Switch.FORCE)


def watch(connection: "Connection", bundle: SaBundle) -> None:
    """From now on the bundle's lifetime counts."""
    context, hard = connection.context, bundle.lifetime.hard_seconds
    if hard is None:
        return
    soft = hard * SOFT * _jitter(context)
    bundle.timers += [
        context.later("phase 2 expires", hard, lambda: connection.expire(bundle)),
        context.later("phase 2 rekey", soft, lambda: soften(connection, bundle)),
    ]


def soften(connection: "Connection", bundle: SaBundle) -> None:
    """The soft limit passed: whoever was the initiator renews first."""
    if bundle.aging:
        return
    bundle.aging = True
    if bundle.role is Role.INITIATOR:
        _renew(connection, bundle)
        return
    context = connection.context
    wait = (context.now - bundle.created) / SOFT * RESPONDER_WAITS
    timer = context.later("phase 2 rekey", wait, lambda: _renew(connection, bundle))
    bundle.timers.append(timer)


def retry(connection: "Connection", bundle: SaBundle) -> None:
    """Its renewal failed."""
    connection.context.later("renewal again", RETRY, lambda: _renew(connection, bundle))


def _renew(connection: "Connection", bundle: SaBundle) -> None:
    if bundle not in connection.bundles or not connection.peer.may_renew:
        return
    younger = (
        other is not bundle and other.created >= bundle.created and not other.aging
        for other in connection.bundles
    )
    if not any(younger):
        connection.renew(bundle)


def retire(connection: "Connection", bundle: SaBundle) -> None:
    """Stop sending, tell the peer to, and receive what is on its way. The hard limit, which takes
    both directions at once, should not come first. A delete may be lost and is not answered: it is
    said twice.
    """

    def stop_sending() -> None:
        if bundle in connection.bundles and bundle.sends:
            bundle.stop_sending()
            connection.peer.say_deleted(bundle)

    def end() -> None:
        if bundle in connection.bundles:
            connection.peer.say_deleted(bundle)
            connection.remove(bundle, tell=False)

    bundle.aging = True
    grace = bundle.within_life(REPLACED_GRACE)
    connection.context.later("replaced SAs send", grace, stop_sending)
    connection.context.later("replaced SAs", grace + IN_FLIGHT, end)


def yields(ours: bytes, theirs: bytes) -> bool:
    """Of two Quick Modes for one connection at once: whether ours, by its nonce, gives way."""
    return ours < theirs

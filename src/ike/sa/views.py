"""What administrators may look at, as values (`racoonctl show-sa`, `status`)."""

from ike.doi.identity import describe
from ike.sa.isakmp_sa import IsakmpSa
from ike.values import IsakmpView


def isakmp_view(sa: IsakmpSa, phase2_count: int) -> IsakmpView:
    """An ISAKMP SA to show; `phase2_count` is how many bundles it has made."""
    facts = sa.facts
    suite = facts.suite
    return IsakmpView(
        local=sa.local,
        remote=sa.remote,
        initiator_cookie=sa.cookies.initiator,
        responder_cookie=sa.cookies.responder,
        state=sa.state,
        role=facts.role,
        exchange=facts.exchange,
        created=sa.created,
        phase2_count=phase2_count,
        remote_name=facts.remote.name,
        remote_id=describe(facts.peer_id) if facts.peer_id else "",
        local_id=describe(facts.own_id) if facts.own_id else "",
        encryption=str(suite.encryption) if suite else "",
        hash=str(suite.hash) if suite else "",
        authentication=str(suite.authentication) if suite else "",
        group=int(suite.group) if suite else 0,
        lifetime_seconds=(suite.lifetime.seconds or 0) if suite else 0,
        dpd=sa.dpd is not None,
        dpd_fails=sa.dpd.fails if sa.dpd else 0,
        nat=facts.nat.detected,
    )

"""How we begin a phase 1 with a peer."""

from typing import TYPE_CHECKING

from ike.commands import EventKind
from ike.crypto.keys import Cookies
from ike.errors import LocalError
from ike.isakmp.header import NO_COOKIE
from ike.peer.databases import Databases
from ike.phase1.facts import Phase1
from ike.sa.isakmp_sa import MODES, IsakmpSa
from ike.values import Endpoint, Role

if TYPE_CHECKING:
    from ike.peer.peer import Peer


def start_phase1(
    databases: Databases, peer: "Peer", local: Endpoint, to: Endpoint
) -> IsakmpSa | None:
    """A new phase 1 as initiator; None if we cannot, which is logged."""
    context, remote = databases.context, peer.remote
    assert remote is not None
    modes = [mode for mode in remote.exchange_modes if mode in MODES]
    if not modes:
        context.error(f"remote {remote.name}: exchange_mode must be main or aggressive")
        return None
    if not remote.proposals:
        context.error(f"remote {remote.name}: none of its proposals can be done by this daemon")
        return None
    facts = Phase1(
        role=Role.INITIATOR,
        exchange=modes[0],
        remote=remote,
        pre_shared_keys=context.config.keys,
        entropy=context.entropy,
        cookies=Cookies(initiator=context.entropy(8), responder=NO_COOKIE),
        local=local,
        peer=to,
        date=lambda: context.date,
        first_contact=lambda: not peer.has_established(local.address) and not any(peer.bundles()),
    )
    sa = IsakmpSa(context, peer, facts)
    context.info(f"initiate new phase 1 negotiation: {local}<=>{to}")
    context.info(f"begin {MODES[modes[0]]} mode.")
    peer.isakmp_sas[sa] = None
    databases.cookies.add(sa)
    try:
        sa.handshake.start()
    except LocalError as error:
        context.error(str(error), to.address)
        sa.close(EventKind.PHASE1_AUTH_FAILED)
        return None
    return sa

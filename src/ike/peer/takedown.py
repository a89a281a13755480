"""Which event deletes which SAs (a DELETE, an expiry, a dead peer, an administrator).

| what happens                      | ISAKMP SAs     | IPsec SAs       | Quick Modes     | told to the peer |
| --------------------------------- | -------------- | --------------- | --------------- | ---------------- |
| DELETE of an ISAKMP SA            | the named ones | if it was the   | under it; those | no               |
|                                   |                | last one: all   | that are said   |                  |
|                                   |                |                 | go on           |                  |
| DELETE of an IPsec SA, INVALID-SPI| none           | the named       | with such an    | no               |
|                                   |                | bundles         | SPI             |                  |
| INITIAL-CONTACT                   | older ones     | older ones      | under these     | no               |
| dead peer                         | that one       | as for a DELETE | begun again     | no               |
| end of an ISAKMP SA's life        | that one       | none            | as for a DELETE | if not the last  |
| end of a bundle's life, or        | none           | the bundle      | none            | yes              |
| SA gone from the data plane       |                |                 |                 |                  |
| policy withdrawn                  | none           | of the policy   | of the policy   | yes              |
| policy gone from the data plane   | none           | live to their   | go on           | no               |
|                                   |                | end             |                 |                  |
| disconnect, remote not configured,| all            | all             | all             | yes              |
| the machine was suspended         |                |                 |                 |                  |
| local address gone                | there          | there           | there           | no (how?)        |
| another proved identity in the    | none           | all             | all             | no               |
| peer's place                      |                |                 |                 |                  |

"All" is of this peer, never of others: it follows from what a peer owns.
"""  # noqa: E501

from typing import TYPE_CHECKING

from ike.commands import EventKind
from ike.isakmp.payloads import Delete, Notification
from ike.numbers.isakmp import NotifyType, ProtocolId
from ike.phase2.initiator import Initiator
from ike.phase2.negotiation import Negotiation
from ike.sa.isakmp_sa import IsakmpSa
from ike.values import Address

if TYPE_CHECKING:
    from ike.peer.connection import Connection
    from ike.peer.peer import Peer


def deleted_by_peer(peer: "Peer", delete: Delete) -> None:
    """DELETE, or INVALID-SPI."""
    if delete.protocol == ProtocolId.ISAKMP:
        for sa in [peer.by_cookies[pair] for pair in delete.spis if pair in peer.by_cookies]:
            peer.context.info(f"purging ISAKMP-SA spi={sa.cookies}.")
            sa.close(EventKind.PHASE1_PEER_DELETED)
        return
    for spi in delete.spis:
        number = int.from_bytes(spi)
        found = peer.outbound.get((delete.protocol, number))
        if found is not None:
            connection, bundle = found
            peer.context.info(f"purged IPsec-SA proto_id={delete.protocol.name} spi={number}.")
            connection.remove(bundle, tell=False)
    named = set(delete.spis)
    for negotiation in list(peer.negotiations):
        if negotiation.has_any(named):
            negotiation.fail("the peer deleted the IPsec-SA before it was complete")


def notified(peer: "Peer", sa: IsakmpSa, notification: Notification) -> None:
    """An authenticated notification."""
    kind, address = notification.type, sa.remote.address
    logs = peer.phase2_may_log()
    if kind == NotifyType.INITIAL_CONTACT:
        if logs:
            peer.context.info("received INITIAL-CONTACT", address)
        initial_contact(peer, sa)
    elif kind == NotifyType.INVALID_SPI:
        if logs:
            peer.context.info("the peer has no such SA any more: INVALID-SPI", address)
        deleted_by_peer(peer, Delete(notification.protocol, (notification.spi,)))
    elif kind.is_error:
        if logs:
            peer.context.error(f"notification {kind} received.", address)
        for negotiation in _concerned(peer, sa, notification):
            negotiation.fail(f"the peer refused the negotiation: {kind}")
    else:
        peer.context.debug(f"notification {kind} received.", address)


def _concerned(peer: "Peer", sa: IsakmpSa, notification: Notification) -> list[Negotiation]:
    """Which of our negotiations an error is about: by SPI, or the only one there is."""
    ours = [n for n in peer.negotiations if n.sa is sa and isinstance(n, Initiator)]
    named = [n for n in ours if notification.spi in n.facts.spis]
    return [*named] or ([*ours] if len(ours) == 1 else [])


def initial_contact(peer: "Peer", sa: IsakmpSa) -> None:
    """The peer knows nothing from before (RFC 2407, 4.6.3.3). What began meanwhile stays."""
    for old in list(peer.isakmp_sas):
        if old is not sa and old.established and old.created < sa.begun:
            interrupted = [n for n in peer.negotiations if n.sa is old]
            old.close(EventKind.PHASE1_DOWN)
            _give_up(interrupted, "the peer has restarted")
    for connection, bundle in peer.bundles():
        if bundle.created < sa.begun:
            connection.remove(bundle, tell=False)


def isakmp_sa_closed(peer: "Peer", sa: IsakmpSa, kind: EventKind) -> None:
    """An ISAKMP SA has ended, for whatever reason."""
    peer.last_failure = sa.failure or peer.last_failure
    interrupted = [n for n in peer.negotiations if n.sa is sa]
    gone = kind in (EventKind.PHASE1_DPD_TIMEOUT, EventKind.PHASE1_PEER_DELETED)
    lost = gone and not peer.has_established(sa.local.address)
    wanted: list[Connection] = [
        connection
        for n in interrupted
        if isinstance(n, Initiator) and (connection := peer.connection_of(n)) is not None
        if not connection.generated
    ]
    for negotiation in interrupted:
        if negotiation.complete and not lost:
            negotiation.hand_over()
        else:
            negotiation.fail("the ISAKMP-SA is gone")
    if lost:
        for connection, bundle in peer.bundles():
            if bundle.local.address == sa.local.address:
                peer.context.info(f"purged IPsec-SA spi={bundle.pairs[0].outbound.spi}.")
                connection.remove(bundle, tell=False)
    if kind is EventKind.PHASE1_DPD_TIMEOUT:  # what was wanted then is wanted still
        for connection in wanted:
            connection.want()


def disconnected(
    peer: "Peer", reason: str, *, local: Address | None = None, bundles: bool = True
) -> None:
    """By an administrator, as the remote is no longer configured, or after a suspend."""
    sas = [sa for sa in peer.isakmp_sas if local in (None, sa.local.address)]
    if bundles:
        _give_up([n for n in peer.negotiations if n.sa in sas], reason)
        for connection, bundle in peer.bundles():
            if local in (None, bundle.local.address):
                connection.remove(bundle, tell=True)
    for sa in sas:
        peer.context.info(f"purging ISAKMP-SA spi={sa.cookies}.")
        sa.delete()


def address_gone(peer: "Peer", address: Address) -> None:
    """The peer cannot be notified."""
    for sa in list(peer.isakmp_sas):
        if sa.local.address == address:
            sa.close(EventKind.PHASE1_DOWN)
    interrupted = [n for n in peer.negotiations if n.sa.local.address == address]
    _give_up(interrupted, f"the address {address} is gone")
    for connection, bundle in peer.bundles():
        if bundle.local.address == address:
            connection.remove(bundle, tell=False)


def identity_changed(peer: "Peer") -> None:
    """Another peer has authenticated in the peer's place: what was negotiated before is void."""
    _give_up(list(peer.negotiations), "the peer authenticated with another identity")
    for connection, bundle in peer.bundles():
        connection.remove(bundle, tell=False)


def _give_up(negotiations: list[Negotiation], reason: str) -> None:
    """End them, even those that are complete but for our use of the new SAs."""
    for negotiation in negotiations:
        negotiation.wanted_here = False
        negotiation.fail(reason)

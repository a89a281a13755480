"""Informational messages that come in: notifications and deletes, handed on to the SA's peer."""

from typing import TYPE_CHECKING

from ike.commands import EventKind
from ike.errors import OutOfTurn, PeerError
from ike.isakmp.header import Header
from ike.isakmp.message import Message
from ike.isakmp.payloads import Delete, Notification
from ike.numbers.isakmp import Flags, NotifyType
from ike.sa import informational
from ike.sa.dpd import acknowledgement
from ike.values import Endpoint

if TYPE_CHECKING:
    from ike.sa.isakmp_sa import IsakmpSa


def receive(sa: "IsakmpSa", header: Header, data: bytes, source: Endpoint, local: Endpoint) -> None:
    """Raises: PeerError for one that is refused."""
    if not header.flags & Flags.ENCRYPTED:
        message = Message.parse(header, data)
        sa.context.shows("received from", message, source)
        sa.context.padded += message.padding > 0
        _in_the_clear(sa, message)
        return
    if not sa.established:
        if not _refused_under_keys(sa, header, data):
            sa.keep_early(header, data, source, local)
        return
    if header.message_id in sa.exchanges.ids:
        raise OutOfTurn("a repeated Informational message")
    message = informational.read(sa.keys, sa.handshake.last_block, header, data)
    sa.context.shows("received from", message, sa.remote)
    content = informational.content(message)
    sa.exchanges.ids.add(header.message_id)
    sa.alive(source, local)
    for item in content:
        if sa.closed or sa.peer is None:
            return
        if isinstance(item, Delete):
            sa.peer.deleted(sa, item)
        else:
            _notified(sa, item)


def _notified(sa: "IsakmpSa", notification: Notification) -> None:
    assert sa.peer is not None
    match notification.type:
        case NotifyType.R_U_THERE:
            answer = acknowledgement(notification, sa.cookies)
            if answer is not None:
                sa.notify(answer)
        case NotifyType.R_U_THERE_ACK:
            pass  # `alive` has counted it already, as every authenticated message
        case _:
            sa.peer.notified(sa, notification)


def _refused_under_keys(sa: "IsakmpSa", header: Header, data: bytes) -> bool:
    """Whether this is a notification under our keys before phase 1 is over: the peer has read our
    last message, from whose last block the vector is made, and refuses it.
    """
    if sa.handshake.channel is None:
        return False
    try:
        message = informational.read(sa.keys, sa.handshake.last_block, header, data)
        sa.context.shows("received from", message, sa.remote)
        content = informational.content(message)
    except PeerError:
        return False
    for item in content:
        if isinstance(item, Notification) and item.type.is_error and not sa.closed:
            sa.refusals.proved(item.type, sa.remote.address)
            _give_up(sa, item.type)
    return True


def _in_the_clear(sa: "IsakmpSa", message: Message) -> None:
    """This may be forged: it is logged, and the exchange continues."""
    for item in informational.content(message):
        if not isinstance(item, Notification):
            continue
        if sa.closed:
            return
        if not sa.established:
            refused(sa, item.type)
        elif item.type == NotifyType.INVALID_COOKIE and sa.dpd is not None:
            sa.dpd.probe()


def refused(sa: "IsakmpSa", kind: NotifyType | None) -> None:
    """The peer, or an attacker, refuses our phase 1; None: by a message that cannot be read."""
    enough = sa.refusals.heard(kind, sa.remote.address)
    if not sa.facts.is_initiator:
        sa.refused = True
        sa.owner.phase1_refused(sa)
    elif enough and kind == NotifyType.INVALID_COOKIE and sa.owner.phase1_forgotten(sa):
        sa.close(EventKind.PHASE1_DOWN, report=False)
    elif enough:
        _give_up(sa, kind)


def _give_up(sa: "IsakmpSa", kind: NotifyType | None) -> None:
    proposal = kind == NotifyType.NO_PROPOSAL_CHOSEN
    sa.fail(
        "phase1 negotiation failed, the peer refuses it.",
        EventKind.PHASE1_NO_PROPOSAL if proposal else EventKind.PHASE1_AUTH_FAILED,
    )

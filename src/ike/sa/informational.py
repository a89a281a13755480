"""Informational exchanges (RFC 2409, 5.7) as octets: a notification or a delete in a message.

Differs: several in one message are taken, too, with one HASH(1) over all of them.
"""

from ike.crypto.channel import Channel
from ike.crypto.keys import Phase1Keys
from ike.crypto.prf import equal
from ike.errors import InvalidHashInformation, PayloadMalformed
from ike.isakmp.header import Header
from ike.isakmp.message import Message, Payload, pack_chain
from ike.isakmp.payloads import Delete, Notification
from ike.numbers.isakmp import PayloadType as P

Content = Notification | Delete


def protect(keys: Phase1Keys, message_id: int, content: list[Payload]) -> tuple[Payload, ...]:
    """HASH(1), N/D: HASH(1) = prf(SKEYID_a, M-ID | N/D)."""
    digest = keys.phase2_hash(message_id.to_bytes(4), pack_chain(content))
    return (Payload(P.HASH, digest), *content)


def read(keys: Phase1Keys, last_block: bytes, header: Header, data: bytes) -> Message:
    """An encrypted message, proved to be the peer's; `last_block` is the last one of phase 1.

    Raises: InvalidHashInformation, PayloadMalformed.
    """
    message = Channel(keys, keys.phase2_iv(last_block, header.message_id)).open(header, data)
    verify(keys, message)
    return message


def verify(keys: Phase1Keys, message: Message) -> None:
    """Raises: InvalidHashInformation, PayloadMalformed."""
    if not message.payloads or message.payloads[0].type != P.HASH:
        raise PayloadMalformed("no HASH payload in front")
    digest = keys.phase2_hash(message.message_id.to_bytes(4), pack_chain(message.payloads[1:]))
    if not equal(message.payloads[0].body, digest):
        raise InvalidHashInformation("HASH(1) mismatched")


def content(message: Message) -> list[Content]:
    """What was said, in order; other payloads are skipped. Raises: PayloadMalformed."""
    found: list[Content] = []
    for payload in message.payloads:
        if payload.type == P.NOTIFY:
            found.append(Notification.parse(payload.body))
        elif payload.type == P.DELETE:
            found.append(Delete.parse(payload.body))
    return found

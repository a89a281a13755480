"""Informational exchanges (RFC 2409, 5.7): notifications and deletes in one message, no answer."""

from ike.crypto.keys import Phase1Keys
from ike.crypto.prf import equal
from ike.errors import InvalidHashInformation, PayloadMalformed
from ike.isakmp.message import Message, Payload, pack_chain
from ike.isakmp.payloads import Delete, Notification
from ike.numbers.isakmp import PayloadType as P


def protect(keys: Phase1Keys, message_id: int, content: list[Payload]) -> tuple[Payload, ...]:
    """HASH(1), N or D: HASH(1) = prf(SKEYID_a, M-ID | N/D)."""
    digest = keys.phase2_hash(message_id.to_bytes(4), pack_chain(content))
    return (Payload(P.HASH, digest), *content)


def verify(keys: Phase1Keys, message: Message) -> None:
    """Raises: InvalidHashInformation, PayloadMalformed."""
    if not message.payloads or message.payloads[0].type != P.HASH:
        raise PayloadMalformed("no HASH payload in front")
    digest = keys.phase2_hash(message.message_id.to_bytes(4), pack_chain(message.payloads[1:]))
    if not equal(message.payloads[0].body, digest):
        raise InvalidHashInformation("HASH(1) mismatched")


def content(message: Message) -> list[Notification | Delete]:
    """What was said, in order; other payloads are skipped. Raises: PayloadMalformed."""
    found: list[Notification | Delete] = []
    for payload in message.payloads:
        if payload.type == P.NOTIFY:
            found.append(Notification.parse(payload.body))
        elif payload.type == P.DELETE:
            found.append(Delete.parse(payload.body))
    return found

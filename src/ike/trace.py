"""What `log debug` and `log debug2` show of messages, as lines for `Context.detail`.

Everything here is a generator: nothing is decoded and no text is made at other log levels.
Keys are never shown, and nothing that they are made of or proved by: public values, nonces, hashes,
signatures, and attributes of transactions (passwords) are octets that are counted only.
"""

from collections.abc import Iterator

from ike.doi.identity import describe
from ike.doi.proposals import shown_transform
from ike.errors import PeerError
from ike.isakmp.message import Message, Payload
from ike.isakmp.payloads import Delete, Identification, Notification, Proposal, SaBody
from ike.isakmp.vendor import known
from ike.numbers.isakmp import PayloadType as P
from ike.values import Endpoint
from wire.cursor import DecodeError


def summary(what: str, message: Message, where: Endpoint) -> Iterator[str]:
    """One line: the exchange, and each payload with the octets of its body."""
    payloads = ", ".join(f"{payload.type} {len(payload.body)}" for payload in message.payloads)
    how = "encrypted" if message.encrypted else "in the clear"
    yield f"{what} {where}: {message.exchange} {message.message_id:08x} {how}: {payloads}"


def decoded(message: Message) -> Iterator[str]:
    """A line for each payload, and one for each transform."""
    for payload in message.payloads:
        try:
            yield from (f"  {payload.type}: {text}" for text in _content(payload))
        except (PeerError, DecodeError) as error:
            yield f"  {payload.type}: {len(payload.body)} octets that cannot be decoded: {error}"


def _content(payload: Payload) -> Iterator[str]:
    """Raises: PeerError, DecodeError."""
    match payload.type:
        case P.SA:
            for proposal in SaBody.parse(payload.body).proposals:
                yield from _proposal(proposal)
        case P.ID:
            identity = Identification.parse(payload.body)
            ports = f" protocol {identity.protocol} port {identity.port}"
            yield f"{identity.type} {describe(identity)}{ports if identity.protocol else ''}"
        case P.NOTIFY:
            told = Notification.parse(payload.body)
            yield f"{told.type} {told.protocol} spi {told.spi.hex()}, data {told.data.hex()}"
        case P.DELETE:
            gone = Delete.parse(payload.body)
            yield f"{gone.protocol} spi {', '.join(spi.hex() for spi in gone.spis)}"
        case P.VENDOR:
            vendor = known(payload.body)
            yield payload.body.hex() if vendor is None else vendor.name
        case _:
            yield f"{len(payload.body)} octets"


def _proposal(proposal: Proposal) -> Iterator[str]:
    spi = f" spi {proposal.spi.hex()}" if proposal.spi else ""
    for transform in proposal.transforms:
        yield (
            f"proposal {proposal.number} {proposal.protocol}{spi}, transform {transform.number}: "
            f"{shown_transform(proposal.protocol, transform)}"
        )

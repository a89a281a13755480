"""Two gateways in memory that prove themselves with RSA signatures."""

from datetime import UTC, datetime
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ike.commands import EventKind
from ike.config import Config, Identifier, Phase1Proposal
from ike.crypto.credentials import Credentials
from ike.numbers.doi import Authentication, IdType
from ike.values import Address
from lab.ike_world import LEFT, RIGHT, World, config, connect, pair
from lab.pki import Issued, Site, site
from wire.secret import Secret

NOW: Final = datetime(2026, 6, 1, tzinfo=UTC)
DN: Final = Identifier(IdType.DER_ASN1_DN)


def ike_site(depth: int = 2, name: str = "IKE Root") -> Site:
    return site(depth=depth, now=NOW, name=name)


def root_of(site: Site) -> bytes:
    return site.root.certificate.public_bytes(Encoding.DER)


def credentials(issued: Issued, *authorities: bytes) -> Credentials:
    """With the whole chain, as a PEM file that holds it gives."""
    private = issued.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return Credentials(
        certificate=issued.certificate.public_bytes(Encoding.DER),
        private_key=Secret(private),
        authorities=authorities,
        chain=tuple(certificate.public_bytes(Encoding.DER) for certificate in issued.chain),
    )


def signing(peer: Address, own: Credentials, **changes: object) -> Config:
    """A configuration for one peer, in which both sides sign."""
    proposal = Phase1Proposal(authentication=Authentication.RSA_SIGNATURE)
    return config(peer, proposals=(proposal,), credentials=own, **{"my_identifier": DN, **changes})


def dated_world(date: datetime | None = NOW) -> World:
    world = World()
    world.date = date
    return world


def refusal(own: Credentials, theirs: Credentials, date: datetime | None = NOW) -> str:
    """What a responder with `theirs` says of an initiator with `own`, that it does not let in."""
    return refusal_of(signing(RIGHT, own), signing(LEFT, theirs), date)


def refusal_of(left: Config, right: Config, date: datetime | None = NOW) -> str:
    """What the responder says of the initiator, that it does not let in."""
    world = dated_world(date)
    initiator, responder = pair(world, left=left, right=right)
    assert not connect(world, initiator, 30)
    assert not responder.sas
    assert EventKind.PHASE1_UP not in responder.kinds()
    (first, *_) = [text for text in responder.texts() if text.startswith("Main message refused")]
    return first

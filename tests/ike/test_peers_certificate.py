"""`peers_certfile`, `sainfo ... from`, and remotes of which no proposal can be done."""

from cryptography.hazmat.primitives.serialization import Encoding

from ike.config import Identifier, Sainfo
from ike.events import Acquire
from ike.numbers.doi import EspTransform, IdType
from ike.values import Direction
from lab.ike_rsa import credentials, dated_world, ike_site, refusal_of, root_of, signing
from lab.ike_world import LEFT, RIGHT, World, config, connect, mirrored, pair
from lab.pki import Issued


def der(issued: Issued) -> bytes:
    return issued.certificate.public_bytes(Encoding.DER)


def test_a_peer_is_let_in_by_its_own_certificate_without_any_ca() -> None:
    ca = ike_site()
    world = dated_world()
    left, right = pair(
        world,
        left=signing(RIGHT, credentials(ca.client, root_of(ca))),
        right=signing(LEFT, credentials(ca.server), peers_certificate=der(ca.client)),
    )
    assert connect(world, left, 20)
    world.run(1)
    assert mirrored(left, right)


def test_the_holder_of_another_certificate_of_the_same_ca_is_not_the_peer() -> None:
    ca = ike_site()
    told = refusal_of(
        signing(RIGHT, credentials(ca.client, root_of(ca))),
        signing(LEFT, credentials(ca.server, root_of(ca)), peers_certificate=der(ca.server)),
    )
    assert told.startswith("Main message refused")


def test_a_remote_without_proposals_refuses_its_peer_and_begins_nothing() -> None:
    world = World()
    left, right = pair(world, right=config(LEFT, proposals=()))
    assert not connect(world, left, 30)
    assert not left.sas
    assert not right.sas
    world.tell(right, Acquire(policy=right.policies[0]))
    world.run(5)
    assert any("none of its proposals can be done by this daemon" in t for t in right.texts())
    assert not right.sas


def test_a_sainfo_for_one_identity_counts_in_quick_mode() -> None:
    nobody = Sainfo(peer=Identifier(IdType.FQDN, "other.example"), encryption=())
    here = Sainfo(peer=Identifier(IdType.IPV4_ADDR, str(LEFT)))
    world = World()
    left, right = pair(world, right=config(LEFT, sainfos=(nobody, here)))
    assert connect(world, left, 20)
    world.run(1)
    assert mirrored(left, right)
    (sa,) = right.of(Direction.IN)
    assert sa.encryption is EspTransform.AES


def test_a_sainfo_without_ciphers_negotiates_nothing_for_its_traffic() -> None:
    world = World()
    left, right = pair(world, right=config(LEFT, sainfos=(Sainfo(encryption=()),)))
    assert not connect(world, left, 30)
    assert not right.sas
    assert any("the sainfo allows no algorithms" in text for text in right.texts())

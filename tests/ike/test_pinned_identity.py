"""Which names of a certificate make its holder the peer that is configured (K4; RFC 4945, 3.1)."""

from collections.abc import Sequence

import pytest

from ike.config import Config, Identifier
from ike.numbers.doi import IdType
from ike.values import Address
from lab.ike_rsa import NOW, credentials, dated_world, ike_site, root_of, signing
from lab.ike_world import LEFT, RIGHT, connect, mirrored, pair
from lab.pki import Issued, KeyKind, Site, Usage, Validity, key, parts

NAMES = (str(LEFT), "branch.example", "admin@branch.example")


def issued(ca: Site, names: Sequence[str] = NAMES) -> Issued:
    whose = key(KeyKind.RSA_2048, "branch")
    return ca.issuer.issue("branch", Validity.around(NOW), whose, usage=Usage.CLIENT, names=names)


def configured(peer: Address, own: Issued, ca: Site, **changes: object) -> Config:
    return signing(peer, credentials(own, root_of(ca)), **changes)


def told(ca: Site, peer: Issued, *expected: Identifier, **changes: object) -> list[str]:
    """What a gateway that expects these names says of a peer; nothing when it lets the peer in."""
    world = dated_world()
    pinned = {"peers_identifiers": expected, "verify_identifier": True}
    left, right = pair(
        world,
        left=configured(RIGHT, peer, ca, **changes),
        right=configured(LEFT, ca.server, ca, **pinned),
    )
    if connect(world, left, 20):
        world.run(1)
        assert mirrored(left, right)
        return []
    assert not right.sas
    return right.texts()


@pytest.mark.parametrize(
    "expected",
    [
        Identifier(IdType.IPV4_ADDR, str(LEFT)),
        Identifier(IdType.FQDN, "Branch.Example"),
        Identifier(IdType.USER_FQDN, "admin@branch.example"),
    ],
)
@pytest.mark.parametrize(
    "sent",
    [
        Identifier(IdType.DER_ASN1_DN),
        Identifier(IdType.IPV4_ADDR),
        Identifier(IdType.FQDN, "branch.example"),
        Identifier(IdType.USER_FQDN, "admin@branch.example"),
    ],
)
def test_any_name_of_its_certificate_makes_a_peer_the_expected_one(
    expected: Identifier, sent: Identifier
) -> None:
    ca = ike_site()
    assert told(ca, issued(ca), expected, my_identifier=sent) == []


def test_the_holder_of_another_certificate_of_the_ca_is_not_the_peer() -> None:
    ca = ike_site()
    insider = issued(ca, ("10.9.9.9", "other.example"))
    refusal = told(ca, insider, Identifier(IdType.IPV4_ADDR, str(LEFT)))
    assert any(
        "alias 10.9.9.9 alias other.example, but peers_identifier is "
        f"{LEFT}" in text for text in refusal
    )  # fmt: skip


def test_an_insider_who_sends_the_peers_name_must_have_it_in_the_certificate() -> None:
    ca = ike_site()
    insider = issued(ca, ("10.9.9.9",))
    expected = Identifier(IdType.IPV4_ADDR, str(LEFT))
    refusal = told(ca, insider, expected, my_identifier=expected)
    assert any("ID mismatched with subjectAltName" in text for text in refusal)


def test_a_certificate_that_nobody_checks_has_no_names() -> None:
    ca, forged = ike_site(), ike_site(name="Forger")
    world = dated_world()
    left, right = pair(
        world,
        left=configured(RIGHT, issued(forged), ca),
        right=configured(
            LEFT,
            ca.server,
            ca,
            verify_cert=False,
            verify_identifier=True,
            peers_identifiers=(Identifier(IdType.FQDN, "branch.example"),),
        ),
    )
    assert not connect(world, left, 20)
    assert not right.sas


def test_protocol_and_port_beside_an_address_are_no_part_of_the_name() -> None:
    """racoon sends UDP and 500 with its identity (RFC 2407, 4.6.2)."""
    from ike.isakmp.payloads import Identification
    from ike.phase1.rsa import _names, _same

    ca = ike_site()
    names = _names(parts(issued(ca).certificate))
    sent = Identification(IdType.IPV4_ADDR, LEFT.packed, 17, 500)
    assert [_same(name, sent) for name in names].count(True) == 1

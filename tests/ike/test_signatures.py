"""Main Mode with RSA signatures and X.509 certificates (RFC 2409, 5.1), in memory."""

from dataclasses import replace
from datetime import datetime

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from ike.commands import EventKind
from ike.config import Config, Identifier, Phase1Proposal, Switch
from ike.crypto.credentials import Credentials
from ike.crypto.names import name_matches, parse_name, print_name, written_name
from ike.doi.identity import describe, matches
from ike.isakmp.payloads import Identification
from ike.numbers.doi import Authentication, IdType
from ike.numbers.isakmp import ExchangeType
from ike.values import Address
from lab import odd_pki
from lab.ike_rsa import NOW, credentials, dated_world, ike_site, refusal_of, root_of, signing
from lab.ike_world import LEFT, RIGHT, World, config, connect, mirrored, pair
from lab.pki import Issued, KeyKind, Site, Usage, Validity, key
from wire import pem
from wire.cursor import DecodeError


def _config(peer: Address, issued: Issued, *authorities: bytes, **changes: object) -> Config:
    return signing(peer, credentials(issued, *authorities), **changes)


def test_two_gateways_of_one_ca_meet() -> None:
    ca, world = ike_site(), dated_world()
    left, right = pair(
        world,
        left=_config(RIGHT, ca.client, root_of(ca)),
        right=_config(LEFT, ca.server, root_of(ca)),
    )
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)
    (view,) = right.engine.isakmp_sas()
    assert view.authentication == "RSA_SIGNATURE"
    assert "CN=gw-0001".lower() in view.remote_id.lower()


def test_aggressive_mode_signs_too() -> None:
    ca, world = ike_site(), dated_world()
    only = {"exchange_modes": (ExchangeType.AGGRESSIVE,)}
    left, right = pair(
        world,
        left=_config(RIGHT, ca.client, root_of(ca), **only),
        right=_config(LEFT, ca.server, root_of(ca), **only),
    )
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)
    exchanges = [ExchangeType(datagram.octets[18]).name for datagram in world.datagrams]
    assert exchanges.count("AGGRESSIVE") == 3


def test_a_certificate_of_rsa_1024_as_in_the_manual_works() -> None:
    ca, world = ike_site(), dated_world()
    small = ca.leaf(Usage.CLIENT, KeyKind.RSA_1024)
    left, right = pair(
        world,
        left=_config(RIGHT, small, root_of(ca)),
        right=_config(LEFT, ca.server, root_of(ca)),
    )
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)


def _refused(issued: Issued, ca: Site, date: datetime | None = NOW, **changes: object) -> str:
    """What the responder says of an initiator with this certificate, that it does not let in."""
    left = _config(RIGHT, issued, root_of(ca), **changes)
    return refusal_of(left, _config(LEFT, ca.server, root_of(ca)), date)


def test_certificates_that_are_not_good_are_refused_with_the_reason() -> None:
    ca = ike_site()
    assert "expired on" in _refused(ca.expired(Usage.CLIENT), ca)
    assert "is not valid before" in _refused(ca.not_yet_valid(Usage.CLIENT), ca)
    stranger = ike_site(name="Somebody else")
    assert "no trusted CA has issued" in _refused(stranger.client, ca)


def test_without_the_date_dates_are_not_checked() -> None:
    ca, world = ike_site(), World()
    left, right = pair(
        world,
        left=_config(RIGHT, ca.expired(Usage.CLIENT), root_of(ca)),
        right=_config(LEFT, ca.server, root_of(ca)),
    )
    assert connect(world, left)
    assert right.kinds()


def test_an_identity_must_be_in_the_certificate() -> None:
    ca = ike_site()
    name = Identifier(IdType.FQDN, "somebody.example")
    assert "ID mismatched with subjectAltName" in _refused(ca.client, ca, my_identifier=name)
    world = dated_world()
    server = Identifier(IdType.FQDN, "radius.example.test")
    left, right = pair(
        world,
        left=_config(RIGHT, ca.server, root_of(ca), my_identifier=server),
        right=_config(LEFT, ca.client, root_of(ca)),
    )
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)


def test_a_signature_by_another_key_is_refused() -> None:
    ca = ike_site()
    other = replace(ca.client, key=key(KeyKind.RSA_2048, "a thief"))
    assert "SIG mismatched" in _refused(other, ca)


def test_what_is_no_ca_issues_nothing() -> None:
    ca, world = ike_site(), dated_world()
    from mgu.demo.pki import Authority

    rogue = Authority(ca.client.certificate, ca.client.key, (ca.client.certificate,))
    thief = rogue.issue(
        "thief", Validity.around(NOW), key(KeyKind.RSA_2048, "thief"), usage=Usage.CLIENT
    )
    authorities = (root_of(ca), ca.client.certificate.public_bytes(Encoding.DER))
    left, right = pair(
        world,
        left=_config(RIGHT, thief, *authorities),
        right=_config(LEFT, ca.server, *authorities),
    )
    assert not connect(world, left, 20)
    assert any("invalid CA certificate" in text for text in right.texts())


def test_verify_cert_off_takes_any_certificate_that_signs_rightly() -> None:
    ca, stranger, world = ike_site(), ike_site(name="Somebody else"), dated_world()
    left, right = pair(
        world,
        left=_config(RIGHT, ca.client, root_of(ca), verify_cert=False),
        right=_config(LEFT, stranger.server, root_of(stranger), verify_cert=False),
    )
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)


def test_peers_identifier_may_hold_stars() -> None:
    ca, expected = ike_site(), {"CN=gw-0001": True, "CN=*": True, "CN=other": False}
    for text, works in expected.items():
        world = dated_world()
        checks = {
            "verify_identifier": True,
            "peers_identifiers": (Identifier(IdType.DER_ASN1_DN, _whole(ca, text)),),
        }
        left, right = pair(
            world,
            left=_config(RIGHT, ca.client, root_of(ca)),
            right=_config(LEFT, ca.server, root_of(ca), **checks),
        )
        assert connect(world, left, 20) is works, text
        assert (EventKind.PHASE1_UP in right.kinds()) is works


def _whole(ca: Site, common_name: str) -> str:
    """The subject of the client with another common name."""
    name = parse_name(ca.client.certificate.subject.public_bytes())
    parts = print_name(name).strip("/").split("/")
    return ", ".join(common_name if p.startswith("CN=") else p for p in parts)


def test_missing_credentials_are_named_before_anything_is_sent() -> None:
    world = dated_world()
    proposal = Phase1Proposal(authentication=Authentication.RSA_SIGNATURE)
    left, _ = pair(world, left=config(RIGHT, proposals=(proposal,)))
    assert not connect(world, left, 5)
    assert any("certificate_type" in text for text in left.texts())
    assert not world.datagrams


def test_signatures_travel_in_fragments() -> None:
    ca, world = ike_site(), dated_world()
    left, right = pair(
        world,
        left=_config(RIGHT, ca.client, root_of(ca), ike_frag=Switch.ON),
        right=_config(LEFT, ca.server, root_of(ca), ike_frag=Switch.ON),
    )
    assert connect(world, left)
    world.run(1)
    assert mirrored(left, right)


# --- names ---


def test_the_string_type_of_a_name_does_not_matter() -> None:
    cn = bytes.fromhex("0603550403")

    def name(tag: int, value: bytes) -> bytes:
        inner = cn + bytes([tag, len(value)]) + value
        attribute = bytes([0x30, len(inner)]) + inner
        member = bytes([0x31, len(attribute)]) + attribute
        return bytes([0x30, len(member)]) + member

    printable, utf8 = name(0x13, b"Gate  Way"), name(0x0C, b"gate way")
    bmp = name(0x1E, "GATE WAY".encode("utf-16-be"))
    assert parse_name(printable) == parse_name(utf8) == parse_name(bmp)
    assert name_matches(parse_name(utf8), written_name("CN=Gate Way"))
    assert not name_matches(parse_name(utf8), written_name("O=Gate Way"))
    identity = Identification(IdType.DER_ASN1_DN, printable)
    assert describe(identity) == "/CN=gate way"
    assert matches(identity, Identifier(IdType.DER_ASN1_DN, "CN=*"))


@given(st.binary(max_size=60))
def test_arbitrary_names_raise_only_the_decode_error(octets: bytes) -> None:
    for data in (octets, bytes([0x30, len(octets)]) + octets):
        try:
            print_name(parse_name(data))
        except DecodeError:
            continue


@pytest.mark.parametrize("text", ["nonsense", "XX=1", "CN"])
def test_a_configured_name_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        written_name(text)


# Certificates that other tools wrote: `cryptography` cannot decode some part of each


@pytest.mark.parametrize("change", odd_pki.ENCODINGS.values(), ids=odd_pki.ENCODINGS)
@pytest.mark.parametrize("constraints", [None, b"\x30\x03\x01\x01\x00"], ids=["", "explicit FALSE"])
def test_only_the_parts_of_a_certificate_that_are_used_are_decoded(
    change: odd_pki.Dress, constraints: bytes | None
) -> None:
    """As our certificate, as the peer's, and among the CAs, with a name to match."""
    ca, world = ike_site(), dated_world()
    made = {
        side: odd_pki.odd(
            side, key(KeyKind.RSA_2048, side).public_key(), ca.root.certificate.subject,
            ca.root.key, usage=None, change=change, constraints=constraints,
        )
        for side in ("left", "right")
    }  # fmt: skip
    der = {side: pem.blocks(text)[0].octets() for side, text in made.items()}
    left, right = (
        Credentials(
            certificate=der[side],
            private_key=credentials(
                Issued(ca.root.certificate, key(KeyKind.RSA_2048, side))
            ).private_key,
            authorities=(der[other], root_of(ca)),
        )
        for side, other in (("left", "right"), ("right", "left"))
    )
    first, second = pair(world, left=signing(RIGHT, left), right=signing(LEFT, right))
    up = connect(world, first)
    said = [
        t
        for t in (*first.texts(), *second.texts())
        if "refused" in t or "rror" in t or "cannot" in t
    ]
    assert up, said
    world.run(1)
    assert mirrored(first, second)

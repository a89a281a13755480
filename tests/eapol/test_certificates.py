"""What an administrator hands over is judged, or refused with a CredentialError: nothing else."""

import base64
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from eapol.certificates import Handed, judge
from eapol.errors import CredentialError
from eapol.settings import NamedOctets, NamedSecret
from lab.pki import Issued, KeyKind, Site, Usage, site
from wire.secret import Secret

NOW = datetime.now(UTC)
SITE = site(KeyKind.P256, depth=4)


def handed(
    made: Site = SITE,
    client: Issued = SITE.client,
    *,
    certificate: bytes | None = None,
    ca: bytes | None = None,
    crl: bytes | None = None,
) -> Handed:
    return Handed(
        client=NamedOctets("client.pem", certificate or client.certificate_pem()),
        ca=NamedOctets("ca.pem", ca or made.root.certificate_pem()),
        key=NamedSecret("key.pem", Secret(client.key_pem())),
        crl=None if crl is None else NamedOctets("crl.pem", crl),
    )


def pem(kind: str, der: bytes) -> bytes:
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (
        kind.encode(),
        base64.encodebytes(der),
        kind.encode(),
    )


def test_a_sound_chain_of_four_has_no_fault() -> None:
    assert judge(handed(), NOW) == []


def test_intermediates_may_stand_in_the_ca_file_instead() -> None:
    alone = SITE.client.certificate_pem(with_chain=False)
    rungs = b"".join(
        certificate.public_bytes(Encoding.PEM) for certificate in SITE.client.chain
    ) + SITE.root.certificate_pem()  # fmt: skip
    assert judge(handed(certificate=alone, ca=rungs), NOW) == []


def test_intermediates_may_stand_in_any_order() -> None:
    own, *rungs = (SITE.client.certificate, *SITE.client.chain)
    turned = b"".join(each.public_bytes(Encoding.PEM) for each in (own, *reversed(rungs)))
    assert judge(handed(certificate=turned), NOW) == []


def test_a_chain_with_a_gap_names_the_issuer_that_is_missing() -> None:
    own, _, last = (SITE.client.certificate, *SITE.client.chain)
    gap = b"".join(each.public_bytes(Encoding.PEM) for each in (own, last))
    with pytest.raises(CredentialError, match="issued by 'CN=Test Root\\\\, rung 2,O=Branch"):
        judge(handed(certificate=gap), NOW)


def test_an_expired_authority_is_found_as_well() -> None:
    old = site(KeyKind.P256, depth=3, now=datetime(2001, 1, 1, tzinfo=UTC))
    with pytest.raises(CredentialError, match="expired on 2010-12-30"):
        judge(handed(old, old.client), NOW)


POSITIONS = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=4)


def damaged(der: bytes, changes: list[tuple[int, int]]) -> bytes:
    octets = bytearray(der)
    for place, value in changes:
        octets[place % len(octets)] = value
    return bytes(octets)


@given(POSITIONS, st.sampled_from(["client", "ca", "crl"]))
def test_a_damaged_file_is_judged_or_refused(changes: list[tuple[int, int]], what: str) -> None:
    client = SITE.client.certificate.public_bytes(Encoding.DER)
    root = SITE.root.certificate.public_bytes(Encoding.DER)
    crl = SITE.issuer.crl([SITE.leaf(Usage.MAIL, KeyKind.P256)], SITE.valid)
    chain = b"".join(each.public_bytes(Encoding.PEM) for each in SITE.client.chain)
    if what == "client":
        given = handed(certificate=pem("CERTIFICATE", damaged(client, changes)) + chain)
    elif what == "ca":
        given = handed(ca=pem("CERTIFICATE", damaged(root, changes)))
    else:
        given = handed(crl=pem("X509 CRL", damaged(crl.public_bytes(Encoding.DER), changes)))
    try:
        judge(given, NOW)
    except CredentialError as error:
        assert str(error).partition(":")[0] in ("client.pem", "ca.pem", "key.pem", "crl.pem")

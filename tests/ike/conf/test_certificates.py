"""Certificates, keys and CRLs of racoon.conf: where they are looked for, what becomes of them."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ike.conf.configuration import load
from ike.conf.errors import ConfError
from ike.crypto.credentials import Credentials
from ike.crypto.signatures import check_signature, sign
from lab import odd_pki
from lab.ike_rsa import ike_site
from lab.pki import KeyKind, Site, Usage, key, parts
from wire import pem

CA = ike_site(depth=4)
OTHER = ike_site(name="Somebody else")

OFFICE = """
path certificate "/certs";
remote 10.0.0.9 { exchange_mode main; certificate_type x509 "gw.pem" "gw.key"; %s
    proposal { encryption_algorithm aes 128; hash_algorithm sha1;
        authentication_method rsasig; dh_group 2; } }
"""
LATER = """
remote 10.0.0.10 inherit 10.0.0.9 { passive on; }
"""


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    """The certificate folder, with the gateway's certificate alone, its key, and the root."""
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "gw.pem").write_bytes(CA.client.certificate_pem(with_chain=False))
    _private(folder / "gw.key", CA.client.key_pem())
    (folder / "ca.pem").write_bytes(CA.root.certificate_pem())
    return folder


def _private(path: Path, octets: bytes) -> None:
    path.write_bytes(octets)
    path.chmod(0o600)


def _read(certs: Path, ca: str = 'ca_type x509 "ca.pem";', more: str = "") -> list[Credentials]:
    conf = certs.parent / "racoon.conf"
    conf.write_text(OFFICE % ca + more)
    found = [remote.credentials for remote in load(conf, certs.parent).engine.remotes]
    return [credentials for credentials in found if credentials is not None]


def _refusal(certs: Path) -> str:
    with pytest.raises(ConfError) as caught:
        _read(certs)
    return str(caught.value)


def _der(site: Site) -> list[bytes]:
    return [certificate.public_bytes(Encoding.DER) for certificate in site.client.chain]


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def test_what_the_certificates_file_holds_below_the_root_is_sent_in_order(certs: Path) -> None:
    lower, higher = CA.client.chain
    foreign, root = OTHER.root.certificate, CA.root.certificate
    (certs / "gw.pem").write_bytes(_pem(CA.client.certificate, root, higher, foreign, lower))
    (made,) = _read(certs)
    assert made.certificate == CA.client.certificate.public_bytes(Encoding.DER)
    assert list(made.chain) == _der(CA)
    assert made.private_key is not None
    check_signature(parts(CA.client.certificate), sign(made, b"a digest"), b"a digest")


def test_intermediates_that_are_in_the_cas_file_are_sent_too(certs: Path) -> None:
    assert _read(certs)[0].chain == ()
    (certs / "ca.pem").write_bytes(_pem(CA.root.certificate, *CA.client.chain))
    assert list(_read(certs)[0].chain) == _der(CA)


def test_the_key_must_be_that_of_the_first_certificate(certs: Path) -> None:
    (certs / "gw.pem").write_bytes(_pem(*CA.client.chain, CA.client.certificate))
    said = _refusal(certs)
    assert "gw.key does not belong to the first certificate of certificate_type" in said
    assert "racoon.conf:3:" in said


def test_crls_are_found_by_the_names_that_openssl_gives_them(certs: Path) -> None:
    (certs / "rung.pem").write_bytes(CA.crl_pem(CA.leaf(Usage.CLIENT)))
    os.symlink("rung.pem", certs / "0a1b2c3d.r0")
    os.symlink("rung.pem", certs / "0a1b2c3d.r1")
    made, later = _read(certs, more=LATER)
    (crl,) = made.crls
    assert x509.load_der_x509_crl(crl).issuer == CA.issuer.certificate.subject
    assert later.crls == made.crls


def test_crls_in_the_cas_file_count_with_or_without_others(certs: Path) -> None:
    root, rung = CA.root.crl([], CA.valid).public_bytes(Encoding.PEM), CA.crl_pem()
    (certs / "ca.pem").write_bytes(root + CA.root.certificate_pem() + rung)
    (made,) = _read(certs)
    assert len(made.crls) == 2
    (certs / "0a1b2c3d.r0").write_bytes(OTHER.crl_pem())
    (more,) = _read(certs)
    assert more.crls[:2] == made.crls
    assert len(more.crls) == 3


def test_without_ca_type_the_folder_has_the_cas_and_their_crls(certs: Path) -> None:
    (certs / "0a1b2c3d.0").write_bytes(CA.root.certificate_pem())
    (certs / "0a1b2c3d.r0").write_bytes(CA.crl_pem())
    (made,) = _read(certs, ca="")
    assert made.authorities == (CA.root.certificate.public_bytes(Encoding.DER),)
    assert len(made.crls) == 1


def test_a_damaged_ca_of_the_folder_is_named_and_hides_no_other(certs: Path) -> None:
    (certs / "0a1b2c3d.0").write_bytes(b"damaged")
    (certs / "1a1b2c3d.0").write_bytes(CA.root.certificate_pem())
    (made,) = _read(certs, ca="")
    assert made.authorities == (CA.root.certificate.public_bytes(Encoding.DER),)
    (notice,) = load(certs.parent / "racoon.conf", certs.parent).notices
    assert "0a1b2c3d.0 holds no certificate" in notice.sentence


def test_a_damaged_crl_of_the_folder_is_refused_as_it_may_hide_what_is_revoked(
    certs: Path,
) -> None:
    (certs / "0a1b2c3d.r0").write_bytes(b"damaged")
    assert "0a1b2c3d.r0" in _refusal(certs)


def test_the_order_of_the_statements_does_not_matter(certs: Path) -> None:
    (certs / "ca.pem").write_bytes(CA.root.certificate_pem() + CA.crl_pem())
    (made,) = _read(certs)
    conf = certs.parent / "racoon.conf"
    first = 'certificate_type x509 "gw.pem" "gw.key";'
    second = 'ca_type x509 "ca.pem";'
    conf.write_text((OFFICE % second).replace(f"{first} {second}", f"{second} {first}"))
    assert load(conf, certs.parent).engine.remotes[0].credentials == made


@pytest.mark.parametrize(
    "octets",
    [b"", b"nonsense", CA.root.certificate_pem()],
    ids=["nothing", "nonsense", "a certificate"],
)
def test_a_crl_file_without_a_crl_is_refused_by_name(certs: Path, octets: bytes) -> None:
    (certs / "0a1b2c3d.r0").write_bytes(octets)
    assert "0a1b2c3d.r0 holds no CRL in PEM form" in _refusal(certs)


def test_half_a_crl_is_refused_with_the_command_that_shows_it(certs: Path) -> None:
    whole = CA.crl_pem()
    (certs / "0a1b2c3d.r0").write_bytes(whole[: len(whole) // 2])
    assert "0a1b2c3d.r0: a CRL in it cannot be read; 'openssl crl -in " in _refusal(certs)


def test_who_has_certificates_only_needs_no_file_of_keys(certs: Path) -> None:
    assert len(_read(certs, more='path pre_shared_key "/missing.txt";')) == 1
    assert len(_read(certs, more=f'path pre_shared_key "/missing.txt"; {LATER}')) == 2


def test_a_key_of_another_is_refused_even_without_a_chain(certs: Path) -> None:
    stranger = replace(CA.client, key=key(whose="a thief"))
    _private(certs / "gw.key", stranger.key_pem())
    assert "does not belong to the first certificate" in _refusal(certs)


# Files of other tools


@pytest.mark.parametrize("dress", odd_pki.DRESSES.values(), ids=odd_pki.DRESSES)
@pytest.mark.parametrize("name", ["gw.pem", "gw.key", "ca.pem"])
def test_text_around_a_pem_block_changes_nothing(
    certs: Path, name: str, dress: odd_pki.Dress
) -> None:
    usual = _read(certs)
    path = certs / name
    path.write_bytes(dress(path.read_bytes()))
    assert _read(certs) == usual


@pytest.mark.parametrize("label", odd_pki.LABELS.values(), ids=odd_pki.LABELS)
def test_older_names_of_a_certificate_are_known(certs: Path, label: odd_pki.Dress) -> None:
    usual = _read(certs)
    for name in ("gw.pem", "ca.pem"):
        (certs / name).write_bytes(label((certs / name).read_bytes()))
    assert _read(certs) == usual


def test_der_and_pkcs7_are_read(certs: Path) -> None:
    usual = _read(certs)
    (certs / "ca.pem").write_bytes(CA.root.certificate.public_bytes(Encoding.DER))
    words = ("crl2pkcs7", "-nocrl", "-certfile", str(certs / "gw.pem"), "-outform", "DER")
    (certs / "gw.pem").write_bytes(odd_pki.openssl(*words))
    _private(certs / "gw.key", pem.blocks(CA.client.key_pem())[0].octets())
    assert _read(certs) == usual


@pytest.mark.parametrize("name", ["gw.pem", "ca.pem"])
def test_a_file_that_is_cut_is_refused(certs: Path, name: str) -> None:
    octets = (certs / name).read_bytes()
    (certs / name).write_bytes(octets + octets[: len(octets) // 2])
    assert f"{name} holds no certificate (PEM, DER or PKCS #7)" in _refusal(certs)


@pytest.mark.parametrize("change", odd_pki.REFUSED.values(), ids=odd_pki.REFUSED)
def test_a_certificate_that_openssl_cannot_read_is_named_when_the_file_is(
    certs: Path, change: odd_pki.Dress
) -> None:
    own = key(KeyKind.RSA_2048)
    bad = odd_pki.odd(
        "x", own.public_key(), CA.root.certificate.subject, CA.root.key, usage=None, change=change
    )
    (certs / "ca.pem").write_bytes(CA.root.certificate_pem() + bad)
    assert "ca.pem: OpenSSL cannot read the certificate: " in _refusal(certs)

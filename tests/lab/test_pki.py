"""The test PKI itself, judged by a verifier that is not ours: `openssl verify`."""

import subprocess
from pathlib import Path

import pytest

from lab.pki import Issued, KeyKind, Site, Usage, key, site


def openssl_says(folder: Path, who: Issued, site_: Site, *options: str) -> str:
    root, chain, leaf = folder / "root.pem", folder / "chain.pem", folder / "leaf.pem"
    root.write_bytes(site_.root.certificate_pem())
    chain.write_bytes(who.certificate_pem())
    leaf.write_bytes(who.certificate_pem(with_chain=False))
    done = subprocess.run(
        ["openssl", "verify", *options, "-CAfile", root, "-untrusted", chain, leaf],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("kind", [KeyKind.RSA_1024, KeyKind.RSA_2048, KeyKind.P256])
@pytest.mark.parametrize("depth", [2, 4])
def test_openssl_accepts_both_ends_of_a_site(tmp_path: Path, kind: KeyKind, depth: int) -> None:
    made = site(kind, depth=depth)
    assert len(made.client.chain) == depth - 2
    assert "OK" in openssl_says(tmp_path, made.server, made, "-purpose", "sslserver")
    assert "OK" in openssl_says(tmp_path, made.client, made, "-purpose", "sslclient")


def test_openssl_names_what_is_wrong_with_each_bad_certificate(tmp_path: Path) -> None:
    made = site(KeyKind.P256, depth=3)
    stranger = site(KeyKind.P256, name="Other Root")
    assert "expired" in openssl_says(tmp_path, made.expired(Usage.CLIENT), made)
    assert "not yet valid" in openssl_says(tmp_path, made.not_yet_valid(Usage.CLIENT), made)
    assert "unsuitable" in openssl_says(
        tmp_path, made.leaf(Usage.MAIL), made, "-purpose", "sslclient"
    )
    assert "unable to get local issuer" in openssl_says(tmp_path, stranger.client, made)


def test_openssl_finds_the_revoked_certificate_in_the_list(tmp_path: Path) -> None:
    made = site(KeyKind.P256)
    crl = tmp_path / "crl.pem"
    crl.write_bytes(made.crl_pem(made.client))
    assert "revoked" in openssl_says(
        tmp_path, made.client, made, "-crl_check", "-CRLfile", str(crl)
    )
    assert "OK" in openssl_says(tmp_path, made.server, made, "-crl_check", "-CRLfile", str(crl))


def test_a_key_is_made_once() -> None:
    assert key(KeyKind.P256, "somebody") is key(KeyKind.P256, "somebody")

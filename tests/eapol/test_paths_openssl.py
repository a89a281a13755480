"""Made paths of certificates: our verdict on each is that of Debian's `openssl verify`."""

import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from eapol import openssl
from eapol.openssl import Fault
from lab.pki import KeyKind, PrivateKey, key
from wire import pem
from wire.x509 import Certificate

BEGIN, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)
NOW = datetime(2030, 6, 1, tzinfo=UTC)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
Extensions = tuple[tuple[x509.ExtensionType, bool], ...]
Path_ = tuple[bytes, list[bytes], list[bytes], datetime]
"""The certificate, those shown with it, those trusted (PEM), and the date."""

CA = (x509.BasicConstraints(ca=True, path_length=None), True)
NO_CA = (x509.BasicConstraints(ca=False, path_length=None), True)


def use(*usages: x509.ObjectIdentifier) -> tuple[x509.ExtensionType, bool]:
    return x509.ExtendedKeyUsage(usages), False


def key_usage(*, sign: bool = False, issue: bool = False) -> tuple[x509.ExtensionType, bool]:
    kinds = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "crl_sign", "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    return x509.KeyUsage(digital_signature=sign, key_cert_sign=issue, **kinds), True


def made(
    subject: str,
    issuer: str,
    extensions: Extensions = (),
    *,
    own: PrivateKey | None = None,
    signer: PrivateKey | None = None,
    begin: datetime = BEGIN,
    end: datetime = END,
) -> bytes:
    name = {
        each: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)])
        for each in (subject, issuer)
    }
    own = own or key(KeyKind.P256, subject)
    builder = x509.CertificateBuilder(
        issuer_name=name[issuer],
        subject_name=name[subject],
        public_key=own.public_key(),
        serial_number=len(subject) + 1,
        not_valid_before=begin,
        not_valid_after=end,
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    signed = builder.sign(signer or key(KeyKind.P256, issuer), hashes.SHA256())
    return signed.public_bytes(Encoding.PEM)


ROOT = made("root", "root", (CA,))
SUB = made("sub", "root", (CA,))
LEAF = made("gw", "root", (NO_CA, use(CLIENT)))
BELOW = made("gw", "sub", (NO_CA, use(CLIENT)))


def leaves() -> Iterator[tuple[str, Extensions]]:
    yield "no extension", ()
    yield "for servers", (use(SERVER),)
    yield "for both", (use(SERVER, CLIENT),)
    yield "for anything", (use(x509.ObjectIdentifier("2.5.29.37.0")),)
    yield "for mail", (use(ExtendedKeyUsageOID.EMAIL_PROTECTION),)
    yield "for an unknown purpose", (use(x509.ObjectIdentifier("1.2.3.4")),)
    yield "for an unknown purpose and clients", (use(x509.ObjectIdentifier("1.2.3.4"), CLIENT),)
    yield "a CA", (CA, use(CLIENT))
    yield "signs", (key_usage(sign=True), use(CLIENT))
    yield "does not sign", (key_usage(issue=True), use(CLIENT))
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    yield "an unknown extension", (NO_CA, use(CLIENT), (unknown, False))
    yield "an unknown critical extension", (NO_CA, use(CLIENT), (unknown, True))


def subordinates() -> Iterator[tuple[str, Extensions]]:
    yield (
        "version 3 without constraints",
        ((x509.SubjectAlternativeName([x509.DNSName("a")]), False),),
    )
    yield "CA:FALSE", (NO_CA,)
    yield "CA of length 0", ((x509.BasicConstraints(ca=True, path_length=0), True),)
    yield "issues", (CA, key_usage(issue=True))
    yield "does not issue", (CA, key_usage(sign=True))
    yield "for clients", (CA, use(CLIENT))
    yield "for servers", (CA, use(SERVER))
    for name, wanted in (("gw", True), ("other", False)):
        base = x509.DNSName(name)
        kept, out = ([base], None) if wanted else (None, [base])
        yield f"names {name}", (CA, (x509.NameConstraints(kept, out), True))


def paths() -> Iterator[tuple[str, Path_]]:
    yield "usual", (LEAF, [], [ROOT], NOW)
    yield "with a subordinate", (BELOW, [SUB], [ROOT], NOW)
    yield "subordinate among the trusted", (BELOW, [], [SUB, ROOT], NOW)
    yield "subordinate alone trusted", (BELOW, [], [SUB], NOW)
    yield "subordinate missing", (BELOW, [], [ROOT], NOW)
    yield "root shown, too", (BELOW, [SUB, ROOT], [ROOT], NOW)
    yield "root shown, not trusted", (BELOW, [SUB, ROOT], [made("x", "x", (CA,))], NOW)
    yield "turned", (BELOW, [ROOT, SUB], [ROOT], NOW)
    yield "others beside", (BELOW, [LEAF, made("x", "x", (CA,)), SUB], [ROOT], NOW)
    yield "itself trusted", (LEAF, [], [LEAF], NOW)
    own = made("own", "own", (use(CLIENT),))
    yield "self-signed, trusted", (own, [], [own], NOW)
    yield "self-signed, not trusted", (own, [], [ROOT], NOW)
    other = made("root", "root", (CA,), own=key(KeyKind.P256, "z"), signer=key(KeyKind.P256, "z"))
    yield "another root of that name", (LEAF, [], [other], NOW)
    yield "two roots of that name", (LEAF, [], [other, ROOT], NOW)
    yield (
        "signed by another",
        (made("gw", "root", (NO_CA,), signer=key(KeyKind.P256, "z")), [], [ROOT], NOW),
    )
    second = timedelta(seconds=1)
    for date in (BEGIN - second, BEGIN, END - second, END + second):
        yield f"date: {date}", (LEAF, [], [ROOT], date)
    old = made("sub", "root", (CA,), end=NOW - timedelta(1))
    yield "subordinate expired", (BELOW, [old], [ROOT], NOW)
    yield "expired and sound subordinate", (BELOW, [old, SUB], [ROOT], NOW)
    new = made("root", "root", (CA,), begin=NOW + timedelta(1))
    yield "root not yet valid", (LEAF, [], [new], NOW)
    for name, extensions in leaves():
        yield f"leaf: {name}", (made("gw", "root", extensions), [], [ROOT], NOW)
        yield f"leaf below: {name}", (made("gw", "sub", extensions), [SUB], [ROOT], NOW)
    for name, extensions in subordinates():
        sub = made("sub", "root", extensions)
        yield f"subordinate: {name}", (BELOW, [sub], [ROOT], NOW)
        root = made("root", "root", extensions)
        yield f"root: {name}", (LEAF, [], [root], NOW)
        leaf = made(
            "gw",
            "sub",
            (NO_CA, use(CLIENT), (x509.SubjectAlternativeName([x509.DNSName("gw")]), False)),
        )
        yield f"subordinate, name in the leaf: {name}", (leaf, [sub], [ROOT], NOW)
    short = made("sub", "root", ((x509.BasicConstraints(ca=True, path_length=0), True),))
    low = made("low", "sub", (CA,))
    yield "too long", (made("gw", "low", (NO_CA,)), [low, short], [ROOT], NOW)
    yield "long enough", (made("gw", "low", (NO_CA,)), [low, SUB], [ROOT], NOW)


def by_openssl(folder: Path, path: Path_) -> int:
    """The number of the error; 0 for none."""
    leaf, others, trusted, date = path
    for name, octets in (("leaf", leaf), ("others", b"".join(others)), ("ca", b"".join(trusted))):
        (folder / name).write_bytes(octets)
    argv = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-purpose", "sslclient",
            "-attime", str(int(date.timestamp())), "-CAfile", str(folder / "ca")]  # fmt: skip
    more = ["-untrusted", str(folder / "others")] if others else []
    done = subprocess.run([*argv, *more, str(folder / "leaf")], capture_output=True, check=False)
    found = re.search(rb"error (\d+) at", done.stderr)
    assert found or done.returncode == 0, done
    return int(found[1]) if found else 0


def parsed(octets: bytes) -> Certificate:
    return Certificate.parse(pem.blocks(octets)[0].octets())


PATHS = dict(paths())


@pytest.mark.parametrize("name", PATHS)
def test_the_verdict_on_a_path_is_that_of_openssl(name: str, tmp_path: Path) -> None:
    leaf, others, trusted, date = PATHS[name]
    found = openssl.verify(
        parsed(leaf), [parsed(each) for each in others], [parsed(each) for each in trusted], date
    )
    assert (found.error if isinstance(found, Fault) else 0) == by_openssl(tmp_path, PATHS[name])


def test_there_are_paths_enough(tmp_path: Path) -> None:
    assert len(PATHS) >= 75
    assert len({by_openssl(tmp_path, path) for path in PATHS.values()}) >= 8  # verdicts

"""Certificates and keys in the forms that other people's tools write them in.

Each is sound, and has one oddity that OpenSSL takes: of the file around it (`DRESSES`), of the
certificate's own encoding (`reissued`), or of the key's (`keys`).
"""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lab.pki import PrivateKey, Site, Usage
from wire import der, pem

PASSPHRASE: Final = "correct horse"
CLIENT: Final = Usage.CLIENT
Dress = Callable[[bytes], bytes]


def _lines_of(length: int) -> Callable[[bytes], bytes]:
    def dress(text: bytes) -> bytes:
        def fold(match: re.Match[bytes]) -> bytes:
            body = b"".join(match[2].split())
            lines = [body[at : at + length] for at in range(0, len(body), length)]
            return match[1] + b"\n" + b"\n".join(lines) + b"\n" + match[3]

        return re.sub(rb"(-----BEGIN [^-]+-----)([^-]*)(-----END [^-]+-----)", fold, text)

    return dress


_ATTRIBUTES: Final = (
    b"Bag Attributes\n    friendlyName: B\xfcro 1\n    localKeyID: 01 02\n"
    b"subject=C = SE, CN = gw\n\nissuer=C = SE, CN = ca\n"
)

DRESSES: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "as it is": lambda text: text,
    "CR LF": lambda text: text.replace(b"\n", b"\r\n"),
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "blanks at the ends": lambda text: text.replace(b"\n", b"  \n"),
    "tabs at the ends": lambda text: text.replace(b"\n", b"\t\n"),
    "no last end of line": lambda text: text.rstrip(b"\n"),
    "attributes before": lambda text: _ATTRIBUTES + text,
    "Latin-1 before": lambda text: b"# B\xfcro, 2. Stock\n" + text,
    "text behind": lambda text: text + b"\nrenewed by M\xc3\xbcller\n",
    "text between": lambda text: text.replace(b"-----BEGIN", b"\n\n# next\n-----BEGIN"),
    "a begin in the text": lambda text: b"the file begins with\n-----BEGIN\n" + text,
    "lines of 76": _lines_of(76),
    "lines of 48": _lines_of(48),
}
"""Of a whole file."""

LABELS: Final[Mapping[str, Dress]] = {
    "X509 CERTIFICATE": lambda text: text.replace(b" CERTIFICATE", b" X509 CERTIFICATE"),
    "TRUSTED CERTIFICATE": lambda text: text.replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE"),
}


def reissued(
    certificate: x509.Certificate, signer: PrivateKey, change: Callable[[bytes], bytes]
) -> bytes:
    """`certificate` (DER) with what is signed changed, at the same length, and signed again."""
    signed = change(certificate.tbs_certificate_bytes)
    if isinstance(signer, rsa.RSAPrivateKey):
        signature = signer.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        signature = signer.sign(signed, ec.ECDSA(hashes.SHA256()))
    whole = certificate.public_bytes(Encoding.DER)
    between = len(whole) - len(certificate.signature) - 3  # BIT STRING's head and unused bits
    algorithm = whole[: between + 3][
        whole.index(certificate.tbs_certificate_bytes) + len(certificate.tbs_certificate_bytes) :
    ]
    algorithm = algorithm[: 2 + algorithm[1]]
    return _tlv(0x30, signed + algorithm + _tlv(0x03, b"\0" + signature))


def _tlv(tag: int, contents: bytes) -> bytes:
    size = len(contents)
    if size < 0x80:
        return bytes([tag, size]) + contents
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + contents


def odd(
    subject: str,
    public: object,
    issuer: x509.Name,
    signer: PrivateKey,
    *,
    usage: x509.ObjectIdentifier | None,
    constraints: bytes | None = None,
    change: Callable[[bytes], bytes] = lambda octets: octets,
) -> bytes:
    """A certificate (PEM) of 2020 to 2049, with these BasicConstraints and this encoding."""
    names = [("2.5.4.10", "BXro of Test"), ("2.5.4.3", subject)]
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier(oid), text) for oid, text in names])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public)  # type: ignore[arg-type]
        .serial_number(0x1234567)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2049, 12, 31, tzinfo=UTC))
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if constraints is not None:
        number = x509.ObjectIdentifier("2.5.29.19")
        builder = builder.add_extension(
            x509.UnrecognizedExtension(number, constraints), critical=False
        )
    made = builder.sign(signer, hashes.SHA256())
    return pem.block("CERTIFICATE", reissued(made, signer, change))


def _at_name(tag: int, text: bytes) -> Callable[[bytes], bytes]:
    """The organisation in another string type: what is signed has it as UTF8String."""

    def change(signed: bytes) -> bytes:
        assert signed.count(b"\x0c\x0cBXro of Test") >= 1
        before, _, behind = signed.rpartition(b"\x0c\x0cBXro of Test")
        return before + bytes([tag, 12]) + text + behind

    return change


ENCODINGS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "T61String with Latin-1": _at_name(0x14, b"B\xfcro of Test"),
    "T61String": _at_name(0x14, b"Buro of Test"),
    "PrintableString with a sign that it lacks": _at_name(0x13, b"Buro@of*Test"),
    "IA5String": _at_name(0x16, b"Buro of Test"),
    "BMPString": _at_name(0x1E, "Büroof".encode("utf-16-be")),
    "UniversalString": _at_name(0x1C, "Bür".encode("utf-32-be")),
}
REFUSED: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "VisibleString": _at_name(0x1A, b"Buro of Test"),
    "UTF8String that is Latin-1": _at_name(0x0C, b"B\xfcro of Test"),
}
"""No OpenSSL reads these."""
CONSTRAINTS: Final = {
    "an explicit FALSE": b"\x30\x03\x01\x01\x00",
    "TRUE as 1": b"\x30\x03\x01\x01\x01",
    "a length in two octets": b"\x30\x81\x00",
}


def indefinite(octets: bytes) -> bytes:
    """The same in BER, every SEQUENCE and context tag of indefinite length."""
    out = b""
    for each in der.elements(octets):
        if each.tag & 0x20 and each.tag != der.SET:
            out += bytes([each.tag, 0x80]) + indefinite(each.contents) + b"\0\0"
        else:
            out += each.octets
    return out


def openssl(*words: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *words], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def keys(key: PrivateKey) -> Iterator[tuple[str, bytes]]:
    """(name, file): `key` in all forms; those that are encrypted with PASSPHRASE."""
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    traditional = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    form = "ec" if isinstance(key, ec.EllipticCurvePrivateKey) else "rsa"
    out = ("-passout", f"pass:{PASSPHRASE}")
    yield "PKCS #8", plain
    yield "PKCS #8, DER", openssl("pkcs8", "-topk8", "-nocrypt", "-outform", "DER", stdin=plain)
    yield "traditional", traditional
    yield "traditional, DER", pem.blocks(traditional)[0].octets()
    for cipher in ("aes256", "aes128", "des3"):
        yield f"PKCS #8, {cipher}", openssl("pkcs8", "-topk8", "-v2", cipher, *out, stdin=plain)
        old = openssl(form, f"-{cipher}", *out, stdin=plain)
        yield f"traditional, {cipher}", old
        yield f"traditional, {cipher}, CR LF", old.replace(b"\n", b"\r\n")
    v1 = openssl("pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES", *out, stdin=plain)
    yield "PKCS #8, PBE-SHA1-3DES", v1
    yield "PKCS #8, scrypt", openssl("pkcs8", "-topk8", "-scrypt", *out, stdin=plain)
    encoded = openssl("pkcs8", "-topk8", "-v2", "aes256", "-outform", "DER", *out, stdin=plain)
    yield "PKCS #8, encrypted, DER", encoded
    if form == "ec":
        yield (
            "EC with its parameters before it",
            openssl("ecparam", "-name", "prime256v1") + traditional,
        )
        for word in ("-param_enc explicit", "-conv_form compressed", "-no_public"):
            yield f"EC {word}", openssl("ec", *word.split(), stdin=plain)


def bundles(folder: Path, key: bytes, certificates: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, file): PKCS #12 of many ages, encrypted with PASSPHRASE."""
    (folder / "key").write_bytes(key)
    (folder / "certificates").write_bytes(certificates)
    common = ("pkcs12", "-export", "-inkey", str(folder / "key"), "-in",
              str(folder / "certificates"), "-passout", f"pass:{PASSPHRASE}")  # fmt: skip
    for name, more in {
        "OpenSSL 3": (),
        "OpenSSL 1.0": ("-legacy",),
        "Windows XP": ("-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"),
        "RC2-128": ("-legacy", "-certpbe", "PBE-SHA1-RC2-128", "-keypbe", "PBE-SHA1-RC2-128"),
        "RC4": ("-legacy", "-certpbe", "PBE-SHA1-RC4-128", "-keypbe", "PBE-SHA1-RC4-128"),
        "SHA-512": ("-macalg", "sha512"),
        "certificates in the clear": ("-certpbe", "NONE"),
        "no MAC": ("-nomac",),
        "a name": ("-name", "B\u00fcro"),
    }.items():
        yield name, openssl(*common, *more)


def subject_of(certificate: bytes) -> x509.Name:
    return x509.load_der_x509_certificate(certificate).subject


class Made(NamedTuple):
    """What a supplicant is given, each the contents of a file."""

    own: bytes
    key: bytes
    ca: bytes
    passphrase: str = ""


def supplicants(site: Site, folder: Path) -> Iterator[tuple[str, Made]]:
    """(name, files) of a supplicant of `site` (P-256), with one oddity each."""
    own, key, ca = site.client.certificate_pem(), site.client.key_pem(), site.root.certificate_pem()
    usual = Made(own, key, ca)
    for name, dress in DRESSES.items():
        yield f"own: {name}", usual._replace(own=dress(own))
        yield f"key: {name}", usual._replace(key=dress(key))
        yield f"ca: {name}", usual._replace(ca=dress(ca))
    for name, label in LABELS.items():
        yield f"own: {name}", usual._replace(own=label(own))
        yield f"ca: {name}", usual._replace(ca=label(ca))
    for name, octets in keys(site.client.key):
        yield f"key: {name}", Made(own, octets, ca, PASSPHRASE)
    for name, bundle in bundles(folder, key, own):
        yield f"PKCS #12: {name}", Made(b"", bundle, ca, PASSPHRASE)
        yield f"PKCS #12: {name}, beside", Made(own, bundle, ca, PASSPHRASE)
        yield f"PKCS #12: {name}, BER", Made(own, indefinite(bundle), ca, PASSPHRASE)
    (folder / "certificates").write_bytes(own)
    for form in ("PEM", "DER"):
        words = ("-nocrl", "-certfile", str(folder / "certificates"), "-outform", form)
        bundle = openssl("crl2pkcs7", *words)
        yield f"own: PKCS #7, {form}", usual._replace(own=bundle)
    yield "own: PKCS #7, BER", usual._replace(own=indefinite(bundle))
    yield "own: DER", usual._replace(own=pem.blocks(own)[0].octets())
    yield "ca: DER", usual._replace(ca=pem.blocks(ca)[0].octets())
    yield "own: BER", usual._replace(own=indefinite(pem.blocks(own)[0].octets()))
    yield "ca: BER", usual._replace(ca=indefinite(pem.blocks(ca)[0].octets()))
    yield "one file", usual._replace(own=own + key, key=own + key)
    yield from _odd_encodings(site)
    yield from _wrong(usual, site)


def _odd_encodings(site: Site) -> Iterator[tuple[str, Made]]:
    usual = Made(b"", site.client.key_pem(), site.root.certificate_pem())
    plain = DRESSES["as it is"]
    made = {
        **{name: (change, None) for name, change in {**ENCODINGS, **REFUSED}.items()},
        **{f"constraints, {name}": (plain, octets) for name, octets in CONSTRAINTS.items()},
    }
    for name, (change, constraints) in made.items():
        octets = odd(
            "gw-0001", site.client.key.public_key(), site.root.certificate.subject, site.root.key,
            usage=CLIENT.value, change=change, constraints=constraints,
        )  # fmt: skip
        yield f"own: {name}", usual._replace(own=octets)
        own = site.client.certificate_pem()
        yield f"ca: {name}, beside", usual._replace(own=own, ca=octets + usual.ca)


def _wrong(usual: Made, site: Site) -> Iterator[tuple[str, Made]]:
    """What nobody can use."""
    own, key, ca, _ = usual
    bad = own.replace(b"\nMII", b"\n*II", 1)
    cut = b"".join(own.splitlines(keepends=True)[:-2])
    yield "wrong: the key of another", usual._replace(key=site.server.key_pem())
    yield "wrong: own is no base64", usual._replace(own=bad)
    yield "wrong: ca is no base64", usual._replace(ca=ca + bad)
    yield "wrong: own is cut", usual._replace(own=cut)
    yield "wrong: ca is cut", usual._replace(ca=cut)
    yield "wrong: ca is cut behind another", usual._replace(ca=ca + cut)
    yield "wrong: key is cut", usual._replace(key=key[:120])
    yield "wrong: own is the key", usual._replace(own=key)
    yield "wrong: key is the certificate", usual._replace(key=own)
    yield "wrong: ca is empty", usual._replace(ca=b"")
    yield "wrong: own is text", usual._replace(own=b"hello\n")
    yield "wrong: ca is of another", usual._replace(ca=own)
    for name, octets in keys(site.client.key):
        if "aes256" in name or "3DES" in name:
            yield f"wrong: passphrase, {name}", Made(own, octets, ca, "battery staple")

"""PEM, DER and the parts of certificates, beside `cryptography` where that reads them, too."""

from datetime import UTC, datetime

import pytest
from cryptography import x509 as other
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from lab import odd_pki
from lab.pki import KeyKind, Usage, parts, site
from wire import certfile, der, pem, x509
from wire.cursor import DecodeError

SITE = site(depth=3)
ALL = [
    SITE.root.certificate,
    SITE.client.certificate,
    site(KeyKind.P256).server.certificate,
    SITE.issuer.issue(
        "B\u00fcro, 2. Stock",
        SITE.valid,
        SITE.client.key,
        usage=Usage.SERVER,
        names=["radius.example", "192.0.2.1"],
    ).certificate,
]


@pytest.mark.parametrize("whole", ALL, ids=lambda each: each.subject.rfc4514_string())
def test_each_part_is_what_another_reader_finds(whole: other.Certificate) -> None:
    found = parts(whole)
    assert found.version == whole.version.value + 1
    assert found.serial == whole.serial_number
    assert str(found.subject) == whole.subject.rfc4514_string()
    assert str(found.issuer) == whole.issuer.rfc4514_string()
    assert found.subject.der == whole.subject.public_bytes()
    assert (found.begin, found.end) == (whole.not_valid_before_utc, whole.not_valid_after_utc)
    assert found.public_key == whole.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    public = whole.public_key()
    bits = public.key_size if isinstance(public, rsa.RSAPublicKey) else None
    assert found.rsa_bits == bits
    assert found.digest == "SHA256"
    for extension in whole.extensions:
        value = found.extension(extension.oid.dotted_string)
        assert value == extension.value.public_bytes()
    usage = whole.extensions.get_extension_for_class(other.KeyUsage).value
    assert found.allows(0) == usage.digital_signature
    assert found.allows(5) == usage.key_cert_sign
    assert found.allows(6) == usage.crl_sign


def test_usages_and_alternative_names_are_read() -> None:
    found = parts(ALL[3])
    assert found.usages == [x509.SERVER_AUTH]
    assert parts(ALL[0]).usages is None
    assert found.alternative_names == [
        (x509.DNS_NAME, b"radius.example"),
        (x509.IP_ADDRESS, bytes([192, 0, 2, 1])),
    ]


@pytest.mark.parametrize("whole", ALL, ids=lambda each: each.subject.rfc4514_string())
def test_indefinite_lengths_change_nothing(whole: other.Certificate) -> None:
    usual = parts(whole)
    found = x509.Certificate.parse(odd_pki.indefinite(usual.der) + b"behind")
    assert found.subject == usual.subject
    assert (found.serial, found.version, found.rsa_bits) == (
        usual.serial, usual.version, usual.rsa_bits,
    )  # fmt: skip
    assert (found.begin, found.end, found.digest) == (usual.begin, usual.end, usual.digest)
    assert found.alternative_names == usual.alternative_names
    assert found.usages == usual.usages


@pytest.mark.parametrize("octets", [b"\x30\x80" * 5000, b"\x30\x80\x00", b"\x04\x80\x00\x00"])
def test_what_never_ends_is_not_an_element(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        der.element(octets)


def test_a_revocation_list_names_whom_it_revokes() -> None:
    gone, here = SITE.leaf(Usage.CLIENT), SITE.leaf(Usage.CLIENT)
    whole = SITE.issuer.crl([gone], SITE.valid)
    found = x509.RevocationList.parse(whole.public_bytes(Encoding.DER))
    assert found.revokes(parts(gone.certificate))
    assert not found.revokes(parts(here.certificate))
    assert found.revoked_on(parts(here.certificate)) is None
    assert found.next_update == whole.next_update_utc
    assert found.this_update == whole.last_update_utc
    assert found.issuer == parts(gone.certificate).issuer


def test_a_list_that_revokes_nobody_and_has_no_next_date_is_read() -> None:
    whole = SITE.issuer.crl([], SITE.valid)
    found = x509.RevocationList.parse(whole.public_bytes(Encoding.DER))
    assert not found.revokes(parts(SITE.client.certificate))
    short = tlv(0x30, tlv(0x30, b"") + found.issuer.der + tlv(0x17, b"260101000000Z"))
    bare = x509.RevocationList.parse(tlv(0x30, short))
    assert bare.this_update == datetime(2026, 1, 1, tzinfo=UTC)
    assert bare.next_update is None
    with pytest.raises(DecodeError, match="no revocation list"):
        x509.RevocationList.parse(tlv(0x30, tlv(0x30, tlv(0x30, b"") + found.issuer.der)))


def tlv(tag: int, contents: bytes) -> bytes:
    assert len(contents) < 0x80
    return bytes([tag, len(contents)]) + contents


@pytest.mark.parametrize(
    ("tag", "octets"),
    [
        (0x0C, "B\u00fcro".encode()),
        (0x14, b"B\xfcro"),
        (0x1E, "B\u00fcro".encode("utf-16-be")),
        (0x1C, "B\u00fcro".encode("utf-32-be")),
        (0x0C, b"B\xfcro"),
    ],
)
def test_a_text_is_read_in_its_character_set(tag: int, octets: bytes) -> None:
    attribute = tlv(0x30, tlv(0x06, b"\x55\x04\x03") + tlv(tag, octets))
    name = x509.Name(tlv(0x30, tlv(0x31, attribute)))
    assert list(name.attributes) == [(x509.COMMON_NAME, "B\u00fcro")]
    assert str(name) == "CN=B\u00fcro"


def test_the_names_of_attributes_are_openssls() -> None:
    attributes = [other.NameAttribute(other.ObjectIdentifier(oid), "SE") for oid in x509.ATTRIBUTES]
    made = (
        other.CertificateBuilder()
        .subject_name(other.Name(attributes))
        .issuer_name(other.Name([]))
        .public_key(SITE.client.key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
        .sign(SITE.root.key, hashes.SHA256())
    )
    text = odd_pki.openssl(
        "x509", "-noout", "-subject", "-nameopt", "compat", stdin=made.public_bytes(Encoding.PEM)
    )
    shown = text.decode().strip().removeprefix("subject=/").split("/")
    wanted = [f"{name}=SE" for name in x509.ATTRIBUTES.values()]
    assert [each.replace("street", "STREET") for each in shown] == wanted


def test_names_are_equal_as_openssl_compares_them() -> None:
    def name(text: str, kind: other.name._ASN1Type) -> x509.Name:
        attribute = other.NameAttribute(other.NameOID.COMMON_NAME, text, kind)
        return x509.Name(other.Name([attribute]).public_bytes())

    utf8, printable = other.name._ASN1Type.UTF8String, other.name._ASN1Type.PrintableString
    assert name("Test  Root", utf8) == name("test root ", printable)
    assert hash(name("A", utf8)) == hash(name("a", printable))
    assert name("A", utf8) != name("B", utf8)
    assert x509.Name(b"\x05") != x509.Name(b"\x06")


@pytest.mark.parametrize(
    ("tag", "text", "year"),
    [
        (der.UTC_TIME, b"491231235959Z", 2049),
        (der.UTC_TIME, b"500101000000Z", 1950),
        (der.UTC_TIME, b"2601010000Z", 2026),
        (der.UTC_TIME, b"260101000000+0001", 2025),
        (der.UTC_TIME, b"251231230000-0100", 2026),
        (der.UTC_TIME, b"260101105900+1100", 2025),
        (der.GENERALIZED_TIME, b"99991231235959Z", 9999),
    ],
)
def test_a_time_is_read_with_its_century_and_zone(tag: int, text: bytes, year: int) -> None:
    assert der.time(der.Element(tag, text, b"")).year == year


@pytest.mark.parametrize("text", [b"", b"261301000000Z", b"2601010000", b"00010101000000+0100"])
def test_what_is_no_time_is_told(text: bytes) -> None:
    with pytest.raises(DecodeError):
        der.time(der.Element(der.GENERALIZED_TIME, text, b""))


def test_a_number_of_an_object_is_written_with_dots() -> None:
    octets = bytes.fromhex("2a864886f70d010101")
    assert der.dotted(der.Element(der.OBJECT_IDENTIFIER, octets, b"")) == "1.2.840.113549.1.1.1"
    assert der.dotted(der.Element(der.OBJECT_IDENTIFIER, b"\x88\x37", b"")) == "2.999"


def test_an_extension_that_is_there_twice_is_not_there() -> None:
    """As for OpenSSL's X509_get_ext_d2i: nobody can choose which of two names counts."""
    certificate = parts(ALL[3])
    value = certificate.extension(x509.SUBJECT_ALT_NAME)
    assert value is not None
    at = certificate.der.index(bytes.fromhex("0603551d25"))  # extended key usage becomes another
    doubled = certificate.der[:at] + bytes.fromhex("0603551d11") + certificate.der[at + 5 :]
    found = x509.Certificate.parse(doubled)
    assert found.alternative_names == []
    assert found.usages is None


@given(st.binary(max_size=300))
def test_arbitrary_octets_raise_decode_error_only(octets: bytes) -> None:
    for read in (x509.Certificate.parse, x509.RevocationList.parse, certfile.bundled):
        with pytest.raises(DecodeError):
            read(octets)
    _ = str(x509.Name(octets))


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4))
def test_a_damaged_certificate_has_parts_or_is_none(changes: list[tuple[int, int]]) -> None:
    octets = bytearray(parts(ALL[3]).der)
    for at, value in changes:
        octets[at % len(octets)] = value
    try:
        found = x509.Certificate.parse(bytes(octets))
    except DecodeError:
        return
    assert found.begin is None or found.begin <= datetime.max.replace(tzinfo=UTC)
    assert isinstance(str(found.subject), str)
    assert isinstance(found.alternative_names, list)
    assert found.usages is None or all(each[0].isdigit() for each in found.usages)
    assert found.rsa_bits is None or found.rsa_bits >= 0


@given(st.binary(max_size=400), st.sampled_from(["CERTIFICATE", "X509 CRL", "PKCS7"]))
def test_a_block_is_read_back(octets: bytes, label: str) -> None:
    [found] = pem.blocks(b"text\r\n" + pem.block(label, octets) + b"\n-----BEGIN MORE-----\nAAAA")
    assert (found.label, found.octets()) == (label, octets)
    assert not found.is_key

"""Distinguished names: as configured, and as certificates have them."""

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from ike.crypto.names import encoded_name, name_matches, parse_name, written_name


def encoded(*attributes: tuple[ObjectIdentifier, str]) -> bytes:
    return x509.Name([x509.NameAttribute(*attribute) for attribute in attributes]).public_bytes()


@pytest.mark.parametrize(
    ("written", "oid"),
    [
        ("serialNumber", NameOID.SERIAL_NUMBER),
        ("SERIALNUMBER", NameOID.SERIAL_NUMBER),
        ("2.5.4.5", NameOID.SERIAL_NUMBER),
        ("title", NameOID.TITLE),
        ("GN", NameOID.GIVEN_NAME),
        ("givenName", NameOID.GIVEN_NAME),
        ("SN", NameOID.SURNAME),
        ("surname", NameOID.SURNAME),
        ("dnQualifier", NameOID.DN_QUALIFIER),
        ("commonName", NameOID.COMMON_NAME),
        ("emailAddress", NameOID.EMAIL_ADDRESS),
        ("E", NameOID.EMAIL_ADDRESS),
        ("postalCode", NameOID.POSTAL_CODE),
        ("streetAddress", NameOID.STREET_ADDRESS),
        ("DC", NameOID.DOMAIN_COMPONENT),
        ("unstructuredName", NameOID.UNSTRUCTURED_NAME),
        ("1.2.840.113549.1.9.2", NameOID.UNSTRUCTURED_NAME),
    ],
)
def test_every_attribute_of_openssl_is_known_by_its_names(
    written: str, oid: ObjectIdentifier
) -> None:
    name = parse_name(encoded((oid, "12"), (NameOID.COMMON_NAME, "gw")))
    assert name_matches(name, written_name(f"{written}=12, CN=gw"))
    assert not name_matches(name, written_name(f"{written}=13, CN=gw"))
    assert name_matches(name, written_name(f"/{written}=*/CN=gw"))


@given(st.lists(st.integers(0, 10**9 - 1), min_size=1, max_size=8), st.integers(0, 39))
def test_any_object_identifier_is_encoded_as_certificates_have_it(
    rest: list[int], second: int
) -> None:
    dotted = ".".join(map(str, [2, second, *rest]))
    name = parse_name(encoded((ObjectIdentifier(dotted), "x")))
    assert name_matches(name, written_name(f"{dotted}=x"))


@pytest.mark.parametrize("text", ["garbage", "", "CN", "=x", "CN=gw, colour=red", "3.1=x", ","])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="attribute"):
        written_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "C=SE, O=B\u00fcro, CN=gw",
        "serialNumber=12, CN=gw",
        "DC=example, E=a@b.c",
        f"O={'x' * 60}, O={'y' * 60}, O={'z' * 60}",
    ],
)
def test_a_configured_name_is_sent_as_certificates_have_it(text: str) -> None:
    der = encoded_name(text)
    assert parse_name(der) == written_name(text)
    short = {"E": "1.2.840.113549.1.9.1", "serialNumber": "2.5.4.5"}
    pairs = [part.strip().partition("=") for part in text.split(",")]
    oids = {"C": "2.5.4.6", "O": "2.5.4.10", "CN": "2.5.4.3", "DC": "0.9.2342.19200300.100.1.25"}
    attributes = [(ObjectIdentifier((oids | short)[name]), value) for name, _, value in pairs]
    assert der == encoded(*attributes)

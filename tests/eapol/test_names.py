"""Names in certificates against what wpa_supplicant.conf wants of them."""

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from eapol.names import alternative_names, domains, has_suffix, mismatch, one_line
from eapol.notices import CertFault
from eapol.settings import TlsPolicy
from lab.pki import SERVER_NAME, Usage, key, parts, site
from wire.x509 import Name

SERVER = parts(site().server.certificate)


def test_a_subject_is_written_as_openssl_does_on_one_line() -> None:
    assert one_line(SERVER.subject) == f"/O=Branch Office Lab/CN={SERVER_NAME}"


def test_the_short_names_are_openssls() -> None:
    names = {
        NameOID.COUNTRY_NAME: ("C", "DE"),
        NameOID.ORGANIZATIONAL_UNIT_NAME: ("OU", "Lab"),
        NameOID.SERIAL_NUMBER: ("serialNumber", "7"),
        NameOID.GIVEN_NAME: ("GN", "Ada"),
        NameOID.SURNAME: ("SN", "L"),
        NameOID.EMAIL_ADDRESS: ("emailAddress", "a@b.c"),
    }
    name = x509.Name([x509.NameAttribute(oid, value) for oid, (_, value) in names.items()])
    assert one_line(Name(name.public_bytes())) == "".join(
        f"/{short}={value}" for short, value in names.values()
    )


def test_a_subject_cannot_break_a_line_of_the_log() -> None:
    evil = site().issuer.issue("a\n<3>CTRL-EVENT\x1b[2J", site().valid, key(), usage=Usage.SERVER)
    line = one_line(parts(evil.certificate).subject)
    assert line.isprintable()
    assert line.endswith(r"/CN=a\n<3>CTRL-EVENT\x1b[2J")


def test_alternative_names_carry_their_kind() -> None:
    names = ["radius.example", "192.0.2.1", "admin@example.org"]
    issued = site().issuer.issue("x", site().valid, key(), usage=Usage.SERVER, names=names)
    assert set(alternative_names(parts(issued.certificate))) == {
        "DNS:radius.example",
        "IP:192.0.2.1",
        "EMAIL:admin@example.org",
    }


@pytest.mark.parametrize(
    ("domain", "suffix", "holds"),
    [
        ("radius.example.org", "example.org", True),
        ("radius.example.org", ".example.org", True),
        ("Radius.Example.ORG", "example.org", True),
        ("example.org", "example.org", True),
        ("badexample.org", "example.org", False),
        ("example.org.evil", "example.org", False),
        ("org", "example.org", False),
    ],
)
def test_a_suffix_ends_at_a_dot(domain: str, suffix: str, holds: bool) -> None:
    assert has_suffix(domain, suffix) == holds


@given(st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){0,3}", fullmatch=True))
def test_every_domain_is_a_suffix_of_itself_and_of_its_hosts(domain: str) -> None:
    assert has_suffix(domain, domain)
    assert has_suffix("host." + domain, domain)
    assert not has_suffix("x" + domain, domain)


def test_the_common_name_counts_only_where_there_is_no_dns_name() -> None:
    assert domains(SERVER) == [SERVER_NAME]
    named = site().issuer.issue(
        "cn.example", site().valid, key(), usage=Usage.SERVER, names=["dns.example"]
    )
    assert domains(parts(named.certificate)) == ["dns.example"]
    bare = site().issuer.issue("cn.example", site().valid, key(), usage=Usage.SERVER)
    assert domains(parts(bare.certificate)) == ["cn.example"]


def test_each_kind_of_mismatch_has_its_number() -> None:
    policy = TlsPolicy(subject_match="/CN=other", domain_match=("other",))
    found = mismatch(SERVER, policy)
    assert found is not None
    assert found[0] is CertFault.SUBJECT_MISMATCH
    assert mismatch(SERVER, TlsPolicy()) is None


@pytest.mark.parametrize("name", [f"{SERVER_NAME}\0.evil.example", "evil.example\0.example.test"])
def test_a_name_with_an_octet_0_is_nobodys(name: str) -> None:
    issue, valid = site().issuer.issue, site().valid
    for made in (
        issue("x", valid, key(), usage=Usage.SERVER, names=[name]),
        issue(name, valid, key(), usage=Usage.SERVER),
    ):
        found = parts(made.certificate)
        for policy in (
            TlsPolicy(domain_match=(SERVER_NAME,)),
            TlsPolicy(domain_suffix_match=("example.test",)),
            TlsPolicy(altsubject_match=(f"DNS:{SERVER_NAME}",)),
        ):
            assert mismatch(found, policy) is not None

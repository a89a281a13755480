"""Names in made certificates of servers, against what a configuration wants of them: the verdict of
wpa_supplicant's EAP peer (eapol_test) and ours."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from eapol import names
from eapol.config import ConfigError, parse
from lab import require
from lab.netns import Namespace
from lab.peers.freeradius import SECRET
from lab.peers.hostapd import OwnServer, radius_server
from lab.pki import Issued, KeyKind, key, parts, site

pytestmark = pytest.mark.interop

SITE = site(KeyKind.P256)
NAME = "radius.example.org"
ANY_CASE = 'altsubject_match="DNS:x;DNS:RADIUS.EXAMPLE.ORG"'
DIFFERENT = {
    ("name as dNSName", ANY_CASE): "case does not matter in names of hosts (RFC 4343)",
    ("several", ANY_CASE): "the same",
    ("capitals", ANY_CASE): "the same",
    ("capitals", 'altsubject_match="DNS:radius.example.org"'): "the same",
    ("NUL behind the name", 'altsubject_match="DNS:radius.example.org"'): (
        "wpa_supplicant compares the octets before the NUL, and takes another host's certificate"
    ),
}
"""Server and wish of each verdict that differs, and why."""


def dns(*texts: str) -> list[x509.GeneralName]:
    return [x509.DNSName(text) for text in texts]


SERVERS: dict[str, tuple[list[str], list[x509.GeneralName]]] = {
    "name in the common name": ([NAME], []),
    "name as dNSName": (["other"], dns(NAME)),
    "capitals": (["other"], dns("RADIUS.Example.ORG")),
    "several": (["other"], dns("a.example.net", NAME)),
    "two common names": (["other", NAME], []),
    "common name beside another dNSName": ([NAME], dns("other.example.net")),
    "common name beside an address": ([NAME], [x509.IPAddress(ip_address("192.0.2.1"))]),
    "common name beside an EMAIL": ([NAME], [x509.RFC822Name("a@example.org")]),
    "wildcard": (["other"], dns("*.example.org")),
    "a subdomain": (["other"], dns(f"a.{NAME}")),
    "a longer one": (["other"], dns(f"bad{NAME}")),
    "a name behind it": (["other"], dns(f"{NAME}.evil.example")),
    "a dot at its end": (["other"], dns(f"{NAME}.")),
    "the domain alone": (["other"], dns("example.org")),
    "NUL before a suffix": (["other"], dns("evil.example\0.example.org")),
    "NUL behind the name": (["other"], dns(f"{NAME}\0.evil.example")),
    "NUL in the common name": ([f"{NAME}\0.evil.example"], []),
    "an EMAIL": (["other"], [x509.RFC822Name("admin@example.org")]),
    "a URI": (["other"], [x509.UniformResourceIdentifier("urn:example:radius")]),
    "an empty dNSName": ([NAME], dns("")),
}
WISHES = (
    f'domain_match="{NAME}"',
    'domain_match="example.org"',
    f'domain_match="x;{NAME}"',
    f'domain_match="{NAME.upper()}"',
    'domain_match="*.example.org"',
    'domain_suffix_match="example.org"',
    'domain_suffix_match="EXAMPLE.org"',
    f'domain_suffix_match="{NAME}"',
    'domain_suffix_match="ample.org"',
    'domain_suffix_match="example.net;example.org"',
    f'altsubject_match="DNS:{NAME}"',
    f'altsubject_match="DNS:x;DNS:{NAME.upper()}"',
    'altsubject_match="EMAIL:admin@example.org"',
    'altsubject_match="EMAIL:ADMIN@example.org;URI:urn:example:radius"',
    f'subject_match="/CN={NAME}"',
    'subject_match="/O=Lab/CN=radius"',
    f'subject_match="/CN={NAME.upper()}"',
)
NETWORK = """\
network={{
    key_mgmt=IEEE8021X
    eap=TLS
    identity="gw"
    ca_cert="{0}/ca"
    client_cert="{0}/own"
    private_key="{0}/key"
    {1}
}}
"""


def server(common: list[str], alternative: list[x509.GeneralName]) -> Issued:
    own = key(KeyKind.P256, "server")
    now = datetime.now(UTC)
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Lab")
    subject = [organisation, *(x509.NameAttribute(NameOID.COMMON_NAME, each) for each in common)]
    builder = x509.CertificateBuilder(
        issuer_name=SITE.root.certificate.subject,
        subject_name=x509.Name(subject),
        public_key=own.public_key(),
        serial_number=7,
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=99),
    ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    if alternative:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
    return Issued(builder.sign(SITE.root.key, hashes.SHA256()), own)


def ours(issued: Issued, conf: str) -> bool:
    try:
        network = parse(conf, "conf").network
    except ConfigError:
        return False
    assert network is not None
    return names.mismatch(parts(issued.certificate), network.tls) is None


@pytest.mark.long
def test_wpa_supplicant_and_we_match_the_same_names(
    make_host: Callable[[str], Namespace], tmp_path: Path
) -> None:
    host, wrong, seen = make_host("host"), list[object](), set[bool]()
    client = {"own": SITE.client.certificate_pem(), "key": SITE.client.key_pem()}
    for name, octets in {**client, "ca": SITE.root.certificate_pem()}.items():
        (tmp_path / name).write_bytes(octets)
    for name, (common, alternative) in SERVERS.items():
        issued = server(common, alternative)
        with radius_server(host, tmp_path, OwnServer(server=issued, ca=SITE.root)):
            for wish in WISHES:
                conf = NETWORK.format(tmp_path, wish)
                (tmp_path / "conf").write_text(conf)
                argv = [require.program("eapol_test"), "-c", str(tmp_path / "conf"), "-s", SECRET]
                said = host.run(*argv, "-t", "2", check=False).stdout
                theirs = said.rstrip().endswith("SUCCESS")
                seen.add(theirs)
                if (ours(issued, conf) != theirs) != ((name, wish) in DIFFERENT):
                    wrong.append((name, wish, f"ours {not theirs}, theirs {theirs}"))
    assert seen == {True, False}
    assert wrong == [], "\n".join(map(str, wrong))

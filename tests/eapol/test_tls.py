"""EAP-TLS: RFC 5216, RFC 9190; certificates, names, dates, revocation, resumption."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from eapol.authenticator import AuthenticatorSettings
from eapol.errors import CredentialError
from eapol.events import LinkChanged, PortAuthorized, Reauthenticate, UseTls
from eapol.methods.fragments import TlsPacket
from eapol.notices import (
    CertFault,
    CertificateError,
    EapFailure,
    PeerAlternativeName,
    PeerCertificate,
    Warned,
)
from eapol.settings import Credentials, Groups, NamedOctets, TlsPolicy, TlsVersion
from eapol.status import PaeState, PortStatus
from eapol.tls import ClientContext, ServerContext
from lab.eapol_pair import NETWORK, Pair, client_context, credentials, pair, server_context
from lab.pki import SERVER_NAME, Issued, KeyKind, Usage, site

TLS_1_2 = TlsPolicy(max_version=TlsVersion.TLS_1_2)
TLS_1_3 = TlsPolicy(min_version=TlsVersion.TLS_1_3)
BOTH_VERSIONS = pytest.mark.parametrize("policy", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
ROOT = site().root.certificate_pem()


def serving(own: Issued, policy: TlsPolicy = NETWORK.tls) -> ServerContext:
    return ServerContext(replace(policy, resume=False), credentials(own, ROOT, "server"))


def trying(policy: TlsPolicy, ca: bytes = ROOT, own: Issued | None = None) -> ClientContext:
    return ClientContext(replace(policy, resume=False), credentials(own or site().client, ca))


def attempt(both: Pair) -> Pair:
    both.plug_in()
    both.run_for(5.0)
    return both


def refused(both: Pair, fault: CertFault, error: str) -> None:
    """The gateway refused the server, with this event, and stays closed."""
    attempt(both)
    status = both.supplicant.status()
    assert status.port_status is PortStatus.UNAUTHORIZED
    assert status.pae_state is PaeState.HELD
    (said,) = both.said(CertificateError)
    assert f"reason={int(fault)} depth=" in said
    assert f"err='{error}'" in said
    assert len(both.said(EapFailure)) == 1
    assert error in (status.failure or "")
    # no certificate of ours left: what came after the ClientHello is an alert
    tls = [TlsPacket.parse(f.body[5:]) for f in both.sent("gateway") if f.body[4:5] == b"\x0d"]
    data = [packet.data for packet in tls if packet.data]
    assert len(data) == 2
    assert len(data[1]) < 100


# The server's certificate


def test_the_certificates_are_told_root_first_with_their_names() -> None:
    both = attempt(pair())
    depths = [line.split("depth=")[1][0] for line in both.said(PeerCertificate)]
    assert depths == ["1", "0"]
    assert both.said(PeerAlternativeName) == [f"CTRL-EVENT-EAP-PEER-ALT depth=0 DNS:{SERVER_NAME}"]


@BOTH_VERSIONS
def test_a_server_of_another_ca_is_refused(policy: TlsPolicy) -> None:
    other = site(name="Other Root").root.certificate_pem()
    both = pair(client=trying(policy, other))
    refused(both, CertFault.UNTRUSTED, "self-signed certificate in certificate chain")


@BOTH_VERSIONS
def test_an_expired_server_is_refused_and_the_date_is_named(policy: TlsPolicy) -> None:
    both = pair(client=trying(policy), server=serving(site().expired(Usage.SERVER)))
    refused(both, CertFault.EXPIRED, "certificate has expired")
    assert f"{both.date:%Y-%m-%d}" in (both.supplicant.status().failure or "")


def test_a_server_is_judged_by_the_date_that_the_core_is_given() -> None:
    early = datetime(1970, 1, 2, tzinfo=UTC)
    refused(pair(date=early), CertFault.NOT_YET_VALID, "certificate is not yet valid")
    assert attempt(pair(date=site().valid.begin + timedelta(hours=1))).open


def test_time_checks_can_be_turned_off() -> None:
    policy = TlsPolicy(check_time=False)
    server = serving(site().expired(Usage.SERVER))
    assert attempt(pair(client=trying(policy), server=server)).open
    assert any("expired" in warning.text for warning in trying(policy).warnings)


def test_a_revoked_server_is_refused() -> None:
    revoked = site().leaf(Usage.SERVER)
    ca = ROOT + site().crl_pem(revoked)
    both = pair(client=trying(TLS_1_2, ca), server=serving(revoked))
    refused(both, CertFault.REVOKED, "certificate revoked")


def test_a_server_that_the_list_does_not_name_is_believed() -> None:
    ca = ROOT + site().crl_pem(site().leaf(Usage.SERVER))
    assert attempt(pair(client=trying(TLS_1_2, ca))).open


def test_a_chain_of_which_only_the_lowest_ca_has_a_list_is_believed() -> None:
    deep = site(depth=4)
    ca = deep.root.certificate_pem() + deep.crl_pem()
    client = trying(TLS_1_2, ca, deep.client)
    assert attempt(pair(client=client, server=server_context(TLS_1_2, depth=4))).open


def test_a_certificate_that_is_not_for_servers_is_refused() -> None:
    both = pair(server=serving(site().client), client=trying(TLS_1_2))
    refused(both, CertFault.UNSPECIFIED, "unsuitable certificate purpose")


@pytest.mark.parametrize(
    ("policy", "fault", "error"),
    [
        (
            TlsPolicy(domain_suffix_match=("example.org",)),
            CertFault.DOMAIN_SUFFIX_MISMATCH,
            "Domain suffix mismatch",
        ),
        (
            TlsPolicy(domain_suffix_match=("ample.test",)),
            CertFault.DOMAIN_SUFFIX_MISMATCH,
            "Domain suffix mismatch",
        ),
        (TlsPolicy(domain_match=("example.test",)), CertFault.DOMAIN_MISMATCH, "Domain mismatch"),
        (
            TlsPolicy(altsubject_match=("DNS:other.example.test",)),
            CertFault.ALTSUBJECT_MISMATCH,
            "AltSubject mismatch",
        ),
        (TlsPolicy(subject_match="CN=other"), CertFault.SUBJECT_MISMATCH, "Subject mismatch"),
        (
            TlsPolicy(server_sha256=bytes(32)),
            CertFault.UNSPECIFIED,
            "Server certificate mismatch",
        ),
    ],
)
def test_a_server_of_another_name_never_sees_our_certificate(
    policy: TlsPolicy, fault: CertFault, error: str
) -> None:
    refused(pair(client=trying(policy)), fault, error)


@pytest.mark.parametrize(
    "policy",
    [
        TlsPolicy(domain_suffix_match=("example.org", "EXAMPLE.test")),
        TlsPolicy(domain_match=(SERVER_NAME,)),
        TlsPolicy(altsubject_match=("DNS:radius.EXAMPLE.test",)),
        TlsPolicy(subject_match=f"CN={SERVER_NAME}"),
    ],
)
def test_a_server_of_the_right_name_is_believed(policy: TlsPolicy) -> None:
    assert attempt(pair(client=trying(policy))).open


def test_without_a_ca_any_server_is_believed_with_a_warning() -> None:
    own = replace(credentials(site().client, ROOT), ca=None)
    client = ClientContext(TlsPolicy(), own)
    assert attempt(pair(client=client)).open
    assert any("any server" in warning.text for warning in client.warnings)


def test_a_check_of_names_without_a_ca_is_refused() -> None:
    own = replace(credentials(site().client, ROOT), ca=None)
    with pytest.raises(CredentialError, match="domain_match without a CA checks nothing"):
        ClientContext(TlsPolicy(domain_match=(SERVER_NAME,)), own)


def test_a_pinned_certificate_must_have_the_wanted_name_all_the_same() -> None:
    pin = sha256(site().server.certificate.public_bytes(Encoding.DER)).digest()
    wrong = TlsPolicy(server_sha256=pin, domain_match=("other.example.test",))
    server = serving(site().server)
    refused(pair(client=trying(wrong), server=server), CertFault.DOMAIN_MISMATCH, "Domain mismatch")
    right = TlsPolicy(server_sha256=pin, domain_match=(SERVER_NAME,))
    assert attempt(pair(client=trying(right), server=server)).open


def test_to_believe_expired_certificates_is_a_warning() -> None:
    client = trying(TlsPolicy(check_time=False))
    assert any("expired certificates" in warning.text for warning in client.warnings)


# Ours


def test_a_client_that_the_server_refuses_learns_why() -> None:
    stranger = site(name="Other Root").client
    for policy in (TLS_1_2, TLS_1_3):
        both = attempt(pair(client=trying(policy, own=stranger)))
        status = both.supplicant.status()
        assert status.pae_state is PaeState.HELD
        assert "unknown ca" in (status.failure or "")
        assert "does not trust the CA of our certificate" in (status.failure or "")


def test_an_expired_client_learns_why() -> None:
    both = attempt(pair(client=trying(TLS_1_2, own=site().expired(Usage.CLIENT))))
    assert "our certificate has expired" in (both.supplicant.status().failure or "")


def test_an_rsa_1024_client_works_and_not_at_level_2() -> None:
    weak = site().leaf(Usage.CLIENT, KeyKind.RSA_1024)
    assert attempt(pair(client=trying(TLS_1_2, own=weak))).open
    with pytest.raises(CredentialError, match=r"client\.pem: .*1024 bits.*security level"):
        trying(replace(TLS_1_2, seclevel=2), own=weak)


def test_an_rsa_1024_server_is_believed_and_named_once() -> None:
    weak = site().leaf(Usage.SERVER, KeyKind.RSA_1024)
    both = attempt(pair(client=trying(TLS_1_2), server=serving(weak, TLS_1_2)))
    both.gateway(Reauthenticate())
    both.run_for(1.0)
    assert both.open
    (said,) = both.said(Warned)
    assert "only 1024 bits" in said
    assert SERVER_NAME in said


@pytest.mark.parametrize("version", [TlsVersion.TLS_1_0, TlsVersion.TLS_1_1])
def test_an_old_server_is_spoken_to_only_when_that_is_configured(version: TlsVersion) -> None:
    old = TlsPolicy(min_version=TlsVersion.TLS_1_0, max_version=version, seclevel=0)
    both = attempt(pair(client=trying(old), server=serving(site().server, old)))
    assert both.open
    tls = both.supplicant.status().tls
    assert tls is not None
    assert tls.version == version.value
    keys = both.authenticator.keys
    ours = next(c for c in both.commands if isinstance(c, PortAuthorized))
    assert keys is not None
    assert ours.msk == keys.msk
    assert not attempt(pair(server=serving(site().server, old))).open


def test_no_common_version_is_said_in_words() -> None:
    both = attempt(pair(client=trying(TLS_1_2), server=server_context(TLS_1_3)))
    assert both.supplicant.status().pae_state is PaeState.HELD
    assert "TLS versions" in (both.supplicant.status().failure or "")


def test_a_cipher_list_that_names_nothing_is_refused_with_its_text() -> None:
    with pytest.raises(CredentialError, match="openssl_ciphers=NONSENSE"):
        trying(TlsPolicy(ciphers="NONSENSE"))


# Octets


def hello(both: Pair) -> bytes:
    both.plug_in()
    both.run_for(1.0)
    first = next(f for f in both.sent("gateway") if f.body[4:5] == b"\x0d")
    return TlsPacket.parse(first.body[5:]).data


def test_the_client_hello_fits_into_one_packet_unless_hybrid_groups_are_wanted() -> None:
    assert len(hello(pair(client=trying(TlsPolicy())))) < 600
    assert len(hello(pair(client=trying(TlsPolicy(groups=Groups.HYBRID))))) > 1200


def test_the_groups_of_openssl_ecdh_curves_are_offered_and_no_others() -> None:
    """supported_groups (RFC 8446, 4.2.7): secp384r1 is 24, secp521r1 is 25."""
    octets = hello(pair(client=trying(TlsPolicy(curves="P-384:P-521"))))
    assert bytes.fromhex("000a 0006 0004 0018 0019") in octets
    with pytest.raises(CredentialError, match="openssl_ecdh_curves=P-384:nonsense: OpenSSL does"):
        trying(TlsPolicy(curves="P-384:nonsense"))


@pytest.mark.parametrize(("mtu", "wanted"), [(1500, 1490), (1280, 1398), (576, 100)])
def test_fragments_fit_the_interface(mtu: int, wanted: int) -> None:
    both = pair(
        network=replace(NETWORK, fragment_size=wanted),
        client=client_context(depth=4),
        server=server_context(depth=4),
        mtu=mtu,
    )
    assert attempt(both).open
    assert max(len(bytes(f)) for f in both.sent("gateway")) <= min(mtu, wanted + 14)


def test_an_interface_whose_mtu_shrinks_gets_smaller_fragments() -> None:
    both = attempt(pair(client=client_context(depth=4), server=server_context(depth=4)))
    assert max(len(bytes(frame)) for frame in both.sent("gateway")) > 1000
    both.frames.clear()
    both.gateway(LinkChanged(up=True, mtu=700))
    both.gateway(Reauthenticate())
    both.run_for(1.0)
    assert both.open
    assert max(len(bytes(frame)) for frame in both.sent("gateway")) == 700


def test_small_fragments_on_both_sides_carry_chains_of_four() -> None:
    both = pair(
        network=replace(NETWORK, fragment_size=200, include_tls_length=True),
        client=client_context(depth=4),
        server=server_context(depth=4),
        settings=AuthenticatorSettings(fragment_size=200),
    )
    assert attempt(both).open
    assert len(both.frames) > 60


# Resumption


def resuming(policy: TlsPolicy) -> Pair:
    """A pair that keeps sessions."""
    policy = replace(policy, resume=True)
    client = ClientContext(policy, credentials(site().client, ROOT))
    server = ServerContext(policy, credentials(site().server, ROOT, "server"))
    return pair(client=client, server=server)


def resumed(both: Pair) -> bool:
    tls = both.supplicant.status().tls
    assert tls is not None
    assert both.open
    return tls.resumed


@BOTH_VERSIONS
def test_every_reauthentication_is_resumed(policy: TlsPolicy) -> None:
    both = attempt(resuming(policy))
    assert not resumed(both)
    for _ in range(5):
        both.gateway(Reauthenticate())
        both.run_for(1.0)
        assert resumed(both)


def test_a_session_is_not_resumed_once_the_servers_certificate_has_expired() -> None:
    both = attempt(resuming(TLS_1_2))
    both.date = site().valid.end + timedelta(days=1)
    both.gateway(Reauthenticate())
    both.run_for(1.0)
    assert not both.open
    assert "expired" in (both.supplicant.status().failure or "")


def test_renewed_files_end_the_session() -> None:
    both = attempt(resuming(TLS_1_2))
    both.gateway(UseTls(tls=trying(TLS_1_2)))
    both.gateway(Reauthenticate())
    both.run_for(1.0)
    assert not resumed(both)


def test_fast_reauth_can_be_turned_off() -> None:
    both = attempt(
        pair(
            client=trying(TLS_1_2),
            server=ServerContext(TLS_1_2, credentials(site().server, ROOT, "server")),
        )
    )
    both.gateway(Reauthenticate())
    both.run_for(1.0)
    assert not resumed(both)


# Capture


def test_the_key_log_holds_the_secrets_that_a_capture_needs() -> None:
    lines: list[bytes] = []
    client = ClientContext(TLS_1_2, credentials(site().client, ROOT), lines.append)
    assert attempt(pair(client=client)).open
    assert lines
    assert lines[0].startswith(b"CLIENT_RANDOM ")


def test_a_damaged_certificate_of_a_server_is_refused_not_raised() -> None:
    """Octets of the server's flight are changed one by one; nothing but a failure may follow."""
    flight = {"seen": 0}

    for position in range(60, 1000, 47):

        def damage(sender: str, octets: bytes, position: int = position) -> bytes:
            if sender == "switch" and len(octets) > 1000:
                flight["seen"] += 1
                return (
                    octets[:position] + bytes((octets[position] ^ 0x21,)) + octets[position + 1 :]
                )
            return octets

        both = pair(client=client_context(TLS_1_2), server=server_context(TLS_1_2))
        both.tap = damage
        assert not attempt(both).open
    assert flight["seen"]


def test_an_empty_ca_file_is_refused_by_name() -> None:
    with pytest.raises(CredentialError, match=r"^ca\.pem: "):
        ClientContext(TlsPolicy(), Credentials(ca=NamedOctets("ca.pem", b"")))


# Suites without authentication or encryption


class Anonymous:
    """A TLS server that has no certificate at all: only its suites."""

    def __init__(self, suites: bytes) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(suites)
        self.tls = SSL.Connection(context, None)
        self.tls.set_accept_state()

    def answer(self, records: bytes) -> bytes:
        self.tls.bio_write(records)
        with suppress(SSL.Error):
            self.tls.do_handshake()
        try:
            return self.tls.bio_read(65536)
        except SSL.WantReadError:
            return b""


def completes(suites: str) -> bool:
    """Whether our side takes an anonymous server for the one that ca_cert vouches for."""
    policy = replace(TLS_1_2, ciphers=suites, seclevel=0)
    client = trying(policy).connection(datetime.now(UTC))
    server = Anonymous(b"aNULL:@SECLEVEL=0")
    flight = client.step(b"")
    while flight.failure is None and flight.records:
        records = server.answer(flight.records)
        if not records:
            break
        flight = client.step(records)
    return client.established


@pytest.mark.parametrize("suites", ["ALL", "ALL:COMPLEMENTOFALL", "HIGH:aNULL"])
def test_a_server_that_shows_no_certificate_is_refused_whatever_the_suites_are(suites: str) -> None:
    assert not completes(suites)


@pytest.mark.parametrize("suites", ["aNULL", "eNULL", "AECDH-AES256-SHA"])
def test_suites_without_authentication_or_encryption_alone_are_refused(suites: str) -> None:
    with pytest.raises(CredentialError, match="names no cipher suite that can be used"):
        trying(replace(TLS_1_2, ciphers=suites, seclevel=0))


def test_a_server_inside_the_tunnel_that_nobody_checks_is_warned_of() -> None:
    pin = replace(TLS_1_2, server_sha256=bytes(32))
    for inside, ca in ((TLS_1_2, None), (pin, None), (TLS_1_2, NamedOctets("ca2", ROOT))):
        inner = (inside, replace(credentials(site().client, ROOT), ca=ca))
        warnings = ClientContext(pin, Credentials(inner=inner)).warnings
        unchecked = ca is None and inside is not pin
        assert any("inside the tunnel" in str(said) for said in warnings) is unchecked

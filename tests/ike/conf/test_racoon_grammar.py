"""Whatever the grammar of racoon.conf(5) makes is read: a generator that follows it."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ike.conf.configuration import load
from lab.pki import site
from lab.written import Words, count, decimal, listed, maybe, quoted, said, some, text, word
from wire.source import DIFFERS, PASSED_OVER

switch = word("on", "off")
ipv4 = word("192.0.2.1", "10.0.0.5", "198.51.100.7")
ipv6 = word("2001:db8::1", "fe80::1%eth0", "::1")
address = st.one_of(ipv4, word("2001:db8::1", "fd00::7"))
port = said("[", count(1, 65535), "]")
unit = word("sec", "secs", "second", "seconds", "min", "mins", "minute", "minutes", "hour", "hours")
duration = st.one_of(
    said(decimal(1, 500), unit),
    st.tuples(decimal(1, 500), unit).map("".join),
)
name = quoted("a", "gw.example", "with blank", "x/y", "B\udcfcro")
group = word(
    "modp768", "modp1024", "modp1536", "modp2048", "modp3072", "modp4096", "modp6144", "modp8192",
    "1", "2", "5", "14", "15", "16", "17", "18", "ecp256", "curve25519",
)  # fmt: skip
cipher1 = word(
    "des", "3des", "aes", "aes 128", "aes192", "aes 256", "blowfish", "blowfish 448", "cast128",
    "camellia", "camellia256",
)  # fmt: skip
cipher2 = word(
    "des", "3des", "des_iv64", "des_iv32", "rc5", "rc4", "idea", "3idea", "cast128", "blowfish",
    "null_enc", "null", "twofish", "rijndael", "aes", "camellia", "aes256", "aes 128",
    "rijndael192",
)  # fmt: skip
hashes = word("md5", "sha1", "sha256", "sha384", "sha512", "sha2_256", "sha2_384", "sha2_512")
method = word(
    "pre_shared_key", "pre_shared_key", "rsasig", "gssapi_krb", "hybrid_rsa_server",
    "hybrid_rsa_client", "xauth_psk_server", "xauth_psk_client", "xauth_rsa_server",
    "xauth_rsa_client",
)  # fmt: skip
dn = quoted("C=SE, O=Branch, CN=gw", "CN=*", "serialNumber=12, CN=gw", "/C=SE/CN=gw")
identity = st.one_of(
    said("address", maybe(address)),
    said(word("fqdn", "user_fqdn"), name),
    said("keyid", "tag", name),
    said("keyid", maybe("file"), quoted("id.bin")),
    said("asn1dn", maybe(dn)),
)

_top = st.one_of(
    said("path", word("script", "backupsa", "pidfile"), name, ";"),
    said("log", word("error", "warning", "notify", "info", "debug", "debug2"), ";"),
    said("pfkey_buffer", count(0, 9999), ";"),
    said("gss_id_enc", word("latin1", "utf-16le"), ";"),
    said("complex_bundle", switch, ";"),
    said("include", quoted("none/*.conf", "empty.conf"), ";"),
    said(
        "privsep", "{",
        some(st.one_of(
            said("user", st.one_of(name, decimal(0, 99)), ";"),
            said("group", st.one_of(name, decimal(0, 99)), ";"),
            said("chroot", name, ";"),
        )),
        "}",
    ),
    said(
        "padding", "{",
        some(st.one_of(
            said(word("randomize", "randomize_length", "strict_check"), switch, ";"),
            said("exclusive_tail", switch, ";"),
            said("maximum_length", count(0, 255), ";"),
        )),
        "}",
    ),
    said(
        "listen", "{",
        some(st.one_of(
            said(word("isakmp", "isakmp_natt"), address, maybe(port), ";"),
            said("strict_address", ";"),
            said("adminsock", "disabled", ";"),
            said("adminsock", quoted("racoon.sock"), maybe(name, name, "0600"), ";"),
        )),
        "}",
    ),
    said(
        "timer", "{",
        some(st.one_of(
            said(word("counter", "persend"), count(1, 9), ";"),
            said(word("interval", "phase1", "phase2", "natt_keepalive"), duration, ";"),
        )),
        "}",
    ),
    said(
        "mode_cfg", "{",
        some(st.one_of(
            said(word("network4", "netmask4"), ipv4, ";"),
            said(word("pool_size", "auth_throttle", "pfs_group"), count(0, 99), ";"),
            said(word("dns4", "wins4", "nbns4"), listed(ipv4), ";"),
            said(word("default_domain", "banner"), name, ";"),
            said(
                "split_network", word("include", "local_lan"),
                listed(said(ipv4, "/", st.one_of(decimal(0, 32), ipv4))), ";",
            ),
            said(word("split_dns", "auth_groups"), listed(name), ";"),
            said("auth_source", word("system", "radius", "pam", "ldap"), ";"),
            said("group_source", word("system", "ldap"), ";"),
            said("conf_source", word("local", "radius", "ldap"), ";"),
            said("accounting", word("none", "system", "radius", "pam"), ";"),
            said("save_passwd", switch, ";"),
        ), most=6),
        "}",
    ),
    said(
        "radiuscfg", "{",
        some(st.one_of(
            said(word("auth", "acct"), name, maybe(decimal(1, 65535)), name, ";"),
            said(word("timeout", "retries"), count(1, 9), ";"),
        )),
        "}",
    ),
    said(
        "ldapcfg", "{",
        some(st.one_of(
            said(word("version", "port", "timeout", "debug"), count(0, 999), ";"),
            said(word("uri", "host", "base", "bind_dn", "bind_pw", "attr_user"), name, ";"),
            said(word("attr_addr", "attr_mask", "attr_group", "attr_member"), name, ";"),
            said("subtree", switch, ";"),
        )),
        "}",
    ),
)  # fmt: skip

_proposal = said(
    "proposal", "{",
    "encryption_algorithm", cipher1, ";",
    "hash_algorithm", hashes, ";",
    "authentication_method", method, ";",
    "dh_group", group, ";",
    maybe("lifetime", "time", duration, ";"),
    maybe("gss_id", name, ";"),
    "}",
)  # fmt: skip

_setting = st.one_of(
    said("exchange_mode", listed(word("main", "aggressive", "base")), ";"),
    said("exchange_mode", "main", word("aggressive", "base"), ";"),
    said("doi", "ipsec_doi", ";"),
    said("situation", word("identity_only", "secrecy", "integrity"), ";"),
    said(word("my_identifier", "peers_identifier"), identity, ";"),
    said("xauth_login", name, ";"),
    said("certificate_type", "x509", quoted("gw.pem"), quoted("gw.key"), ";"),
    said("certificate_type", "plain_rsa", name, ";"),
    said("ca_type", "x509", quoted("ca.pem"), ";"),
    said("peers_certfile", maybe("x509"), quoted("gw.pem"), ";"),
    said("peers_certfile", "plain_rsa", name, ";"),
    said("peers_certfile", "dnssec", ";"),
    said(
        word(
            "verify_identifier", "verify_cert", "send_cert", "send_cr", "match_empty_cr", "passive",
            "support_proxy", "initial_contact", "dpd", "mode_cfg", "weak_phase1_check",
        ),
        switch, ";",
    ),
    said("dh_group", group, ";"),
    said("nonce_size", decimal(8, 256), ";"),
    said("generate_policy", word("on", "off", "require", "unique"), ";"),
    said("proposal_check", word("obey", "strict", "claim", "exact"), ";"),
    said(word("nat_traversal", "ike_frag", "rekey"), word("on", "off", "force"), ";"),
    said(word("esp_frag", "dpd_delay", "dpd_retry", "dpd_maxfail", "ph1id"), count(0, 999), ";"),
    said("dpd_delay", "=", decimal(0, 99), ";"),
    said("script", name, word("phase1_up", "phase1_down", "phase1_dead"), ";"),
    said("lifetime", "time", duration, ";"),
)  # fmt: skip

protocol = word("any", "tcp", "udp", "icmp", "icmp6", "esp", "47", "132")
traffic = said(
    word("address", "subnet"), ipv4, maybe("-", word("203.0.113.9")), maybe("/", decimal(0, 32)),
    maybe("[", st.one_of(decimal(0, 65535), word("any")), "]"), protocol,
)  # fmt: skip
side = st.one_of(
    traffic,
    said(word("fqdn", "user_fqdn"), name),
    said("asn1dn", dn),
)
_integrity = word(
    "hmac_md5", "hmac_sha1", "hmac_sha256", "hmac_sha384", "hmac_sha512", "hmac_sha2_256",
    "hmac_sha2_384", "hmac_sha2_512", "non_auth",
)  # fmt: skip
_sainfo = said(
    "sainfo",
    st.one_of(
        said("anonymous"),
        said(
            st.one_of(said("anonymous"), side),
            st.one_of(said(word("anonymous", "clientaddr")), side),
        ),
        said("(", traffic, traffic, ")"),
    ),
    maybe("from", word("fqdn", "user_fqdn"), name),
    maybe("group", name),
    "{",
    some(st.one_of(
        said("pfs_group", group, ";"),
        said("lifetime", "time", duration, ";"),
        said("remoteid", decimal(0, 99), ";"),
        said("my_identifier", identity, ";"),
    )),
    "encryption_algorithm", listed(cipher2), ";",
    "authentication_algorithm", listed(_integrity), ";",
    "compression_algorithm", "deflate", ";",
    "}",
)  # fmt: skip


@st.composite
def _remotes(draw: st.DrawFn) -> Words:
    """Several, each of a name of its own; later ones may inherit from earlier ones."""
    heads = ["anonymous", "192.0.2.1", "192.0.2.1 [8000]", '"office"', "2001:db8::1", '"x"']
    made: Words = []
    earlier: list[str] = []
    for head in draw(st.lists(st.sampled_from(heads), unique=True, max_size=4)):
        made += ["remote", head]
        parent = draw(st.sampled_from([None, *earlier]))
        if parent is not None:
            made += ["inherit", parent]
        if parent is not None and draw(st.booleans()):
            made.append(";")
        else:
            body = said(some(_setting, most=6), some(_proposal, least=1, most=3))
            made += ["{", *draw(body), "}"]
        earlier.append(head)
    return made


FILE = text(
    st.tuples(some(_top), _remotes(), some(_sainfo, most=3), some(_top, most=2)).map(
        lambda parts: [each for words in parts for each in words]
    )
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("racoon")
    own = site().client
    (made / "ca.pem").write_bytes(site().root.certificate_pem())
    (made / "gw.pem").write_bytes(own.certificate_pem())
    (made / "gw.key").write_bytes(own.key_pem())
    (made / "gw.key").chmod(0o600)
    for name, octets in (("psk.txt", b"192.0.2.1 k\n"), ("id.bin", b"\0id"), ("empty.conf", b"")):
        (made / name).write_bytes(octets)
        (made / name).chmod(0o600)
    return made


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(FILE)
def test_whatever_the_grammar_makes_is_read(folder: Path, octets: bytes) -> None:
    file = folder / "racoon.conf"
    head = b'path pre_shared_key "psk.txt";\n'
    start = octets.removeprefix(b"\xef\xbb\xbf")
    file.write_bytes(octets[: len(octets) - len(start)] + head + start)
    made = load(file, Path("/"))
    assert {notice.kind for notice in made.notices} <= {PASSED_OVER, DIFFERS}
    for notice in made.notices:
        assert notice.place.line >= 1
        assert str(notice).isprintable()

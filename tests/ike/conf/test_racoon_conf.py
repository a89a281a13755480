"""racoon.conf: the whole grammar is read, what cannot be done is said with its place."""

from ipaddress import IPv4Address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ike.conf.configuration import Configuration, load
from ike.conf.errors import ConfError
from ike.conf.syntax import GRAMMAR
from ike.config import EspEncryption, Limits, ProposalCheck, SainfoId, Switch
from ike.numbers.doi import Encryption, EspTransform, Group, Hash, IdType, Integrity
from ike.numbers.isakmp import ExchangeType
from wire.source import Source

PROPOSAL = (
    "proposal { encryption_algorithm aes 128; hash_algorithm sha1; "
    "authentication_method pre_shared_key; dh_group 2; }"
)

EVERYTHING = """
path include "/etc/racoon"; path pre_shared_key "psk.txt"; path certificate "certs";
path script "scripts"; path backupsa "sa"; path pidfile "racoon.pid";
log debug2; pfkey_buffer 5120; gss_id_enc utf-16le; complex_bundle off;
privsep { user "racoon"; group 65; chroot "/var/empty"; }
padding { randomize on; randomize_length off; maximum_length 20; strict_check off;
    exclusive_tail on; }
listen { isakmp 10.0.0.1 [500]; isakmp_natt fe80::1%eth0 [4500]; strict_address;
    adminsock "/run/racoon.sock" "root" "operator" 0660; admin [7002]; }
timer { counter 3; interval 20 sec; persend 1; phase1 1 min; phase2 2 hours;
    natt_keepalive 15 secs; }
mode_cfg { network4 10.1.0.1; netmask4 255.255.255.0; pool_size 255; dns4 10.0.0.1, 10.0.0.2;
    wins4 10.0.0.3; default_domain "lab"; split_network include 10.0.0.0/8, 10.1.0.0/255.255.0.0;
    split_dns "a", "b"; banner "/etc/motd"; auth_source radius; auth_groups "g", "h";
    group_source system; conf_source local; accounting none; auth_throttle 1; pfs_group 2;
    save_passwd off; }
radiuscfg { auth "host" 1812 "secret"; acct "host" "secret"; timeout 3; retries 3; }
ldapcfg { version 3; uri "ldap://x"; host "localhost"; port 389; base "dc=x"; subtree off; }
remote anonymous { exchange_mode main, aggressive, base; doi ipsec_doi; situation identity_only;
    my_identifier address; peers_identifier asn1dn "C=XX, CN=*"; peers_identifier fqdn "b.lab";
    verify_identifier on; xauth_login "joe"; verify_cert on; send_cert off; send_cr off;
    match_empty_cr on; dh_group 2; nonce_size 32; passive on; generate_policy unique;
    support_proxy on; initial_contact off; proposal_check claim; nat_traversal force;
    ike_frag on; esp_frag 552; dpd on; dpd_delay 20; dpd_retry 4; dpd_maxfail 3; rekey force;
    mode_cfg off; weak_phase1_check on; script "up" phase1_up; ph1id 7; lifetime time 2 hours;
    proposal { encryption_algorithm 3des; hash_algorithm md5; dh_group modp1536;
        authentication_method pre_shared_key; lifetime time 30 min; } }
remote "office" inherit anonymous { remote_address 10.0.0.9 [501]; passive off; }
sainfo anonymous { pfs_group 14; lifetime time 30 min; compression_algorithm deflate;
    encryption_algorithm aes 256, 3des; authentication_algorithm hmac_sha256, hmac_md5; }
sainfo address 10.1.0.0/24 [any] any subnet 10.2.0.0/24 [80] tcp { remoteid 7; }
sainfo anonymous fqdn "b.lab" { }
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "etc/racoon").mkdir(parents=True)
    keys = tmp_path / "etc/racoon/psk.txt"
    keys.write_text("10.0.0.9 key\n")
    keys.chmod(0o600)
    return tmp_path / "etc/racoon.conf"


def read(conf: Path, text: str) -> Configuration:
    conf.write_text(text)
    return load(conf, conf.parent.parent)


def refusal(conf: Path, text: str) -> ConfError:
    with pytest.raises(ConfError) as caught:
        read(conf, text)
    return caught.value


def test_every_statement_of_racoon_is_read(conf: Path) -> None:
    made = read(conf, EVERYTHING)
    anonymous = made.engine.remotes[0]
    assert anonymous.exchange_modes == (ExchangeType.MAIN, ExchangeType.AGGRESSIVE)
    assert anonymous.proposals[0].encryption is Encryption.TRIPLE_DES
    assert anonymous.proposals[0].hash is Hash.MD5
    assert anonymous.proposals[0].lifetime_seconds == 1800
    assert anonymous.nat_traversal is Switch.FORCE
    assert anonymous.proposal_check is ProposalCheck.CLAIM
    assert [i.type for i in anonymous.peers_identifiers] == [IdType.DER_ASN1_DN, IdType.FQDN]
    assert (anonymous.passive, anonymous.dpd_delay, anonymous.ph1id) == (True, 20, 7)
    assert made.engine.timers.phase2 == 7200
    assert made.engine.keys.find("10.0.0.9") is not None
    assert (made.admin.path, made.admin.mode) == ("/run/racoon.sock", 0o660)


def test_a_remote_inherits_all_but_its_name_and_address(conf: Path) -> None:
    anonymous, office = read(conf, EVERYTHING).engine.remotes
    assert (office.name, office.address, office.port) == ("office", IPv4Address("10.0.0.9"), 501)
    assert not office.passive
    assert office.proposals == anonymous.proposals


def test_a_sainfo_lists_what_it_allows_in_order_of_preference(conf: Path) -> None:
    first, second, third = read(conf, EVERYTHING).engine.sainfos
    assert first.encryption == (
        EspEncryption(EspTransform.AES, 256),
        EspEncryption(EspTransform.TRIPLE_DES),
    )
    assert first.integrity == (Integrity.HMAC_SHA2_256, Integrity.HMAC_MD5)
    assert (first.pfs_group, first.lifetime_seconds) == (Group.MODP2048, 1800)
    assert second.remote == SainfoId(network=ip_network("10.2.0.0/24"), port=80, protocol=6)
    assert third.remote is not None
    assert third.remote.identifier is not None


def test_a_cipher_that_is_not_supported_is_left_out_when_there_are_others(conf: Path) -> None:
    made = read(conf, "sainfo anonymous { encryption_algorithm twofish, aes 128, idea; }")
    assert made.engine.sainfos[0].encryption == (EspEncryption(EspTransform.AES, 128),)
    assert [notice.sentence for notice in made.notices] == [
        "the encryption algorithm twofish is not supported: left out",
        "the encryption algorithm idea is not supported: left out",
    ]


def test_what_is_read_but_not_heeded_is_named_with_its_place(conf: Path) -> None:
    warnings = [str(notice) for notice in read(conf, EVERYTHING).notices]
    told = {warning.partition(": ")[2].split(" has no")[0] for warning in warnings}
    assert told >= {
        "pfkey_buffer", "gss_id_enc", "complex_bundle", "privsep", "padding", "mode_cfg",
        "radiuscfg", "ldapcfg", "path script", "path backupsa", "script", "esp_frag",
    }  # fmt: skip
    assert all(warning.startswith(f"{conf}:") for warning in warnings)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("remote anonymous { exchange_mod main; }", "did you mean 'exchange_mode'?"),
        ("remote anonymous { passive on }", "there is no ';' before '}'"),
        ("log verbose;", "'verbose' is not understood here"),
        ('path include "x', "no closing quote"),
        ("remote anonymous { dpd on;", "the file ends inside a statement"),
        ("remote anonymous { }", "has no proposal"),
        ("remote 10.0.0.300 { }", "'10.0.0.300' is not an IP address"),
        ("remote 10.0.0.1 [70000] { }", "70000 is not a port"),
        ("remote anonymous { proposal { dh_group 2; } }", "lacks encryption_algorithm"),
        (f"remote anonymous {{ {PROPOSAL.replace('2;', '3;')} }}", "group 3 is not supported"),
        (f"remote anonymous {{ {PROPOSAL.replace('128', '100')} }}", "100 bits"),
        ("remote anonymous { nonce_size 4; }", "8 to 256 octets"),
        ('remote "a" inherit "b";', "no remote 'b' above"),
        ("sainfo address 10.0.0.1/33 any anonymous {}", "10.0.0.1/33 is not a network"),
        ("sainfo address 10.0.0.1 sctpp anonymous {}", "did you mean 'sctp'?"),
        ("sainfo anonymous { lifetime byte 5 KB; }", "lifetime byte is not supported"),
        (
            f'path pre_shared_key "missing.txt"; remote anonymous {{ {PROPOSAL} }}',
            "cannot read the pre-shared keys",
        ),
        ('include "missing.conf";', "cannot read"),
    ],
)
def test_a_refusal_is_one_sentence_with_file_line_and_column(
    conf: Path, text: str, sentence: str
) -> None:
    error = refusal(conf, text)
    assert sentence in str(error)
    assert "\n" not in str(error)
    if "missing.txt" not in text:  # that is about another file
        assert str(error).startswith(f"{conf}:1:")


def test_the_report_points_at_the_word_and_lists_what_could_stand_there(conf: Path) -> None:
    error = refusal(conf, "remote anonymous {\n\texchange_mode mian;\n}")
    assert error.report().splitlines() == [
        f"{conf}:2:16: 'mian' is not understood here; did you mean 'main'?",
        "     exchange_mode mian;",
        "                   ^",
        "    expected: aggressive, base, main",
    ]


def test_includes_are_globbed_in_order_and_errors_name_the_included_file(conf: Path) -> None:
    folder = conf.parent / "racoon"
    (folder / "remote-2.conf").write_text(f"remote 10.0.0.2 {{ {PROPOSAL} }}")
    (folder / "remote-1.conf").write_text(f"remote 10.0.0.1 {{ {PROPOSAL} }}")
    made = read(conf, 'include "/etc/racoon/remote-*.conf";')
    assert [remote.name for remote in made.engine.remotes] == ["10.0.0.1", "10.0.0.2"]
    (folder / "remote-3.conf").write_text("remot")
    error = refusal(conf, 'include "/etc/racoon/remote-*.conf";')
    assert str(error).startswith(f"{folder / 'remote-3.conf'}:1:1: ")


def test_a_glob_that_matches_nothing_is_fine(conf: Path) -> None:
    assert read(conf, 'include "/etc/racoon/none-*.conf";').engine.remotes == ()


def test_a_file_that_includes_itself_is_refused(conf: Path) -> None:
    assert "nested" in str(refusal(conf, 'include "/etc/racoon.conf";'))


def test_two_remotes_of_one_name_are_refused(conf: Path) -> None:
    text = f"remote anonymous {{ {PROPOSAL} }}\n" * 2
    assert "the remote 'anonymous' appears twice" in str(refusal(conf, text))


WORDS = st.sampled_from(EVERYTHING.replace("\n", " ").split())


@given(st.lists(WORDS, max_size=30).map(" ".join) | st.text(max_size=80))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        GRAMMAR.parse(Source("racoon.conf", text))
    except ConfError as error:
        assert error.report().startswith("racoon.conf:")


def test_every_limit_has_its_name_in_the_configuration(conf: Path) -> None:
    text = """limits { half_open 11; half_open_per_prefix 12; half_open_per_address 13;
        opened_per_second 14; opened_per_second_per_remote 15; connections_per_peer 16;
        negotiations_per_peer 17; sas_per_peer 18; fragment_octets_per_source 19;
        patience_after_proof 2 min; }"""
    assert read(conf, text).engine.limits == Limits(
        half_open=11,
        half_open_per_prefix=12,
        half_open_per_address=13,
        opened_per_second=14,
        opened_per_second_per_remote=15,
        connections_per_peer=16,
        negotiations_per_peer=17,
        sas_per_peer=18,
        fragment_octets_per_source=19,
        patience_after_proof=120,
    )


@pytest.mark.parametrize(
    "setting", ["half_open 0", "patience_after_proof 0 sec", "sas_per_peer 0x0"]
)
def test_a_limit_that_lets_nothing_through_is_refused(conf: Path, setting: str) -> None:
    assert "must be at least 1" in str(refusal(conf, f"limits {{ {setting}; }}"))


def test_limits_that_are_not_named_keep_their_defaults(conf: Path) -> None:
    assert read(conf, "limits { half_open 9; }").engine.limits == Limits(half_open=9)


@pytest.mark.parametrize(
    "text",
    [
        'radiuscfg { auth "10.0.0.1" 1812 "s3cret" oops; }',
        'radiuscfg { acct "10.0.0.1" "s3cret }',
        'ldapcfg { bind_dn "cn=x"; bind_pw "s3cret" oops; }',
        'ldapcfg { bind_pw "s3cret; }',
    ],
)
def test_no_excerpt_shows_a_password_or_a_shared_secret(conf: Path, text: str) -> None:
    report = refusal(conf, text).report()
    assert "s3cret" not in report
    assert "cfg {" in report


SAINFO = "sainfo anonymous {{ authentication_algorithm hmac_sha1; {} }}"


def test_a_second_list_of_algorithms_is_added_to_the_first(conf: Path) -> None:
    lists = "encryption_algorithm aes 256, twofish; encryption_algorithm 3des;"
    made = read(conf, SAINFO.format(f"{lists} authentication_algorithm hmac_sha256;"))
    [sainfo] = made.engine.sainfos
    assert sainfo.encryption == (
        EspEncryption(EspTransform.AES, 256),
        EspEncryption(EspTransform.TRIPLE_DES),
    )
    assert sainfo.integrity == (Integrity.HMAC_SHA1, Integrity.HMAC_SHA2_256)


def test_a_second_sainfo_for_the_same_traffic_is_named(conf: Path) -> None:
    made = read(conf, SAINFO.format("") + "\n" + SAINFO.format("pfs_group 2;"))
    [notice] = made.notices
    assert str(notice).endswith(
        ":2:1: this sainfo is never used: one above it is for the same traffic"
    )


@pytest.mark.parametrize(
    "text",
    [
        SAINFO.format("lifetime time 0 min;"),
        "remote 10.0.0.9 { lifetime time 0 sec; }",
        "remote 10.0.0.9 { proposal { encryption_algorithm aes; hash_algorithm sha1; dh_group 2;"
        " authentication_method pre_shared_key; lifetime time 0 hour; } }",
    ],
)
def test_an_sa_that_would_never_end_is_refused(conf: Path, text: str) -> None:
    assert "a lifetime must be at least 1 second" in str(refusal(conf, text))

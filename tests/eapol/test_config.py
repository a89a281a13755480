"""wpa_supplicant.conf: what is read, what is refused and in which words, what is written."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eapol.conffile import octets_of, value_of
from eapol.config import SECRETS, Config, ConfigError, parse, text
from eapol.options import IGNORED, OPTIONS, REFUSED, lines_of, number_of, option, with_option
from eapol.settings import Network, TlsPolicy, TlsVersion
from wire.secret import Secret
from wire.source import Place, Source

NAME = "/etc/wpa_supplicant.conf"

USUAL = """
# written by an administrator
ctrl_interface=DIR=/run/wpa_supplicant GROUP=netdev
eapol_version=2
ap_scan=0
network={
    key_mgmt=IEEE8021X
    eap=TLS
    identity="gw #1"   # the quotes keep the first mark
    ca_cert="/etc/wpa_cert/ca.pem"
    client_cert="/etc/wpa_cert/client.pem"
    private_key="/etc/wpa_cert/key.pem"
    private_key_passwd="say "friend""
    eapol_flags=0
}
"""


def block(*lines: str) -> str:
    body = ["key_mgmt=IEEE8021X", 'identity="gw"', 'private_key="k"', 'ca_cert="c"', *lines]
    return "\n".join(["network={", *body, "}"])


def only(source: str) -> Network:
    [network] = parse(source, NAME).networks
    return network


def refusal(source: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(source, NAME)
    return str(caught.value)


def test_the_usual_file_is_read() -> None:
    config = parse(USUAL, NAME)
    assert config.ctrl_interface == "/run/wpa_supplicant"
    assert config.ctrl_interface_group == "netdev"
    assert config.eapol_version == 2
    assert config.warnings == ()
    network = config.network
    assert network is not None
    assert network.identity == b"gw #1"
    assert network.client_cert == "/etc/wpa_cert/client.pem"
    assert network.private_key_passwd == Secret(b'say "friend"')
    assert network.tls == TlsPolicy()


def test_a_value_is_text_or_escaped_text_or_hexadecimal() -> None:
    assert octets_of('"a"') == octets_of('P"\\x61"') == octets_of("61") == b"a"
    assert octets_of('P"\\n\\\\\\141"') == b"\n\\a"
    assert octets_of('P"\\r\\t\\e\\"\\x4\\x41\\z\\777"') == b'\r\t\x1b"\x04Az\xff'


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('ca_crt="x"', "'ca_crt' is not an option of a network block; did you mean 'ca_cert'?"),
        ("identity=gw", 'the value is neither hexadecimal nor in double quotes; write ="VALUE"'),
        ('identity="gw', "the closing double quote is missing"),
        ("eap=SIM", "eap=SIM offers no method of this supplicant, which has TLS PEAP"),
        ("key_mgmt=WPA-PSK", "key_mgmt=WPA-PSK is not for a wired port; write key_mgmt=IEEE8021X"),
        ("fragment_size=much", "fragment_size=much is not a number of 32 to 65535"),
        ("ocsp=2", "ocsp is not supported: certificate status comes from CRLs"),
        ("engine=1", "engine is not supported: keys come from files"),
        ('private_key="pkcs11:token=x"', "is not supported: keys and certificates come from files"),
        ('client_cert="engine:a/b:c"', "is not supported: keys and certificates come from files"),
        ("macsec_policy=1", "macsec_policy is not supported: MACsec is not part of"),
        ('ca_path="/etc/ssl"', "write ca_cert="),
        ('ca_path2="/etc/ssl"', "write ca_cert2="),
        ('check_cert_subject2="/CN=x"', "check_cert_subject2 is not supported"),
        ("ocsp2=2", "ocsp2 is not supported: certificate status comes from CRLs"),
        ('phase1="tls_suiteb_no_ecdh=1"', "set the cipher suites with openssl_ciphers"),
        ('phase1="crypto_bindng=2"', "did you mean 'crypto_binding'?"),
        (
            'phase1="crypto_binding=2 crypto_binding=0"',
            "'crypto_binding' is 2 and 0; write it once",
        ),
        ('phase1="phase2_auht=2"', "did you mean 'phase2_auth'?"),
        ('phase1="tls_disable_tls1_2=1"', "did you mean 'tls_disable_tlsv1_2'?"),
        ('phase1="tls_ext_cert_check=1"', "certificates cannot be approved"),
        ('phase1="tls_disable_tlsv1_2=1 tls_disable_tlsv1_3=1"', "every version of TLS"),
        ('phase1="tls_disable_tlsv1_0=0"', "TLSv1, TLSv1.2, TLSv1.3: enable those in between"),
        ('altsubject_match="CN:x"', "'CN:x' is not DNS:NAME, EMAIL:NAME or URI:NAME"),
        ('altsubject_match="DNS:"', "'DNS:' is not DNS:NAME, EMAIL:NAME or URI:NAME"),
        ("eap_workaround=no", "eap_workaround=no is not a number of 0 to 1"),
        ('openssl_ciphers="DEFAULT@SECLEVEL=9"', "@SECLEVEL=9 is not a number of 0 to 5"),
        ('openssl_ciphers="@SECLEVEL=1:@SECLEVEL=2"', "names two security levels; write one"),
        ('ca_cert=P"/etc/a\\x00b"', "ca_cert: a file name cannot hold a zero octet"),
        ('client_cert=P"/etc/a\\x00b"', "client_cert: a file name cannot hold a zero octet"),
        ('ca_cert="pkcs11:x"', 'ca_cert="pkcs11:x" is not supported'),
        ('ca_cert="hash://server/sha256/00"', "must end in 64 hexadecimal digits"),
        ("nothing", "this line is not of the form key=value"),
        ("network={", "a block inside the block of line 1; is its closing '}' missing?"),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_place_and_remedy(line: str, says: str) -> None:
    said = refusal(block(line))
    assert said.startswith(f"{NAME}:6:1: ")
    assert says in said


WORDS = ["no", "off", "false", "yes", "on", "2", "00", ""]


@pytest.mark.parametrize(
    "word",
    [
        "allow_canned_success",
        "tls_disable_time_checks",
        "tls_disable_session_ticket",
        "include_tls_length",
        *(f"tls_disable_tlsv1_{minor}" for minor in range(4)),
        "tls_ext_cert_check",
        "tls_suiteb",
    ],
)
def test_a_word_of_phase1_is_0_or_1_and_anything_else_is_refused_with_its_line(word: str) -> None:
    for value in WORDS:
        said = refusal(block(f'phase1="{word}={value}"'))
        assert said.startswith(f"{NAME}:6:1: phase1: '{word}")
        assert said.endswith(f"write {word}=0 or {word}=1")
    assert f"'{word}' is neither on nor off" in refusal(block(f'phase1="{word}"'))
    assert only(block(f'phase1="{word}=0 tls_disable_tlsv1_1=0"')).identity


@pytest.mark.parametrize("value", ['""', '" "', '";"', '" ; ;"', 'P"\\x20"'])
@pytest.mark.parametrize(
    "option", ["domain_match", "domain_suffix_match", "altsubject_match", "subject_match"]
)
def test_a_check_of_names_that_names_nobody_is_refused(option: str, value: str) -> None:
    if option == "subject_match" and ";" in value:
        return  # the text of a subject, semicolons and all
    assert refusal(block(f"{option}={value}")).startswith(f"{NAME}:6:1: {option}=")


@pytest.mark.parametrize("option", ["ca_cert", "client_cert", "private_key", "openssl_ciphers"])
def test_an_empty_value_is_no_way_to_leave_an_option_out(option: str) -> None:
    for value in ('""', '" "'):
        said = refusal(block(f"{option}={value}"))
        assert said.startswith(f"{NAME}:6:1: {option}={value} is empty")


@pytest.mark.parametrize(
    "check",
    [
        'domain_match="a"',
        'domain_suffix_match="a"',
        'altsubject_match="DNS:a"',
        'subject_match="a"',
    ],
)
def test_a_check_of_names_without_a_ca_is_refused(check: str) -> None:
    without = "\n".join(line for line in block(check).split("\n") if "ca_cert" not in line)
    name = check.partition("=")[0]
    assert f"{name} without ca_cert checks nothing" in refusal(without)
    pinned = block(check, f'ca_cert="hash://server/sha256/{"ab" * 32}"')
    assert only(pinned).tls.names_wanted == (name,)


@pytest.mark.parametrize("rest", [' "sesame"', "=sesame", '="sesame', ':"sesame"', '=P"sesame'])
def test_a_passphrase_that_is_written_wrong_is_not_shown(rest: str) -> None:
    said = refusal(block("private_key_passwd" + rest))
    assert said.startswith(f"{NAME}:6:1: ")
    assert "sesame" not in said


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("network={", f"{NAME}:1:1: this block is never closed; add a line '}}'"),
        ("netwrok={\n}", f"{NAME}:1:1: 'netwrok' is not a kind of block; did you mean 'network'?"),
        ("ctrl_interfac=x", f"{NAME}:1:1: 'ctrl_interfac' is not an option; did you mean"),
        ("eapol_version=9", f"{NAME}:1:1: eapol_version=9 is not a number of 1 to 3"),
        ("ctrl_interface=udp:9", "is not supported; write ctrl_interface=/run/wpa_supplicant"),
        ("blob-base64-x={\n!\n}", f"{NAME}:1:1: the blob is not base64"),
        ('network={\nidentity="a"\n}', f"{NAME}:1:1: a network without key_mgmt is not for a"),
        ("network={\nkey_mgmt=IEEE8021X\n}", f"{NAME}:1:1: identity is missing; write identity="),
        ('network={\nkey_mgmt=IEEE8021X\nidentity="a"\n}', f"{NAME}:1:1: private_key is missing"),
    ],
)
def test_what_is_wrong_with_the_whole_file_is_said(source: str, says: str) -> None:
    assert says in refusal(source)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('phase1="tls_dance=1"', "'tls_dance=1' is not a word that this supplicant knows"),
        ("eap=SIM TLS", "this supplicant does not have SIM; passed over"),
        ("eap=PEAP TLS", "EAP-PEAP is passed over: password is missing"),
        ('subject_match="CN=x"', "easily forged; write domain_suffix_match"),
        (
            'phase1="allow_canned_success=1"',
            "whoever can send a frame to the port can make it authorized",
        ),
    ],
)
def test_what_works_and_should_not_have_to_is_a_warning(line: str, says: str) -> None:
    assert any(says in warning for warning in parse(block(line), NAME).warnings)


def test_a_wireless_network_in_the_same_file_is_passed_over() -> None:
    wireless = 'network={\nssid="office"\nkey_mgmt=WPA-PSK\npsk="open sesame"\npriority=9\n}\n'
    config = parse(wireless + block(), NAME)
    assert config.networks == parse(block(), NAME).networks
    assert config.warnings == (
        f"{NAME}:3:1: key_mgmt=WPA-PSK is not for a wired port; passed over",
    )


def test_a_file_without_a_network_to_use_is_a_warning() -> None:
    for source in ("", block("disabled=1")):
        assert parse(source, NAME).warnings == (
            f"{NAME}: no network block is enabled, so the port is not authenticated; net8021x"
            " writes one",
        )


def test_options_of_wireless_networks_change_nothing() -> None:
    plain = only(block())
    assert only(block(*(f"{name}=1" for name in IGNORED))) == plain
    assert not IGNORED & (OPTIONS.keys() | REFUSED.keys())


def test_an_option_that_asks_for_nothing_is_accepted() -> None:
    assert only(block("ocsp=0", "engine=0", "macsec_policy=0")) == only(block())


@pytest.mark.parametrize(
    ("words", "low", "high", "level"),
    [
        ("", TlsVersion.TLS_1_2, TlsVersion.TLS_1_3, 1),
        ("tls_disable_tlsv1_3=1", TlsVersion.TLS_1_2, TlsVersion.TLS_1_2, 1),
        ("tls_disable_tlsv1_2=1", TlsVersion.TLS_1_3, TlsVersion.TLS_1_3, 1),
        ("tls_disable_tlsv1_1=0", TlsVersion.TLS_1_1, TlsVersion.TLS_1_3, 0),
        ("tls_disable_tlsv1_0=0 tls_disable_tlsv1_1=0", TlsVersion.TLS_1_0, TlsVersion.TLS_1_3, 0),
    ],
)
def test_phase1_says_which_versions_of_tls_are_spoken(
    words: str, low: TlsVersion, high: TlsVersion, level: int
) -> None:
    tls = only(block(f'phase1="{words}"')).tls
    assert (tls.min_version, tls.max_version, tls.security_level) == (low, high, level)


def test_the_security_level_stands_in_the_ciphers() -> None:
    assert only(block('openssl_ciphers="DEFAULT@SECLEVEL=2"')).tls.security_level == 2


@pytest.mark.parametrize("old_first", [True, False])
def test_an_explicit_security_level_wins_over_old_versions_of_tls(old_first: bool) -> None:
    lines = ['phase1="tls_disable_tlsv1_1=0"', 'openssl_ciphers="DEFAULT@SECLEVEL=2"']
    network = only(block(*lines if old_first else reversed(lines)))
    assert network.tls.security_level == 2


def test_a_security_level_that_is_taken_away_leaves_nothing_behind() -> None:
    network = only(block('phase1="tls_disable_tlsv1_1=0"'))
    assert network.tls.security_level == 0
    assert with_option(network, "phase1", '""').tls.security_level == 1
    network = only(block('openssl_ciphers="DEFAULT@SECLEVEL=0"'))
    assert with_option(network, "openssl_ciphers", '"DEFAULT"').tls.security_level == 1


def test_global_lines_hold_for_networks_above_them_too() -> None:
    network = only(block() + "\nfast_reauth=0\nopenssl_ciphers=DEFAULT@SECLEVEL=0\n")
    assert not network.tls.resume
    assert network.tls.security_level == 0


def test_the_network_of_the_highest_priority_that_is_not_disabled_is_used() -> None:
    blocks = [
        block('id_str="low"'),
        block('id_str="off"', "priority=9", "disabled=1"),
        block('id_str="high"', "priority=5"),
    ]
    network = parse("\n".join(blocks), NAME).network
    assert network is not None
    assert network.id_str == "high"


@pytest.mark.parametrize(
    ("lines", "folder", "group"),
    [
        ("ctrl_interface=/run/a", "/run/a", None),
        ("ctrl_interface=", None, None),
        ("ctrl_interface=DIR=/run/a", "/run/a", None),
        ("ctrl_interface=DIR=/run/a GROUP=netdev", "/run/a", "netdev"),
        ("ctrl_interface=DIR=/run/a\nctrl_interface_group=0", "/run/a", "0"),
        ("ctrl_interface_group=wheel\nctrl_interface=DIR=/run/a", "/run/a", "wheel"),
        ("ctrl_interface_group=wheel\nctrl_interface=DIR=/run/a GROUP=netdev", "/run/a", "netdev"),
    ],
)
def test_the_control_socket_is_a_folder_and_a_group(
    lines: str, folder: str | None, group: str | None
) -> None:
    config = parse(f"{lines}\n{block()}", NAME)
    assert (config.ctrl_interface, config.ctrl_interface_group) == (folder, group)
    again = parse(text(config), NAME)
    assert again.ctrl_interface_group == (group if folder else None)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("ctrl_interface=DIR=/a b c", "is not of the form DIR=PATH GROUP=NAME"),
        ("ctrl_interface=@wpa", "is not supported; write ctrl_interface=/run/wpa_supplicant"),
        ("ctrl_interface_group=", "ctrl_interface_group= names no group; remove the line"),
        ("update_config=yes", "update_config=yes is not a number of 0 to 1"),
        ("fast_reauth=no", "fast_reauth=no is not a number"),
        ("ap_scan=x", "ap_scan=x is not a number"),
        ("ext_password_backend=file:x", "write the passphrase as private_key_passwd"),
        ("driver_param=x", "remove the line; the wired driver has no parameters"),
        ("openssl_ciphers=", 'openssl_ciphers="" is empty'),
        ("openssl_ciphers=DEFAULT@SECLEVEL=7", "@SECLEVEL=7 is not a number of 0 to 5"),
    ],
)
def test_a_global_line_that_cannot_be_honoured_is_refused_with_its_number(
    line: str, says: str
) -> None:
    said = refusal(f"# one\n{line}\n{block()}")
    assert said.startswith(f"{NAME}:2:1: ")
    assert says in said


def test_global_lines_about_wireless_networks_change_nothing() -> None:
    lines = "country=DE\np2p_go_intent=7\nwps_cred_add_sae=1\nupdate_config=1\nap_scan=1\n"
    config = parse(lines + block(), NAME)
    assert config.networks == parse(block(), NAME).networks
    assert [str(notice) for notice in config.notices] == [
        f"{NAME}:1:1: 'country' has no effect here",
        f"{NAME}:2:1: 'p2p_go_intent' has no effect here",
        f"{NAME}:3:1: 'wps_cred_add_sae' has no effect here",
    ]
    assert config.warnings == tuple(map(str, config.notices))


def test_credentials_of_hotspots_are_a_warning() -> None:
    config = parse(f"cred={{\n}}\n{block()}", NAME)
    assert config.warnings == (f"{NAME}:1:1: cred is about Hotspot 2.0; it has no effect",)


def test_every_option_of_a_block_is_written_and_read_back() -> None:
    lines = [
        'altsubject_match="DNS:a;EMAIL:b@c"',
        'openssl_ciphers="HIGH:@SECLEVEL=2"',
        "eap_workaround=0",
        'id_str="branch"',
        f'ca_cert="hash://server/sha256/{"ab" * 32}"',
        'phase1="tls_disable_tlsv1_1=0 tls_disable_tlsv1_3=1 tls_disable_time_checks=1'
        ' tls_disable_session_ticket=0 include_tls_length=1 allow_canned_success=1"',
    ]
    network = only(block(*lines))
    written = lines_of(network)
    assert only("network={\n" + "\n".join(written) + "\n}") == network
    for line in lines:
        assert line in written
    assert not network.eap_workaround
    assert network.tls.security_level == 2
    globally = parse("fast_reauth=0\nopenssl_ciphers=HIGH\n" + block(), NAME)
    assert parse(text(globally), NAME).openssl_ciphers == "HIGH"


def test_nothing_is_shown_of_an_option_that_there_is_not() -> None:
    network = only(block())
    assert option(network, "nonsense") is None
    assert option(network, "domain_match") is None
    assert option(network, "identity") == '"gw"'


def test_a_blob_stands_beside_the_networks() -> None:
    config = parse(block('client_cert="blob://it"') + "\nblob-base64-it={\naGVs\nbG8=\n}", NAME)
    assert config.blobs == {"it": b"hello"}
    assert parse(text(config), NAME).blobs == config.blobs


def test_a_secret_is_written_to_the_file_and_shown_to_nobody() -> None:
    network = only(block('private_key_passwd="open sesame"'))
    assert 'private_key_passwd="open sesame"' in lines_of(network)
    assert option(network, "private_key_passwd") == "*"
    assert "sesame" not in repr(network)


names = st.text(st.characters(codec="utf-8", exclude_characters=":;\0"), min_size=1).map(str.strip)
files = st.none() | names.filter(bool)
lists = st.lists(names.filter(bool), max_size=3).map(tuple)
policies = st.builds(
    TlsPolicy,
    max_version=st.sampled_from([TlsVersion.TLS_1_2, TlsVersion.TLS_1_3]),
    check_time=st.booleans(),
    session_ticket=st.booleans(),
    domain_suffix_match=lists,
    domain_match=lists,
    subject_match=files,
)
networks = st.builds(
    Network,
    identity=st.binary(min_size=1),
    anonymous_identity=st.none() | st.binary(),
    ca_cert=files,
    client_cert=files,
    private_key=names.filter(bool),
    private_key_passwd=st.none() | st.binary().map(Secret),
    tls=policies,
    fragment_size=st.integers(32, 65535),
    include_tls_length=st.booleans(),
    allow_canned_success=st.booleans(),
    eap_workaround=st.booleans(),
    id_str=st.text(st.characters(codec="utf-8")),
    disabled=st.booleans(),
).filter(lambda network: network.ca_cert is not None or not network.tls.names_wanted)
configs = st.builds(
    Config,
    networks=st.lists(networks, max_size=2).map(tuple),
    ctrl_interface=st.none() | st.just("/run/wpa_supplicant"),
    eapol_version=st.integers(1, 3),
)


@given(configs)
def test_what_is_written_is_read_back(config: Config) -> None:
    assert replace(parse(text(config), NAME), warnings=()) == config


@given(st.binary())
def test_a_string_value_survives(octets: bytes) -> None:
    assert octets_of(value_of(octets)) == octets


LINES = st.sampled_from(
    ["network={", "}", "cred={", 'identity="a', "ap_scan=0", "blob-base64-a={", "=", "a=b", "#"]
)


@given(st.lists(LINES | st.text()).map("\n".join))
@example("network={\nphase1=zz\n}")
@example("blob-base64-a={\n\x80\n}")
def test_any_text_is_read_or_refused_with_the_name_of_the_file(source: str) -> None:
    try:
        parse(source, NAME)
    except ConfigError as error:
        assert str(error).startswith(NAME)


@given(st.sampled_from([*OPTIONS, *REFUSED, "x"]), st.text())
def test_any_value_of_any_option_is_taken_or_refused(name: str, value: str) -> None:
    try:
        with_option(Network(), name, value)
    except ConfigError as error:
        assert error.sentence


def test_the_example_of_the_documentation_is_read_without_a_warning() -> None:
    page = (Path(__file__).parents[2] / "docs" / "wpa_supplicant.conf.md").read_text()
    example = page[page.index("    ctrl_interface=") : page.index("\nA line is")]
    config = parse(example, NAME)
    assert config.network is not None
    assert config.warnings == ()


# What wpa_supplicant's own lexer takes (more in tests/interop/test_conf_files.py)


@pytest.mark.parametrize(
    ("line", "identity"),
    [
        ('identity="a" # say "b"', b"a"),
        ('identity="a#b"', b"a#b"),
        ('identity="B\udcfcro"', b"B\xfcro"),
        ('identity="x"\nidentity=NULL\nidentity="y"', b"y"),
    ],
)
def test_a_text_is_what_wpa_supplicant_reads(line: str, identity: bytes) -> None:
    assert only(block(line)).identity == identity


@pytest.mark.parametrize(
    ("number", "value"), [("0x10", 16), ("010", 8), ("+7", 7), ("-7", -7), ("", 0), ("0", 0)]
)
def test_a_number_is_what_strtol_reads(number: str, value: int) -> None:
    assert number_of(number, "priority") == value


@pytest.mark.parametrize("number", ["08", "0x", "5x", "five", '"5"', "1" * 5000, "\u0661", "1 2"])
def test_what_strtol_does_not_read_to_its_end_is_not_a_number(number: str) -> None:
    with pytest.raises(ConfigError, match="is not a number"):
        number_of(number, "priority")


def test_text_unset_is_as_if_it_had_never_been_set() -> None:
    network = only(block('private_key_passwd="x"', "private_key_passwd=NULL", "ca_cert=NULL"))
    assert network.private_key_passwd is None
    assert network.ca_cert is None


def test_a_byte_order_mark_and_carriage_returns_change_nothing() -> None:
    assert parse("\ufeff" + USUAL.replace("\n", "\r\n"), NAME) == parse(USUAL, NAME)
    assert "a carriage return within the line" in refusal(block().replace("\n", "\r"))


OTHER = "network={\nkey_mgmt=IEEE8021X\neap=FOO\n%s\n}\n"


@pytest.mark.parametrize("line", ["disabled=1", "priority=-1"])
def test_a_network_that_is_not_used_may_be_of_a_kind_that_is_not_supported(line: str) -> None:
    config = parse(OTHER % line + block(), NAME)
    assert config.networks == parse(block(), NAME).networks
    [notice] = config.notices
    assert str(notice).startswith(f"{NAME}:3:1: eap=FOO offers no method")
    assert str(notice).endswith("and is passed over")


@pytest.mark.parametrize("line", ["disabled=0", "priority=1", "disabled=no"])
def test_a_network_that_would_be_used_and_cannot_be_refuses_the_file(line: str) -> None:
    assert refusal(OTHER % line + block()).startswith(f"{NAME}:")


def test_a_line_without_effect_is_named_with_its_column() -> None:
    config = parse(block("   scan_ssid=1", "eapol_flags=0", "erp=0"), NAME)
    assert [str(notice) for notice in config.notices] == [
        f"{NAME}:6:4: 'scan_ssid' has no effect on a wired port"
    ]


def test_a_blob_is_read_as_wpa_supplicant_does() -> None:
    for raw in ("QUJD", "QU JD", "  QU\n  JD", "Q!UJD"):
        assert parse(f"blob-base64-x={{\n{raw}\n}}\n" + block(), NAME).blobs == {"x": b"ABC"}
    assert parse("blob-base64-x={\nQUI\n}\n" + block(), NAME).blobs == {"x": b"AB"}
    assert "nothing in it" in refusal("blob-base64-x={\n}\n" + block())


@pytest.mark.parametrize(
    "line",
    [
        'private_key_passwd="sesame"',
        ' password = "sesame',
        'pasword="sesame"',
        'password "sesame"',
        "mka_cak=sesame",
        'pin="sesame"',
        'network={ key_mgmt=IEEE8021X psk="sesame" }',
    ],
)
def test_no_message_shows_what_may_be_a_secret(line: str) -> None:
    assert "sesame" not in Place(Source(NAME, line, SECRETS), 1, 1).excerpt()
    with pytest.raises(ConfigError) as refused:
        parse(f"network={{\n{line}\nbroken\n}}", NAME)
    assert "sesame" not in refused.value.report()


def test_an_excerpt_shows_an_option_that_is_no_secret_and_the_beginning_of_a_block() -> None:
    for line in ('\tca_cert="/a"', "network={", "eapol_version=9"):
        assert line.strip() in Place(Source(NAME, line, SECRETS), 1, 1).excerpt()


@pytest.mark.parametrize("word", ["allow_unsafe_renegotiation=1", "tls_allow_md5=1"])
def test_a_word_that_asks_for_what_is_not_done_is_named(word: str) -> None:
    [notice] = parse(block(f'phase1="{word}"'), NAME).notices
    assert f"phase1: '{word.partition('=')[0]}' has no effect: " in str(notice)
    assert parse(block(f'phase1="{word[:-1]}0"'), NAME).notices == ()


def test_the_curves_are_read_and_written() -> None:
    network = only(block('openssl_ecdh_curves="P-256:P-384"'))
    assert network.tls.curves == "P-256:P-384"
    assert option(network, "openssl_ecdh_curves") == '"P-256:P-384"'
    assert "is empty" in refusal(block('openssl_ecdh_curves=""'))


def test_a_priority_that_is_no_number_is_named() -> None:
    assert "priority=high is not a number" in refusal(block("priority=high"))


@pytest.mark.parametrize("name", ["bg_scan_period", "dpp_pfs", "vht_tx_mcs_nss_8", "psk_list"])
def test_an_option_of_wireless_networks_stops_nobody(name: str) -> None:
    [notice] = parse(block(f"{name}=1"), NAME).notices
    assert f"'{name}' has no effect on a wired port" in str(notice)


@pytest.mark.parametrize("name", ["ftm_responder", "fst_group_id", "ap_isolate", "wmm_ac_be_cwmin"])
def test_a_line_about_wireless_interfaces_stops_nobody(name: str) -> None:
    [notice] = parse(f"{name}=1\n" + block(), NAME).notices
    assert str(notice) == f"{NAME}:1:1: '{name}' has no effect here"


def test_an_option_that_is_set_again_is_named() -> None:
    """Here crypto_binding=2 is lost, as it is in wpa_supplicant."""
    config = parse(block('phase1="crypto_binding=2"', 'phase1="peapver=0"', "id_str=61"), NAME)
    [notice] = config.notices
    assert str(notice) == f"{NAME}:6:1: 'phase1' is set again in line 7, which counts"
    assert parse(block('id_str="a"', 'id_str="a"'), NAME).notices == ()


def test_a_block_in_one_line_is_refused_with_its_form() -> None:
    for opening in ("network={ eap=TLS }", "network {", "cred={ a=b }"):
        assert "the '{' of a block ends its line" in refusal(opening + "\n")


def test_a_word_of_phase2_about_asking_again_stops_nobody() -> None:
    config = parse(block('phase2="auth=MSCHAPV2 mschapv2_retry=0"'), NAME)
    [notice] = config.notices
    assert "phase2: 'mschapv2_retry=0' has no effect" in str(notice)
    assert config.networks[0].phase2.auth == ("MSCHAPV2",)

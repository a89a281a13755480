"""racoon.conf as others write it: what racoon reads is read, and what is not honoured is named."""

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from ike.conf.configuration import Configuration, load
from ike.conf.errors import ConfError
from ike.config import Config, EspEncryption, Identifier, SainfoId
from ike.doi.identity import identification, matches
from ike.doi.sainfo import SainfoIndex
from ike.isakmp.payloads import Identification
from ike.numbers.doi import Encryption, EspTransform, IdType
from ike.numbers.isakmp import ExchangeType
from wire.secret import Secret

PROPOSAL = (
    "proposal { encryption_algorithm aes; hash_algorithm sha1;"
    " authentication_method pre_shared_key; dh_group 2; }"
)
SAINFO = (
    "sainfo anonymous { encryption_algorithm aes; authentication_algorithm hmac_sha1;"
    " compression_algorithm deflate; }"
)


def by(method: str) -> str:
    return PROPOSAL.replace("pre_shared_key", method)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keys = tmp_path / "etc/racoon/psk.txt"
    keys.parent.mkdir(parents=True)
    keys.write_text("192.0.2.9 secret-of-nine\nbranch secret-of-branch\n")
    keys.chmod(0o600)
    return keys.parent


def read(folder: Path, text: str | bytes) -> Configuration:
    file = folder / "racoon.conf"
    octets = text.encode() if isinstance(text, str) else text
    file.write_bytes(b'path pre_shared_key "/etc/racoon/psk.txt";\n' + octets)
    return load(file, folder.parents[1])


def told(made: Configuration) -> list[str]:
    return [f"{notice.place.line}: {notice.sentence}" for notice in made.notices]


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfError) as caught:
        read(folder, text)
    return str(caught.value)


# What racoon's lexer takes


@pytest.mark.parametrize("written", ["15sec", "15 sec", "15secs", "15\tseconds"])
def test_a_unit_may_touch_its_number(folder: Path, written: str) -> None:
    made = read(folder, f"timer {{ natt_keepalive {written}; }}")
    assert made.engine.timers.natt_keepalive == 15


@pytest.mark.parametrize(
    ("written", "seconds"), [("8hour", 28800), ("10min", 600), ("9hours", 32400)]
)
def test_a_lifetime_may_be_one_word(folder: Path, written: str, seconds: int) -> None:
    text = f"remote anonymous {{ lifetime time {written}; {PROPOSAL} }}"
    assert read(folder, text).engine.remotes[0].lifetime_seconds == seconds


def test_the_length_of_a_key_may_touch_its_cipher(folder: Path) -> None:
    sainfo = SAINFO.replace("aes;", "aes256, 3des,rijndael128;")
    proposal = PROPOSAL.replace("aes;", "aes192;")
    made = read(folder, f"remote anonymous {{ {proposal} }} {sainfo}").engine
    assert made.remotes[0].proposals[0].key_bits == 192
    assert made.sainfos[0].encryption == (
        EspEncryption(EspTransform.AES, 256),
        EspEncryption(EspTransform.TRIPLE_DES),
        EspEncryption(EspTransform.AES, 128),
    )


@pytest.mark.parametrize("modes", ["main aggressive", "main,aggressive", "main , aggressive"])
def test_exchange_modes_need_no_comma_between_them(folder: Path, modes: str) -> None:
    (remote,) = read(
        folder, f"remote anonymous {{ exchange_mode {modes}; {PROPOSAL} }}"
    ).engine.remotes
    assert remote.exchange_modes == (ExchangeType.MAIN, ExchangeType.AGGRESSIVE)


def test_characters_that_begin_no_word_are_named_and_passed_over(folder: Path) -> None:
    made = read(
        folder,
        f"remote anonymous {{ dpd_delay = 30; {PROPOSAL} }}\n"
        "sainfo (address 10.0.0.0/24 any address 10.1.0.0/24 any) { encryption_algorithm aes; }\n",
    )
    assert made.engine.remotes[0].dpd_delay == 30
    assert made.engine.sainfos[0].local == SainfoId(network=ip_network("10.0.0.0/24"))
    assert told(made) == [
        "2: '=' has no meaning here and is passed over",
        "3: '(' has no meaning here and is passed over",
        "3: ')' has no meaning here and is passed over",
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"# B\xfcro S\xfcd\n",
        b"timer { counter 5; } # \xe9t\xe9, \xff\n",
        b"# \xd0\xb3\xd0\xbe\xd1\x80\xd0\xbe\xd0\xb4\r\n",
        b"\t# an indented comment\n",
    ],
)
def test_a_comment_may_be_in_any_encoding(folder: Path, text: bytes) -> None:
    made = read(folder, text + f"remote anonymous {{ {PROPOSAL} }}".encode())
    assert [remote.name for remote in made.engine.remotes] == ["anonymous"]
    assert made.notices == ()


def test_a_byte_order_mark_and_lines_of_windows_do_not_matter(folder: Path) -> None:
    file = folder / "racoon.conf"
    file.write_bytes(
        b"\xef\xbb\xbflog info;\r\nremote anonymous {\r\n" + PROPOSAL.encode() + b"}\r\n"
    )
    assert [remote.name for remote in load(file, folder).engine.remotes] == ["anonymous"]


def test_the_host_bits_of_a_network_do_not_matter(folder: Path) -> None:
    made = read(folder, "sainfo address 10.0.0.5/24 any address 10.1.0.5/24 any { }").engine
    assert made.sainfos[0].local == SainfoId(network=ip_network("10.0.0.0/24"))


def test_icmp6_is_racoons_name_of_protocol_58(folder: Path) -> None:
    made = read(folder, "sainfo address 2001:db8::1 icmp6 address 2001:db8::2 icmp6 { }").engine
    assert made.sainfos[0].local == SainfoId(network=ip_network("2001:db8::1"), protocol=58)


# Remotes


def test_two_remotes_of_one_address_are_told_apart_by_their_ports(folder: Path) -> None:
    text = (
        f"remote 192.0.2.9 {{ exchange_mode main; {PROPOSAL} }}\n"
        "remote 192.0.2.9 [8000] inherit 192.0.2.9 { nonce_size 20; }\n"
        "remote 192.0.2.9 [9000] inherit 192.0.2.9 [8000] { dpd_delay 7; }\n"
    )
    engine = read(folder, text).engine
    there = ip_address("192.0.2.9")
    assert [remote.name for remote in engine.remotes] == [
        "192.0.2.9", "192.0.2.9[8000]", "192.0.2.9[9000]",
    ]  # fmt: skip
    for port, size in ((500, 16), (8000, 20), (9000, 20)):
        found = engine.remote_for(there, port)
        assert found is not None
        assert (found.port, found.nonce_size) == (port, size)


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (PROPOSAL.replace("aes", "idea"), "idea is not supported"),
        (by("xauth_psk_server"), "xauth_psk_server is not supported"),
        (by("hybrid_rsa_client"), "hybrid_rsa_client is not supported"),
        (by("gssapi_krb").replace("dh_group", 'gss_id "x"; dh_group'), "gssapi_krb"),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_proposal_that_cannot_be_done_leaves_the_others(
    folder: Path, other: str, line: str, order: int
) -> None:
    both = "\n".join([other, PROPOSAL][::order])
    made = read(folder, f"remote anonymous {{\n{both}\n}}")
    (proposal,) = made.engine.remotes[0].proposals
    assert proposal.encryption is Encryption.AES
    (notice,) = told(made)
    assert line in notice
    assert notice.startswith("3: " if order == 1 else "4: ")


@pytest.mark.parametrize(
    "body",
    [
        by("xauth_psk_client"),
        by("rsasig"),
        f'certificate_type plain_rsa "key"; {by("rsasig")}',
        f"peers_certfile dnssec; {by('rsasig')}",
    ],
)
def test_who_cannot_be_served_is_refused_and_the_other_peers_are_served(
    folder: Path, body: str
) -> None:
    made = read(folder, f"remote 192.0.2.9 {{ {body} }}\nremote anonymous {{ {PROPOSAL} }}")
    refused, served = made.engine.remotes
    assert made.engine.remote_for(ip_address("192.0.2.9")) is refused
    assert refused.proposals == ()
    assert served.proposals != ()
    assert (
        told(made)[-1] == "2: none of the proposals of 192.0.2.9 can be done: its peers are refused"
    )


def test_what_forbids_rsasig_forbids_it_to_who_inherits(folder: Path) -> None:
    made = read(
        folder,
        f'remote "a" {{ peers_certfile dnssec; {by("rsasig")} {PROPOSAL} }}\n'
        f'remote "b" inherit "a" {{ {by("rsasig")} }}',
    )
    assert [len(remote.proposals) for remote in made.engine.remotes] == [1, 0]


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("mode_cfg on;", "mode_cfg has no effect: addresses are neither given nor asked for"),
        ("situation secrecy;", "the situation is identity_only, as no other is known"),
        ("exchange_mode base;", "base mode is not supported: the peers of this remote are refused"),
        ('xauth_login "joe";', "xauth_login has no effect: XAuth is not supported"),
    ],
)
def test_a_statement_without_effect_is_named(folder: Path, statement: str, says: str) -> None:
    assert told(read(folder, f"remote anonymous {{ {statement} {PROPOSAL} }}")) == [f"2: {says}"]


# Identities


def identifier(folder: Path, words: str) -> Identifier:
    made = read(folder, f"remote 192.0.2.9 {{ my_identifier {words}; {PROPOSAL} }}")
    found = made.engine.remotes[0].my_identifier
    assert found is not None
    return found


@pytest.mark.parametrize("text", ["branch", "facade", "00ff", "with blank"])
def test_a_keyid_tag_is_the_text_itself(folder: Path, text: str) -> None:
    found = identifier(folder, f'keyid tag "{text}"')
    assert identification(found) == Identification(IdType.KEY_ID, text.encode())


def test_psk_txt_is_searched_for_the_text_of_a_keyid(folder: Path) -> None:
    engine = read(folder, f"remote anonymous {{ {PROPOSAL} }}").engine
    assert _key(engine, Identification(IdType.KEY_ID, b"branch")) == Secret(b"secret-of-branch")


def _key(engine: Config, identity: Identification) -> Secret | None:
    from ike.doi.identity import describe

    return engine.keys.find("198.51.100.7", describe(identity))


@pytest.mark.parametrize("words", ['keyid "id.bin"', 'keyid file "id.bin"'])
def test_a_keyid_without_tag_names_a_file_that_holds_the_identity(folder: Path, words: str) -> None:
    (folder / "id.bin").write_bytes(b"\x00branch\xff\n")
    assert identification(identifier(folder, words)).data == b"\x00branch\xff\n"


def test_a_keyid_whose_file_is_missing_is_refused_and_never_taken_for_text(folder: Path) -> None:
    text = f'remote anonymous {{ my_identifier keyid "branch"; {PROPOSAL} }}'
    assert f"keyid names a file, and {folder}/branch cannot be read" in refusal(folder, text)


def test_a_star_is_a_key_id_like_any_other(folder: Path) -> None:
    assert not matches(Identification(IdType.KEY_ID, b"x"), identifier(folder, 'keyid tag "*"'))


@pytest.mark.parametrize("words", ['fqdn ""', 'user_fqdn ""', 'keyid tag ""', 'asn1dn ""'])
def test_an_empty_identity_is_refused(folder: Path, words: str) -> None:
    text = f"remote anonymous {{ peers_identifier {words}; {PROPOSAL} }}"
    assert "identifies no peer" in refusal(folder, text)


@pytest.mark.parametrize("name", ["garbage", "CN", "=gw", "CN=gw, nonsense=1", ", ,"])
def test_a_name_that_is_none_is_refused_when_it_is_read(folder: Path, name: str) -> None:
    text = f'remote anonymous {{ peers_identifier asn1dn "{name}"; {PROPOSAL} }}'
    assert "racoon.conf:2:" in refusal(folder, text)


def test_a_sainfo_for_one_identity_is_for_no_other(folder: Path) -> None:
    made = read(
        folder,
        'sainfo anonymous from fqdn "branch.example" { encryption_algorithm aes 256; }\n'
        "sainfo anonymous { encryption_algorithm 3des; }\n",
    ).engine
    index = SainfoIndex(made.sainfos)
    here = Identification(IdType.IPV4_ADDR, b"\x0a\0\0\1")
    for name, wanted in ((b"BRANCH.example", made.sainfos[0]), (b"other", made.sainfos[1])):
        found = index.find(here, here, 0, Identification(IdType.FQDN, name))
        assert found is wanted
    assert index.find(here, here, 0) is made.sainfos[1]


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ('anonymous group "staff"', "XAuth"),
        ("anonymous clientaddr", "mode_cfg"),
        ("address 10.0.0.1-10.0.0.9 any anonymous", "a policy is for networks"),
    ],
)
def test_a_sainfo_that_is_nobodys_is_named_and_passed_over(
    folder: Path, head: str, why: str
) -> None:
    made = read(folder, f"sainfo {head} {{ encryption_algorithm aes; }}")
    assert made.engine.sainfos == ()
    (notice,) = told(made)
    assert notice.startswith("2: this sainfo is never used: ")
    assert why in notice


def test_a_range_that_is_a_network_is_one(folder: Path) -> None:
    made = read(folder, "sainfo address 10.0.0.0-10.0.0.255 any anonymous { }").engine
    assert made.sainfos[0].local == SainfoId(network=ip_network("10.0.0.0/24"))


def test_a_sainfo_of_unsupported_ciphers_lets_no_other_stand_in(folder: Path) -> None:
    made = read(
        folder,
        "sainfo address 10.0.0.0/24 any anonymous { encryption_algorithm twofish; }\n"
        "sainfo anonymous { encryption_algorithm 3des; }\n",
    )
    assert made.engine.sainfos[0].encryption == ()
    assert told(made)[-1] == (
        "2: none of the encryption algorithms can be done: this traffic is not negotiated"
    )


@pytest.mark.parametrize(
    "statement",
    [
        'certificate_type x509 "none.pem" "none.key";',
        'ca_type x509 "none.pem";',
        'peers_certfile x509 "none.pem";',
        'ca_type x509 "psk.txt";',
    ],
)
def test_a_certificate_that_no_proposal_needs_stops_nobody(folder: Path, statement: str) -> None:
    made = read(folder, f"remote 192.0.2.9 {{ {statement} {PROPOSAL} }}")
    assert len(made.engine.remotes[0].proposals) == 1
    (notice,) = told(made)
    assert notice.startswith("2: no proposal of 192.0.2.9 needs this file: ")
    both = f"remote 192.0.2.9 {{ {statement} {PROPOSAL} {by('rsasig')} }}"
    assert "racoon.conf:2:" in refusal(folder, both)


def test_who_inherits_a_pin_that_could_not_be_read_does_not_sign(folder: Path) -> None:
    made = read(
        folder,
        f'remote "a" {{ peers_certfile x509 "none.pem"; {PROPOSAL} }}\n'
        f'remote "b" inherit "a" {{ {by("rsasig")} }}',
    )
    assert [len(remote.proposals) for remote in made.engine.remotes] == [1, 0]


@pytest.mark.parametrize(
    "text",
    [
        "timer {{ counter {0}; }}",
        "timer {{ interval {0} sec; }}",
        "listen {{ isakmp 10.0.0.1 [{0}]; }}",
        "sainfo address 10.0.0.1/{0} any anonymous {{ }}",
        "sainfo address 10.0.0.1 {0} anonymous {{ }}",
        "sainfo anonymous {{ encryption_algorithm aes{0}; }}",
        "sainfo anonymous {{ pfs_group {0}; }}",
        "remote 10.0.0.1 [{0}];",
    ],
)
@pytest.mark.parametrize("digits", ["4294967296", "9" * 5000, "0x" + "f" * 5000])
def test_a_number_beyond_all_bounds_is_refused_at_its_place(
    folder: Path, text: str, digits: str
) -> None:
    assert "racoon.conf:2:" in refusal(folder, text.format(digits))

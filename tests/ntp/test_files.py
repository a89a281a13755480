"""Key files and the configuration: what is written is read, what is wrong is named."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntp import conf, keys
from ntp.auth import Algorithm, Key
from ntp.conf import Configuration, ServerLine
from ntp.errors import ConfigurationError, NtpError
from ntp.packet import Header
from ntp.peers import peers
from wire.source import DIFFERS, Notice, Notices

CASES = Path(__file__).parent / "cases"


def parsed(text: str, notices: Notices | None = None) -> Configuration:
    made = Notices() if notices is None else notices
    return conf.parse(text.encode("utf-8", "surrogatepass"), "f", made)


def read(text: str) -> tuple[dict[int, Key], list[Notice]]:
    notices = Notices()
    return keys.parse(text.encode("utf-8", "surrogatepass"), "f", notices), list(notices)


ports = st.integers(1, 65535)
hosts = st.from_regex(r"[a-z0-9.:-]{1,30}", fullmatch=True)
keyed = st.builds(ServerLine, host=hosts, port=ports, key=st.none() | st.integers(1, 2**32 - 1))
secured = st.builds(ServerLine, host=hosts, port=ports, nts=st.just(True), nts_port=ports)
pools = st.builds(ServerLine, host=hosts, port=ports, pool=st.just(True))
paths = st.from_regex(r"(/[a-z0-9.]{1,8}){0,3}", fullmatch=True)
configurations = st.builds(
    Configuration,
    servers=st.lists(keyed | secured | pools, max_size=5).map(tuple),
    keys=paths,
    ca=paths,
    minsources=st.integers(1, 64),
    maxdistance=st.floats(1e-3, 16),
    maxchange=st.none() | st.floats(1e-3, 4e9),
    allow_md5=st.booleans(),
)


@given(configurations)
def test_a_configuration_survives_its_file(configuration: Configuration) -> None:
    assert parsed(conf.write(configuration)) == configuration


@given(st.text() | st.from_regex(r"(server|tos|nts|keys) [a-z0-9 #:.]{,40}", fullmatch=True))
def test_arbitrary_text_raises_only_our_own_error(text: str) -> None:
    with suppress(NtpError):
        parsed(text)
    read(text)


@pytest.mark.parametrize(
    "line",
    [
        "server",
        "server a port",
        "server a port 0",
        "server a port 65536",
        pytest.param("server a port " + "1" * 5000, id="a number without end"),
        "server a key x",
        "server a colour red",
        "server a nts key 1",
        "servers a",
        "keys",
        "keys a b",
        "pool a nts",
        "pool",
        "minsources 0",
        "minsources 65",
        "maxdistance 17",
        "maxdistance nan",
        "maxchange -1",
        "maxchange",
        "allow-md5 yes",
    ],
)
def test_a_wrong_line_is_named(line: str) -> None:
    with pytest.raises(ConfigurationError, match=r"f:2:(1|10): "):
        parsed(f"# comment\n{line}\n")


def test_key_files_of_ntpd_and_of_chrony_are_read() -> None:
    ntpd = "1 AES128CMAC 000102030405060708090a0b0c0d0e0f  # comment\n2 SHA1 short_text 10.0.0.1\n"
    chrony = "3 AES128 HEX:000102030405060708090a0b0c0d0e0f\n4 MD5 ASCII:x\n"
    found, _ = read(ntpd + chrony)
    assert [key.algorithm for key in found.values()] == [
        Algorithm.AES128CMAC,
        Algorithm.SHA1,
        Algorithm.AES128CMAC,
        Algorithm.MD5,
    ]
    assert found[1].secret == found[3].secret
    assert found[2].secret.reveal() == b"short_text"


@pytest.mark.parametrize(
    ("line", "column", "says"),
    [
        ("1", 1, "key 1 is not read: a key is: identifier, algorithm, key"),
        ("1 SHA1", 1, "key 1 is not read: a key is: identifier, algorithm, key"),
        ("0 MD5 a", 1, "this line is not a key: it does not begin with a number of 1 to 42"),
        ("x MD5 a", 1, "this line is not a key: it does not begin with a number"),
        ("1" * 5000 + " MD5 a", 1, "this line is not a key: it does not begin"),
        ("geheim 1 SHA1", 1, "this line is not a key: it does not begin with a number"),
        ("1 ROT13 geheim", 3, "AES128CMAC, SHA1 and MD5 can be used"),
        ("1 SHA11 geheim", 3, "can be used; did you mean 'SHA1'?"),
        ("1 AES128CMAC geheim", 14, "AES128CMAC needs 16 octets (32 hexadecimal digits), and this"),
        ("1 SHA1 HEX:geheim", 8, "key 1 is not read: what follows the colon is not a key"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_line_that_gives_no_key_is_named_and_not_shown(line: str, column: int, says: str) -> None:
    found, notices = read(f"7 SHA1 fine\n{line}\n8 SHA1 fine\n")
    assert list(found) == [7, 8]
    [notice] = notices
    assert str(notice).startswith(f"f:2:{column}: ")
    assert says in str(notice)
    assert "geheim" not in str(notice)
    assert "geheim" not in notice.place.excerpt()


@pytest.mark.parametrize(
    ("name", "said"),
    [("chrony-comment", 0), ("latin1-comment", 0), ("unknown-type-beside", 1)],
)
def test_a_line_for_somebody_else_refuses_no_key_file(name: str, said: int) -> None:
    notices = Notices()
    octets = (CASES / f"{name}.keys").read_bytes()
    found = keys.parse(octets, name, notices)
    assert list(found) == [1]
    assert found[1].algorithm is Algorithm.SHA1
    assert len(notices) == said


def test_a_prefix_says_what_a_key_is_and_a_sign_begins_a_comment_where_it_can() -> None:
    found, _ = read("1 SHA1 ASCII:HEX:00\n2 SHA1 a!b#c\n  ; 3 SHA1 x\n4 SHA1 x #y\n5 SHA1 x ;y\n")
    assert {number: key.secret.reveal() for number, key in found.items()} == {
        1: b"HEX:00", 2: b"a!b#c", 4: b"x", 5: b"x",
    }  # fmt: skip
    assert read("1 SHA1 x ;y")[1] == []
    assert read("1 SHA1 ascii:x")[0][1].secret.reveal() == b"ascii:x"


def test_of_two_keys_of_one_number_the_last_counts_and_both_are_named() -> None:
    found, notices = read("1 SHA1 one\n1 SHA1 one\n1 SHA1 two\n")
    assert found[1].secret.reveal() == b"two"
    assert [notice.place.line for notice in notices] == [3]


def test_a_long_key_of_hexadecimal_digits_is_ntpds_and_the_notice_says_what_chronyd_reads() -> None:
    found, [notice] = read("1 SHA1 000102030405060708090a0b0c0d0e0f10111213")
    assert len(found[1].secret.reveal()) == 20
    assert notice.kind == DIFFERS
    assert read("1 SHA1 longer than twenty, and no")[0][1].secret.reveal() == b"longer"
    assert read("1 SHA1 longer-than-twenty-and-text")[0][1].secret.reveal() == (
        b"longer-than-twenty-and-text"
    )


def test_the_mac_of_rfc_8573_is_aes_cmac_over_the_packet() -> None:
    # RFC 4493, 4: key, message M of 16 octets, its AES-CMAC
    key = read("9 AES128CMAC 2b7e151628aed2a6abf7158809cf4f3c")[0][9]
    message = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    assert key.digest(message).hex() == "070a16b46b4d4144f79bdd9dd04a287c"
    assert len(key.sign(bytes(Header(3)))) == 48 + 20


def test_a_key_that_the_file_does_not_have_is_named_with_its_server() -> None:
    with pytest.raises(ConfigurationError, match="server a: the key file has no key 3"):
        peers([ServerLine(host="a", key=3)], {}, entropy=bytes, pivot=0)


def test_a_word_that_is_no_directive_is_answered_with_all_that_are() -> None:
    known = "server, pool, keys, ca, minsources, maxdistance, maxchange, allow-md5"
    with pytest.raises(ConfigurationError, match=f"'colour red' is none of: {known}"):
        parsed("colour red")


CHRONY = """\
! chrony.conf of a branch office
pool 2.debian.pool.ntp.org iburst maxsources 4
server 192.0.2.1 iburst minpoll 4 maxpoll 6 key 7 prefer
server time.example nts ntsport 4461
server 192.0.2.9 noselect
keyfile /etc/chrony/chrony.keys   # ours
ntstrustedcerts /etc/ca.pem
driftfile /var/lib/chrony/chrony.drift
makestep 1.0 3
maxchange 1000 1 2
minsources 2
leapsectz right/UTC
"""
NTPD = """\
# ntp.conf of a campus
driftfile /var/lib/ntp/ntp.drift
server -4 192.0.2.1 iburst key 7
server 127.127.1.0
fudge 127.127.1.0 stratum 10
restrict default kod nomodify noquery
tos minclock 4 minsane 3
nts ca /etc/ca.pem
keys /etc/ntp.keys
trustedkey 7
"""


def test_a_file_of_chrony_is_read_and_what_has_no_effect_is_named() -> None:
    notices = Notices()
    found = parsed(CHRONY, notices)
    assert found == Configuration(
        servers=(
            ServerLine(host="2.debian.pool.ntp.org", pool=True),
            ServerLine(host="192.0.2.1", key=7),
            ServerLine(host="time.example", nts=True, nts_port=4461),
        ),
        keys="/etc/chrony/chrony.keys",
        ca="/etc/ca.pem",
        maxchange=1000.0,
        minsources=2,
    )
    assert [notice.place.line for notice in notices] == [2, 2, 3, 3, 3, 3, 5, 8, 9, 10, 12]
    assert str(next(iter(notices))) == "f:2:28: 'iburst' of a pool has no effect here"


def test_a_file_of_ntpd_is_read_and_what_has_no_effect_is_named() -> None:
    notices = Notices()
    found = parsed(NTPD, notices)
    assert found == Configuration(
        servers=(ServerLine(host="192.0.2.1", key=7),),
        keys="/etc/ntp.keys",
        ca="/etc/ca.pem",
        minsources=3,
    )
    assert [notice.place.line for notice in notices] == [2, 3, 4, 5, 6, 7]


def test_a_server_whose_key_ntpd_would_not_trust_is_not_used() -> None:
    notices = Notices()
    servers = "server a key 1\nserver b key 6\nserver c key 8\nserver d\n"
    found = parsed(f"{servers}trustedkey 1 (5 ... 7)\ntrustedkey 9\n", notices)
    assert [server.host for server in found.servers] == ["a", "b", "d"]
    assert list(map(str, notices)) == [
        "f:3:1: c is not used, as by ntpd: no 'trustedkey' names its key 8"
    ]
    assert len(parsed(servers).servers) == 4


@pytest.mark.parametrize("keys", ["x", "(5 ... )", "1 (5-7)", "12345678901"])
def test_trusted_keys_that_are_not_understood_are_refused(keys: str) -> None:
    with pytest.raises(ConfigurationError, match="f:1:1: 'trustedkey' needs numbers of keys"):
        parsed(f"trustedkey {keys}\n")


def test_capital_letters_do_not_matter_to_a_server_and_its_options() -> None:
    [server] = parsed("SERVER 192.0.2.1 Key 3 iBurst Port 124\nServer b NoSelect\n").servers
    assert server == ServerLine(host="192.0.2.1", key=3, port=124)


@pytest.mark.parametrize(
    "line",
    ["authselectmode require", "server a require", "server a maxdelay 0.1", "server a offset 0.1",
     "include /etc/a", "includefile /etc/a", "maxjitter 0.1", "tos ceiling 5", "tos floor 2",
     "restrict default notrust", "server a autokey", "server a nts certset 2", "nts mintls 1.3"],
)  # fmt: skip
def test_what_believes_less_than_we_would_is_refused(line: str) -> None:
    with pytest.raises(ConfigurationError, match=r"f:1:1: .* is (not supported|no option)"):
        parsed(line)


@pytest.mark.parametrize(
    ("names", "algorithm"),
    [
        ("AES128CMAC AES128 AES-128-CMAC AES-128 AES-CMAC AES aes128", Algorithm.AES128CMAC),
        ("SHA1 SHA-1 sha1", Algorithm.SHA1),
        ("MD5 M md5 m", Algorithm.MD5),
    ],
)
def test_each_name_of_an_algorithm_that_ntpd_chrony_and_ntpsec_have_is_known(
    names: str, algorithm: Algorithm
) -> None:
    for name in names.split():
        text = f"7 {name} 000102030405060708090a0b0c0d0e0f10111213\n"
        if algorithm is Algorithm.AES128CMAC:
            text = f"7 {name} HEX:000102030405060708090a0b0c0d0e0f\n"
        found = keys.parse(text.encode(), "keys", Notices())
        assert [key.algorithm for key in found.values()] == [algorithm], name


def test_a_misspelt_word_is_shown_at_its_place_with_the_nearest_one() -> None:
    with pytest.raises(ConfigurationError, match=r"f:1:10: 'ibrust' .*; did you mean 'iburst'\?"):
        parsed("server a ibrust")
    with pytest.raises(ConfigurationError, match=r"f:1:1: .*; did you mean 'minsources'\?"):
        parsed("minsource 3")

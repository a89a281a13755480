"""Key files and the configuration: what is written is read, what is wrong is named."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntp import conf, keys
from ntp.auth import Algorithm
from ntp.conf import Configuration, ServerLine
from ntp.errors import ConfigurationError, NtpError
from ntp.packet import Header
from ntp.peers import peers

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
    assert conf.parse(conf.write(configuration), "f") == configuration


@given(st.text())
def test_arbitrary_text_raises_only_our_own_error(text: str) -> None:
    with suppress(NtpError):
        conf.parse(text, "f")
    with suppress(NtpError):
        keys.parse(text, "f")


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
    with pytest.raises(ConfigurationError, match="f, line 2: "):
        conf.parse(f"# comment\n{line}\n", "f")


def test_key_files_of_ntpd_and_of_chrony_are_read() -> None:
    ntpd = "1 AES128CMAC 000102030405060708090a0b0c0d0e0f  # comment\n2 SHA1 short_text 10.0.0.1\n"
    chrony = "3 AES128 HEX:000102030405060708090a0b0c0d0e0f\n4 MD5 ASCII:x\n"
    read = keys.parse(ntpd + chrony, "f")
    assert [key.algorithm for key in read.values()] == [
        Algorithm.AES128CMAC,
        Algorithm.SHA1,
        Algorithm.AES128CMAC,
        Algorithm.MD5,
    ]
    assert read[1].secret == read[3].secret
    assert read[2].secret.reveal() == b"short_text"


@pytest.mark.parametrize(
    "line",
    [
        "1",
        "0 MD5 a",
        "x MD5 a",
        pytest.param("1" * 5000 + " MD5 a", id="a number without end"),
        "1 ROT13 secret",
        "1 AES128CMAC short",
        "1 SHA1 HEX:zz",
    ],
)
def test_a_wrong_key_is_named_and_not_shown(line: str) -> None:
    with pytest.raises(ConfigurationError, match="f, line 1: ") as raised:
        keys.parse(line, "f")
    assert "secret" not in str(raised.value)


def test_the_mac_of_rfc_8573_is_aes_cmac_over_the_packet() -> None:
    # RFC 4493, 4: key, message M of 16 octets, its AES-CMAC
    key = keys.parse("9 AES128CMAC 2b7e151628aed2a6abf7158809cf4f3c", "f")[9]
    message = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    assert key.digest(message).hex() == "070a16b46b4d4144f79bdd9dd04a287c"
    assert len(key.sign(bytes(Header(3)))) == 48 + 20


def test_a_key_that_the_file_does_not_have_is_named_with_its_server() -> None:
    with pytest.raises(ConfigurationError, match="server a: the key file has no key 3"):
        peers([ServerLine(host="a", key=3)], {}, entropy=bytes, pivot=0)


def test_a_word_that_is_no_directive_is_answered_with_all_that_are() -> None:
    known = "server, pool, keys, ca, minsources, maxdistance, maxchange, allow-md5"
    with pytest.raises(ConfigurationError, match=f"'colour red' is none of: {known}"):
        conf.parse("colour red", "f")

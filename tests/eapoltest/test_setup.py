"""The options of eapol-test and what they come to; each mistake is one sentence."""

from argparse import Namespace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from lab.pki import site
from mgu.eapoltest.options import FAILED, parser
from mgu.eapoltest.setup import Setup, SetupError, made
from radius.events import Transport
from radius.numbers import AttributeType as A

CONF = 'network={\n key_mgmt=IEEE8021X\n eap=TLS\n identity="me"\n ca_cert="/none/ca.pem"\n'
CONF += ' client_cert="/none/client.pem"\n private_key="/none/key.pem"\n}\n'

PLAIN: dict[str, Any] = {
    **dict.fromkeys(("unsigned", "status_server", "key_name", "no_keys", "save", "json"), False),
    **dict.fromkeys(("address", "port", "secret", "secret_file", "own_address", "interface")),
    **dict.fromkeys(("tls_ca", "tls_cert", "tls_key", "tls_name", "config", "connect_info")),
    **dict.fromkeys(("pin", "reader", "junit", "capture", "keys", "certificates", "load", "rate")),
    "transport": "UDP", "again": 0, "timeout": 30.0, "mac": "02:00:00:00:00:01",
    "attributes": [], "expect": [], "dictionary": [], "duration": 10.0, "processes": 1,
    "version": False,
}  # fmt: skip


def test_without_options_it_is_one_authentication_of_30_s() -> None:
    assert vars(parser().parse_args([])) == PLAIN


def test_every_option_is_taken_under_its_letter() -> None:
    words = (
        "-a 192.0.2.1 -a 192.0.2.2 -p 1 -s x --secret-file a -A b -i c -X TLS -j d -J e -k f"
        " --tls-name g --status-server --allow-missing-message-authenticator -c h -r 2 -t 3.5"
        " -M i -C j -N k -N l -e -n -S -P m -R n --expect o --dictionary p --json --junit q"
        " --capture r --keys s -o t --load 4 --rate 0.5 --for 6 --processes 7 -v"
    )
    assert vars(parser().parse_args(words.split())) == {
        **dict.fromkeys(("unsigned", "status_server", "key_name", "no_keys", "save"), True),
        **dict.fromkeys(("json", "version"), True),
        "address": ["192.0.2.1", "192.0.2.2"], "port": 1, "secret": "x", "secret_file": Path("a"),
        "own_address": "b", "interface": "c", "transport": "TLS", "tls_ca": "d", "tls_cert": "e",
        "tls_key": "f", "tls_name": "g", "config": Path("h"), "again": 2, "timeout": 3.5,
        "mac": "i", "connect_info": "j", "attributes": ["k", "l"], "pin": "m", "reader": "n",
        "expect": ["o"], "dictionary": ["p"], "junit": Path("q"), "capture": Path("r"),
        "keys": Path("s"), "certificates": Path("t"), "load": 4, "rate": 0.5, "duration": 6.0,
        "processes": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "0"], "'0' is no"), (["-p", "65536"], "from 1 to 65535"),
        (["-r", "-1"], "from 0 to 1000000"), (["-r", "1000001"], "from 0 to 1000000"),
        (["--load", "0"], "from 1 to 100000"), (["--processes", "x"], "from 1 to 100000"),
        (["-t", "0"], "'0' is no"), (["-t", "1e6"], "above 0"), (["-t", "x"], "above 0"),
        (["-X", "TCP"], "invalid choice"), (["--nonsense"], "--nonsense"),
    ],
)  # fmt: skip
def test_wrong_usage_is_eapol_tests_minus_1(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parser().parse_args(words)
    assert exit_.value.code == FAILED == 255
    shown = capsys.readouterr().err
    assert shown.startswith("eapol-test: ")
    assert said in shown or "is not a number" in shown


def asked(*words: str) -> Namespace:
    return parser().parse_args(words)


@pytest.fixture
def conf(tmp_path: Path) -> str:
    (tmp_path / "conf").write_text(CONF)
    return str(tmp_path / "conf")


def setup(conf: str, *words: str) -> Setup:
    return made(asked("-c", conf, *words))


def test_one_server_with_the_secret_and_port_that_eapol_test_has(conf: str) -> None:
    (server,) = setup(conf).servers
    assert (str(server), server.secret.reveal()) == ("127.0.0.1:1812/UDP", b"radius")
    assert server.signed
    more = setup(conf, "-a", "2001:db8::1", "-a", "192.0.2.1", "-p", "1645", "-s", "s\udcff")
    assert [str(each) for each in more.servers] == [
        "[2001:db8::1]:1645/UDP", "192.0.2.1:1645/UDP",
    ]  # fmt: skip
    assert {each.secret.reveal() for each in more.servers} == {b"s\xff"}
    assert more.station.secrets == tuple(each.secret for each in more.servers)
    assert not setup(conf, "--allow-missing-message-authenticator").servers[0].signed


def test_over_tls_both_sides_show_certificates(conf: str, tmp_path: Path) -> None:
    pki = site()
    (tmp_path / "ca.pem").write_bytes(pki.root.certificate_pem())
    (tmp_path / "own.pem").write_bytes(pki.client.certificate_pem())
    (tmp_path / "own.key").write_bytes(pki.client.key_pem())
    files = [f"{tmp_path}/{name}" for name in ("ca.pem", "own.pem", "own.key")]
    options = [*("-j", files[0]), *("-J", files[1]), *("-k", files[2])]
    found = setup(conf, "-X", "TLS", *options, "--tls-name", "radius.example")
    (server,) = found.servers
    assert (str(server), server.secret.reveal()) == ("127.0.0.1:2083/TLS", b"radsec")
    assert server.transport is Transport.TLS
    assert found.source.name == "radius.example"
    assert found.source.tls is not None
    assert setup(conf).source.tls is None
    for at in (0, 2, 4):
        with pytest.raises(SetupError, match=r"-X TLS needs -j CA, -J CERTIFICATE and -k KEY"):
            setup(conf, "-X", "TLS", *options[:at], *options[at + 2 :])
    Path(files[1]).write_text("nothing")
    with pytest.raises(SetupError, match=f"{', '.join(files)}: one of them cannot be used"):
        setup(conf, "-X", "TLS", *options)


def test_a_secret_comes_from_a_file_without_its_end_of_line(conf: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b" s3cret \r\n")
    both = setup(conf, "--secret-file", str(file), "-s", "other")
    assert both.servers[0].secret.reveal() == b" s3cret "
    file.write_bytes(b"\n")
    with pytest.raises(SetupError, match="the secret is empty"):
        setup(conf, "--secret-file", str(file))
    with pytest.raises(SetupError, match="none: cannot be read: No such file or directory"):
        setup(conf, "--secret-file", str(tmp_path / "none"))


def attributes(conf: str, *words: str) -> dict[int, bytes]:
    return dict(setup(conf, *words).station.attributes)


def test_what_goes_along_with_every_request_is_what_eapol_test_sends(conf: str) -> None:
    assert attributes(conf) == {
        A.NAS_IP_ADDRESS: bytes([127, 0, 0, 1]),
        A.CALLING_STATION_ID: b"02-00-00-00-00-01",
        A.FRAMED_MTU: (1400).to_bytes(4, "big"),
        A.NAS_PORT_TYPE: (15).to_bytes(4, "big"),
        A.SERVICE_TYPE: (2).to_bytes(4, "big"),
    }
    more = attributes(conf, "-A", "2001:db8::7", "-M", "AA-bb:cc-dd:ee-ff", "-C", "x" * 300, "-e")
    assert A.NAS_IP_ADDRESS not in more
    assert more[A.NAS_IPV6_ADDRESS] == ip_address("2001:db8::7").packed
    assert more[A.CALLING_STATION_ID] == b"AA-BB-CC-DD-EE-FF"
    assert more[A.CONNECT_INFO] == b"x" * 253
    assert more[A.EAP_KEY_NAME] == b"\0"


@pytest.mark.parametrize(
    ("text", "kind", "octets"),
    [
        ("30:s:te:xt", 30, b"te:xt"), ("5:d:7", 5, b"\0\0\0\7"), ("5:x:0aff", 5, b"\x0a\xff"),
        ("255:x:00", 255, b"\0"), ("30", 30, b"\0"), ("NAS-Port=7", 5, b"\0\0\0\7"),
        ("30:s:" + "x" * 253, 30, b"x" * 253),
    ],
)  # fmt: skip
def test_an_attribute_is_text_a_number_octets_or_a_name(
    conf: str, text: str, kind: int, octets: bytes
) -> None:
    assert attributes(conf, "-N", text)[kind] == octets


def test_one_that_is_given_takes_the_place_of_ours(conf: str) -> None:
    found = setup(conf, "-N", "12:d:1", "-N", "26:x:0000", "-N", "26:x:0001").station.attributes
    assert [value for kind, value in found if kind == A.FRAMED_MTU] == [b"\0\0\0\1"]
    assert [value for kind, value in found if kind == A.VENDOR_SPECIFIC] == [b"\0\0", b"\0\1"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-N", "30:q:x"], "-N 30:q:x: write NUMBER:s:TEXT"), (["-N", "0:d:1"], "-N 0:d:1: write"),
        (["-N", "256:d:1"], "-N 256:d:1"), (["-N", "5:d:4294967296"], "-N 5:d:4294967296"),
        (["-N", "5:x:0"], "-N 5:x:0"), (["-N", "30:s:"], "-N 30:s:"),
        (["-N", "30:s:" + "x" * 254], "-N 30:s:xxx"), (["-N", "nonsense"], "form NAME=VALUE"),
        (["-N", "No-Such-Name=1"], "-N "), (["--expect", "=x"], "'=x' is not of the form"),
        (["-M", "02:00"], "-M 02:00: "), (["-M", "02:00:00:00:00:0g"], "-M 02:00:00:00:00:0g"),
        (["-a", "here"], "-a here: "), (["-A", "there"], "-A there: "),
        (["-P", "1"], "smart cards"), (["-R", "1"], "smart cards"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named_with_its_option(
    conf: str, words: list[str], said: str
) -> None:
    with pytest.raises(SetupError) as refused:
        setup(conf, *words)
    assert said in str(refused.value)


def test_what_is_demanded_of_the_server_is_handed_on(conf: str) -> None:
    plain, strict = setup(conf).station, setup(conf, "-n", "--expect", "Class=a=b", "-t", "7")
    assert (plain.keys_expected, plain.expect, plain.timeout) == (True, (), 30.0)
    assert (strict.station.keys_expected, strict.station.timeout) == (False, 7.0)
    assert strict.station.expect == (("Class", "a=b"),)
    assert strict.source.address is None
    assert setup(conf, "-A", "127.0.0.9", "-i", "lo").source.interface == "lo"
    assert strict.station.network.identity == b"me"


def test_a_configuration_that_cannot_be_used_is_named(conf: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="name it with -c FILE"):
        made(asked())
    assert made(asked("--status-server")).station.network.identity == b""
    with pytest.raises(SetupError, match="none: cannot be read: No such file or directory"):
        setup(str(tmp_path / "none"))
    Path(conf).write_text("nonsense {")
    with pytest.raises(SetupError, match="conf"):
        setup(conf)
    Path(conf).write_text("")
    with pytest.raises(SetupError, match="conf: no network is enabled"):
        setup(conf)
    Path(conf).write_text(CONF)
    with pytest.raises(SetupError, match=r"/none/"):
        setup(conf).context(None)

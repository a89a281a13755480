"""`mgu check`: what a file is, and what of it has no effect."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    NoEncryption,
    pkcs12,
)
from hypothesis import given
from hypothesis import strategies as st

from lab.pki import KeyKind, Usage, Validity, key, site
from mgu.check.kinds import KINDS, kind_of
from mgu.check.papers import look
from mgu.check.readers import check
from mgu.check.report import ATTENTION, REFUSED, Finding
from mgu.commands.check import main
from mgu.registries import protocol_number, service_port
from wire.source import DIFFERS, PASSED_OVER, Source, SourceError

RACOON = b"""\
path pre_shared_key "psk.txt";
remote 192.0.2.9 {
    exchange_mode main;
    script "up.sh" phase1_up;
    generate_policy on;
    proposal { encryption_algorithm aes; hash_algorithm sha1;
        authentication_method pre_shared_key; dh_group 2; }
}
"""
FILES: dict[str, bytes] = {
    "racoon.conf": RACOON,
    "psk.txt": b"192.0.2.9 nine\n",
    "setkey.conf": b"flush;\nspdflush;\nspdadd 10.0.0.1 10.0.0.2 any -P out none;\n",
    "wpa_supplicant.conf": b'network={\nkey_mgmt=IEEE8021X\neap=TLS\nidentity="a"\nca_cert="a"\n'
    b'client_cert="c.pem"\nprivate_key="c.key"\n}\n',
    "ntp.conf": b"server 192.0.2.1 key 1\nkeys /etc/ntp.keys\n",
    "ntp.keys": b"1 SHA1 HEX:0011223344556677889900112233445566778899\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, octets in FILES.items():
        file = tmp_path / name
        file.write_bytes(octets)
        file.chmod(0o600)
    return tmp_path


def checked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    code = main(["--json", *words])
    (report,) = json.loads(capsys.readouterr().out)["files"]
    return code, report


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("called", ["{}", "old-file"])
def test_a_file_is_known_by_what_is_in_it(name: str, called: str) -> None:
    found = kind_of(called.format(name), FILES[name])
    assert found is not None
    assert found.name == name


def test_every_kind_has_a_file_here() -> None:
    assert {kind.name for kind in KINDS} - {"certificate"} == set(FILES)


@pytest.mark.parametrize("octets", [b"", b"# only a comment\n", b"\x7fELF\x02\x01", b"hello\n"])
def test_what_is_none_of_them_is_refused_with_the_kinds_that_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], octets: bytes
) -> None:
    file = tmp_path / "file"
    file.write_bytes(octets)
    assert main([str(file)]) == 1
    assert "say which with --as: racoon.conf, setkey.conf" in capsys.readouterr().out


def test_a_racoon_conf_is_read_line_by_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, report = checked(capsys, str(folder / "racoon.conf"))
    assert (code, report["verdict"], report["program"]) == (3, "in part", "racoon")
    assert report["facts"] == ["1 remote, 0 sainfos, 1 pre-shared key"]
    findings = report["findings"]
    assert isinstance(findings, list)
    assert [(each["line"], each["column"], each["what"]) for each in findings] == [
        (4, 5, PASSED_OVER),
        (5, 5, DIFFERS),
    ]


def test_every_refused_statement_of_a_racoon_conf_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "racoon.conf"
    file.write_bytes(b"remote anonymous { }\n" + RACOON + b"listen { isakmp 10.0.0.300; }\n")
    assert main([str(file)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if f": {REFUSED}: " in line] == [
        f"{file}:1:1: refused: the remote anonymous has no proposal",
        f"{file}:10:17: refused: '10.0.0.300' is not an IP address",
    ]
    assert told[-1] == f"{file}: is refused"


def test_a_mistake_is_shown_with_its_line_and_a_caret(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "racoon.conf"
    file.write_bytes(b"remote anonymous {\n\texchange_mod main;\n}\n")
    assert main([str(file)]) == 1
    _, said, line, caret, _ = capsys.readouterr().out.splitlines()
    assert said.startswith(f"{file}:2:2: refused: 'exchange_mod' is not understood here")
    assert "did you mean 'exchange_mode'?" in said
    assert line[caret.index("^") :] == "exchange_mod main;"


def test_keys_that_are_not_there_are_a_state_of_the_host_and_refuse_no_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "psk.txt").unlink()
    code, report = checked(capsys, str(folder / "racoon.conf"))
    assert code == 1
    findings = report["findings"]
    assert isinstance(findings, list)
    assert REFUSED in {each["what"] for each in findings}


@pytest.mark.parametrize(("name", "what"), [("psk.txt", REFUSED), ("ntp.keys", ATTENTION)])
def test_a_file_of_keys_that_others_can_open_is_judged_as_its_program_does(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, what: str
) -> None:
    (folder / name).chmod(0o644)
    code, report = checked(capsys, str(folder / name))
    assert code == (1 if what == REFUSED else 0)
    findings = report["findings"]
    assert isinstance(findings, list)
    assert [(each["what"], "chmod 600" in each["text"]) for each in findings] == [(what, True)]


def test_a_racoon_conf_whose_keys_others_can_open_is_refused_as_by_iked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "psk.txt").chmod(0o644)
    assert main([str(folder / "racoon.conf")]) == 1
    assert "is refused" in capsys.readouterr().out


def test_nothing_of_a_key_is_ever_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "psk.txt").write_bytes(b"hunter2\n192.0.2.1 0xhunter2\n  192.0.2.2 hunter2\n")
    (folder / "ntp.keys").write_bytes(b"1 SHA999 hunter2\nhunter2\n0 SHA1 hunter2\n")
    (folder / "setkey.conf").write_bytes(b'add 10.0.0.1 10.0.0.2 esp 500 "hunter2" -E aes-cbc;\n')
    main([str(folder / name) for name in ("psk.txt", "setkey.conf")])
    assert "hunter2" not in capsys.readouterr().out


def test_the_kind_can_be_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = checked(capsys, "--as", "psk.txt", str(folder / "setkey.conf"))
    assert (code, report["kind"]) == (3, "psk.txt")


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_which_all_is_honoured_ends_with_0(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = folder / name
    file.write_bytes(file.read_bytes().replace(b"    script", b"#").replace(b"    gen", b"#"))
    assert main([str(file)]) == 0
    assert capsys.readouterr().out.endswith(f"{file}: is read, and all of it is honoured\n")


def test_a_file_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none")]) == 1
    assert "it cannot be read: No such file or directory" in capsys.readouterr().out


def test_what_is_read_differently_by_setkey_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "setkey.conf"
    file.write_text("add 10.0.0.1 10.0.0.2 esp 500 -r 4 -f zero-pad -E null -A null;\n")
    code, report = checked(capsys, str(file))
    assert code == 3
    findings = report["findings"]
    assert isinstance(findings, list)
    assert [each["what"] for each in findings] == [DIFFERS, PASSED_OVER]


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
@given(octets=st.binary(max_size=60), head=st.sampled_from(sorted(FILES.values())))
def test_any_octets_are_read_or_refused_and_what_is_said_can_be_printed(
    tmp_path_factory: pytest.TempPathFactory, kind: str, octets: bytes, head: bytes
) -> None:
    file = tmp_path_factory.mktemp("check") / "file"
    file.write_bytes(head[: len(octets) * 3] + octets)
    for finding in check(str(file), kind).findings:
        assert finding.text.isprintable()


@pytest.mark.parametrize("name", ["\udce8", "a\0b", "http\udcff"])
def test_a_name_that_no_registry_can_hold_has_no_number(name: str) -> None:
    assert service_port(name) is None
    assert protocol_number(name) is None


def test_certificates_are_described_and_their_dates_told() -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    for valid, says in (
        (Validity.expired(now), "it expired on "),
        (Validity.not_yet(now), "it is valid from "),
        (Validity.around(now, days=10), "it expires on "),
    ):
        own = site().root.issue("gw.example", valid, key(KeyKind.P256), usage=Usage.CLIENT)
        findings, facts, secret = look("gw.pem", own.certificate_pem(with_chain=False), now)
        assert (len(facts), secret) == (1, False)
        assert facts[0].startswith("a certificate of CN=gw.example,")
        (finding,) = findings
        assert (finding.what, says in finding.text) == (ATTENTION, True)


def test_a_private_key_is_named_and_an_encrypted_one_wants_attention() -> None:
    own = site().client
    _, facts, secret = look("gw.key", own.key_pem())
    assert (facts, secret) == (["a private key"], True)
    findings, facts, secret = look("gw.key", own.key_pem(b"hunter2"))
    assert (facts, secret) == (["an encrypted private key"], True)
    assert [finding.what for finding in findings] == [ATTENTION]


def test_a_part_that_is_no_certificate_is_named_and_half_a_certificate_is_refused() -> None:
    now = datetime.now(UTC)
    whole = site().root.certificate_pem()
    odd = b"-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n"
    findings, facts, _ = look("ca.pem", odd + whole, now)
    assert len(facts) == 1
    assert [finding.what for finding in findings] == [PASSED_OVER]
    findings, facts, _ = look("ca.pem", whole[: len(whole) // 2], now)
    assert (facts, [finding.what for finding in findings]) == ([], [REFUSED])


def test_a_refusal_has_its_place_or_is_of_the_whole_file() -> None:
    whole = Finding.refusal(SourceError("it is empty", expected=["a", "b"]), "f")
    assert whole == Finding(REFUSED, "it is empty; expected: a, b", "f")
    assert str(whole) == "f: refused: it is empty; expected: a, b"
    (word, *_) = next(iter(Source.of("g", b"one two\n").lines())).words()
    placed = Finding.refusal(SourceError("no such word", word.place), "f")
    assert (placed.file, placed.line, placed.column) == ("g", 1, 1)
    assert str(placed) == f"g:1:1: refused: no such word\n{word.place.excerpt()}"


def test_a_file_of_papers_is_named_where_it_is_refused() -> None:
    findings, facts, has_key = look("ca.pem", b"-----BEGIN CERTIFICATE-----\nx\n")
    assert (facts, has_key) == ([], False)
    assert {finding.file for finding in findings} == {"ca.pem"}
    assert all(not finding.text.startswith("ca.pem") for finding in findings)


def test_each_kind_says_what_it_is_and_whose() -> None:
    assert [(kind.name, kind.title, kind.program) for kind in KINDS] == [
        ("racoon.conf", "racoon.conf", "racoon"),
        ("setkey.conf", "setkey.conf", "setkey"),
        ("wpa_supplicant.conf", "wpa_supplicant.conf", "wpa_supplicant"),
        ("ntp.conf", "the configuration of a time client", "ntpd, chronyd or localNTP"),
        ("ntp.keys", "a file of symmetric keys for NTP", "ntpd or chronyd"),
        ("psk.txt", "psk.txt", "racoon"),
        ("certificate", "certificates or keys", "OpenSSL"),
    ]


@pytest.mark.parametrize(
    ("name", "octets", "kind"),
    [
        ("x", b"\x30\x82\x01", "certificate"),
        ("x", b"\x30\x81\x01", "certificate"),
        ("x", b"text\n-----BEGIN X509 CRL-----", "certificate"),
        ("Racoon-old", b"# nothing\n", "racoon.conf"),
        ("chrony.conf", b"makestep 1 3\n", "ntp.conf"),
        ("ntp.sources", b"server a\n", "ntp.conf"),
        ("client.psk", b"a b\n", "psk.txt"),
        ("anything", b"a b\nc d\n", "psk.txt"),
        ("racoon.conf", b"a b\nc d\n", "racoon.conf"),  # not psk.txt, which any two words are
        ("chrony.conf", b"SERVER 192.0.2.1\n", "ntp.conf"),
        ("x", b'ldapcfg { bind_pw "a"; }\n', "racoon.conf"),
        ("racoon.conf", b"flush;\n", "setkey.conf"),  # its name says it, and no line does
    ],
)
def test_a_name_counts_where_a_line_agrees(name: str, octets: bytes, kind: str) -> None:
    found = kind_of(name, octets)
    assert found is not None
    assert found.name == kind


def test_what_is_mostly_something_else_is_nothing() -> None:
    assert kind_of("x", b"one\ntwo\nthree\nfour\nfive\nflush;\n") is None
    five = kind_of("x", b"one\ntwo\nthree\nfour\nflush;\n")
    assert five is not None
    assert five.name == "setkey.conf"
    assert kind_of("x", b"a b\nc\n") is None


def test_a_network_that_trusts_any_server_wants_attention(tmp_path: Path) -> None:
    file = tmp_path / "wpa_supplicant.conf"
    lines = 'key_mgmt=IEEE8021X\neap=PEAP\nidentity="a"\npassword="x"\n'
    more = 'phase1="tls_disable_time_checks=1"\n'
    file.write_text(f"network={{\n{lines}{more}}}\n")
    found = [(finding.what, finding.text) for finding in check(str(file)).findings]
    assert found == [
        (ATTENTION, 'the network of a has no ca_cert: any server is trusted; write ca_cert="PATH"'),
        (
            ATTENTION,
            "the network of a has tls_disable_time_checks=1: expired certificates are accepted",
        ),
    ]
    file.write_text(
        f'network={{\n{lines}{more}disabled=1\n}}\nnetwork={{\n{lines}ca_cert="/a"\n}}\n'
    )
    assert check(str(file)).findings == ()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("code", ["utf-16-le", "utf-16-be"])
def test_a_file_in_utf16_is_told_so_with_the_remedy(tmp_path: Path, name: str, code: str) -> None:
    file = tmp_path / name
    file.write_bytes(("\ufeff" + FILES[name].decode()).encode(code))
    file.chmod(0o600)
    [finding] = check(str(file), name).findings
    remedy = f"the file is in UTF-16; convert it: iconv -f UTF-16 -t UTF-8 {file}"
    assert finding.text == remedy
    assert finding.line == 1


def test_names_of_hosts_in_a_setkey_conf_are_left_to_setkey(tmp_path: Path) -> None:
    file = tmp_path / "setkey.conf"
    file.write_text("spdadd gw.example 010.0.0.1 any -P out discard;\nflush;\n")
    [finding] = check(str(file)).findings
    assert (finding.what, finding.line) == (ATTENTION, 0)
    assert finding.text == "these names of hosts are looked up when setkey runs: gw.example"
    file.write_text("spdadd 10.0.0.999 10.0.0.1 any -P out discard;\n")
    [finding] = check(str(file)).findings
    assert finding.what == REFUSED


@pytest.mark.parametrize("passphrase", [None, b"sesame"])
def test_a_pkcs12_file_is_read_as_the_supplicant_reads_it(passphrase: bytes | None) -> None:
    made = key(KeyKind.RSA_2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gw")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, made.public_key(), 1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=20))
        .sign(made, hashes.SHA256())
    )
    how = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    octets = pkcs12.serialize_key_and_certificates(None, made, certificate, None, how)
    findings, facts, secret = look("a.p12", octets, begin)
    assert secret
    assert {finding.what for finding in findings} == {ATTENTION}
    said = " ".join(finding.text for finding in findings)
    assert ("a certificate of CN=gw" in " ".join(facts)) == (passphrase is None)
    assert ("it is encrypted" in said) == (passphrase is not None)


def test_a_file_of_the_host_is_not_taken_for_keys() -> None:
    assert kind_of("/etc/hosts", b"127.0.0.1 localhost\n") is None

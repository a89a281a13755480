"""localNTP's options, what they may be, and what they come to; its runs are in tests/ntp."""

from pathlib import Path

import pytest

from mgu import timeconf
from mgu.commands.localntp import _parser, main
from ntp.errors import ConfigurationError

CA = b"-----BEGIN CERTIFICATE-----\n"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    monkeypatch.setenv("MGU_CLOCK", str(tmp_path / "clock"))
    (tmp_path / "etc").mkdir()
    return tmp_path


SWITCHES = ("activate", "deactivate", "status", "allow_md5", "dry_run", "json")
NOTHING = ("wait", "nts_ca", "keys", "key", "minsources", "maxdistance", "maxchange")


def test_without_options_it_asks_port_123_for_5_s() -> None:
    assert vars(_parser().parse_args([])) == {
        **dict.fromkeys(SWITCHES, False),
        **dict.fromkeys(NOTHING),
        "servers": [], "pools": [], "nts": [],
        "nts_port": 4460, "port": 123, "timeout": 5.0,
    }  # fmt: skip


def test_every_option_is_taken_and_names_can_be_repeated() -> None:
    words = "-a -n a -n b --pool c --pool d --nts e --nts f --nts-ca g --nts-port 1 --keys h"
    words += " --key 2 --allow-md5 --port 3 --minsources 4 --maxdistance 0.5 --maxchange 6"
    words += " --dry-run --json --timeout 3600"
    assert vars(_parser().parse_args(words.split())) == {
        **dict.fromkeys(SWITCHES, True), "deactivate": False, "status": False, "wait": None,
        "servers": ["a", "b"], "pools": ["c", "d"], "nts": ["e", "f"], "nts_ca": "g",
        "nts_port": 1, "keys": "h", "key": 2, "port": 3, "minsources": 4, "maxdistance": 0.5,
        "maxchange": 6.0, "timeout": 3600.0,
    }  # fmt: skip
    assert _parser().parse_args(["-d"]).deactivate
    assert _parser().parse_args(["-s"]).status
    assert _parser().parse_args(["--wait", "0"]).wait == 0.0
    assert _parser().parse_args(["--wait", "infinity"]).wait == float("inf")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--timeout", "0"], "must be more than 0 and at most 3600 seconds, not '0'"),
        (["--timeout", "3601"], "must be more than 0 and at most 3600 seconds, not '3601'"),
        (["--timeout", "nan"], "must be more than 0 and at most 3600 seconds, not 'nan'"),
        (["--wait", "inf"], "must be 0 or more seconds, or 'infinity', not 'inf'"),
        (["--wait", "-0.1"], "must be 0 or more seconds, or 'infinity', not '-0.1'"),
        (["--port", "0"], "must be a number of 1 to 65535, not '0'"),
        (["--nts-port", "65536"], "must be a number of 1 to 65535, not '65536'"),
        (["--minsources", "0"], "not '0'"),
        (["-a", "-d"], "not allowed with argument"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        _parser().parse_args(words)
    assert exit_.value.code == 64
    assert said in capsys.readouterr().err


def given(root: Path, **changed: object) -> timeconf.Setup:
    values: dict[str, object] = {
        "hosts": ["10.0.0.1"], "port": 1, "nts": [], "nts_port": 2, "ca": "", "keys": "",
        "key": None, **changed,
    }  # fmt: skip
    return timeconf.given(**values)  # type: ignore[arg-type]


def test_each_kind_of_server_has_its_port(root: Path) -> None:
    made = given(root, pools=["pool.example"], nts=["nts.example"]).configuration
    kinds = [(line.host, line.port, line.pool, line.nts, line.key) for line in made.servers]
    assert kinds == [
        ("10.0.0.1", 1, False, False, None),
        ("pool.example", 1, True, False, None),
        ("nts.example", 1, False, True, None),
    ]
    assert made.servers[2].nts_port == 2


def test_the_first_key_of_the_file_is_used_unless_another_is_named(root: Path) -> None:
    file = root / "keys"
    file.write_text("7 SHA1 secret\n3 SHA1 secret\n")
    file.chmod(0o600)
    first = given(root, keys=str(file), pools=["pool.example"])
    assert [line.key for line in first.configuration.servers] == [7, 7]
    assert sorted(first.keys) == [3, 7]
    assert [line.key for line in given(root, keys=str(file), key=3).configuration.servers] == [3]
    with pytest.raises(ConfigurationError, match="--key needs --keys"):
        given(root, key=3)


def test_what_is_installed_is_what_is_read_below_the_root(root: Path) -> None:
    keys, ca = root / "keys", root / "ca"
    keys.write_text("7 SHA1 secret\n")
    keys.chmod(0o600)
    ca.write_bytes(CA)
    setup = given(root, keys=str(keys), ca=str(ca))
    timeconf.install(setup)
    text = (root / "etc/localntp.conf").read_text()
    assert "/etc/localntp.keys" in text
    assert "/etc/localntp.ca.pem" in text
    assert str(root) not in text
    for name, mode, content in (
        ("keys", 0o600, b"7 SHA1 secret\n"),
        ("ca.pem", 0o644, CA),
    ):
        installed = root / f"etc/localntp.{name}"
        assert installed.read_bytes() == content
        assert installed.stat().st_mode & 0o777 == mode
    again = timeconf.installed()
    assert again.configuration.servers == setup.configuration.servers
    assert again.configuration.keys == f"{root}/etc/localntp.keys"
    assert again.configuration.ca == f"{root}/etc/localntp.ca.pem"
    assert list(again.keys) == [7]
    timeconf.install(given(root))
    bare = timeconf.installed()
    assert (bare.configuration.keys, bare.configuration.ca, bare.keys) == ("", "", {})


def test_a_file_in_the_place_of_a_folder_is_named_with_what_is_wrong(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "etc/localntp.conf").mkdir()
    assert main(["-s"]) == 1
    assert "localntp.conf" in capsys.readouterr().err

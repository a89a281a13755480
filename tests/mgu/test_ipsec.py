"""The `ipsec` command below a root of its own; no daemon runs."""

import re
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from ike.conf.psk import read as read_keys
from lab.pki import site, write
from mgu.commands.ipsec import main
from mgu.commands.ipsec_acts import is_own_address
from mgu.connections import folder

CREATE = ("--create", "--name=n", "--src-address=10.0.0.1", "--dst-address=10.0.0.2")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGU_ROOT", str(tmp_path))
    return tmp_path


def files(root: Path) -> dict[str, str]:
    """All that outlives a reboot."""
    found = (
        path for path in root.rglob("*") if path.is_file() and root / "run" not in path.parents
    )
    return {str(path.relative_to(root)): path.read_text() for path in found}


def test_create_writes_the_manuals_files(root: Path) -> None:
    assert main([*CREATE, "--dst-preshared-key=theirs", "--src-preshared-key=ours"]) == 0
    assert {name for name in files(root) if name.startswith("etc/")} == {
        "etc/racoon.conf",
        "etc/racoon/remote-10.0.0.2.conf",
        "etc/racoon/psk.txt",
        "etc/sysconf/network-scripts/ifcfg-n",
    }
    keys = read_keys(root / "etc/racoon/psk.txt")
    assert {name: key.reveal() for name, key in keys.entries} == {
        "10.0.0.2": b"theirs",
        "10.0.0.1": b"ours",
    }


def test_doing_it_twice_changes_nothing(root: Path) -> None:
    arguments = [*CREATE, "--dst-network=10.1.0.0/16", "--dst-preshared-key=theirs"]
    main(arguments)
    before = files(root)
    assert main(arguments) == 0
    assert files(root) == before


def test_remove_takes_away_all_that_belongs_to_the_connection_alone(root: Path) -> None:
    main([*CREATE, "--dst-preshared-key=theirs", "--src-preshared-key=ours"])
    main(["--create", "--name=m", "--src-address=10.0.0.1", "--dst-address=10.0.0.3",
          "--dst-preshared-key=third"])  # fmt: skip
    assert main(["--remove", "--name=n"]) == 0
    assert folder.names() == ["m"]
    assert not (root / "etc/racoon/remote-10.0.0.2.conf").exists()
    keys = read_keys(root / "etc/racoon/psk.txt")
    assert [name for name, _ in keys.entries] == ["10.0.0.1", "10.0.0.3"]


def test_a_port_and_protocol_limit_the_policy(root: Path) -> None:
    main([*CREATE, "--dst-preshared-key=k", "--ip-proto=sctp", "--dst-port=2816"])
    connection = folder.load("n")
    assert (connection.protocol, connection.dst_port) == (132, 2816)


def test_keys_written_by_hand_make_the_key_option_unnecessary(root: Path) -> None:
    path = root / "etc/racoon/psk.txt"
    path.parent.mkdir(parents=True)
    path.write_text("# by hand\n10.0.0.2 theirs\n")
    path.chmod(0o600)
    assert main([*CREATE]) == 0
    assert path.read_text() == "# by hand\n10.0.0.2 theirs\n"


def test_a_key_can_come_from_a_file(root: Path) -> None:
    secret = root / "key"
    secret.write_text("from a file\n")
    assert main([*CREATE, f"--dst-preshared-key=@{secret}"]) == 0
    assert "10.0.0.2 from a file\n" in (root / "etc/racoon/psk.txt").read_text()


def test_certificates_are_checked_copied_and_used(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = site()
    given = write(tmp_path / "given", "gateway", made.client, made.root)
    options = [
        "--install-certs",
        f"--ca-cert-file={given.ca}",
        f"--cert-file-public={given.certificate}",
        f"--cert-file-private={given.key}",
    ]
    given.key.chmod(0o644)
    capsys.readouterr()
    assert main([*CREATE, *options]) == 0
    said = capsys.readouterr()
    assert said.err.startswith(f"ipsec: warning: {given.key}: ")
    assert said.err.endswith(f"'chmod 600 {given.key}'\n")
    assert f"The certificates and the key are in {root}/etc/racoon/certs.\n" in said.out
    assert (root / "etc/racoon/certs/mgu.key").stat().st_mode & 0o777 == 0o600
    assert "rsasig" in (root / "etc/racoon/remote-10.0.0.2.conf").read_text()
    assert main(["--create", "--name=m", "--src-address=10.0.0.1", "--dst-address=10.0.0.3"]) == 0
    assert folder.load("m").method == "X509"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--create", "--name=n"], 64, "--create needs --dst-address=ADDRESS"),
        (["--create", "--name=n", "--dst-address=fe80::1"], 64, "another host on each link"),
        (["--create", "--name=n", "--dst-address=fe80::1%lo"], 64, "no addresses of one interface"),
        (["--create", "--dst-address=10.0.0.2"], 64, "which connection? add --name=NICK"),
        ([*CREATE, "--dst-network=10.1.0.1/16"], 64, "do you mean 10.1.0.0/16?"),
        ([*CREATE, "--ip-proto=sctpp"], 64, "did you mean 'sctp'?"),
        ([*CREATE, "--dst-port=0"], 64, "'0' is not a port of 1 to 65535"),
        ([*CREATE, "--install-certs"], 64, "--install-certs needs"),
        ([*CREATE, "--remove"], 64, "exclude each other"),
        (["--start", "--name=n", "--dst-address=10.0.0.2"], 64, "go with --create"),
        (["--create", "--name=n-1", *CREATE[2:]], 1, "'n-1' is not a nickname"),
        ([*CREATE], 1, "there is no key for 10.0.0.2"),
        ([*CREATE, "--dst-preshared-key="], 1, "must not be empty"),
        ([*CREATE, "--dst-preshared-key=k", "--dst-port=80"], 1, "add --ip-proto=tcp"),
        ([*CREATE, "--dst-preshared-key=k", "--dst-network=fd00::/8"], 1, "mix IPv4 and IPv6"),
        (["--start", "--name=n"], 1, "there is no connection 'n'"),
        (["--stop", "--name=n"], 1, "there is no connection 'n'"),
        (["--remove", "--name=n"], 1, "there is no connection 'n'"),
    ],
)
def test_a_refusal_is_one_sentence_and_changes_nothing(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    sentence: str,
) -> None:
    try:
        result = main(arguments)
    except SystemExit as exit_:
        result = exit_.code if isinstance(exit_.code, int) else -1
    assert result == code
    told = capsys.readouterr().err
    assert re.fullmatch(r"ipsec: [^\n]*\n", told)
    assert sentence in told
    assert files(root) == {}


def test_a_second_connection_for_the_same_traffic_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main([*CREATE, "--dst-preshared-key=k"])
    assert main(["--create", "--name=m", *CREATE[2:]]) == 1
    assert "the connection 'n' protects this traffic already" in capsys.readouterr().err


def test_a_second_tunnel_to_one_network_is_refused_whoever_its_peer_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    network = "--dst-network=10.1.0.0/16"
    main([*CREATE, network, "--dst-preshared-key=k"])
    other = ["--create", "--name=m", "--src-address=10.0.0.1", "--dst-address=10.0.0.9", network]
    assert main([*other, "--dst-preshared-key=k"]) == 1
    assert "the connection 'n' protects this traffic already" in capsys.readouterr().err


def test_without_an_action_the_connections_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "There are no IPsec connections" in capsys.readouterr().out
    main([*CREATE, "--dst-network=10.1.0.0/16", "--dst-preshared-key=k"])
    capsys.readouterr()
    main([])
    assert capsys.readouterr().out.splitlines()[1].split() == [
        "n", "tunnel", "10.0.0.1", "10.0.0.2", "10.1.0.0/16", "at", "boot",
    ]  # fmt: skip


def test_help_says_what_the_keys_are_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["-h"])
    assert caught.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "--dst-preshared-key is the one that authenticates the connection" in told


def test_a_psk_file_that_cannot_be_read_leaves_everything_as_it_was(root: Path) -> None:
    path = root / "etc/racoon/psk.txt"
    path.mkdir(parents=True)
    before = files(root)
    assert main([*CREATE, "--dst-preshared-key=k"]) == 1
    assert files(root) == before


def test_two_commands_at_once_lose_no_key(root: Path) -> None:
    argv = [sys.executable, "-P", "-m", "mgu.main", "ipsec", "--create", "--src-address=10.0.0.1"]
    running = [
        subprocess.Popen(
            [*argv, f"--name=n{peer}", f"--dst-address=10.0.0.{peer}", "--dst-preshared-key=k"],
            stdout=subprocess.DEVNULL,
        )
        for peer in range(2, 8)
    ]
    assert [process.wait(60) for process in running] == [0] * 6
    keys = read_keys(root / "etc/racoon/psk.txt")
    assert sorted(name for name, _ in keys.entries) == [f"10.0.0.{peer}" for peer in range(2, 8)]


@pytest.mark.parametrize(
    "words",
    [["-h"], ["--list"], [*CREATE, "--dst-preshared-key=theirs"]],
    ids=lambda words: words[0],
)
def test_it_imports_nothing_that_is_slow_to_import(words: list[str]) -> None:
    program = (
        "import sys; from mgu.commands.ipsec import main\n"
        "try: code = main(sys.argv[1:])\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = {'asyncio', 'cryptography', 'OpenSSL', 'pyroute2', 'lark', 'subprocess'}\n"
        "heavy |= {'dataclasses', 'typing', 'hmac', 'tempfile', 'difflib'}\n"
        "heavy |= {'ike.values', 'ike.config'}\n"
        "heavy |= {'pathlib', 'socket', 'ipaddress'} if '-h' in sys.argv else set()\n"
        "sys.exit(code or sorted(heavy & set(sys.modules)) or 0)"
    )
    argv = [sys.executable, "-c", program, *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_another_connection_does_not_wait_for_the_grammar_of_files_that_nobody_changed(
    root: Path,
) -> None:
    assert main([*CREATE, "--dst-preshared-key=theirs"]) == 0
    program = (
        "import sys; from mgu.commands.ipsec import main\n"
        "code = main(sys.argv[1:])\n"
        "sys.exit(code or 'lark' in sys.modules)"
    )
    more = ["--create", "--name=m", "--dst-address=10.0.0.2", "--dst-network=10.1.0.0/16"]
    done = subprocess.run(
        [sys.executable, "-c", program, *more], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.1.2.3", "::1"])
def test_a_connection_to_this_gateway_itself_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str], peer: str
) -> None:
    words = ["--create", "--name=n", f"--dst-address={peer}", "--dst-preshared-key=k"]
    assert main(words) == 1
    assert f"{peer} is this gateway itself" in capsys.readouterr().err


def test_an_own_address_is_told_from_a_peers() -> None:
    assert is_own_address(ip_address("127.0.0.1"))
    assert not is_own_address(ip_address("192.0.2.1"))


def test_a_protocol_is_listed_by_the_name_that_was_typed(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*CREATE, "--ip-proto=sctp", "--dst-preshared-key=k"]) == 0
    main(["--list"])
    assert "host protocol sctp" in capsys.readouterr().out

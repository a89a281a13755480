"""Made wpa_supplicant.conf files, read by Debian's wpa_supplicant and by us.

wpa_supplicant -ddK prints what it reads, then ends, as there is no such interface. The two take the
same files, and read the same values; docs/conformance/files-of-others.md has what differs.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from eapol.config import ConfigError, parse
from eapol.settings import Network
from lab import odd_conf, require
from lab.netns import Namespace

pytestmark = pytest.mark.interop

MORE_LENIENT = {
    "blanks around =": re.compile(r"network: identity\s*=\s*\"a\"|global: eapol_version = 2"),
    "of wpa_supplicant 2.11": re.compile(r"network: openssl_ecdh_curves"),
    "words of eap and key_mgmt that nobody knows": re.compile(r"network: .*FOO"),
    "blanks before a brace": re.compile(r"file: network ?= ?\{"),
    "a byte order mark": re.compile(r"file: a byte order mark|file: form feed"),
}
"""We read these, and wpa_supplicant does not."""

STRICTER = {
    "no identity, with which EAP cannot begin": re.compile(r'network: identity=(""|NULL|)$'),
    "a version of TLS missing between two": re.compile(
        r'network: phase1="include_tls_length=1 tls'
    ),
    "no method": re.compile(r"network: eap=$"),
}
"""wpa_supplicant reads these, and fails later or does what we do not."""

_VALUE = re.compile(
    r"^(?P<key>\w+) - hexdump_ascii\(len=\d+\):(?P<lines>( \[NULL\]|\n(?:     .*\n)*))"
    r"|^Unset configuration string '(?P<unset>\w+)'",
    re.M,
)


def texts(said: str) -> dict[str, bytes]:
    """The texts of the last network that wpa_supplicant read, as it printed them."""
    found: dict[str, bytes] = {}
    for match in _VALUE.finditer(said[said.rfind("start of a new network") :]):
        if match["unset"]:
            found.pop(match["unset"], None)
            continue
        digits = "".join(line[5:53] for line in match["lines"].splitlines())
        found[match["key"]] = bytes.fromhex(digits)
    return found


def is_one(name: str, different: dict[str, re.Pattern[str]]) -> bool:
    return any(pattern.match(name) for pattern in different.values())


def of_ours(network: Network) -> dict[str, bytes | None]:
    secret = network.private_key_passwd
    return {
        "identity": network.identity,
        "ca_cert": None if network.ca_cert is None else network.ca_cert.encode(),
        "private_key_passwd": None if secret is None else secret.reveal(),
        "anonymous_identity": network.anonymous_identity,
        "id_str": network.id_str.encode() or None,
        "subject_match": None if not (s := network.tls.subject_match) else s.encode(),
    }


def test_wpa_supplicant_and_we_read_the_same_files(
    make_host: Callable[[str], Namespace], tmp_path: Path
) -> None:
    host = make_host("host")
    made = list(odd_conf.files())
    assert len(made) >= 150
    program = require.program("wpa_supplicant")
    wrong: list[object] = []
    for name, octets in made:
        (tmp_path / "conf").write_bytes(octets)
        argv = [program, "-ddK", "-Dwired", "-i", "none0", "-c", str(tmp_path / "conf")]
        said = host.run(*argv, check=False).stdout
        theirs = "Failed to read or parse configuration" not in said
        try:
            config = parse(octets.decode("utf-8", "surrogateescape"), "conf")
            ours, why = True, ""
        except ConfigError as error:
            ours, why = False, str(error)
        if ours != theirs and not is_one(name, MORE_LENIENT if ours else STRICTER):
            line = [line for line in said.splitlines() if line.startswith("Line ")]
            wrong.append((name, ours, theirs, why or line[:1]))
        elif ours and theirs and config.network is not None:
            values, read = of_ours(config.network), texts(said)
            different = {k: (v, read.get(k)) for k, v in values.items() if v != read.get(k)}
            if different:
                wrong.append((name, different))
    assert wrong == [], "\n".join(map(str, wrong))


def test_every_option_that_wpa_supplicant_knows_is_known_here(
    make_host: Callable[[str], Namespace], tmp_path: Path
) -> None:
    """Its options are among the words in its program; it says which of them it does not know."""
    host = make_host("host")
    program = require.program("wpa_supplicant")
    printed = re.findall(rb"(?<![!-~])[a-z][a-zA-Z0-9_]{2,40}(?=\0)", Path(program).read_bytes())
    words = [word.decode() for word in sorted(set(printed))]
    for before, after, unknown in (
        ("", "", "unknown global field '"),
        ("network={", "}", "unknown network field '"),
    ):
        lines = [f"{word}=1" for word in words]
        (tmp_path / "conf").write_text("\n".join([before, *lines, after, ""]))
        argv = [program, "-ddK", "-Dwired", "-i", "none0", "-c", str(tmp_path / "conf")]
        said = host.run(*argv, check=False).stdout
        theirs = set(words) - set(re.findall(f"{unknown}(\\w+)", said))
        assert len(theirs) > 50
        missing = [word for word in theirs if "is not an option" in refusal(word, before, after)]
        assert missing == []


def refusal(word: str, before: str, after: str) -> str:
    try:
        parse(
            f"{before}\nkey_mgmt=IEEE8021X\n{word}=1\n{after}\n" if before else f"{word}=1\n",
            "conf",
        )
    except ConfigError as error:
        return str(error)
    return ""


TESTS = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "path", sorted(TESTS.glob("eapol/files/*.conf")), ids=lambda path: path.stem
)
def test_wpa_supplicant_reads_the_files_of_others_too(
    make_host: Callable[[str], Namespace], path: Path
) -> None:
    argv = [require.program("wpa_supplicant"), "-Dwired", "-i", "none0", "-c", str(path)]
    said = make_host("host").run(*argv, check=False).stdout
    assert "Failed to read or parse configuration" not in said


@pytest.mark.parametrize(
    "path", sorted(TESTS.glob("ntp/files/*.chrony.conf")), ids=lambda path: path.stem
)
def test_chronyd_reads_the_files_of_others_too(
    make_host: Callable[[str], Namespace], path: Path
) -> None:
    argv = [require.program("chronyd"), "-p", "-f", str(path)]
    assert make_host("host").run(*argv, check=False).returncode == 0

"""Reads a file of each kind with the reader that the daemons have, and collects what it says."""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mgu import paths, registries
from mgu.check.kinds import BY_NAME, CERTIFICATE, Kind, kind_of
from mgu.check.report import ATTENTION, REFUSED, Finding, Report
from wire import files
from wire.source import Notice, Notices, SourceError, printable, text_of

if TYPE_CHECKING:
    from eapol.settings import Network

Reader = Callable[[Path, bytes], tuple[list[Finding], list[str]]]
"""Findings, and facts about what is in the file."""

_PLACED: Final = re.compile(
    r"(?P<file>[^\n]*?):(?P<line>\d+)(:(?P<column>\d+))?: (?P<text>.*)", re.DOTALL
)
UNKNOWN: Final = "unknown"


def check(name: str, wanted: str | None = None) -> Report:
    """What the file is, and what is found in it. `wanted` is the name of a kind."""
    try:
        octets = files.read(name, pipe=True)
    except OSError as error:
        finding = Finding(REFUSED, f"it cannot be read: {error.strerror}", name)
        return Report(name, UNKNOWN, "", (finding,))
    kind = BY_NAME[wanted] if wanted else kind_of(name, octets)
    if kind is None:
        text = f"its kind is not known; say which with --as: {', '.join(BY_NAME)}"
        return Report(name, UNKNOWN, "", (Finding(REFUSED, text, name),))
    return _read(name, octets, kind)


def _read(name: str, octets: bytes, kind: Kind) -> Report:
    try:
        findings, facts = READERS[kind.name](Path(name), octets)
    except SourceError as error:
        findings, facts = [Finding.refusal(error, name)], []
    return Report(name, kind.title, kind.program, tuple(findings), tuple(facts))


def _of(notices: Iterable[Notice]) -> list[Finding]:
    """Findings of notices, in the order of file and line."""
    return _sorted([Finding.of(notice) for notice in notices])


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _sorted(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: (finding.file, finding.line, finding.column))


def _worded(text: str, name: str, what: str) -> Finding:
    """A finding of a text that begins with its place, `FILE:LINE: `, or does not."""
    match = _PLACED.fullmatch(text)
    if match is None:
        return Finding(what, printable(text.removeprefix(f"{name}: ")), name)
    said, _, excerpt = match["text"].partition("\n")
    column = int(match["column"] or 0)
    return Finding(what, printable(said), match["file"], int(match["line"]), column, excerpt)


def _racoon(path: Path, _: bytes) -> tuple[list[Finding], list[str]]:
    from ike.conf.configuration import load
    from ike.conf.errors import ConfError

    refusals: list[ConfError] = []
    made = load(path.absolute(), paths.root(), refusals=refusals)
    findings = _of(made.notices) + [Finding.refusal(error, str(path)) for error in refusals]
    engine = made.engine
    facts = [
        f"{_counted(len(engine.remotes), 'remote')}, {_counted(len(engine.sainfos), 'sainfo')},"
        f" {_counted(len(engine.keys.entries), 'pre-shared key')}"
    ]
    return _sorted(findings), facts


def _psk(path: Path, octets: bytes) -> tuple[list[Finding], list[str]]:
    from ike.conf import psk

    notices = Notices()
    entries = psk.parse(str(path), octets, notices)
    usable = sum(bool(entry.key) for entry in entries)
    return [*_of(notices), *_privacy(path, REFUSED)], [_counted(usable, "key")]


def _privacy(path: Path, what: str = ATTENTION) -> list[Finding]:
    """A file of secrets that others can open: iked refuses it, commands warn of it."""
    try:
        doubt = files.doubt(path, path.stat())
    except OSError:
        return []
    return [Finding(what, doubt, str(path))] if doubt else []


def _setkey(path: Path, octets: bytes) -> tuple[list[Finding], list[str]]:
    from ipaddress import IPv4Address, IPv6Address

    from xfrm.model import Address
    from xfrm.setkey.parse import parse
    from xfrm.setkey.words import Names

    notices = Notices()
    hosts: list[str] = []

    def host(name: str) -> list[Address]:
        if not re.search("[A-Za-z]", name):
            return registries.host_addresses(name, numeric=True)
        hosts.append(name)
        return [IPv4Address(0), IPv6Address(0)]  # in place of what they will be

    names = Names(host, registries.protocol_number, registries.service_port)
    operations = parse(text_of(octets), names, name=str(path), notices=notices)
    findings = _of(notices)
    if hosts:
        shown = ", ".join(dict.fromkeys(map(printable, hosts)))
        text = f"these names of hosts are looked up when setkey runs: {shown}"
        findings.append(Finding(ATTENTION, text, str(path)))
    return findings, [_counted(len(operations), "operation")]


def _supplicant(path: Path, octets: bytes) -> tuple[list[Finding], list[str]]:
    from eapol.config import parse

    config = parse(text_of(octets), str(path))
    noticed = set(map(str, config.notices))
    others = [text for text in config.warnings if text not in noticed]
    others += [text for network in config.networks for text in _unverified(network)]
    findings = _of(config.notices) + [_worded(text, str(path), ATTENTION) for text in others]
    return _sorted(findings), [_counted(len(config.networks), "network")]


def _unverified(network: "Network") -> list[str]:
    """What the supplicant warns of when it opens the files."""
    from eapol.methods.table import needs_tls

    if network.disabled or not needs_tls(network):
        return []
    who = f"the network of {printable(os.fsdecode(network.identity))}"
    said = []
    if network.ca_cert is None and network.tls.server_sha256 is None:
        said.append(f'{who} has no ca_cert: any server is trusted; write ca_cert="PATH"')
    if not network.tls.check_time:
        said.append(f"{who} has tls_disable_time_checks=1: expired certificates are accepted")
    return said


def _time_conf(path: Path, octets: bytes) -> tuple[list[Finding], list[str]]:
    from ntp.conf import parse
    from ntp.errors import ConfigurationError

    notices = Notices()
    try:
        made = parse(octets, str(path), notices)
    except ConfigurationError as error:
        return [*_of(notices), _worded(str(error), str(path), REFUSED)], []
    return _of(notices), [_counted(len(made.servers), "server")]


def _time_keys(path: Path, octets: bytes) -> tuple[list[Finding], list[str]]:
    from ntp.errors import ConfigurationError
    from ntp.keys import parse

    notices = Notices()
    try:
        keys = parse(octets, str(path), notices)
    except ConfigurationError as error:
        return [*_of(notices), _worded(str(error), str(path), REFUSED)], []
    return [*_of(notices), *_privacy(path)], [_counted(len(keys), "key")]


def _papers(path: Path, octets: bytes) -> tuple[list[Finding], list[str]]:
    from mgu.check.papers import look

    findings, facts, secret = look(str(path), octets)
    return [*findings, *(_privacy(path) if secret else [])], facts


READERS: Final[dict[str, Reader]] = {
    "racoon.conf": _racoon,
    "psk.txt": _psk,
    "setkey.conf": _setkey,
    "wpa_supplicant.conf": _supplicant,
    "ntp.conf": _time_conf,
    "ntp.keys": _time_keys,
    CERTIFICATE: _papers,
}
